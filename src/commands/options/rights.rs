//! The options about what a container may do and what it shares.
//!
//! Invariant: what this host cannot give is refused here, with its name.

use std::fs;
use std::path::{Path, PathBuf};

use super::Unfit;
use crate::commands::context::Context;
use crate::commands::values::parse;
use crate::engine::spec::{Extras, Seccomp};
use crate::model::device::{Device, DeviceRule};
use crate::model::isolation::{IpcMode, PidMode, SecurityOption, Sharing};
use crate::sys::devices::asked_devices;
use crate::sys::facts::HostFacts;

/// Where the kernel tells of its security modules.
const APPARMOR: &str = "/sys/module/apparmor/parameters/enabled";
const SELINUX: &str = "/sys/fs/selinux/enforce";

/// Rights, devices, namespaces.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(about = None, long_about = None, next_help_heading = "Rights")]
pub struct RightsArgs {
    /// seccomp=unconfined|FILE, no-new-privileges, systempaths=unconfined, apparmor=, label=
    #[arg(
        long = "security-opt",
        value_name = "OPTION",
        value_parser = parse::<SecurityOption>
    )]
    pub security: Vec<SecurityOption>,

    /// Give it a device of the host, or a directory of them
    #[arg(
        long = "device",
        value_name = "PATH[:PATH_INSIDE][:rwm]",
        value_parser = parse::<Device>
    )]
    pub devices: Vec<Device>,

    /// Let it use devices that need not exist yet, such as 'c 188:* rwm'
    #[arg(
        long = "device-cgroup-rule",
        value_name = "RULE",
        value_parser = parse::<DeviceRule>
    )]
    pub device_rules: Vec<DeviceRule>,

    /// A further group of the process, by the image's name or by number
    #[arg(long = "group-add", value_name = "GROUP")]
    pub groups: Vec<String>,

    /// Whose processes it sees: host or container:NAME
    #[arg(long, value_name = "MODE", value_parser = parse::<PidMode>)]
    pub pid: Option<PidMode>,

    /// Whose shared memory it sees: private, shareable, none, host or container:NAME
    #[arg(long, value_name = "MODE", value_parser = parse::<IpcMode>)]
    pub ipc: Option<IpcMode>,

    /// Whose hostname it has: host
    #[arg(long, value_name = "MODE", value_parser = parse::<Sharing>)]
    pub uts: Option<Sharing>,

    /// Whose cgroups it sees: private or host
    #[arg(long, value_name = "MODE", value_parser = parse::<Sharing>)]
    pub cgroupns: Option<Sharing>,
}

impl RightsArgs {
    pub(super) fn fill(
        &self,
        facts: &HostFacts,
        context: &Context<'_>,
        extras: &mut Extras,
    ) -> Result<(), Unfit> {
        extras.uts = self.uts;
        extras.cgroupns = self.cgroupns;
        extras.device_rules.clone_from(&self.device_rules);
        for device in &self.devices {
            let found = asked_devices(&device.host, &device.container);
            let nodes = found.map_err(|source| Unfit::Device {
                path: device.host.clone(),
                source,
            })?;
            let access = |node| (node, device.access.clone());
            extras.devices.extend(nodes.into_iter().map(access));
        }
        for option in &self.security {
            secure(option, facts, context, extras)?;
        }
        Ok(())
    }
}

fn secure(
    option: &SecurityOption,
    _facts: &HostFacts,
    context: &Context<'_>,
    extras: &mut Extras,
) -> Result<(), Unfit> {
    match option {
        SecurityOption::SeccompOff => extras.seccomp = Seccomp::Off,
        SecurityOption::SeccompDefault => extras.seccomp = Seccomp::Default,
        SecurityOption::SeccompFile(path) => extras.seccomp = Seccomp::Profile(text(path)?),
        SecurityOption::NoNewPrivileges(wanted) => extras.no_new_privileges = *wanted,
        SecurityOption::SystemPathsUnconfined => extras.unmasked = true,
        SecurityOption::AppArmor(None) => extras.apparmor = None,
        SecurityOption::AppArmor(Some(_)) if !has_apparmor() => {
            return Err(Unfit::NoModule("AppArmor"));
        }
        SecurityOption::AppArmor(profile) => extras.apparmor.clone_from(profile),
        SecurityOption::Label(label) if label == "disable" => {}
        SecurityOption::Label(_) if Path::new(SELINUX).exists() => return Err(Unfit::Labels),
        // As docker has it where there is no SELinux.
        SecurityOption::Label(label) => context.audience.warn(&format!(
            "label={label} has no effect: this host has no SELinux"
        )),
    }
    Ok(())
}

fn has_apparmor() -> bool {
    fs::read_to_string(APPARMOR).is_ok_and(|enabled| enabled.starts_with('Y'))
}

fn text(path: &PathBuf) -> Result<String, Unfit> {
    fs::read_to_string(path).map_err(|source| Unfit::File {
        flag: "--security-opt seccomp",
        path: path.clone(),
        source,
    })
}
