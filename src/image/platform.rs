//! Which of an index's manifests this machine runs.
//!
//! Invariant: where containerd's own matcher finds a manifest, ours finds the same one, because ctr
//! and nerdctl look for the content that we pulled. We only go further where it finds none.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::{Descriptor, ImageConfiguration};

use crate::model::class::{Class, Explain};

/// An operating system, an architecture and its variant, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, ...
    pub architecture: String,
    /// `v7`, `v8`, ...; empty for the usual one, never `v1` of amd64 or `v8` of arm64.
    pub variant: String,
}

impl Platform {
    fn new(os: &str, architecture: &str, variant: &str) -> Platform {
        let (architecture, variant) = match (architecture, variant) {
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
            ("aarch64", variant) => ("arm64", variant),
            ("arm", "" | "7") => ("arm", "v7"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "6") => ("arm", "v6"),
            ("arm", "8") => ("arm", "v8"),
            other => other,
        };
        Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.to_owned(),
        }
    }

    /// The platform that an index gives for one of its manifests; nothing if it gives none.
    pub fn of_descriptor(descriptor: &Descriptor) -> Option<Platform> {
        let given = descriptor.platform().as_ref()?;
        Some(Platform::new(
            given.os().to_string().as_str(),
            given.architecture().to_string().as_str(),
            given.variant().as_deref().unwrap_or_default(),
        ))
    }

    /// The platform that an image's configuration says it is made for.
    pub fn of_config(config: &ImageConfiguration) -> Platform {
        Platform::new(
            config.os().to_string().as_str(),
            config.architecture().to_string().as_str(),
            config.variant().as_deref().unwrap_or_default(),
        )
    }

    /// BuildKit's attestations stand in the index as manifests of this platform.
    fn is_attestation(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_str() {
            "" => Ok(()),
            variant => write!(f, "/{variant}"),
        }
    }
}

/// A text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no platform")]
pub struct InvalidPlatform(String);

impl Explain for InvalidPlatform {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some("write OS/ARCHITECTURE, such as linux/arm64 or linux/arm/v7".to_owned())
    }
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    /// `linux/arm64`, `linux/arm/v7`, an architecture alone, or a system alone, which is this machine's
    /// architecture of it.
    fn from_str(text: &str) -> Result<Platform, InvalidPlatform> {
        let parts: Vec<String> = text.split('/').map(str::to_ascii_lowercase).collect();
        let begins = |part: &String| part.starts_with(|c: char| c.is_ascii_alphanumeric());
        let word = |part: &String| begins(part) && part.chars().all(is_word);
        if !parts.iter().all(word) {
            return Err(InvalidPlatform(text.to_owned()));
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [os] if SYSTEMS.contains(os) => Ok(match Machine::this().platforms.first() {
                Some(own) => Platform::new(os, &own.architecture, &own.variant),
                None => return Err(InvalidPlatform(text.to_owned())),
            }),
            [architecture] if !ARCHITECTURES.contains(architecture) => {
                Err(InvalidPlatform(text.to_owned()))
            }
            [architecture] => Ok(Platform::new("linux", architecture, "")),
            [os, architecture] if SYSTEMS.contains(os) => Ok(Platform::new(os, architecture, "")),
            [architecture, variant] => Ok(Platform::new("linux", architecture, variant)),
            [os, architecture, variant] => Ok(Platform::new(os, architecture, variant)),
            _ => Err(InvalidPlatform(text.to_owned())),
        }
    }
}

/// What tells an operating system from an architecture where only two words are given.
const SYSTEMS: [&str; 4] = ["linux", "windows", "darwin", "freebsd"];

/// What is understood where an architecture is given alone: Go's words, and the kernel's for two.
const ARCHITECTURES: [&str; 15] = [
    "386", "aarch64", "amd64", "arm", "arm64", "loong64", "mips64", "mips64le", "ppc64", "ppc64le",
    "riscv64", "s390x", "wasm", "x86-64", "x86_64",
];

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// The platforms that a machine runs, the best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    platforms: Vec<Platform>,
    /// Whether others are taken too, after those.
    any: bool,
}

impl Machine {
    /// This machine.
    pub fn this() -> Machine {
        match std::env::consts::ARCH {
            "x86_64" => Machine::amd64(x86_level()),
            "aarch64" => Machine::linux(&[("arm64", "")]),
            "arm" => Machine::linux(&[("arm", "v7"), ("arm", "v6"), ("arm", "v5")]),
            "x86" => Machine::linux(&[("386", "")]),
            "powerpc64" => Machine::linux(&[("ppc64le", "")]),
            "loongarch64" => Machine::linux(&[("loong64", "")]),
            other => Machine::linux(&[(other, "")]),
        }
    }

    /// A machine of this platform, with the lower variants of arm that it runs, too.
    pub fn of(platform: Platform) -> Machine {
        let this = Machine::this();
        if this.platforms.first() == Some(&platform) {
            return this;
        }
        let variants = ["v8", "v7", "v6", "v5"];
        let own = variants.iter().position(|v| platform.variant == *v);
        let lower: Vec<&str> = match (platform.architecture.as_str(), own) {
            ("arm", Some(own)) => variants[own + 1..].to_vec(),
            _ => Vec::new(),
        };
        let os = platform.os.clone();
        let lower = lower.iter().map(|v| Platform::new(&os, "arm", v));
        Machine {
            platforms: std::iter::once(platform).chain(lower).collect(),
            any: false,
        }
    }

    /// The same machine, content with images for others where there is none for it.
    #[must_use]
    pub fn or_any(mut self) -> Machine {
        self.any = true;
        self
    }

    /// An amd64 of this microarchitecture level. The plain one comes first, as with containerd;
    /// an image that is only there for a higher level still runs; 386 is the last resort.
    fn amd64(level: u8) -> Machine {
        let higher = ["v2", "v3", "v4"].into_iter().zip(2..=level);
        let mut all = vec![("amd64", "")];
        all.extend(higher.map(|(variant, _)| ("amd64", variant)));
        all.push(("386", ""));
        Machine::linux(&all)
    }

    fn linux(all: &[(&str, &str)]) -> Machine {
        let platform =
            |&(architecture, variant): &(&str, &str)| Platform::new("linux", architecture, variant);
        Machine {
            platforms: all.iter().map(platform).collect(),
            any: false,
        }
    }

    /// The platform that this machine is, for messages.
    pub fn name(&self) -> String {
        self.platforms
            .first()
            .map(Platform::to_string)
            .unwrap_or_default()
    }

    /// Whether an image of this platform runs here.
    pub fn runs(&self, platform: &Platform) -> bool {
        self.rank(platform).is_some()
    }

    fn rank(&self, platform: &Platform) -> Option<usize> {
        let known = self.platforms.iter().position(|ours| ours == platform);
        let other = self.any && !platform.is_attestation();
        known.or(other.then_some(self.platforms.len()))
    }

    /// The manifests of an index that run here, the best first; then those without a platform,
    /// whose configurations must tell.
    pub fn choose<'a>(&self, manifests: &'a [Descriptor]) -> Vec<&'a Descriptor> {
        let mut fit: Vec<(usize, &Descriptor)> = Vec::new();
        for descriptor in manifests {
            match Platform::of_descriptor(descriptor) {
                None => fit.push((usize::MAX, descriptor)),
                Some(platform) => fit.extend(self.rank(&platform).map(|rank| (rank, descriptor))),
            }
        }
        // Stable: of equals the one that the index names first.
        fit.sort_by_key(|(rank, _)| *rank);
        fit.into_iter().map(|(_, descriptor)| descriptor).collect()
    }
}

/// What an index offers, for messages: attestations are no offer.
pub fn offered(manifests: &[Descriptor]) -> Vec<String> {
    manifests
        .iter()
        .filter_map(Platform::of_descriptor)
        .filter(|platform| !platform.is_attestation())
        .map(|platform| platform.to_string())
        .collect()
}

/// The x86-64 microarchitecture level of this CPU, 1 to 4.
#[cfg(target_arch = "x86_64")]
fn x86_level() -> u8 {
    use std::arch::is_x86_feature_detected as has;
    let v2 = has!("cmpxchg16b") && has!("popcnt") && has!("sse4.2") && has!("ssse3");
    let v3 = has!("avx2")
        && has!("bmi1")
        && has!("bmi2")
        && has!("f16c")
        && has!("fma")
        && has!("lzcnt")
        && has!("movbe");
    let v4 = has!("avx512f")
        && has!("avx512bw")
        && has!("avx512cd")
        && has!("avx512dq")
        && has!("avx512vl");
    match (v2, v3, v4) {
        (true, true, true) => 4,
        (true, true, false) => 3,
        (true, false, _) => 2,
        (false, _, _) => 1,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn x86_level() -> u8 {
    1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn index(platforms: &[(&str, &str, &str)]) -> Vec<Descriptor> {
        let descriptor = |(n, &(os, architecture, variant)): (usize, &(&str, &str, &str))| {
            let mut value = json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": format!("sha256:{n:064}"),
                "size": n,
            });
            if !os.is_empty() {
                value["platform"] = json!({"os": os, "architecture": architecture});
            }
            if !variant.is_empty() {
                value["platform"]["variant"] = json!(variant);
            }
            serde_json::from_value(value).unwrap()
        };
        platforms.iter().enumerate().map(descriptor).collect()
    }

    fn chosen(machine: &Machine, platforms: &[(&str, &str, &str)]) -> Vec<u64> {
        let manifests = index(platforms);
        machine
            .choose(&manifests)
            .iter()
            .map(|d| d.size())
            .collect()
    }

    #[test]
    fn amd64_takes_the_plain_variant_before_higher_ones_and_386_last() {
        let all = [
            ("linux", "386", ""),
            ("linux", "amd64", "v3"),
            ("windows", "amd64", ""),
            ("linux", "arm64", "v8"),
            ("linux", "amd64", "v1"),
            ("unknown", "unknown", ""),
            ("linux", "amd64", "v2"),
        ];
        assert_eq!(chosen(&Machine::amd64(3), &all), [4, 6, 1, 0]);
        assert_eq!(chosen(&Machine::amd64(1), &all), [4, 0]);
    }

    #[test]
    fn arm64_is_v8_with_or_without_saying_so() {
        let machine = Machine::linux(&[("arm64", "")]);
        for variant in ["", "v8"] {
            let all = [("linux", "arm", "v7"), ("linux", "arm64", variant)];
            assert_eq!(chosen(&machine, &all), [1]);
        }
        assert_eq!(chosen(&machine, &[("linux", "arm64", "v9")]), [0_u64; 0]);
    }

    #[test]
    fn a_platform_is_written_as_docker_has_it() {
        for (text, expected) in [
            ("linux/arm64", "linux/arm64"),
            ("arm64/v8", "linux/arm64"),
            ("windows/amd64", "windows/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("amd64", "linux/amd64"),
            ("x86_64", "linux/amd64"),
            ("Linux/ARM", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
        ] {
            let platform: Platform = text.parse().unwrap();
            assert_eq!(platform.to_string(), expected, "{text}");
        }
        let own: Platform = "linux".parse().unwrap();
        assert_eq!(Machine::of(own), Machine::this());
        for text in ["", "a/b/c/d", "linux/", "linux/a b", "../x"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn another_machine_runs_what_is_made_for_it_and_any_takes_the_rest_last() {
        let all = [
            ("unknown", "unknown", ""),
            ("linux", "arm", "v6"),
            ("linux", "s390x", ""),
            ("linux", "arm", "v7"),
        ];
        let arm = Machine::of("linux/arm".parse().unwrap());
        assert_eq!(chosen(&arm, &all), [3, 1]);
        assert_eq!(chosen(&arm.or_any(), &all), [3, 1, 2]);
        let this = Machine::this();
        assert_eq!(Machine::of(this.name().parse().unwrap()), this);
    }

    #[test]
    fn a_manifest_without_a_platform_comes_after_those_that_fit() {
        let all = [("", "", ""), ("linux", "amd64", ""), ("linux", "s390x", "")];
        assert_eq!(chosen(&Machine::amd64(1), &all), [1, 0]);
    }

    #[test]
    fn the_offer_leaves_attestations_out() {
        let all = [
            ("linux", "arm", "v6"),
            ("unknown", "unknown", ""),
            ("", "", ""),
        ];
        assert_eq!(offered(&index(&all)), ["linux/arm/v6"]);
    }
}
