//! Devices as users ask for them: `--device /dev/fuse:/dev/fuse:rwm`, `--device-cgroup-rule 'c 1:3 rwm'`.
//!
//! Invariant: paths are absolute; an access is some of `r`, `w` and `m`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::class::{Class, Explain};

/// A device of the host, or a directory of them, in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// On the host.
    pub host: PathBuf,
    /// In the container.
    pub container: PathBuf,
    /// What it may be used for: some of `rwm`.
    pub access: String,
}

/// A rule about devices that need not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRule {
    /// `a`, `b` or `c`: all, block or character devices.
    pub kind: char,
    /// The major number; every one if none.
    pub major: Option<i64>,
    /// The minor number; every one if none.
    pub minor: Option<i64>,
    /// What they may be used for: some of `rwm`.
    pub access: String,
}

/// A text that is no device or rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDevice {
    /// It is not `HOST[:CONTAINER][:ACCESS]`.
    #[error("device \"{0}\" is not PATH[:PATH_IN_CONTAINER][:ACCESS]")]
    Form(String),
    /// A device of the container device interface.
    #[error("\"{0}\" names a device by CDI, which is not supported yet")]
    Cdi(String),
    /// It is not `TYPE MAJOR:MINOR ACCESS`.
    #[error("device rule \"{0}\" is not TYPE MAJOR:MINOR ACCESS")]
    Rule(String),
}

impl Explain for InvalidDevice {
    fn class(&self) -> Class {
        match self {
            Self::Cdi(_) => Class::Unsupported,
            _ => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Form(_) => Some("write, for instance, /dev/fuse or /dev/sda:/dev/xvda:r".into()),
            Self::Rule(_) => Some("write, for instance, \"c 188:* rwm\"".into()),
            Self::Cdi(_) => None,
        }
    }
}

impl FromStr for Device {
    type Err = InvalidDevice;

    fn from_str(text: &str) -> Result<Self, InvalidDevice> {
        let form = || InvalidDevice::Form(text.to_owned());
        let parts: Vec<&str> = text.split(':').collect();
        let (host, container, access) = match parts[..] {
            [host] => (host, host, "rwm"),
            [host, access] if is_access(access) => (host, host, access),
            [host, container] => (host, container, "rwm"),
            [host, container, access] => (host, container, access),
            _ => return Err(form()),
        };
        if !host.starts_with('/') && host.contains('/') && host.contains('=') {
            return Err(InvalidDevice::Cdi(text.to_owned()));
        }
        let absolute = host.starts_with('/') && container.starts_with('/');
        match absolute && is_access(access) {
            true => Ok(Self {
                host: host.into(),
                container: container.into(),
                access: access.to_owned(),
            }),
            false => Err(form()),
        }
    }
}

impl FromStr for DeviceRule {
    type Err = InvalidDevice;

    fn from_str(text: &str) -> Result<Self, InvalidDevice> {
        let invalid = || InvalidDevice::Rule(text.to_owned());
        let words: Vec<&str> = text.split_whitespace().collect();
        let [kind @ ("a" | "b" | "c"), numbers, access] = words[..] else {
            return Err(invalid());
        };
        let (major, minor) = numbers.split_once(':').ok_or_else(invalid)?;
        let number = |text: &str| match text {
            "*" => Ok(None),
            number => number.parse::<u32>().map(|n| Some(n.into())),
        };
        match (is_access(access), number(major), number(minor)) {
            (true, Ok(major), Ok(minor)) => Ok(Self {
                kind: kind.chars().next().unwrap_or('a'),
                major,
                minor,
                access: access.to_owned(),
            }),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<i64>| number.map_or("*".to_owned(), |n| n.to_string());
        let (major, minor) = (number(self.major), number(self.minor));
        write!(f, "{} {major}:{minor} {}", self.kind, self.access)
    }
}

fn is_access(text: &str) -> bool {
    let once = |letter: char| text.matches(letter).count() <= 1;
    !text.is_empty() && text.chars().all(|c| "rwm".contains(c) && once(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_dockers_forms() {
        let device = |text: &str| {
            text.parse::<Device>().map(|d| {
                format!(
                    "{} {} {}",
                    d.host.display(),
                    d.container.display(),
                    d.access
                )
            })
        };
        for (text, means) in [
            ("/dev/fuse", "/dev/fuse /dev/fuse rwm"),
            ("/dev/fuse:r", "/dev/fuse /dev/fuse r"),
            ("/dev/a:/dev/b", "/dev/a /dev/b rwm"),
            ("/dev/a:/dev/b:rw", "/dev/a /dev/b rw"),
        ] {
            assert_eq!(device(text).unwrap(), means);
        }
        for bad in [
            "",
            "fuse",
            "/dev/a:b",
            "/dev/a:/dev/b:x",
            "/dev/a:/b:rr",
            "/a:/b:r:w",
        ] {
            assert_eq!(device(bad), Err(InvalidDevice::Form(bad.to_owned())));
        }
        assert!(matches!(
            device("vendor.com/gpu=all"),
            Err(InvalidDevice::Cdi(_))
        ));
    }

    #[test]
    fn rules_have_the_kernels_form() {
        let rule = "c 188:* rwm".parse::<DeviceRule>().unwrap();
        assert_eq!(
            (rule.kind, rule.major, rule.minor, rule.access.as_str()),
            ('c', Some(188), None, "rwm")
        );
        assert_eq!(rule.to_string(), "c 188:* rwm");
        for bad in [
            "", "c", "c 1:3", "d 1:3 r", "c 1 r", "c x:1 r", "c 1:1 q", "c -1:1 r",
        ] {
            let error = bad.parse::<DeviceRule>().unwrap_err();
            assert_eq!(error, InvalidDevice::Rule(bad.to_owned()));
        }
    }
}
