//! The table of nftables that keeps networks of ours apart: isolated ones from each other, internal
//! ones from everything.
//!
//! Invariant: the table is made of the networks' files alone, whole and in one transaction; nobody
//! else's is touched.

use std::fmt::Write;
use std::io;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::config::{self, NetworkConfigList};
use super::create::{gateways_of, is_ours, kept};
use super::rules::{RulesError, nft_json, objects, run};

/// Whether a flag of a network of ours is set.
pub(super) fn is(list: &NetworkConfigList, flag: &str) -> bool {
    kept(list, flag) == Some(&Value::Bool(true))
}

/// Whether a network has rules in the table.
pub(super) fn is_kept_apart(list: &NetworkConfigList) -> bool {
    is_ours(list) && (is(list, "internal") || is(list, "isolate"))
}

/// The table that keeps the networks of a directory apart, made anew in one transaction.
pub(super) async fn keep_apart(dir: &Path, without: Option<&str>) -> Result<(), RulesError> {
    let mut lists = config::scan(dir).networks;
    lists.retain(|list| Some(list.name()) != without);
    let script = apart(&table(dir), &lists);
    let ran = run("nft", &["-f", "-"], &script).await?;
    match ran.is_none() && script.contains(" drop ") {
        true => Err(RulesError::Execute {
            program: "nft".to_owned(),
            source: io::ErrorKind::NotFound.into(),
        }),
        false => Ok(()),
    }
}

/// Whether the table lacks rules of a network that it should keep apart.
pub(super) async fn is_open(dir: &Path, network: &str) -> Result<bool, RulesError> {
    let table = table(dir);
    let mark = format!("{table}:{network}");
    if !apart(&table, &config::scan(dir).networks).contains(&format!("comment \"{mark}\"")) {
        return Ok(false);
    }
    if !is_apart(dir).await? {
        return Ok(true);
    }
    let listing = nft_json(&["-j", "list", "table", "inet", &table]).await?;
    let listing = listing.unwrap_or_default();
    let mut rules = objects(&listing, "rule");
    Ok(!rules.any(|rule| rule["comment"] == mark.as_str()))
}

/// The table's name: one for each directory of networks.
pub(super) fn table(dir: &Path) -> String {
    if dir == Path::new(config::DEFAULT_DIR) {
        return "netrun".to_owned();
    }
    let digest = Sha256::digest(dir.as_os_str().as_encoded_bytes());
    let short: String = digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("netrun-{short}")
}

/// Interfaces, as nft takes them.
fn set(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!("{{ {} }}", quoted.join(", "))
}

/// A drop in any table is final, whatever others accept.
fn apart(table: &str, lists: &[NetworkConfigList]) -> String {
    // The first makes the second possible where there is no such table.
    let mut script = format!("add table inet {table}\ndelete table inet {table}\n");
    let bridges = |flag: &str| {
        let own = lists.iter().filter(|list| is_ours(list) && is(list, flag));
        let own = own.map(|list| (list.name(), gateways_of(list)));
        own.filter(|(_, gateways)| !gateways.is_empty())
            .collect::<Vec<_>>()
    };
    let (internal, isolated) = (bridges("internal"), bridges("isolate"));
    if internal.is_empty() && isolated.is_empty() {
        return script;
    }
    let mut rules = String::new();
    let mut drop = |name: &str, matches: String| {
        let _ = writeln!(rules, "    {matches} drop comment \"{table}:{name}\"");
    };
    for (name, gateways) in &internal {
        let own = set(gateways);
        drop(name, format!("iifname {own} oifname != {own}"));
        drop(name, format!("iifname != {own} oifname {own}"));
    }
    for (name, gateways) in &isolated {
        let others = isolated.iter().filter(|(other, _)| other != name);
        let others: Vec<String> = others.flat_map(|(_, other)| other.clone()).collect();
        if !others.is_empty() {
            let (own, others) = (set(gateways), set(&others));
            drop(name, format!("iifname {own} oifname {others}"));
        }
    }
    let _ = write!(
        script,
        "table inet {table} {{\n  chain forward {{\n    type filter hook forward priority filter - 10; policy accept;\n{rules}  }}\n}}\n"
    );
    script
}

/// Whether the table that keeps networks apart is there.
pub(super) async fn is_apart(dir: &Path) -> Result<bool, RulesError> {
    let listing = nft_json(&["-j", "list", "tables"])
        .await?
        .unwrap_or_default();
    let name = table(dir);
    let mut tables = objects(&listing, "table");
    Ok(tables.any(|one| one["family"] == "inet" && one["name"] == name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(name: &str, flag: &str) -> NetworkConfigList {
        let text = format!(
            r#"{{"name": "{name}", "netrun": {{"{flag}": true}}, "plugins": [{{"type": "bridge", "bridge": "br-{name}"}}]}}"#
        );
        NetworkConfigList::parse(&text, Path::new("x")).unwrap()
    }

    #[test]
    fn networks_are_kept_apart_by_one_table() {
        let script = apart(
            "netrun",
            &[
                list("in", "internal"),
                list("a", "isolate"),
                list("b", "isolate"),
                list("c", "x"),
            ],
        );
        assert!(
            script.contains("iifname { \"br-in\" } oifname != { \"br-in\" } drop"),
            "{script}"
        );
        assert!(
            script.contains("iifname { \"br-a\" } oifname { \"br-b\" } drop"),
            "{script}"
        );
        assert!(!script.contains("br-c"), "{script}");
        let none = apart("netrun", &[list("c", "x")]);
        assert_eq!(none, "add table inet netrun\ndelete table inet netrun\n");
    }
}
