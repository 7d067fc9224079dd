//! Rules that the reference plugins left in iptables (both flavours) and nftables: found by chain
//! name or comment, removed in one transaction per table.
//!
//! Invariant: a program that is not installed has left no rules; every other failure is told.

use std::env;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::exec::with_admin_dirs;

/// How long one program may take; iptables may have to wait for its lock.
const DEADLINE: Duration = Duration::from_secs(30);

/// The chain of iptables in which `firewall` lets a container's addresses through.
const FORWARD: &str = "CNI-FORWARD";

/// The nftables tables of the plugins: family and name.
const MASQUERADE: (&str, &str) = ("inet", "cni_plugins_masquerade");
const HOSTPORTS: [(&str, &str); 2] = [("ip", "cni_hostport"), ("ip6", "cni_hostport")];

/// A program that shows or changes rules failed.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// It cannot be executed or spoken to.
    #[error("cannot execute {program}")]
    Execute {
        /// Which program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// It did not end in time.
    #[error("{program} did not end within {} s", DEADLINE.as_secs())]
    Timeout {
        /// Which program.
        program: String,
    },
    /// It failed.
    #[error("{program} failed ({status}), saying {stderr:?}")]
    Failed {
        /// Which program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said on its standard error.
        stderr: String,
    },
    /// It printed no JSON.
    #[error("{program} printed no valid JSON")]
    Json {
        /// Which program.
        program: String,
        /// Why not.
        source: serde_json::Error,
    },
}

/// Chains in one table of one flavour of iptables, with the rules that lead to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chains {
    program: String,
    table: String,
    chains: Vec<String>,
    /// The rules in other chains that jump to them, or let an address of ours through, as
    /// `iptables-save` prints them, without `-A`.
    jumps: Vec<String>,
}

impl fmt::Display for Chains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.program, self.table)?;
        match self.chains.is_empty() {
            true => write!(f, " rules {}", self.jumps.join("; ")),
            false => write!(f, " chain {}", self.chains.join(", ")),
        }
    }
}

/// One rule of nftables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    family: &'static str,
    table: &'static str,
    chain: String,
    handle: u64,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule {
            family,
            table,
            chain,
            handle,
        } = self;
        write!(f, "nft rule {family} {table} {chain} handle {handle}")
    }
}

/// Finds chains of these names, and what leads to them, and `firewall`'s rules for these addresses,
/// in every iptables of this host.
pub(super) async fn find_chains(
    names: &[String],
    addresses: &[IpAddr],
) -> Result<Vec<Chains>, RulesError> {
    let mut found = Vec::new();
    for family in ["iptables", "ip6tables"] {
        let mut flavours = 0;
        for flavour in ["-nft", "-legacy"] {
            let program = format!("{family}{flavour}");
            if let Some(rules) = save(&program).await? {
                flavours += 1;
                found.extend(chains_in(&program, &rules, names, addresses));
            }
        }
        // A host with one iptables does not say which flavour it is.
        if flavours == 0
            && let Some(rules) = save(family).await?
        {
            found.extend(chains_in(family, &rules, names, addresses));
        }
    }
    Ok(found)
}

/// Without `-t`, so that no table, and no module of the kernel, comes to be by looking.
async fn save(program: &str) -> Result<Option<String>, RulesError> {
    let output = run(&format!("{program}-save"), &[], "").await?;
    Ok(output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Reads what `iptables-save` prints.
fn chains_in(program: &str, rules: &str, names: &[String], addresses: &[IpAddr]) -> Vec<Chains> {
    let ours = |name: &str| names.iter().any(|own| own == name);
    let forwards = |rule: &str| {
        let mut words = rule.split(' ').skip(1);
        matches!(words.next(), Some("-s" | "-d"))
            && words
                .next()
                .and_then(|net| net.parse().ok())
                .is_some_and(|net: IpNet| {
                    net.prefix_len() == net.max_prefix_len() && addresses.contains(&net.addr())
                })
    };
    let mut tables = Vec::new();
    for line in rules.lines() {
        if let Some(table) = line.strip_prefix('*') {
            tables.push(Chains {
                program: program.to_owned(),
                table: table.trim().to_owned(),
                chains: Vec::new(),
                jumps: Vec::new(),
            });
        }
        let Some(table) = tables.last_mut() else {
            continue;
        };
        let chain = line
            .strip_prefix(':')
            .and_then(|rest| rest.split(' ').next());
        if let Some(chain) = chain.filter(|chain| ours(chain)) {
            table.chains.push(chain.to_owned());
        }
        if let Some(rule) = line.strip_prefix("-A ") {
            let from = rule.split(' ').next().unwrap_or_default();
            let mut words = rule
                .split(' ')
                .skip_while(|word| !matches!(*word, "-j" | "-g"));
            let leads = !ours(from) && words.nth(1).is_some_and(ours);
            if leads || from == FORWARD && forwards(rule) {
                table.jumps.push(rule.to_owned());
            }
        }
    }
    tables.retain(|table| !table.chains.is_empty() || !table.jumps.is_empty());
    tables
}

/// Removes chains with what leads to them, all or nothing.
pub(super) async fn remove_chains(chains: &Chains) -> Result<(), RulesError> {
    let program = format!("{}-restore", chains.program);
    run(&program, &["--noflush", "-w", "10"], &removal(chains)).await?;
    Ok(())
}

/// The chain of `ipMasq` for some addresses of one attachment, in iptables on nftables; the jumps to it
/// are known without a look.
pub(super) fn masquerading(
    program: &str,
    chain: &str,
    addresses: &[IpAddr],
    comment: &str,
) -> Chains {
    let quoted = comment.replace('\\', "\\\\").replace('"', "\\\"");
    let jump = |address: &IpAddr| {
        format!("POSTROUTING -s {address} -m comment --comment \"{quoted}\" -j {chain}")
    };
    Chains {
        program: program.to_owned(),
        table: "nat".to_owned(),
        chains: vec![chain.to_owned()],
        jumps: addresses.iter().map(jump).collect(),
    }
}

fn removal(chains: &Chains) -> String {
    let mut script = format!("*{}\n", chains.table);
    for jump in &chains.jumps {
        script.push_str(&format!("-D {jump}\n"));
    }
    // One may lead to another: all are emptied before the first goes.
    for command in ["-F", "-X"] {
        for chain in &chains.chains {
            script.push_str(&format!("{command} {chain}\n"));
        }
    }
    script.push_str("COMMIT\n");
    script
}

/// Finds rules of nftables whose comment begins with `masquerade` (in the table of `ipMasq`) or is
/// `container_id` (in those of `portmap`).
pub(super) async fn find_rules(
    masquerade: &str,
    container_id: &str,
) -> Result<Vec<Rule>, RulesError> {
    let Some(tables) = nft_json(&["-j", "list", "tables"]).await? else {
        return Ok(Vec::new());
    };
    let exists = |family: &str, name: &str| {
        let mut all = objects(&tables, "table");
        all.any(|table| table["family"] == family && table["name"] == name)
    };
    let mut found = Vec::new();
    for (family, name) in [MASQUERADE, HOSTPORTS[0], HOSTPORTS[1]] {
        if !exists(family, name) {
            continue;
        }
        let listing = nft_json(&["-j", "-n", "list", "table", family, name]).await?;
        let ours = |comment: &str| match (family, name) == MASQUERADE {
            true => comment.starts_with(masquerade),
            false => comment == container_id,
        };
        found.extend(rules_in(&listing.unwrap_or_default(), family, name, ours));
    }
    Ok(found)
}

fn rules_in(
    listing: &Value,
    family: &'static str,
    table: &'static str,
    ours: impl Fn(&str) -> bool,
) -> Vec<Rule> {
    let rules = objects(listing, "rule");
    let marked = rules.filter(|rule| rule["comment"].as_str().is_some_and(&ours));
    marked
        .filter_map(|rule| {
            Some(Rule {
                family,
                table,
                chain: rule["chain"].as_str()?.to_owned(),
                handle: rule["handle"].as_u64()?,
            })
        })
        .collect()
}

/// The objects of one kind in a JSON listing of nft.
pub(super) fn objects<'a>(
    listing: &'a Value,
    kind: &'static str,
) -> impl Iterator<Item = &'a Value> {
    let all = listing["nftables"].as_array().into_iter().flatten();
    all.filter_map(move |object| object.get(kind))
}

/// Removes one rule.
pub(super) async fn remove_rule(rule: &Rule) -> Result<(), RulesError> {
    let handle = rule.handle.to_string();
    let place = [rule.family, rule.table, rule.chain.as_str()];
    let arguments = [
        "delete", "rule", place[0], place[1], place[2], "handle", &handle,
    ];
    run("nft", &arguments, "").await?;
    Ok(())
}

/// Removes a network device of the host.
pub(super) async fn remove_device(name: &str) -> Result<(), RulesError> {
    run("ip", &["link", "delete", "dev", name], "").await?;
    Ok(())
}

pub(super) async fn nft_json(arguments: &[&str]) -> Result<Option<Value>, RulesError> {
    let Some(output) = run("nft", arguments, "").await? else {
        return Ok(None);
    };
    let parsed = serde_json::from_slice(&output.stdout);
    parsed.map(Some).map_err(|source| RulesError::Json {
        program: "nft".to_owned(),
        source,
    })
}

/// Runs a program to its successful end; nothing if it is not installed.
pub(super) async fn run(
    program: &str,
    arguments: &[&str],
    stdin: &str,
) -> Result<Option<Output>, RulesError> {
    let child = Command::new(program)
        .args(arguments)
        .env("PATH", with_admin_dirs(env::var_os("PATH").as_deref()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let broken = |source| RulesError::Execute {
        program: program.to_owned(),
        source,
    };
    let mut child = match child {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(broken)?,
    };
    let talk = async {
        // Dropped after the last word, which is how the program knows it.
        if let Some(mut pipe) = child.stdin.take() {
            match pipe.write_all(stdin.as_bytes()).await {
                // It has failed already, and its own words say why.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                other => other?,
            }
        }
        child.wait_with_output().await
    };
    let output = match timeout(DEADLINE, talk).await {
        Ok(outcome) => outcome.map_err(broken)?,
        Err(_) => {
            return Err(RulesError::Timeout {
                program: program.to_owned(),
            });
        }
    };
    match output.status.success() {
        true => Ok(Some(output)),
        false => Err(RulesError::Failed {
            program: program.to_owned(),
            status: output.status,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SAVED: &str = r#"# Generated by iptables-save
*nat
:POSTROUTING ACCEPT [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-aaa - [0:0]
:CNI-DN-aaa - [0:0]
:CNI-bbb - [0:0]
-A POSTROUTING -s 10.0.0.2/32 -m comment --comment "name: \"net\" id: \"web\"" -j CNI-aaa
-A POSTROUTING -s 10.0.0.3/32 -m comment --comment "name: \"net\" id: \"db\"" -j CNI-bbb
-A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 8080 -j CNI-DN-aaa
-A CNI-aaa -d 10.0.0.0/8 -j ACCEPT
-A CNI-aaa ! -d 224.0.0.0/4 -j MASQUERADE
COMMIT
*filter
:FORWARD ACCEPT [0:0]
-A FORWARD -j ACCEPT
COMMIT
"#;

    #[test]
    fn chains_are_removed_with_the_jumps_to_them_and_nothing_else() {
        let names = ["CNI-aaa".to_owned(), "CNI-DN-aaa".to_owned()];
        let found = chains_in("iptables-nft", SAVED, &names, &[]);
        assert_eq!(found.len(), 1);
        assert_eq!(
            removal(&found[0]),
            "*nat\n\
             -D POSTROUTING -s 10.0.0.2/32 -m comment --comment \"name: \\\"net\\\" id: \\\"web\\\"\" -j CNI-aaa\n\
             -D CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 8080 -j CNI-DN-aaa\n\
             -F CNI-aaa\n-F CNI-DN-aaa\n-X CNI-aaa\n-X CNI-DN-aaa\nCOMMIT\n"
        );
        assert!(chains_in("iptables", SAVED, &["CNI-ccc".to_owned()], &[]).is_empty());
        assert!(chains_in("iptables", "", &names, &[]).is_empty());
    }

    #[test]
    fn forwarding_rules_are_known_by_their_whole_address() {
        let saved = "*filter\n:CNI-FORWARD - [0:0]\n\
            -A CNI-FORWARD -j CNI-ADMIN\n\
            -A CNI-FORWARD -d 10.0.0.2/32 -m conntrack --ctstate ESTABLISHED -j ACCEPT\n\
            -A CNI-FORWARD -s 10.0.0.2/32 -j ACCEPT\n\
            -A CNI-FORWARD -s 10.0.0.0/24 -j ACCEPT\n\
            -A CNI-FORWARD -s 10.0.0.3/32 -j ACCEPT\n\
            -A FORWARD -s 10.0.0.2/32 -j ACCEPT\nCOMMIT\n";
        let ours = ["10.0.0.2", "10.0.0.0"].map(|text| text.parse().unwrap());
        let found = chains_in("iptables-nft", saved, &[], &ours);
        assert_eq!(
            removal(&found[0]),
            "*filter\n\
             -D CNI-FORWARD -d 10.0.0.2/32 -m conntrack --ctstate ESTABLISHED -j ACCEPT\n\
             -D CNI-FORWARD -s 10.0.0.2/32 -j ACCEPT\nCOMMIT\n"
        );
        assert!(chains_in("iptables-nft", saved, &[], &[]).is_empty());
    }

    #[test]
    fn nft_rules_are_known_by_their_comment() {
        let listing = json!({"nftables": [
            {"metainfo": {}},
            {"rule": {"chain": "hostports", "handle": 7, "comment": "web"}},
            {"rule": {"chain": "hostports", "handle": 8, "comment": "web2"}},
            {"rule": {"chain": "hostports", "handle": 9}}
        ]});
        let found = rules_in(&listing, "ip", "cni_hostport", |comment| comment == "web");
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].to_string(),
            "nft rule ip cni_hostport hostports handle 7"
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_program_that_is_not_there_left_nothing() {
        assert!(
            run("netrun-no-such-program", &[], "")
                .await
                .unwrap()
                .is_none()
        );
        let failed = run("false", &[], "").await;
        assert!(matches!(failed, Err(RulesError::Failed { .. })));
        let echoed = run("cat", &[], "text").await.unwrap().unwrap();
        assert_eq!(echoed.stdout, b"text");
    }
}
