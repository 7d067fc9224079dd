//! Names for containers that were given none: short, readable, unique.
//!
//! Invariant: a generated name keeps the rules of [`ContainerId`] and has at most 20 characters.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::id::ContainerId;

/// How something may be; at most eight letters each.
const ADJECTIVES: [&str; 64] = [
    "able", "agile", "amber", "azure", "bold", "brave", "brief", "bright", "brisk", "calm",
    "clean", "clear", "clever", "cosy", "crisp", "deft", "early", "easy", "fair", "fine", "fleet",
    "fresh", "frosty", "gentle", "glad", "golden", "grand", "green", "happy", "honest", "humble",
    "jolly", "keen", "kind", "lively", "lucky", "mellow", "merry", "mild", "neat", "nimble",
    "noble", "plain", "polite", "proud", "quick", "quiet", "rapid", "ready", "royal", "silent",
    "silver", "smart", "snowy", "solid", "steady", "sunny", "swift", "tidy", "true", "vivid",
    "warm", "wise", "young",
];

/// What it may be; at most seven letters each.
const NOUNS: [&str; 64] = [
    "acorn", "badger", "beacon", "beaver", "birch", "bison", "brook", "canyon", "cedar", "cloud",
    "comet", "coral", "crane", "delta", "dune", "eagle", "ember", "falcon", "fern", "finch",
    "fjord", "forest", "fox", "garnet", "glade", "harbor", "hawk", "hazel", "heron", "island",
    "jetty", "kite", "lagoon", "lake", "lark", "lynx", "maple", "marsh", "meadow", "mesa", "moss",
    "oak", "ocean", "orca", "otter", "owl", "panda", "peak", "pebble", "pine", "plover", "quartz",
    "raven", "reef", "ridge", "river", "robin", "spruce", "stone", "swan", "tern", "tide",
    "valley", "willow",
];

/// A name that is not taken: two words, and a number once two words alone have been taken often.
///
/// `taken` may ask only what is known beforehand; two commands at once can still choose the same
/// name, so the caller tries again when containerd says that it exists.
pub fn generate(taken: impl Fn(&ContainerId) -> bool) -> ContainerId {
    generate_from(taken, random)
}

fn generate_from(
    taken: impl Fn(&ContainerId) -> bool,
    mut random: impl FnMut() -> u64,
) -> ContainerId {
    let mut attempt = 0_u32;
    loop {
        let name = compose(random(), attempt);
        attempt = attempt.saturating_add(1);
        if !taken(&name) {
            return name;
        }
    }
}

/// The first three attempts are words alone; later ones end in a number of two, then four digits.
fn compose(random: u64, attempt: u32) -> ContainerId {
    let adjective = ADJECTIVES[(random % 64) as usize];
    let noun = NOUNS[(random / 64 % 64) as usize];
    let number = random / 4096;
    let text = match attempt {
        0..3 => format!("{adjective}-{noun}"),
        3..10 => format!("{adjective}-{noun}{}", number % 100),
        _ => format!("{adjective}-{noun}{}", number % 10_000),
    };
    text.parse()
        .expect("two words of letters and a number keep the rules of names")
}

/// Sixty-four bits of chance, from the keys that the standard library draws for its hash maps:
/// enough to keep two names apart, and no secret hangs on it.
fn random() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn all_pairs_of_words_keep_the_rules() {
        let mut seen = HashSet::new();
        for pair in 0..4096 {
            for attempt in [0, 3, 10] {
                let longest_number = pair + 4096 * 9999;
                let name = compose(longest_number, attempt);
                assert!(name.as_str().len() <= 20, "{name}");
            }
            assert!(seen.insert(compose(pair, 0)), "{pair} gives a name twice");
        }
    }

    #[test]
    fn a_taken_name_is_not_given_again() {
        let mut chance = 0;
        let mut taken = HashSet::new();
        for _ in 0..50 {
            // The same words each time, so that only the number can make a difference.
            let name = generate_from(
                |name| taken.contains(name),
                || {
                    chance += 4096;
                    chance
                },
            );
            assert!(taken.insert(name));
        }
    }

    #[test]
    fn names_differ_from_one_to_the_next() {
        let names: HashSet<_> = (0..20).map(|_| generate(|_| false)).collect();
        assert!(names.len() > 10, "{names:?}");
    }
}
