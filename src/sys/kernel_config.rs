//! What the running kernel was built with, where it says so.
//!
//! Invariant: a kernel that says nothing is not said to lack anything.

use std::fs::{self, File};
use std::io::Read;

use flate2::read::GzDecoder;
use oci_spec::runtime::Arch;

use super::facts::kernel_release;

/// The kernel's own copy of its configuration.
const OWN: &str = "/proc/config.gz";

/// The options that turn on the system calls of a further architecture.
const OPTIONS: [(&str, Arch, &str); 3] = [
    ("x86_64", Arch::ScmpArchX86, "CONFIG_IA32_EMULATION"),
    ("x86_64", Arch::ScmpArchX32, "CONFIG_X86_X32_ABI"),
    ("aarch64", Arch::ScmpArchArm, "CONFIG_COMPAT"),
];

/// The architectures whose system calls a kernel of `arch` (in Rust's words) may take, and this one was
/// built without. Empty where that cannot be known.
pub fn lacking(arch: &str) -> Vec<Arch> {
    let options = OPTIONS.iter().filter(|(native, ..)| *native == arch);
    let Some(config) = read() else {
        return Vec::new();
    };
    let missing = options.filter(|(_, further, option)| {
        !is_set(&config, option) || *further == Arch::ScmpArchX32 && x32_is_off(&config)
    });
    missing.map(|(_, further, _)| *further).collect()
}

/// Debian's kernels have x32, but only for those who ask for it when they boot.
fn x32_is_off(config: &str) -> bool {
    let asked =
        || fs::read_to_string("/proc/cmdline").is_ok_and(|words| words.contains("syscall.x32"));
    is_set(config, "CONFIG_X86_X32_DISABLED") && !asked()
}

fn read() -> Option<String> {
    let mut text = String::new();
    if let Ok(file) = File::open(OWN) {
        GzDecoder::new(file).read_to_string(&mut text).ok()?;
        return Some(text);
    }
    fs::read_to_string(format!("/boot/config-{}", kernel_release())).ok()
}

fn is_set(config: &str, option: &str) -> bool {
    config
        .lines()
        .filter_map(|line| line.strip_prefix(option))
        .any(|rest| rest == "=y")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_set_where_it_says_so() {
        let config = "CONFIG_COMPAT=y\n# CONFIG_X86_X32_ABI is not set\nCONFIG_COMPAT_32=y\n";
        assert!(is_set(config, "CONFIG_COMPAT") && is_set(config, "CONFIG_COMPAT_32"));
        assert!(!is_set(config, "CONFIG_X86_X32_ABI") && !is_set(config, "CONFIG_COMPA"));
    }

    #[test]
    fn no_architecture_lacks_another_ones_calls() {
        assert_eq!(lacking("s390x"), []);
        let lacks = lacking("x86_64");
        assert!(!lacks.contains(&Arch::ScmpArchArm) && !lacks.contains(&Arch::ScmpArchX86_64));
    }
}
