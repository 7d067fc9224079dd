//! `netrun network ls`: the networks of the directory.

use std::str::FromStr;

use jiff::Timestamp;

use crate::commands::context::Context;
use crate::commands::filter::Pattern;
use crate::commands::label_filter::LabelFilter;
use crate::commands::values::parse;
use crate::model::class::{Class, Explain};
use crate::model::time::Moment;
use crate::network::NetworkConfigList;
use crate::network::config::{self, Scan};
use crate::network::create::kept;
use crate::network::default;

const EXAMPLES: &str = "\
Examples:
  netrun network ls
  netrun network ls --filter label=job=42 -q";

/// List networks
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only their names
    #[arg(short, long)]
    pub quiet: bool,

    /// Only those to which this applies: name=, id=, driver=, label=, label!=, type=, scope=, until=
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = parse::<Filter>)]
    pub filters: Vec<Filter>,

    /// How to print: table, json, or a template such as '{{.Name}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// Do not shorten anything; nothing is
    #[arg(long)]
    pub no_trunc: bool,
}

/// What must apply to a network.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Its name, which is its id as well, matches.
    Name(Pattern),
    /// Its first plugin is this one.
    Driver(String),
    /// About its labels.
    Label(LabelFilter),
    /// Whether somebody made it; else it is the one that is always there.
    Custom(bool),
    /// How far it reaches: all are `local`.
    Scope(String),
    /// It was made before this moment.
    Until(Moment),
}

/// A filter that there is not.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a filter of networks")]
pub struct InvalidFilter(String);

impl Explain for InvalidFilter {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        let filters = "name=PATTERN, driver=PLUGIN, label=KEY[=VALUE], label!=KEY[=VALUE], \
                       type=custom|builtin, scope=local or until=TIME";
        Some(format!("write {filters}"))
    }
}

impl FromStr for Filter {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        let invalid = || InvalidFilter(text.to_owned());
        let (key, value) = text.split_once('=').ok_or_else(invalid)?;
        if let Some(label) = LabelFilter::of(key, value) {
            return Ok(Self::Label(label));
        }
        Ok(match (key, value) {
            ("name" | "id", name) => Self::Name(name.parse().map_err(|_| invalid())?),
            ("driver", driver) => Self::Driver(driver.to_owned()),
            ("type", "custom") => Self::Custom(true),
            ("type", "builtin") => Self::Custom(false),
            ("scope", scope) => Self::Scope(scope.to_owned()),
            ("until", time) => Self::Until(time.parse().map_err(|_| invalid())?),
            _ => return Err(invalid()),
        })
    }
}

impl Filter {
    /// Whether it applies.
    pub fn applies(&self, list: &NetworkConfigList) -> bool {
        match self {
            Self::Name(pattern) => pattern.matches(list.name()),
            Self::Driver(driver) => list.plugin_types().first() == Some(&driver.as_str()),
            Self::Label(label) => {
                let labels = kept(list, "labels").cloned().unwrap_or_default();
                label.applies(&serde_json::from_value(labels).unwrap_or_default())
            }
            Self::Custom(wanted) => (list.name() != default::NAME) == *wanted,
            Self::Scope(scope) => scope == "local",
            Self::Until(moment) => {
                let created = kept(list, "created").and_then(|time| time.as_str());
                let created = created.and_then(|time| time.parse::<Timestamp>().ok());
                created.is_some_and(|created| created < moment.resolve(Timestamp::now()))
            }
        }
    }
}

/// Whether the filters let a network through: of several names one must match, all else must apply.
pub fn all(filters: &[Filter], list: &NetworkConfigList) -> bool {
    let is_name = |filter: &&Filter| matches!(filter, Filter::Name(_));
    let mut names = filters.iter().filter(is_name).peekable();
    let named = names.peek().is_none() || names.any(|filter| filter.applies(list));
    let mut others = filters.iter().filter(|filter| !is_name(filter));
    named && others.all(|filter| filter.applies(list))
}

/// The networks that are wanted, in the order of lookup; files that cannot be understood are told.
pub fn ls(context: &Context<'_>, args: &Args) -> Vec<NetworkConfigList> {
    let Scan {
        mut networks,
        broken,
    } = config::scan(&context.settings.cni_conf_dir);
    for file in broken {
        context
            .audience
            .warn(&format!("no network is described by {file}"));
    }
    networks.retain(|list| all(&args.filters, list));
    networks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_look_at_name_driver_and_labels() {
        let text = r#"{"name": "lan", "netrun": {"labels": {"job": "42"}, "created": "2025-06-01T00:00:00Z"}, "plugins": [{"type": "bridge"}]}"#;
        let list = NetworkConfigList::parse(text, "x".as_ref()).unwrap();
        for (filter, applies) in [
            ("name=la", true),
            ("name=x", false),
            ("driver=bridge", true),
            ("driver=ptp", false),
            ("label=job", true),
            ("label=job=42", true),
            ("label=job=43", false),
            ("label=x", false),
            ("label!=x", true),
            ("name=^lan$", true),
            ("name=^an", false),
            ("id=lan", true),
            ("type=custom", true),
            ("type=builtin", false),
            ("scope=local", true),
            ("scope=swarm", false),
            ("until=1h", true),
            ("until=2025-01-01", false),
        ] {
            assert_eq!(
                filter.parse::<Filter>().unwrap().applies(&list),
                applies,
                "{filter}"
            );
        }
        for bad in ["dangling", "type=mine", "until=soon", "name=("] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
        let passes = |texts: &[&str]| {
            let filters: Vec<Filter> = texts.iter().map(|text| text.parse().unwrap()).collect();
            all(&filters, &list)
        };
        assert!(passes(&["name=wan", "name=lan"]) && !passes(&["name=lan", "driver=ptp"]));
    }
}
