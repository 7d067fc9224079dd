//! A network's chain of plugins: what all verbs need to call them.
//!
//! Invariant: no plugin is called before all the chain's programs have been found, and none without
//! the locks of its verb. The verbs themselves: [`super::attach`], [`super::detach`],
//! [`super::verbs`].

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::RuntimeConf;
use super::cache::{self, Cache};
use super::config::NetworkConfigList;
use super::locks::{self, Locks};
use super::plugin::{self, Answer, Call, PluginError};
use super::validate::{self, InvalidParameter};

/// How long one plugin may take unless the caller says otherwise.
const DEADLINE: Duration = Duration::from_secs(60);

type StderrSink = Box<dyn Fn(&str, &str) + Send + Sync>;

/// A network with everything needed to call its plugins.
pub struct Chain {
    pub(super) list: NetworkConfigList,
    pub(super) cache: Cache,
    pub(super) locks: Locks,
    dirs: Vec<PathBuf>,
    deadline: Duration,
    stderr: Option<StderrSink>,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("Chain");
        all.field("list", &self.list).field("dirs", &self.dirs);
        all.finish_non_exhaustive()
    }
}

/// Whose turn it is: a plugin's type and its program.
pub(super) struct Callee<'a> {
    pub plugin: &'a str,
    pub path: &'a Path,
}

impl Chain {
    /// A network whose plugins are looked for in these directories, with the cache that all
    /// runtimes share and this program's locks.
    pub fn new(list: NetworkConfigList, plugin_dirs: Vec<PathBuf>) -> Self {
        Self {
            list,
            cache: Cache::new(cache::DEFAULT_DIR),
            locks: Locks::new(PathBuf::from(locks::DEFAULT_DIR)),
            dirs: plugin_dirs,
            deadline: DEADLINE,
            stderr: None,
        }
    }

    /// Keeps results in another directory.
    #[must_use]
    pub fn with_cache_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache = Cache::new(dir);
        self
    }

    /// Keeps locks in another directory.
    #[must_use]
    pub fn with_lock_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.locks = Locks::new(dir.into());
        self
    }

    /// Gives each call of a plugin this long (60 s otherwise).
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Hands on what a succeeding plugin says on its standard error: the plugin's type and the
    /// text. Without this it is dropped; a failing plugin's is in its error.
    #[must_use]
    pub fn with_stderr(mut self, sink: impl Fn(&str, &str) + Send + Sync + 'static) -> Self {
        self.stderr = Some(Box::new(sink));
        self
    }

    /// The network.
    pub fn list(&self) -> &NetworkConfigList {
        &self.list
    }

    /// The cache that results are kept in.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Finds every program that the chain needs, those for addresses (`ipam`) included, so that
    /// a missing one is known before anything is created.
    pub fn preflight(&self) -> Result<(), PluginError> {
        for plugin in self.list.plugins() {
            plugin::find(plugin.plugin_type(), &self.dirs)?;
            if let Some(ipam) = plugin.ipam_type() {
                plugin::find(ipam, &self.dirs)?;
            }
        }
        Ok(())
    }

    /// The capabilities that were asked for and that no plugin of the chain declares: without a
    /// word from the caller they would silently do nothing.
    pub fn undeclared(&self, conf: &RuntimeConf) -> Vec<String> {
        let asked = conf.capability_args.keys();
        let undeclared = asked.filter(|capability| !self.list.declares(capability));
        undeclared.cloned().collect()
    }

    pub(super) fn find(&self, plugin: &str) -> Result<PathBuf, PluginError> {
        plugin::find(plugin, &self.dirs)
    }

    pub(super) fn validate(&self, conf: &RuntimeConf) -> Result<(), InvalidParameter> {
        validate::container_id(&conf.container_id)?;
        validate::ifname(&conf.ifname)
    }

    /// Calls one plugin; what it prints is the answer.
    pub(super) async fn call(
        &self,
        callee: &Callee<'_>,
        command: &'static str,
        conf: &RuntimeConf,
        request: Map<String, Value>,
    ) -> Result<Vec<u8>, PluginError> {
        let stdin = Value::Object(request).to_string();
        let call = Call {
            plugin: callee.plugin,
            path: callee.path,
            command,
            env: &self.environment(command, conf),
            stdin: stdin.as_bytes(),
            deadline: self.deadline,
        };
        let Answer { stdout, stderr } = plugin::call(&call).await?;
        if let Some(sink) = &self.stderr
            && !stderr.is_empty()
        {
            sink(callee.plugin, &stderr);
        }
        Ok(stdout)
    }

    /// All six variables are always set, even to nothing, so that none is inherited.
    fn environment(&self, command: &str, conf: &RuntimeConf) -> [(&'static str, OsString); 6] {
        let args = conf
            .args
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        let args: Vec<String> = args.collect();
        let dirs: Vec<OsString> = self.dirs.iter().map(OsString::from).collect();
        [
            ("CNI_COMMAND", command.into()),
            ("CNI_CONTAINERID", conf.container_id.clone().into()),
            ("CNI_NETNS", conf.netns.clone().into_os_string()),
            ("CNI_IFNAME", conf.ifname.clone().into()),
            ("CNI_ARGS", args.join(";").into()),
            ("CNI_PATH", dirs.join(":".as_ref())),
        ]
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
