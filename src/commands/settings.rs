//! Where containerd, the plugins and the networks are: options, environment, file, defaults.
//!
//! Invariant: that is the order, for every setting; the first that says something is believed.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::values::parse;
use crate::model::class::{Class, Explain};
use crate::model::id::{InvalidName, Namespace};
use crate::network::subnets::{SubnetPool, default_pools};

/// The configuration file, unless the environment names another.
pub const FILE: &str = "/etc/netrun/netrun.toml";

/// The variable that names another configuration file; that one must exist.
pub const FILE_VARIABLE: &str = "NETRUN_CONFIG";

/// The options that every verb has.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(about = None, long_about = None)]
pub struct GlobalArgs {
    /// The socket of containerd [env: CONTAINERD_ADDRESS]
    #[arg(short, long, value_name = "PATH")]
    pub address: Option<String>,

    /// The containerd namespace [env: CONTAINERD_NAMESPACE]
    #[arg(short, long, value_name = "NAME", value_parser = parse::<Namespace>)]
    pub namespace: Option<Namespace>,

    /// Where CNI plugins are looked for, joined by ":" [env: CNI_PATH]
    #[arg(long, value_name = "PATHS")]
    pub cni_path: Option<String>,

    /// The directory of the networks [env: NETCONFPATH]
    #[arg(long, value_name = "PATH")]
    pub cni_netconfpath: Option<PathBuf>,

    /// The directory of docker's config.json with the credentials of registries [env: DOCKER_CONFIG]
    #[arg(long, value_name = "PATH")]
    pub docker_config: Option<PathBuf>,

    /// How to print results; json prints errors as JSON, too
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// It was called by docker's name (a link).
    #[arg(skip)]
    pub as_docker: bool,
}

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The path of containerd's socket.
    pub address: PathBuf,
    /// The containerd namespace.
    pub namespace: Namespace,
    /// The snapshotter for new containers, unless the verb's own option says another.
    pub snapshotter: String,
    /// The directories that CNI plugins are looked for in, in order.
    pub cni_path: Vec<PathBuf>,
    /// The directory of the networks' configuration files.
    pub cni_conf_dir: PathBuf,
    /// The directories of the registries' `hosts.toml` files, in order.
    pub hosts_dir: Vec<PathBuf>,
    /// The OCI runtime for new containers, unless the verb's own option says another.
    pub runtime: String,
    /// Where the subnets of new networks are picked from, in order.
    pub subnet_pools: Vec<SubnetPool>,
    /// The directory of docker's `config.json`, if the command line names one.
    pub docker_config: Option<PathBuf>,
}

/// Why the settings cannot be known.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The configuration file is not what it should be; the cause names the line.
    #[error("the configuration file {path} is wrong")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: toml::de::Error,
    },
    /// The environment names a namespace that cannot be one.
    #[error("{variable} names no containerd namespace")]
    Namespace {
        /// The variable.
        variable: &'static str,
        /// The rule that it breaks.
        #[source]
        source: InvalidName,
    },
    /// A namespace whose name netrun has for itself.
    #[error("the containerd namespace cannot be \"{RESERVED}\": volumes lie there")]
    Reserved,
}

/// The namespace whose containers' files would lie among the volumes.
const RESERVED: &str = "volumes";

impl Explain for SettingsError {
    fn class(&self) -> Class {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Class::NotFound
            }
            Self::Read { .. } => Class::Failed,
            Self::Parse { .. } | Self::Namespace { .. } | Self::Reserved => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { path, .. } if path != Path::new(FILE) => {
                Some(format!("unset {FILE_VARIABLE}, or write that file"))
            }
            Self::Read { .. } => None,
            Self::Parse { .. } => Some("configs/netrun.toml shows every key".to_owned()),
            Self::Namespace { source, .. } => source.hint(),
            Self::Reserved => Some("choose another --namespace".to_owned()),
        }
    }
}

/// What the configuration file may say; an unknown key is an error.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    address: Option<String>,
    namespace: Option<Namespace>,
    snapshotter: Option<String>,
    cni_path: Option<Vec<PathBuf>>,
    cni_netconfpath: Option<PathBuf>,
    hosts_dir: Option<Vec<PathBuf>>,
    runtime: Option<String>,
    subnet_pools: Option<Vec<SubnetPool>>,
}

impl Settings {
    /// Reads the environment and the configuration file, and lets the options win over both.
    pub fn resolve(global: &GlobalArgs) -> Result<Self, SettingsError> {
        let variable = |name: &str| std::env::var(name).ok();
        let file = File::read(variable(FILE_VARIABLE))?;
        Self::merge(global, variable, file)
    }

    fn merge(
        global: &GlobalArgs,
        variable: impl Fn(&str) -> Option<String>,
        file: File,
    ) -> Result<Self, SettingsError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let namespace = match &global.namespace {
            Some(namespace) => Some(namespace.clone()),
            None => variable("CONTAINERD_NAMESPACE")
                .map(|text| text.parse())
                .transpose()
                .map_err(|source| SettingsError::Namespace {
                    variable: "CONTAINERD_NAMESPACE",
                    source,
                })?,
        };
        let address = (global.address.clone())
            .or_else(|| variable("CONTAINERD_ADDRESS"))
            .or(file.address)
            .unwrap_or_else(|| "/run/containerd/containerd.sock".to_owned());
        let cni_path = (global.cni_path.clone())
            .or_else(|| variable("CNI_PATH"))
            .map(|joined| directories(&joined));
        let namespace = namespace
            .or(file.namespace)
            .unwrap_or_else(default_namespace);
        if namespace.as_str() == RESERVED {
            return Err(SettingsError::Reserved);
        }
        let cni_path = cni_path
            .or(file.cni_path)
            .unwrap_or_else(|| paths(&CNI_PATH));
        let cni_conf_dir = (global.cni_netconfpath.clone())
            .or_else(|| variable("NETCONFPATH").map(PathBuf::from))
            .or(file.cni_netconfpath)
            .unwrap_or_else(|| PathBuf::from("/etc/cni/net.d"));
        Ok(Self {
            address: absolute(address.strip_prefix("unix://").unwrap_or(&address).into()),
            namespace,
            snapshotter: variable("CONTAINERD_SNAPSHOTTER")
                .or(file.snapshotter)
                .unwrap_or_else(|| "overlayfs".to_owned()),
            cni_path: cni_path.into_iter().map(absolute).collect(),
            cni_conf_dir: absolute(cni_conf_dir),
            hosts_dir: file.hosts_dir.unwrap_or_else(|| paths(&HOSTS_DIR)),
            runtime: (file.runtime).unwrap_or_else(|| "io.containerd.runc.v2".to_owned()),
            subnet_pools: (file.subnet_pools).unwrap_or_else(default_pools),
            docker_config: global.docker_config.clone(),
        })
    }
}

/// Where distributions put CNI plugins: the project's own, Debian's, Fedora's, and local builds.
const CNI_PATH: [&str; 5] = [
    "/opt/cni/bin",
    "/usr/lib/cni",
    "/usr/libexec/cni",
    "/usr/local/lib/cni",
    "/usr/local/libexec/cni",
];

/// Where containerd and docker keep the configuration of registries.
const HOSTS_DIR: [&str; 2] = ["/etc/containerd/certs.d", "/etc/docker/certs.d"];

fn default_namespace() -> Namespace {
    "default".parse().expect("the word keeps the rules")
}

/// What a container's record keeps, and its supervisor uses, who works in another directory.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn paths(texts: &[&str]) -> Vec<PathBuf> {
    texts.iter().map(PathBuf::from).collect()
}

fn directories(joined: &str) -> Vec<PathBuf> {
    let parts = joined.split(':').filter(|part| !part.is_empty());
    parts.map(PathBuf::from).collect()
}

impl File {
    /// The file that the environment names, else the usual one, which need not exist.
    fn read(named: Option<String>) -> Result<Self, SettingsError> {
        let named = named.filter(|path| !path.is_empty()).map(PathBuf::from);
        let optional = named.is_none();
        let path = named.unwrap_or_else(|| PathBuf::from(FILE));
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                toml::from_str(&text).map_err(|source| SettingsError::Parse { path, source })
            }
            Err(error) if optional && error.kind() == io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(source) => Err(SettingsError::Read { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(global: &GlobalArgs, environment: &[(&str, &str)], file: &str) -> Settings {
        let variable = |name: &str| {
            let found = environment.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::merge(global, variable, toml::from_str(file).unwrap()).unwrap()
    }

    #[test]
    fn the_sample_file_says_every_key_with_its_default() {
        let sample = include_str!("../../configs/netrun.toml");
        let defaults = merge(&GlobalArgs::default(), &[], "");
        assert_eq!(merge(&GlobalArgs::default(), &[], sample), defaults);
        let File {
            address: Some(_),
            namespace: Some(_),
            snapshotter: Some(_),
            cni_path: Some(_),
            cni_netconfpath: Some(_),
            hosts_dir: Some(_),
            runtime: Some(_),
            subnet_pools: Some(_),
        } = toml::from_str(sample).unwrap()
        else {
            panic!("a key is missing in the sample");
        };
    }

    #[test]
    fn options_win_over_the_environment_and_that_over_the_file() {
        let file = r#"
            address = "/file.sock"
            namespace = "file"
            snapshotter = "file"
            cni_path = ["/file"]
            cni_netconfpath = "/file.d"
        "#;
        let environment = [
            ("CONTAINERD_ADDRESS", "unix:///env.sock"),
            ("CONTAINERD_NAMESPACE", "env"),
            ("CONTAINERD_SNAPSHOTTER", "env"),
            ("CNI_PATH", "/env/a:/env/b:"),
            ("NETCONFPATH", "/env.d"),
        ];
        let options = GlobalArgs {
            address: Some("/option.sock".to_owned()),
            namespace: Some("option".parse().unwrap()),
            cni_path: Some("/option".to_owned()),
            cni_netconfpath: Some(PathBuf::from("/option.d")),
            docker_config: Some(PathBuf::from("/option.docker")),
            ..GlobalArgs::default()
        };
        let none = GlobalArgs::default();
        let from_file = merge(&none, &[("CNI_PATH", "")], file);
        assert_eq!(from_file.address, PathBuf::from("/file.sock"));
        assert_eq!(from_file.namespace.as_str(), "file");
        assert_eq!(from_file.snapshotter, "file");
        assert_eq!(from_file.cni_path, paths(&["/file"]));
        let from_environment = merge(&none, &environment, file);
        assert_eq!(from_environment.address, PathBuf::from("/env.sock"));
        assert_eq!(from_environment.namespace.as_str(), "env");
        assert_eq!(from_environment.snapshotter, "env");
        assert_eq!(from_environment.cni_path, paths(&["/env/a", "/env/b"]));
        assert_eq!(from_environment.cni_conf_dir, PathBuf::from("/env.d"));
        let from_options = merge(&options, &environment, file);
        assert_eq!(from_options.address, PathBuf::from("/option.sock"));
        assert_eq!(from_options.namespace.as_str(), "option");
        assert_eq!(from_options.cni_path, paths(&["/option"]));
        assert_eq!(from_options.cni_conf_dir, PathBuf::from("/option.d"));
        assert_eq!(from_options.docker_config, options.docker_config);
    }

    #[test]
    fn paths_are_absolute_whoever_names_them() {
        let here = |path: &str| std::env::current_dir().unwrap().join(path);
        let environment = [
            ("CNI_PATH", "bin:./bin"),
            ("NETCONFPATH", "net.d"),
            ("CONTAINERD_ADDRESS", "unix://c.sock"),
        ];
        let settings = merge(&GlobalArgs::default(), &environment, "");
        assert_eq!(settings.cni_path, [here("bin"), here("bin")]);
        assert_eq!(settings.cni_conf_dir, here("net.d"));
        assert_eq!(settings.address, here("c.sock"));
    }

    #[test]
    fn a_bad_namespace_or_file_is_an_error_that_says_where() {
        let bad = |_: &str| Some("a b".to_owned());
        let error = Settings::merge(&GlobalArgs::default(), bad, File::default()).unwrap_err();
        assert_eq!(error.hint().as_deref(), Some("try \"a-b\""));
        let missing = File::read(Some("/nowhere/netrun.toml".to_owned())).unwrap_err();
        assert_eq!(missing.class(), Class::NotFound);
        let path = std::env::temp_dir().join(format!("netrun-settings-{}", std::process::id()));
        std::fs::write(&path, "\nadress = \"/x\"\n").unwrap();
        let error = File::read(path.to_str().map(str::to_owned)).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        let SettingsError::Parse { source, .. } = &error else {
            panic!("{error}");
        };
        assert!(source.to_string().contains("line 2"), "{source}");
        assert!(source.to_string().contains("adress"), "{source}");
    }
}
