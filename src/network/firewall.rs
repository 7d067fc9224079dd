//! The packet filter's rules for networks of ours, where a FORWARD policy drops.
//!
//! Invariant: only rules with our mark are ever touched; they are made of the networks' files alone,
//! and can be made again at any time.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::apart::{is, is_apart, is_kept_apart, is_open, keep_apart, table};
use super::config::{self, NetworkConfigList};
use super::create::{gateways_of, is_ours};
use super::locks;
use super::ours::is_gone;
use super::rules::{RulesError, run};
use crate::sys::lock::Lock;

/// Docker's chain for the administrator's rules: it comes before all of Docker's own.
const DOCKER: &str = "DOCKER-USER";

/// How long the packet filter is taken to be as it was found, where it only lets more through.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// A program that changes rules failed.
pub type FirewallError = RulesError;

/// Makes the rules of a network of ours, where they are not there. Foreign networks have none.
///
/// # Errors
/// A program failed.
pub async fn settle(dir: &Path, list: &NetworkConfigList) -> Result<(), FirewallError> {
    let _lock = lock().await;
    settle_locked(dir, list).await
}

/// Two that look at the same moment would both add what is missing.
async fn lock() -> Option<Lock> {
    // Without it rules may be doubled, and are removed together.
    let path = Path::new(locks::DEFAULT_DIR).join("firewall");
    Lock::exclusive(&path).await.ok()
}

async fn settle_locked(dir: &Path, list: &NetworkConfigList) -> Result<(), FirewallError> {
    let gateways = gateways_of(list);
    if gateways.is_empty() || !is_ours(list) {
        return Ok(());
    }
    if is_kept_apart(list) {
        keep_apart(dir, None).await?;
    }
    if is(list, "internal") {
        return Ok(());
    }
    for filter in filters().await? {
        filter.admit(&mark(dir), list.name(), &gateways).await?;
    }
    Ok(())
}

/// [`settle`] for an attachment: somebody may have changed the packet filter since the last one.
/// Attachments that follow each other closely look once.
///
/// # Errors
/// A program failed.
pub async fn settle_for_attachment(
    dir: &Path,
    list: &NetworkConfigList,
) -> Result<(), FirewallError> {
    if !is_ours(list) {
        return Ok(());
    }
    let mark = Path::new(locks::DEFAULT_DIR).join(format!("net-{}:rules", list.name()));
    let looked = || fs::metadata(&mark).and_then(|mark| mark.modified());
    let fresh = |at: SystemTime| at.elapsed().is_ok_and(|age| age < LOOK_AGAIN);
    let is_settled = || !is_essential(list) && looked().is_ok_and(fresh);
    if is_settled() {
        return Ok(());
    }
    // While it is held the network cannot be removed; afterwards its rules would be left to nobody.
    let path = mark.with_file_name(format!("net-{}", list.name()));
    let _network = Lock::shared(&path).await.ok();
    if is_gone(list) {
        return Ok(());
    }
    let _lock = lock().await;
    // Somebody else looked while we waited.
    if is_settled() {
        return Ok(());
    }
    settle_locked(dir, list).await?;
    // Without the mark the next one looks too.
    let _ = fs::write(mark, "");
    Ok(())
}

/// Whether a network must not be used without its rules: they are what keeps it apart.
pub fn is_essential(list: &NetworkConfigList) -> bool {
    is_kept_apart(list)
}

/// Takes the rules of a network away.
///
/// # Errors
/// A program failed.
pub async fn withdraw(dir: &Path, list: &NetworkConfigList) -> Result<(), FirewallError> {
    let _lock = lock().await;
    if is_kept_apart(list) {
        keep_apart(dir, Some(list.name())).await?;
    }
    for filter in filters().await? {
        filter
            .withdraw(&mark(dir), |network| network == list.name())
            .await?;
    }
    Ok(())
}

/// Takes away the rules of networks that are there no more, and makes those again that the others
/// lack; says of which networks it took some away.
///
/// # Errors
/// A program failed.
pub async fn sweep(dir: &Path) -> Result<Vec<String>, FirewallError> {
    let _lock = lock().await;
    let scan = config::scan(dir);
    // A file that cannot be understood may be any network's.
    if !scan.broken.is_empty() {
        return Ok(Vec::new());
    }
    let known = |name: &str| scan.networks.iter().any(|list| list.name() == name);
    let mut swept = Vec::new();
    for filter in filters().await? {
        let mut stale = filter.networks(&mark(dir));
        stale.retain(|name| !known(name));
        let meant = |name: &str| stale.iter().any(|one| one == name);
        filter.withdraw(&mark(dir), meant).await?;
        swept.extend(stale);
    }
    if is_apart(dir).await? {
        keep_apart(dir, None).await?;
    }
    // Whoever loads rules of his own takes ours away.
    for list in &scan.networks {
        settle_locked(dir, list).await?;
    }
    swept.sort();
    swept.dedup();
    Ok(swept)
}

/// What is to be said about a network whose traffic would be dropped: the rules that an administrator
/// could add. And of one of ours that is not kept apart any more: how it is again.
///
/// # Errors
/// A program failed.
pub async fn advice(list: &NetworkConfigList) -> Result<Vec<String>, FirewallError> {
    let gateways = gateways_of(list);
    let mut lines = Vec::new();
    let dir = list.source().parent().unwrap_or(Path::new("/"));
    if is_kept_apart(list) && is_open(dir, list.name()).await? {
        lines.push(format!(
            "netrun gc   (the table inet {} of nftables, which keeps the network apart)",
            table(dir)
        ));
    }
    if gateways.is_empty() || is_ours(list) && is(list, "internal") {
        return Ok(lines);
    }
    // With our mark `network rm` takes them away, too.
    let comment = match is_ours(list) {
        true => format!("-m comment --comment {}{} ", mark(dir), list.name()),
        false => String::new(),
    };
    for filter in filters().await?.iter().filter(|filter| filter.drops) {
        for gateway in &gateways {
            let named = format!("-i {gateway} ");
            if filter.rules.iter().any(|rule| rule.contains(&named)) {
                continue;
            }
            for rule in accepting(gateway) {
                let rule = rule.replacen("-j ", &format!("{comment}-j "), 1);
                lines.push(format!("{} -I {} {rule}", filter.program, filter.chain));
            }
        }
    }
    Ok(lines)
}

/// What lets a network's own traffic out, and answers and published ports in.
fn accepting(gateway: &str) -> [String; 2] {
    [
        format!("-i {gateway} -j ACCEPT"),
        format!("-o {gateway} -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT"),
    ]
}

/// The FORWARD chain of one flavour of iptables.
#[derive(Debug, PartialEq, Eq)]
struct Filter {
    /// The flavour's program.
    program: &'static str,
    /// Where our rules belong.
    chain: &'static str,
    /// The policy of FORWARD drops.
    drops: bool,
    /// The rules of ours, and all others of FORWARD and `DOCKER-USER`, as the program prints them.
    rules: Vec<String>,
}

/// The flavours that own a FORWARD chain here.
async fn filters() -> Result<Vec<Filter>, FirewallError> {
    let mut found = Vec::new();
    let programs = [
        "iptables-nft",
        "iptables-legacy",
        "ip6tables-nft",
        "ip6tables-legacy",
    ];
    for program in programs {
        // Without `-t`, so that no table comes to be by looking.
        if let Some(output) = run(&format!("{program}-save"), &[], "").await? {
            found.extend(filter_of(program, &String::from_utf8_lossy(&output.stdout)));
        }
    }
    Ok(found)
}

/// Reads what `iptables-save` prints; nothing if there is no FORWARD chain in the table `filter`.
fn filter_of(program: &'static str, text: &str) -> Option<Filter> {
    let mut lines = text
        .lines()
        .skip_while(|line| line.trim() != "*filter")
        .skip(1);
    let mut filter = None;
    let mut rules = Vec::new();
    let mut chain = "FORWARD";
    for line in lines.by_ref().take_while(|line| *line != "COMMIT") {
        if let Some(rest) = line.strip_prefix(":FORWARD ") {
            filter = Some(rest.starts_with("DROP"));
        } else if line.starts_with(":DOCKER-USER ") {
            chain = DOCKER;
        } else if line.starts_with("-A FORWARD ") || line.starts_with("-A DOCKER-USER ") {
            rules.push(line.to_owned());
        }
    }
    filter.map(|drops| Filter {
        program,
        chain,
        drops,
        rules,
    })
}

/// What the comment of a rule begins with for a network of this directory; its name follows.
fn mark(dir: &Path) -> String {
    format!("{}:", table(dir))
}

/// The network whose rule this is.
fn marked<'r>(rule: &'r str, mark: &str) -> Option<&'r str> {
    let comment = rule.split("--comment ").nth(1)?;
    let comment = comment.strip_prefix('"').unwrap_or(comment);
    comment.strip_prefix(mark)?.split(['"', ' ']).next()
}

impl Filter {
    /// The networks that have rules here.
    fn networks(&self, mark: &str) -> Vec<String> {
        self.rules
            .iter()
            .filter_map(|rule| marked(rule, mark))
            .map(str::to_owned)
            .collect()
    }

    /// Adds the pair of rules of a network, unless they stand where they belong.
    async fn admit(
        &self,
        mark: &str,
        network: &str,
        gateways: &[String],
    ) -> Result<(), FirewallError> {
        let here = format!("-A {} ", self.chain);
        let own = self
            .rules
            .iter()
            .filter(|rule| marked(rule, mark) == Some(network));
        let names = |rule: &str, gateway: &String| rule.contains(&format!(" {gateway} "));
        let (right, wrong): (Vec<&String>, Vec<&String>) = own.partition(|rule| {
            rule.starts_with(&here) && gateways.iter().any(|gateway| names(rule, gateway))
        });
        let decides = self.drops || self.chain == DOCKER;
        if !decides || (right.len() == 2 * gateways.len() && wrong.is_empty()) {
            return Ok(());
        }
        let place = self.place(mark, network);
        let mut script = "*filter\n".to_owned();
        for rule in right.into_iter().chain(wrong) {
            script.push_str(&rule.replacen("-A ", "-D ", 1));
            script.push('\n');
        }
        for rule in gateways.iter().flat_map(|gateway| accepting(gateway)) {
            let (matches, target) = rule.split_once(" -j ").unwrap_or((&rule, "ACCEPT"));
            let _ = writeln!(
                script,
                "-I {} {place} {matches} -m comment --comment {mark}{network} -j {target}",
                self.chain
            );
        }
        self.restore(script).await
    }

    /// Where the rules of a network belong once its old ones are gone, from 1: behind all that the
    /// administrator wrote, but before a last rule that is for everything.
    fn place(&self, mark: &str, network: &str) -> usize {
        let here = format!("-A {} ", self.chain);
        let others = self
            .rules
            .iter()
            .filter(|rule| marked(rule, mark) != Some(network));
        let others: Vec<&String> = others.filter(|rule| rule.starts_with(&here)).collect();
        let ends = |rule: &&&String| {
            let target = rule[here.len()..].strip_prefix("-j ");
            target.is_some_and(|target| !target.contains(' ') && target != DOCKER)
        };
        others.len() + 1 - others.last().iter().filter(|rule| ends(rule)).count()
    }

    /// Removes the rules of all networks that are meant.
    async fn withdraw(
        &self,
        mark: &str,
        meant: impl Fn(&str) -> bool,
    ) -> Result<(), FirewallError> {
        let own = self
            .rules
            .iter()
            .filter(|rule| marked(rule, mark).is_some_and(&meant));
        let lines: Vec<String> = own.map(|rule| rule.replacen("-A ", "-D ", 1)).collect();
        match lines.is_empty() {
            true => Ok(()),
            false => {
                self.restore(format!("*filter\n{}\n", lines.join("\n")))
                    .await
            }
        }
    }

    async fn restore(&self, mut script: String) -> Result<(), FirewallError> {
        script.push_str("COMMIT\n");
        let program = format!("{}-restore", self.program);
        run(&program, &["--noflush", "-w", "10"], &script).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: &str = "# Generated\n*nat\n:FORWARD ACCEPT [0:0]\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\n\
        :FORWARD DROP [3:4]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n\
        -A DOCKER-USER -i br-lan -m comment --comment \"netrun:lan\" -j ACCEPT\n\
        -A DOCKER-USER -o br-lan -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -m comment --comment \"netrun:lan\" -j ACCEPT\n\
        -A DOCKER-USER -i x -m comment --comment netrun:lan2 -j ACCEPT\n\
        -A DOCKER-USER -j RETURN\nCOMMIT\n";

    #[test]
    fn the_chain_that_decides_is_found() {
        let filter = filter_of("iptables-nft", SAVED).unwrap();
        assert!(filter.drops && filter.chain == "DOCKER-USER");
        assert_eq!(filter.networks("netrun:"), ["lan", "lan", "lan2"]);
        // Behind the rule of lan2, before the RETURN.
        assert_eq!(
            (
                filter.place("netrun:", "lan"),
                filter.place("netrun:", "new")
            ),
            (2, 4)
        );
        let plain = SAVED.replace(":DOCKER-USER - [0:0]\n", "");
        assert_eq!(filter_of("iptables-nft", &plain).unwrap().chain, "FORWARD");
        assert_eq!(
            filter_of("iptables-nft", "*nat\n:FORWARD DROP\nCOMMIT\n"),
            None
        );
    }

    #[test]
    fn marks_are_read_with_and_without_quotes() {
        assert_eq!(
            marked(
                "-A F -m comment --comment \"netrun:a.b-c\" -j ACCEPT",
                "netrun:"
            ),
            Some("a.b-c")
        );
        assert_eq!(
            marked("-A F -m comment --comment netrun:a -j ACCEPT", "netrun:"),
            Some("a")
        );
        assert_eq!(
            marked("-A F -m comment --comment other -j ACCEPT", "netrun:"),
            None
        );
        assert_eq!(marked("-A F -j ACCEPT", "netrun:"), None);
    }
}
