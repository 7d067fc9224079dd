//! The `printf` of templates: the verbs of Go's that JSON values can have.
//!
//! Invariant: a verb that does not fit its value is an error, never printed as one.

use serde_json::Value;

use super::functions::{display, kind};

/// One directive between `%` and its verb.
#[derive(Default)]
struct Directive {
    left: bool,
    zero: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
}

/// Prints values as a Go format says: `%s %v %q %d %x %f %t %%`, flags `-`, `0`, `+`, width and
/// precision. Gives what is wrong with the format or the values.
pub fn printf(format: &str, values: &[Value]) -> Result<String, String> {
    let mut printed = String::new();
    let mut values = values.iter();
    let mut characters = format.chars();
    while let Some(c) = characters.next() {
        if c != '%' {
            printed.push(c);
            continue;
        }
        let (directive, verb) = directive(&mut characters)?;
        if verb == '%' {
            printed.push('%');
            continue;
        }
        let value = values
            .next()
            .ok_or_else(|| format!("there is no value for %{verb}"))?;
        printed += &directive.pad(directive.print(verb, value)?);
    }
    match values.next() {
        None => Ok(printed),
        Some(_) => Err("there are more values than the format prints".to_owned()),
    }
}

fn directive(characters: &mut std::str::Chars) -> Result<(Directive, char), String> {
    let mut directive = Directive::default();
    let mut in_flags = true;
    for c in characters.by_ref() {
        match c {
            '-' if in_flags => directive.left = true,
            '0' if in_flags => directive.zero = true,
            '+' if in_flags => directive.plus = true,
            '.' => directive.precision = Some(0),
            '0'..='9' => {
                in_flags = false;
                let digit = c.to_digit(10).unwrap_or(0) as usize;
                let number = directive.precision.as_mut().unwrap_or(&mut directive.width);
                // A line of a thousand columns is a mistake, and a billion would be an attack.
                *number = (*number * 10 + digit).min(1000);
            }
            verb => return Ok((directive, verb)),
        }
    }
    Err("the format ends in the middle of a %".to_owned())
}

impl Directive {
    fn print(&self, verb: char, value: &Value) -> Result<String, String> {
        let misfit = || format!("%{verb} does not print {}", kind(value));
        match (verb, value) {
            ('s' | 'v', value) => Ok(self.cut(display(value))),
            ('q', Value::String(text)) => Ok(format!("{:?}", self.cut(text.clone()))),
            ('t', Value::Bool(bool)) => Ok(bool.to_string()),
            ('d', Value::Number(number)) => {
                let number = number.as_i64().ok_or_else(misfit)?;
                Ok(self.signed(number >= 0, number.to_string()))
            }
            ('x', Value::Number(number)) => {
                let number = number.as_u64().ok_or_else(misfit)?;
                Ok(format!("{number:x}"))
            }
            ('x', Value::String(text)) => {
                Ok(text.bytes().map(|byte| format!("{byte:02x}")).collect())
            }
            ('f', Value::Number(number)) => {
                let number = number.as_f64().ok_or_else(misfit)?;
                let precision = self.precision.unwrap_or(6);
                Ok(self.signed(number >= 0.0, format!("{number:.precision$}")))
            }
            ('d' | 'x' | 'f' | 't' | 'q', _) => Err(misfit()),
            _ => Err(format!(
                "%{verb} is not known; there are %s %v %q %d %x %f %t"
            )),
        }
    }

    fn cut(&self, text: String) -> String {
        match self.precision {
            Some(length) => text.chars().take(length).collect(),
            None => text,
        }
    }

    fn signed(&self, positive: bool, digits: String) -> String {
        match self.plus && positive {
            true => format!("+{digits}"),
            false => digits,
        }
    }

    fn pad(&self, text: String) -> String {
        let width = self.width;
        let numeric = text.trim_start_matches(['+', '-']).parse::<f64>().is_ok();
        match (self.left, self.zero && numeric) {
            (true, _) => format!("{text:<width$}"),
            (false, false) => format!("{text:>width$}"),
            (false, true) => {
                let digits = text.trim_start_matches(['+', '-']);
                let sign = &text[..text.len() - digits.len()];
                let width = width.saturating_sub(sign.len());
                format!("{sign}{digits:0>width$}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_printed_as_go_prints_them() {
        let table = [
            ("%s", json!("a"), "a"),
            ("[%5s]", json!("a"), "[    a]"),
            ("[%-5s]", json!("a"), "[a    ]"),
            ("%.2s", json!("abc"), "ab"),
            ("%v", json!([1, "b"]), "[1 b]"),
            ("%q", json!("a\"b"), "\"a\\\"b\""),
            ("%d%%", json!(7), "7%"),
            ("%05d", json!(-42), "-0042"),
            ("%+d", json!(42), "+42"),
            ("%x", json!(255), "ff"),
            ("%.2f", json!(1.005), "1.00"),
            ("%6.1f|", json!(2), "   2.0|"),
            ("%t", json!(true), "true"),
        ];
        for (format, value, expected) in table {
            assert_eq!(
                printf(format, &[value]).as_deref(),
                Ok(expected),
                "{format}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        for (format, values) in [
            ("%d", vec![json!("x")]),
            ("%t", vec![json!(1)]),
            ("%y", vec![json!(1)]),
            ("%s", vec![]),
            ("x", vec![json!(1)]),
            ("%", vec![json!(1)]),
            ("%5", vec![json!(1)]),
        ] {
            assert!(printf(format, &values).is_err(), "{format}");
        }
        let wide = printf("%99999999999999999999s", &[json!("")]).unwrap();
        assert_eq!(wide.len(), 1000);
    }
}
