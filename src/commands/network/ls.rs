//! `netrun network ls`: the networks of the directory.

use std::str::FromStr;

use crate::commands::context::Context;
use crate::commands::values::parse;
use crate::model::class::{Class, Explain};
use crate::network::NetworkConfigList;
use crate::network::config::{self, Scan};
use crate::network::create::kept;

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

    /// Only those to which this applies: name=, driver=, label=
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = parse::<Filter>)]
    pub filters: Vec<Filter>,

    /// How to print: table, json, or a template such as '{{.Name}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// What must apply to a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Its name holds this.
    Name(String),
    /// Its first plugin is this one.
    Driver(String),
    /// It has this label, with this value if one is given.
    Label(String, Option<String>),
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
        Some("write name=TEXT, driver=PLUGIN or label=KEY[=VALUE]".to_owned())
    }
}

impl FromStr for Filter {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        match text.split_once('=') {
            Some(("name", name)) => Ok(Self::Name(name.to_owned())),
            Some(("driver", driver)) => Ok(Self::Driver(driver.to_owned())),
            Some(("label", label)) => Ok(match label.split_once('=') {
                Some((key, value)) => Self::Label(key.to_owned(), Some(value.to_owned())),
                None => Self::Label(label.to_owned(), None),
            }),
            _ => Err(InvalidFilter(text.to_owned())),
        }
    }
}

impl Filter {
    /// Whether it applies.
    pub fn applies(&self, list: &NetworkConfigList) -> bool {
        match self {
            Self::Name(name) => list.name().contains(name),
            Self::Driver(driver) => list.plugin_types().first() == Some(&driver.as_str()),
            Self::Label(key, value) => {
                let labels = kept(list, "labels");
                let found = labels.and_then(|labels| labels.get(key)?.as_str());
                found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
            }
        }
    }
}

/// The networks that are wanted, in the order of lookup; files that cannot be understood are told.
pub fn ls(context: &Context<'_>, args: &Args) -> Vec<NetworkConfigList> {
    let Scan {
        mut networks,
        broken,
    } = config::scan(&context.settings.cni_conf_dir);
    for file in broken {
        context.audience.warn(&file.error.to_string());
    }
    networks.retain(|list| args.filters.iter().all(|filter| filter.applies(list)));
    networks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_look_at_name_driver_and_labels() {
        let text = r#"{"name": "lan", "netrun": {"labels": {"job": "42"}}, "plugins": [{"type": "bridge"}]}"#;
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
        ] {
            assert_eq!(
                filter.parse::<Filter>().unwrap().applies(&list),
                applies,
                "{filter}"
            );
        }
        assert!("scope=local".parse::<Filter>().is_err());
    }
}
