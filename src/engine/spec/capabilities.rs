//! Which capabilities a container gets: docker's defaults and its `--cap-add`, `--cap-drop`.
//!
//! Invariant: nothing outside the host's bounding set is ever asked for.

use std::collections::HashSet;

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};

use super::{SpecError, SpecRequest};
use crate::engine::user::User;

/// Docker's default capabilities.
const DEFAULT: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

/// How unlike a capability's name a word may be and still be taken for a slip.
const LIKENESS: f64 = 0.6;

/// The container's bounding set.
pub(super) fn resolve(request: &SpecRequest<'_>) -> Result<Capabilities, SpecError> {
    let bounding = &request.host.bounding;
    if request.privileged {
        return Ok(bounding.iter().copied().collect());
    }
    adjust(request.cap_add, request.cap_drop, bounding)
}

/// The sets of a process with this bounding set. Only root has them in effect, as after an
/// execve by hand; the inheritable and ambient sets stay empty.
pub(super) fn sets(bounding: &Capabilities, user: &User) -> LinuxCapabilities {
    let in_effect = (user.uid == 0).then(|| bounding.clone());
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(bounding.clone()))
        .set_effective(in_effect.clone())
        .set_permitted(in_effect)
        .set_inheritable(None)
        .set_ambient(None);
    sets
}

/// One word of `--cap-add` or `--cap-drop`.
#[derive(PartialEq)]
enum Named {
    All,
    One(Capability),
}

/// Docker's algebra: adding ALL gives all but the dropped ones; dropping ALL leaves the added ones
/// alone; else the dropped ones go from the default set first, then the added ones come.
fn adjust(
    add: &[String],
    drop: &[String],
    bounding: &[Capability],
) -> Result<Capabilities, SpecError> {
    let add = named(add)?;
    let drop = named(drop)?;
    let kept = |capability: &Capability| !drop.contains(&Named::One(*capability));
    if add.contains(&Named::All) {
        return Ok(bounding.iter().copied().filter(kept).collect());
    }
    let added: HashSet<Capability> = add
        .iter()
        .filter_map(|named| match named {
            Named::All => None,
            Named::One(capability) => Some(*capability),
        })
        .collect();
    // In the order given, so that the message does not change from run to run.
    for named in &add {
        if let Named::One(capability) = named
            && !bounding.contains(capability)
        {
            return Err(SpecError::CapabilityUnavailable {
                name: capability.to_string(),
            });
        }
    }
    if drop.contains(&Named::All) {
        return Ok(added);
    }
    Ok(DEFAULT
        .into_iter()
        // A host that is a container itself may lack some, and runc fails on those.
        .filter(|capability| bounding.contains(capability))
        .filter(kept)
        .chain(added)
        .collect())
}

fn named(words: &[String]) -> Result<Vec<Named>, SpecError> {
    words.iter().map(|word| parse(word)).collect()
}

fn parse(word: &str) -> Result<Named, SpecError> {
    let upper = word.to_ascii_uppercase();
    if upper == "ALL" {
        return Ok(Named::All);
    }
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    name.parse()
        .map(Named::One)
        .map_err(|_| SpecError::UnknownCapability {
            given: word.to_owned(),
            nearest: nearest(name),
        })
}

fn nearest(name: &str) -> Option<String> {
    crate::sys::facts::BY_NUMBER
        .iter()
        .map(|capability| capability.to_string())
        .map(|known| (strsim::jaro_winkler(name, &known), known))
        .filter(|(likeness, _)| *likeness > LIKENESS)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::class::Explain;
    use crate::sys::facts::BY_NUMBER;
    use Capability::{Chown, Mknod, NetAdmin, NetRaw, SysAdmin, SysTime};

    fn words(list: &str) -> Vec<String> {
        list.split_whitespace().map(str::to_owned).collect()
    }

    fn adjusted(add: &str, drop: &str) -> Capabilities {
        adjust(&words(add), &words(drop), &BY_NUMBER).unwrap()
    }

    #[test]
    fn the_default_set_is_dockers() {
        let mask: u64 = BY_NUMBER
            .iter()
            .enumerate()
            .filter(|(_, capability)| adjusted("", "").contains(capability))
            .map(|(number, _)| 1 << number)
            .sum();
        assert_eq!(format!("{mask:016x}"), "00000000a80425fb");
    }

    #[test]
    fn dockers_algebra() {
        let default: Capabilities = DEFAULT.into_iter().collect();
        let all: Capabilities = BY_NUMBER.into_iter().collect();
        let with = |capability| &default | &Capabilities::from([capability]);
        let without = |capability| &default - &Capabilities::from([capability]);
        for (add, drop, expected) in [
            ("NET_ADMIN", "", with(NetAdmin)),
            ("cap_net_admin", "", with(NetAdmin)),
            ("CAP_NET_ADMIN NET_ADMIN", "", with(NetAdmin)),
            ("CHOWN", "", default.clone()),
            ("", "mknod", without(Mknod)),
            ("", "SYS_ADMIN", default.clone()),
            // Dropped first, then added: adding wins.
            ("CHOWN", "CHOWN", default.clone()),
            ("", "ALL", Capabilities::new()),
            ("NET_RAW", "all", Capabilities::from([NetRaw])),
            ("CHOWN", "ALL CHOWN", Capabilities::from([Chown])),
            ("ALL", "", all.clone()),
            ("ALL", "SYS_TIME", &all - &Capabilities::from([SysTime])),
            ("All CHOWN", "CHOWN", &all - &Capabilities::from([Chown])),
            ("ALL", "ALL", all.clone()),
        ] {
            assert_eq!(adjusted(add, drop), expected, "+{add} -{drop}");
        }
    }

    #[test]
    fn nothing_beyond_the_hosts_bounding_set() {
        let host = [Chown, NetRaw, SysAdmin];
        let all = adjust(&words("ALL"), &[], &host).unwrap();
        assert_eq!(all, Capabilities::from(host));
        let default = adjust(&[], &[], &host).unwrap();
        assert_eq!(default, Capabilities::from([Chown, NetRaw]));
        let error = adjust(&words("sys_time"), &[], &host).unwrap_err();
        assert_eq!(
            error.to_string(),
            "this host cannot give the capability CAP_SYS_TIME"
        );
        // What the host does not have can be dropped.
        assert!(adjust(&[], &words("SYS_TIME"), &host).is_ok());
    }

    #[test]
    fn an_unknown_name_comes_with_the_nearest() {
        for (given, nearest) in [
            ("NETADMIN", Some("NET_ADMIN")),
            ("cap_sysadmin", Some("SYS_ADMIN")),
            ("CAP_PTRACE", Some("SYS_PTRACE")),
            ("xyzzy", None),
            ("", None),
        ] {
            let error = adjust(&words("CHOWN"), &[given.to_owned()], &BY_NUMBER).unwrap_err();
            let hint = nearest.map(|name| format!("did you mean {name}?"));
            assert_eq!(error.hint(), hint, "{given}");
        }
    }

    #[test]
    fn only_root_has_them_in_effect() {
        let bounding = Capabilities::from([Chown]);
        let root = sets(&bounding, &User::default());
        assert_eq!(*root.effective(), Some(bounding.clone()));
        assert_eq!(*root.permitted(), Some(bounding.clone()));
        let user = User {
            uid: 1000,
            ..User::default()
        };
        let other = sets(&bounding, &user);
        assert_eq!(*other.bounding(), Some(bounding));
        assert_eq!((other.effective(), other.permitted()), (&None, &None));
        assert_eq!((other.inheritable(), other.ambient()), (&None, &None));
    }
}
