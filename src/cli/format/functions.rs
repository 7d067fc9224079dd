//! The functions of templates: those of Go's text/template and of docker's own.
//!
//! Invariant: `NAMES` is what `call` knows; both are held together by a test.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::printf::printf;

/// All functions.
pub const NAMES: [&str; 26] = [
    "and", "eq", "ge", "gt", "html", "index", "join", "js", "json", "le", "len", "lower", "lt",
    "ne", "not", "or", "pad", "print", "printf", "println", "slice", "split", "title", "truncate",
    "upper", "urlquery",
];

/// Calls a function; gives its value, or what is wrong with the arguments.
pub fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    match (name, arguments) {
        ("and", [first, rest @ ..]) => Ok(pick(first, rest, |value| !is_true(value))),
        ("or", [first, rest @ ..]) => Ok(pick(first, rest, is_true)),
        ("not", [value]) => Ok(Value::Bool(!is_true(value))),
        ("eq", [value, others @ ..]) if !others.is_empty() => {
            Ok(Value::Bool(others.iter().any(|other| equal(value, other))))
        }
        ("ne", [a, b]) => Ok(Value::Bool(!equal(a, b))),
        ("lt", [a, b]) => compare(a, b).map(|order| Value::Bool(order.is_lt())),
        ("le", [a, b]) => compare(a, b).map(|order| Value::Bool(order.is_le())),
        ("gt", [a, b]) => compare(a, b).map(|order| Value::Bool(order.is_gt())),
        ("ge", [a, b]) => compare(a, b).map(|order| Value::Bool(order.is_ge())),
        ("index", [value, keys @ ..]) => keys.iter().try_fold(value.clone(), |v, k| index(&v, k)),
        ("slice", [value, bounds @ ..]) if bounds.len() <= 2 => slice(value, bounds),
        ("len", [value]) => len(value),
        ("json", [value]) => Ok(Value::String(value.to_string())),
        ("join", [list, separator]) => join(list, separator),
        ("split", [value, separator]) => {
            let (value, separator) = (text(value)?, text(separator)?);
            let parts = value.split(separator.as_str());
            Ok(parts.map(Value::from).collect())
        }
        ("lower", [value]) => Ok(Value::String(text(value)?.to_lowercase())),
        ("upper", [value]) => Ok(Value::String(text(value)?.to_uppercase())),
        ("title", [value]) => Ok(Value::String(title(&text(value)?))),
        ("pad", [value, before, after]) => {
            let (before, after) = (count(before)?, count(after)?);
            let text = text(value)?;
            let padded = format!("{:before$}{text}{:after$}", "", "");
            Ok(Value::String(if text.is_empty() { text } else { padded }))
        }
        ("truncate", [value, length]) => {
            let characters = text(value)?.chars().take(count(length)?).collect();
            Ok(Value::String(characters))
        }
        ("print", values) => Ok(Value::String(print(values))),
        ("println", values) => {
            let words: Vec<String> = values.iter().map(display).collect();
            Ok(Value::String(words.join(" ") + "\n"))
        }
        ("html", values) => Ok(Value::String(escaped(&print(values), html))),
        ("js", values) => Ok(Value::String(escaped(&print(values), js))),
        ("urlquery", values) => Ok(Value::String(url_query(&print(values)))),
        ("printf", [format, values @ ..]) => printf(&text(format)?, values).map(Value::String),
        (_, given) => Err(format!("\"{name}\" cannot take {} arguments", given.len())),
    }
}

/// The first value that decides, else the last.
fn pick(first: &Value, rest: &[Value], decides: impl Fn(&Value) -> bool) -> Value {
    let mut all = std::iter::once(first).chain(rest);
    let last = rest.last().unwrap_or(first);
    all.find(|value| decides(value)).unwrap_or(last).clone()
}

/// Whether a value counts as true: not empty, not zero, not false.
pub fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(bool) => *bool,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// A value as it is printed: as Go prints it, lists as `[a b]` and maps as `map[k:v]`.
pub fn display(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let words: Vec<String> = list.iter().map(display).collect();
            format!("[{}]", words.join(" "))
        }
        Value::Object(map) => {
            let mut words: Vec<String> = (map.iter())
                .map(|(key, value)| format!("{key}:{}", display(value)))
                .collect();
            words.sort();
            format!("map[{}]", words.join(" "))
        }
        other => other.to_string(),
    }
}

/// Go puts a space between two values of which neither is a string.
fn print(values: &[Value]) -> String {
    let mut printed = String::new();
    for (number, value) in values.iter().enumerate() {
        let apart = number > 0 && !value.is_string() && !values[number - 1].is_string();
        if apart {
            printed.push(' ');
        }
        printed += &display(value);
    }
    printed
}

/// The text with what `escape` gives for a character in its place.
fn escaped(text: &str, escape: fn(char) -> Option<String>) -> String {
    let one = |c: char| escape(c).unwrap_or_else(|| c.to_string());
    text.chars().map(one).collect()
}

/// Go's names for what HTML reads as its own.
fn html(c: char) -> Option<String> {
    let name = match c {
        '"' => "&#34;",
        '\'' => "&#39;",
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '\0' => "\u{fffd}",
        _ => return None,
    };
    Some(name.to_owned())
}

/// What would end a text of JavaScript, or begin a tag of HTML.
fn js(c: char) -> Option<String> {
    match c {
        '\\' | '\'' | '"' => Some(format!("\\{c}")),
        '<' | '>' | '&' | '=' => Some(format!("\\u{:04X}", u32::from(c))),
        c if c.is_control() => Some(format!("\\u{:04X}", u32::from(c))),
        _ => None,
    }
}

fn url_query(text: &str) -> String {
    let one = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// What kind of value it is, for messages.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(format!("{} stands where text should", kind(other))),
    }
}

fn count(value: &Value) -> Result<usize, String> {
    let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
    number.ok_or_else(|| format!("{} stands where a number should", kind(value)))
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => number_order(a, b) == Some(Ordering::Equal),
        _ => a == b,
    }
}

fn compare(a: &Value, b: &Value) -> Result<Ordering, String> {
    let order = match (a, b) {
        (Value::Number(a), Value::Number(b)) => number_order(a, b),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    };
    order.ok_or_else(|| format!("{} and {} have no order", kind(a), kind(b)))
}

fn number_order(a: &Number, b: &Number) -> Option<Ordering> {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// A key that a map lacks gives the empty text, as from a map of texts in Go.
fn index(value: &Value, key: &Value) -> Result<Value, String> {
    match (value, key) {
        (Value::Object(map), Value::String(key)) => {
            Ok(map.get(key).cloned().unwrap_or_else(|| Value::from("")))
        }
        (Value::Array(list), Value::Number(_)) => {
            let at = count(key)?;
            let found = list.get(at).cloned();
            found.ok_or_else(|| format!("there is no {at} in a list of {}", list.len()))
        }
        _ => Err(format!(
            "{} has no index that is {}",
            kind(value),
            kind(key)
        )),
    }
}

fn slice(value: &Value, bounds: &[Value]) -> Result<Value, String> {
    let length = match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.len(),
        other => return Err(format!("{} has no slices", kind(other))),
    };
    let from = bounds.first().map(count).transpose()?.unwrap_or(0);
    let to = bounds.get(1).map(count).transpose()?.unwrap_or(length);
    let part = match value {
        Value::Array(list) => list.get(from..to).map(|part| Value::from(part.to_vec())),
        Value::String(text) => text.get(from..to).map(Value::from),
        _ => None,
    };
    part.ok_or_else(|| format!("there is no {from} to {to} in a length of {length}"))
}

fn len(value: &Value) -> Result<Value, String> {
    match value {
        Value::String(text) => Ok(Value::from(text.len())),
        Value::Array(list) => Ok(Value::from(list.len())),
        Value::Object(map) => Ok(Value::from(map.len())),
        Value::Null => Ok(Value::from(0)),
        other => Err(format!("{} has no length", kind(other))),
    }
}

fn join(list: &Value, separator: &Value) -> Result<Value, String> {
    let words: Vec<String> = match list {
        Value::Array(list) => list.iter().map(display).collect(),
        Value::Null => Vec::new(),
        other => return Err(format!("{} stands where a list should", kind(other))),
    };
    Ok(Value::String(words.join(&text(separator)?)))
}

fn title(text: &str) -> String {
    let mut begins = true;
    let upper = |c: char| {
        let first = std::mem::replace(&mut begins, !c.is_alphanumeric());
        if first { c.to_ascii_uppercase() } else { c }
    };
    text.chars().map(upper).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_as_go_escapes_them() {
        let call = |name, text: &str| call(name, &[Value::from(text)]).unwrap();
        assert_eq!(
            call("html", "<a href=\"x\">'&'"),
            "&lt;a href=&#34;x&#34;&gt;&#39;&amp;&#39;"
        );
        assert_eq!(call("js", "it's <b>\n"), "it\\'s \\u003Cb\\u003E\\u000A");
        assert_eq!(call("urlquery", "a b/c?ü~"), "a+b%2Fc%3F%C3%BC~");
    }

    #[test]
    fn every_named_function_is_one() {
        for name in NAMES {
            let taken = (0..4).any(|count| {
                let arguments = vec![Value::from("x"); count];
                let result = call(name, &arguments);
                !result.is_err_and(|what| what.contains("cannot take"))
            });
            assert!(taken, "{name}");
        }
        assert!(call("nothing", &[]).is_err());
    }
}
