//! The default seccomp profile: docker's, narrowed to one container on one host.
//!
//! Invariant: the profile's text is upstream's, unchanged (see NOTICE); all choices are made here.

use oci_spec::runtime::{
    Arch, Capabilities, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag,
    LinuxSyscall,
};
use serde::{Deserialize, Deserializer, de};

use crate::sys::facts::HostFacts;

const PROFILE: &str = include_str!("../../configs/seccomp.json");

/// A profile in docker's format: rules with conditions.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: LinuxSeccompAction,
    default_errno_ret: Option<u32>,
    /// The OCI's format says the architectures themselves, docker's which ones go together.
    architectures: Option<Vec<Arch>>,
    #[serde(default)]
    arch_map: Vec<ArchMap>,
    flags: Option<Vec<LinuxSeccompFilterFlag>>,
    #[serde(default)]
    syscalls: Vec<Rule>,
}

/// The architectures whose system calls a kernel of one architecture also takes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: Arch,
    sub_architectures: Option<Vec<Arch>>,
}

/// A rule of the OCI spec, and when it applies.
#[derive(Deserialize)]
struct Rule {
    #[serde(flatten)]
    syscall: LinuxSyscall,
    #[serde(default)]
    includes: Filter,
    #[serde(default)]
    excludes: Filter,
}

/// Conditions; one that is empty says nothing.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Filter {
    caps: Vec<Capability>,
    arches: Vec<String>,
    #[serde(deserialize_with = "version")]
    min_kernel: Option<(u32, u32)>,
}

/// The container that a profile is narrowed to.
struct Container<'a> {
    bounding: &'a Capabilities,
    kernel: (u32, u32),
    arch: &'a str,
}

/// The default profile for a container with these capabilities in its bounding set, as the OCI
/// runtime spec has it.
///
/// An architecture that the profile does not know gets the rules that are for all.
pub fn default_profile(bounding: &Capabilities, host: &HostFacts) -> LinuxSeccomp {
    profile(PROFILE, bounding, host)
        .expect("the profile is compiled in, and a test of this file reads it")
}

/// A profile in docker's format, or the OCI's, narrowed to a container as the default one is.
///
/// # Errors
/// The text is neither.
pub fn profile(
    text: &str,
    bounding: &Capabilities,
    host: &HostFacts,
) -> Result<LinuxSeccomp, serde_json::Error> {
    let profile: Profile = serde_json::from_str(text)?;
    let (arch, native) = names(host.arch);
    let container = Container {
        bounding,
        kernel: host.kernel,
        arch,
    };
    let mut seccomp = LinuxSeccomp::default();
    seccomp
        .set_default_action(profile.default_action)
        .set_default_errno_ret(profile.default_errno_ret)
        .set_architectures(
            profile
                .architectures
                .or_else(|| architectures(&profile.arch_map, native?, &host.lacking)),
        )
        .set_flags(profile.flags)
        .set_syscalls(Some(
            profile
                .syscalls
                .into_iter()
                .filter(|rule| rule.applies(&container))
                .map(|rule| rule.syscall)
                .collect(),
        ));
    Ok(seccomp)
}

impl Rule {
    fn applies(&self, container: &Container<'_>) -> bool {
        self.includes.all_hold(container) && !self.excludes.any_holds(container)
    }
}

impl Filter {
    fn all_hold(&self, container: &Container<'_>) -> bool {
        self.caps.iter().all(|cap| container.bounding.contains(cap))
            && (self.arches.is_empty() || self.names_arch(container))
            && self.min_kernel.is_none_or(|min| container.kernel >= min)
    }

    fn any_holds(&self, container: &Container<'_>) -> bool {
        self.caps.iter().any(|cap| container.bounding.contains(cap))
            || self.names_arch(container)
            || self.min_kernel.is_some_and(|min| container.kernel >= min)
    }

    fn names_arch(&self, container: &Container<'_>) -> bool {
        self.arches.iter().any(|arch| arch == container.arch)
    }
}

/// Rules for system calls that the kernel does not have would keep runc busy for as long as all its
/// other work takes: libseccomp copies all rules of all architectures for each new one.
fn architectures(map: &[ArchMap], native: Arch, lacking: &[Arch]) -> Option<Vec<Arch>> {
    let entry = map.iter().find(|entry| entry.architecture == native)?;
    let mut architectures = vec![native];
    let further = entry.sub_architectures.iter().flatten();
    architectures.extend(further.filter(|further| !lacking.contains(further)));
    Some(architectures)
}

/// Rust's name for an architecture as profiles write it in conditions, and as libseccomp does.
fn names(arch: &str) -> (&str, Option<Arch>) {
    match arch {
        "x86_64" => ("amd64", Some(Arch::ScmpArchX86_64)),
        "x86" => ("x86", Some(Arch::ScmpArchX86)),
        "aarch64" => ("arm64", Some(Arch::ScmpArchAarch64)),
        "arm" => ("arm", Some(Arch::ScmpArchArm)),
        "powerpc64" => ("ppc64le", Some(Arch::ScmpArchPpc64le)),
        "s390x" => ("s390x", Some(Arch::ScmpArchS390x)),
        "riscv64" => ("riscv64", Some(Arch::ScmpArchRiscv64)),
        "loongarch64" => ("loongarch64", Some(Arch::ScmpArchLoongarch64)),
        other => (other, None),
    }
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<(u32, u32)>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let number = |part: &str| part.parse().map_err(de::Error::custom);
    let (major, minor) = text.split_once('.').unwrap_or((&text, "0"));
    Ok(Some((number(major)?, number(minor)?)))
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::LinuxSeccompOperator;

    use super::*;
    use crate::sys::facts::CgroupMode;

    fn host(arch: &'static str, kernel: (u32, u32)) -> HostFacts {
        HostFacts {
            cgroups: CgroupMode::V2,
            kernel,
            arch,
            hostname: "host".to_owned(),
            bounding: Vec::new(),
            seccomp: true,
            lacking: Vec::new(),
            thermal_cpus: Vec::new(),
            devices: Vec::new(),
            limits: None,
        }
    }

    fn narrowed(caps: &[Capability], arch: &'static str, kernel: (u32, u32)) -> LinuxSeccomp {
        default_profile(&caps.iter().copied().collect(), &host(arch, kernel))
    }

    /// The rules that name a system call.
    fn rules<'a>(seccomp: &'a LinuxSeccomp, name: &str) -> Vec<&'a LinuxSyscall> {
        seccomp
            .syscalls()
            .iter()
            .flatten()
            .filter(|rule| rule.names().iter().any(|listed| listed == name))
            .collect()
    }

    #[test]
    fn what_is_not_listed_fails_with_eperm() {
        let seccomp = narrowed(&[], "x86_64", (6, 1));
        assert_eq!(seccomp.default_action(), LinuxSeccompAction::ScmpActErrno);
        assert_eq!(seccomp.default_errno_ret(), Some(1));
        for forbidden in ["mount", "kexec_load", "bpf", "setns", "add_key", "keyctl"] {
            assert!(rules(&seccomp, forbidden).is_empty(), "{forbidden}");
        }
        for allowed in ["read", "openat", "execve", "exit_group"] {
            let [rule] = rules(&seccomp, allowed)[..] else {
                panic!("{allowed}");
            };
            assert_eq!(rule.action(), LinuxSeccompAction::ScmpActAllow);
            assert_eq!(*rule.args(), None);
        }
    }

    #[test]
    fn capabilities_open_their_system_calls() {
        let admin = narrowed(&[Capability::SysAdmin], "x86_64", (6, 1));
        assert_eq!(rules(&admin, "mount").len(), 1);
        // An unconditional rule for clone, and none that answers clone3 with ENOSYS.
        let [clone] = rules(&admin, "clone")[..] else {
            panic!("clone");
        };
        assert_eq!(*clone.args(), None);
        let [clone3] = rules(&admin, "clone3")[..] else {
            panic!("clone3");
        };
        assert_eq!(clone3.action(), LinuxSeccompAction::ScmpActAllow);
        assert!(rules(&admin, "chroot").is_empty());
        let chroot = narrowed(&[Capability::SysChroot], "x86_64", (6, 1));
        assert_eq!(rules(&chroot, "chroot").len(), 1);
    }

    #[test]
    fn without_sys_admin_clone_is_masked_and_clone3_is_enosys() {
        let seccomp = narrowed(&[], "x86_64", (6, 1));
        let [clone] = rules(&seccomp, "clone")[..] else {
            panic!("one rule for clone");
        };
        let arg = clone.args().as_ref().unwrap()[0];
        assert_eq!((arg.index(), arg.value()), (0, 2_114_060_288));
        let [clone3] = rules(&seccomp, "clone3")[..] else {
            panic!("one rule for clone3");
        };
        assert_eq!(clone3.action(), LinuxSeccompAction::ScmpActErrno);
        assert_eq!(clone3.errno_ret(), Some(38));
        // s390 passes clone's flags as the second argument.
        let s390 = narrowed(&[], "s390x", (6, 1));
        let [clone] = rules(&s390, "clone")[..] else {
            panic!("one rule for clone");
        };
        assert_eq!(clone.args().as_ref().unwrap()[0].index(), 1);
    }

    #[test]
    fn rules_of_other_architectures_are_dropped() {
        let x86 = narrowed(&[], "x86_64", (6, 1));
        assert_eq!(
            x86.architectures().as_deref().unwrap(),
            [Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32]
        );
        let without_x32 = HostFacts {
            lacking: vec![Arch::ScmpArchX32],
            ..host("x86_64", (6, 1))
        };
        assert_eq!(
            default_profile(&Capabilities::new(), &without_x32)
                .architectures()
                .as_deref()
                .unwrap(),
            [Arch::ScmpArchX86_64, Arch::ScmpArchX86]
        );
        assert_eq!(rules(&x86, "arch_prctl").len(), 1);
        assert!(rules(&x86, "riscv_flush_icache").is_empty());
        let riscv = narrowed(&[], "riscv64", (6, 1));
        assert_eq!(
            riscv.architectures().as_deref().unwrap(),
            [Arch::ScmpArchRiscv64]
        );
        assert_eq!(rules(&riscv, "riscv_flush_icache").len(), 1);
        assert!(rules(&riscv, "arch_prctl").is_empty());
        assert_eq!(*narrowed(&[], "sparc64", (6, 1)).architectures(), None);
    }

    #[test]
    fn sockets_of_families_with_a_record_are_refused() {
        let seccomp = narrowed(&[], "x86_64", (6, 1));
        let allowed = |family: u64| {
            rules(&seccomp, "socket").into_iter().any(|rule| {
                let arg = rule.args().as_ref().unwrap()[0];
                match arg.op() {
                    LinuxSeccompOperator::ScmpCmpLt => family < arg.value(),
                    LinuxSeccompOperator::ScmpCmpEq => family == arg.value(),
                    other => panic!("{other:?}"),
                }
            })
        };
        for (name, family) in [("unix", 1), ("inet", 2), ("inet6", 10), ("netlink", 16)] {
            assert!(allowed(family), "{name}");
        }
        // The kernel looks at the lower 32 bits only: more than these must not get past the filter.
        for (name, family) in [
            ("alg", 38),
            ("vsock", 40),
            ("alg in disguise", 38 | 1 << 32),
        ] {
            assert!(!allowed(family), "{name}");
        }
    }

    #[test]
    fn a_profile_of_the_ocis_format_is_taken_as_it_is() {
        let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["chmod"], "action": "SCMP_ACT_ERRNO"}]}"#;
        let caps = Capabilities::new();
        let seccomp = profile(text, &caps, &host("x86_64", (6, 1))).unwrap();
        assert_eq!(seccomp.default_action(), LinuxSeccompAction::ScmpActAllow);
        assert_eq!(rules(&seccomp, "chmod").len(), 1);
        assert_eq!(seccomp.architectures().as_deref().unwrap().len(), 1);
        for bad in ["", "{}", "[]", r#"{"defaultAction": "SOMETHING"}"#] {
            assert!(
                profile(bad, &caps, &host("x86_64", (6, 1))).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn ptrace_needs_a_kernel_that_filters_before_it() {
        assert_eq!(rules(&narrowed(&[], "x86_64", (4, 8)), "ptrace").len(), 1);
        assert!(rules(&narrowed(&[], "x86_64", (4, 7)), "ptrace").is_empty());
    }
}
