//! The options about the process, its names and its log.
//!
//! Invariant: files that options name are read once, before anything is made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::words::{Driver, Exposed, LogOption, Umask};
use super::{Unfit, files};
use crate::commands::values::{Label, parse};
use crate::engine::spec::Extras;
use crate::image::platform::Platform;
use crate::model::id::Hostname;
use crate::model::isolation::Sysctl;
use crate::model::record::{Log, LogDriver, MountKind, MountPoint};

/// Where an init that needs no libraries may lie: Debian's tini, then docker's own copy of it.
const INITS: [&str; 4] = [
    "/usr/bin/tini-static",
    "/usr/bin/docker-init",
    "/usr/libexec/docker/docker-init",
    "/usr/local/bin/tini-static",
];

/// Where the zones lie, and the host's own.
const ZONES: &str = "/usr/share/zoneinfo";
const LOCAL_TIME: &str = "/etc/localtime";

/// The process, its surroundings, its log.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(about = None, long_about = None)]
pub struct ProcessArgs {
    /// Read variables from a file, one NAME=VALUE a line; -e wins over it
    #[arg(long = "env-file", value_name = "PATH")]
    pub env_files: Vec<PathBuf>,

    /// Read labels from a file, one KEY=VALUE a line; -l wins over it
    #[arg(long = "label-file", value_name = "PATH")]
    pub label_files: Vec<PathBuf>,

    /// Set an annotation for the OCI runtime
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = parse::<Label>)]
    pub annotations: Vec<Label>,

    /// Run an init (tini) that passes signals on and reaps orphans
    #[arg(long)]
    pub init: bool,

    /// The bits that new files do not get, in octal digits
    #[arg(long, value_name = "MASK", value_parser = parse::<Umask>)]
    pub umask: Option<Umask>,

    /// Its time zone, such as Europe/Berlin, or local for the host's
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,

    /// Its NIS domain, which is added to its hostname, too
    #[arg(long, value_name = "NAME", value_parser = parse::<Hostname>, help_heading = "Network")]
    pub domainname: Option<Hostname>,

    /// Say that it listens on ports, such as 80 or 8000-8010/udp
    #[arg(long, value_name = "PORTS", value_parser = parse::<Exposed>, help_heading = "Network")]
    pub expose: Vec<Exposed>,

    /// Take the image for this platform, such as linux/arm64
    #[arg(long, value_name = "PLATFORM", value_parser = parse::<Platform>)]
    pub platform: Option<Platform>,

    /// Remove a container of the same name first, even if it runs
    #[arg(long)]
    pub replace: bool,

    /// Write the process's id to a file
    #[arg(long, value_name = "PATH")]
    pub pidfile: Option<PathBuf>,

    /// Who writes its log: local, json-file or none [default: local]
    #[arg(long, value_name = "DRIVER", value_parser = parse::<Driver>)]
    pub log_driver: Option<Driver>,

    /// How the log is kept: max-size=, max-file=
    #[arg(long = "log-opt", value_name = "OPTION", value_parser = parse::<LogOption>)]
    pub log_options: Vec<LogOption>,
}

impl ProcessArgs {
    /// The labels of the files.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn labels(&self) -> Result<BTreeMap<String, String>, Unfit> {
        let mut labels = BTreeMap::new();
        for path in &self.label_files {
            let lines = files::read("--label-file", path)?.into_iter();
            labels.extend(lines.map(|(key, value)| (key, value.unwrap_or_default())));
        }
        Ok(labels)
    }

    /// Where the output goes.
    pub fn log(&self) -> Log {
        let mut log = Log {
            driver: self.log_driver.map(|driver| driver.0).unwrap_or_default(),
            ..Log::default()
        };
        for option in &self.log_options {
            match option {
                LogOption::MaxSize(bytes) => log.max_size = Some(*bytes),
                LogOption::MaxFile(files) => log.max_files = Some(*files),
            }
        }
        log
    }

    /// What says how a log is kept needs one that is.
    pub(super) fn check_log(&self) -> Result<(), Unfit> {
        match self.log().driver == LogDriver::None && !self.log_options.is_empty() {
            true => Err(Unfit::LogOptions),
            false => Ok(()),
        }
    }

    pub(super) fn init(&self) -> Result<Option<PathBuf>, Unfit> {
        if !self.init {
            return Ok(None);
        }
        let found = INITS.into_iter().map(PathBuf::from).find(|p| p.is_file());
        found.map(Some).ok_or(Unfit::NoInit)
    }

    /// The zone's file in the place where every C library looks for it.
    pub(super) fn localtime(&self) -> Result<Option<MountPoint>, Unfit> {
        let Some(zone) = &self.tz else {
            return Ok(None);
        };
        let unknown = || Unfit::TimeZone(zone.clone());
        let file = match zone.as_str() {
            "local" => PathBuf::from(LOCAL_TIME),
            name if name.split('/').any(|part| part.is_empty() || part == "..") => {
                return Err(unknown());
            }
            name => Path::new(ZONES).join(name),
        };
        let file = file.canonicalize().map_err(|_| unknown())?;
        if !file.is_file() {
            return Err(unknown());
        }
        Ok(Some(MountPoint {
            kind: MountKind::Bind,
            source: file,
            destination: LOCAL_TIME.into(),
            options: ["bind", "ro", "rprivate"].map(str::to_owned).into(),
            volume: None,
            image: None,
        }))
    }

    pub(super) fn fill(&self, extras: &mut Extras) -> Result<(), Unfit> {
        extras.umask = self.umask.map(|mask| mask.0);
        let annotations = self.annotations.iter();
        extras.annotations = annotations
            .map(|label| (label.key.clone(), label.value.clone()))
            .collect();
        extras
            .sysctls
            .extend(self.domainname.as_ref().map(|name| Sysctl {
                name: "kernel.domainname".to_owned(),
                value: name.as_str().to_owned(),
            }));
        Ok(())
    }
}
