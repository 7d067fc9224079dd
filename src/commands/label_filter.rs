//! Filters by label, as docker's lists and prunes have them: `label=KEY[=VALUE]`, `label!=KEY[=VALUE]`.

use std::collections::BTreeMap;

/// What must be true of an object's labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelFilter {
    key: String,
    value: Option<String>,
    /// It must not have the label, or not with this value.
    absent: bool,
}

impl LabelFilter {
    /// From what stands before and behind the first `=` of a filter; nothing if it is about something
    /// else than labels.
    pub fn of(key: &str, value: &str) -> Option<LabelFilter> {
        let absent = match key {
            "label" => false,
            "label!" => true,
            _ => return None,
        };
        let (key, value) = match value.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (value, None),
        };
        Some(LabelFilter {
            key: key.to_owned(),
            value,
            absent,
        })
    }

    /// Whether it lets an object with these labels through.
    pub fn applies(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = labels.get(&self.key).is_some_and(|value| {
            let wanted = self.value.as_ref();
            wanted.is_none_or(|wanted| wanted == value)
        });
        has != self.absent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_there_or_not_with_a_value_or_any() {
        let labels = [("job".to_owned(), "4=2".to_owned())].into();
        let applies = |text: &str| {
            let (key, value) = text.split_once('=').unwrap();
            LabelFilter::of(key, value).map(|filter| filter.applies(&labels))
        };
        for (filter, expected) in [
            ("label=job", Some(true)),
            ("label=job=4=2", Some(true)),
            ("label=job=4", Some(false)),
            ("label=none", Some(false)),
            ("label!=job", Some(false)),
            ("label!=job=4", Some(true)),
            ("label!=none", Some(true)),
            ("name=job", None),
        ] {
            assert_eq!(applies(filter), expected, "{filter}");
        }
    }
}
