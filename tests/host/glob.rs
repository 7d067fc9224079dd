//! Patterns in which `*` stands for any text.

/// Whether `text` as a whole is what `pattern` says.
pub fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len())
                .filter(|&at| tail.is_char_boundary(at))
                .any(|at| matches(rest, &tail[at..]))
        }),
    }
}

#[test]
fn a_star_stands_for_any_text() {
    for (pattern, text, expected) in [
        ("link a", "link a", true),
        ("link a", "link ab", false),
        ("link *", "link ab", true),
        ("* dev x *", "route 1 dev x src y", true),
        ("* dev x *", "route 1 dev xy src y", false),
        ("a*", "b", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}
