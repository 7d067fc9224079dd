//! The network configuration list: a network's name, version and chain of plugins, from its JSON.
//!
//! Invariant: a list has a valid name, a well-formed version and at least one plugin with a valid
//! type; every key of its JSON is kept; [`NetworkConfigList::bytes`] parses to the same list.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::config::ConfigError;
use super::result::Dns;
use super::validate::{self, InvalidParameter};
use super::version::{self, InvalidVersion, Version};

/// What makes a JSON document no network configuration (checklist: SPEC section 1).
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Flaw {
    /// It is an array, a string, ...
    #[error("it is not a JSON object")]
    NotAnObject,
    /// There is no `name`.
    #[error("key \"name\" is missing")]
    NoName,
    /// A key's value is of the wrong kind.
    #[error("key \"{key}\" is not {expected}")]
    Kind {
        /// Which key.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// The name or a plugin's type breaks the rules.
    #[error(transparent)]
    Parameter(#[from] InvalidParameter),
    /// `cniVersion` or an entry of `cniVersions` is malformed.
    #[error(transparent)]
    Version(#[from] InvalidVersion),
    /// An entry of `plugins` is no object, or its `type` is no text.
    #[error("plugin {0} of the list has no \"type\" that is a text")]
    NoType(usize),
    /// `plugins` is there and empty.
    #[error("key \"plugins\" is an empty list")]
    EmptyPlugins,
    /// No plugin in the list, and none beside it.
    #[error("there is no plugin in it")]
    NoPlugins,
}

/// One plugin of a network: its object, with every key it came with.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginConfig {
    plugin_type: String,
    object: Map<String, Value>,
}

impl PluginConfig {
    pub(super) fn new(value: &Value, index: usize) -> Result<Self, Flaw> {
        let object = value.as_object().ok_or(Flaw::NoType(index))?;
        let plugin_type = object.get("type").and_then(Value::as_str);
        let plugin_type = plugin_type.ok_or(Flaw::NoType(index))?;
        validate::plugin_type(plugin_type)?;
        Ok(Self {
            plugin_type: plugin_type.to_owned(),
            object: object.clone(),
        })
    }

    /// The plugin's type: the file name of its program.
    pub fn plugin_type(&self) -> &str {
        &self.plugin_type
    }

    /// The object as it stands in the file.
    pub fn object(&self) -> &Map<String, Value> {
        &self.object
    }

    /// The type of the IPAM plugin that it delegates to, if any.
    pub fn ipam_type(&self) -> Option<&str> {
        let ipam = self.object.get("ipam")?.get("type")?.as_str()?;
        (!ipam.is_empty()).then_some(ipam)
    }

    /// Whether it declares a capability (`"capabilities": {"portMappings": true}`).
    pub fn declares(&self, capability: &str) -> bool {
        let declared = self.object.get("capabilities");
        declared.and_then(|all| all.get(capability)) == Some(&Value::Bool(true))
    }
}

/// A network: an ordered chain of plugins under one name and one version.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkConfigList {
    name: String,
    cni_version: String,
    offered: Vec<String>,
    disable_check: bool,
    disable_gc: bool,
    only_inlined: bool,
    plugins: Vec<PluginConfig>,
    object: Map<String, Value>,
    bytes: String,
    source: PathBuf,
}

impl NetworkConfigList {
    /// Parses a list, or a single plugin's configuration, from its text. `source` is named in
    /// errors and not read; plugins in a directory beside it are [`super::config::load`]'s work.
    ///
    /// ```
    /// use netrun::network::NetworkConfigList;
    /// let text = r#"{"cniVersion": "1.0.0", "name": "lan", "type": "bridge"}"#;
    /// let list = NetworkConfigList::parse(text, "lan.conf".as_ref()).unwrap();
    /// assert_eq!((list.name(), list.plugin_types()), ("lan", vec!["bridge"]));
    /// ```
    pub fn parse(bytes: &str, source: &Path) -> Result<Self, ConfigError> {
        let list = Self::parse_partial(bytes, source)?;
        list.complete(Vec::new())
            .map_err(|flaw| ConfigError::invalid(source, flaw))
    }

    /// Parses a list that may still lack its plugins.
    pub(super) fn parse_partial(bytes: &str, source: &Path) -> Result<Self, ConfigError> {
        let value: Value =
            serde_json::from_str(bytes).map_err(|error| ConfigError::json(source, error))?;
        Self::from_value(value, bytes, source).map_err(|flaw| ConfigError::invalid(source, flaw))
    }

    fn from_value(value: Value, bytes: &str, source: &Path) -> Result<Self, Flaw> {
        let Value::Object(object) = value else {
            return Err(Flaw::NotAnObject);
        };
        // A single plugin is what has a type and no list; libcni goes by the file's name, but the
        // record and the cache keep the text only.
        if object.contains_key("type") && !object.contains_key("plugins") {
            return Self::from_single(object, source);
        }
        let mut list = Self::header(object, bytes.to_owned(), source)?;
        list.plugins = inlined(&list.object, list.only_inlined)?;
        Ok(list)
    }

    /// Up-converts a single plugin's configuration, as libcni does: the raw object is the list's
    /// only plugin.
    fn from_single(plugin: Map<String, Value>, source: &Path) -> Result<Self, Flaw> {
        let mut object = Map::new();
        for key in ["name", "cniVersion"] {
            if let Some(value) = plugin.get(key) {
                object.insert(key.to_owned(), value.clone());
            }
        }
        let plugins = Value::Array(vec![Value::Object(plugin)]);
        object.insert("plugins".to_owned(), plugins);
        let bytes = Value::Object(object.clone()).to_string();
        let mut list = Self::header(object, bytes, source)?;
        list.plugins = inlined(&list.object, list.only_inlined)?;
        Ok(list)
    }

    fn header(object: Map<String, Value>, bytes: String, source: &Path) -> Result<Self, Flaw> {
        let name = text(&object, "name")?.ok_or(Flaw::NoName)?;
        validate::network_name(name)?;
        let (cni_version, offered) = choose_version(&object)?;
        Ok(Self {
            name: name.to_owned(),
            cni_version,
            offered,
            disable_check: boolean(&object, "disableCheck")?,
            disable_gc: boolean(&object, "disableGC")?,
            only_inlined: boolean(&object, "loadOnlyInlinedPlugins")?,
            plugins: Vec::new(),
            object,
            bytes,
            source: source.to_owned(),
        })
    }

    /// Appends the plugins that stand in files beside the list. The text then says the same in one
    /// piece, since DEL must see what ADD saw whatever becomes of those files.
    pub(super) fn complete(mut self, beside: Vec<PluginConfig>) -> Result<Self, Flaw> {
        if !beside.is_empty() {
            self.plugins.extend(beside);
            let objects = self.plugins.iter().map(|plugin| plugin.object.clone());
            let plugins = objects.map(Value::Object).collect();
            self.object.insert("plugins".to_owned(), plugins);
            let inlined = Value::Bool(true);
            self.object
                .insert("loadOnlyInlinedPlugins".to_owned(), inlined);
            self.only_inlined = true;
            self.bytes = Value::Object(self.object.clone()).to_string();
        }
        if self.plugins.is_empty() {
            return Err(Flaw::NoPlugins);
        }
        Ok(self)
    }

    /// The network's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version that its plugins are spoken to in; empty where the file names none.
    pub fn cni_version(&self) -> &str {
        &self.cni_version
    }

    /// That version, parsed.
    pub fn version(&self) -> Version {
        // It was parsed when the list was made.
        self.cni_version.parse().unwrap_or(version::NEWEST)
    }

    /// The versions that its plugins may be spoken to in, the highest first; one where the file has
    /// no `cniVersions`.
    pub fn offered_versions(&self) -> &[String] {
        &self.offered
    }

    /// The same network, spoken to in another of the offered versions; in the same as before if that
    /// one is not offered.
    #[must_use]
    pub fn speaking(&self, version: &str) -> Self {
        let mut list = self.clone();
        if self.offered.iter().any(|offered| offered == version) {
            version.clone_into(&mut list.cni_version);
        }
        list
    }

    /// Whether CHECK is not to be done (`disableCheck`).
    pub fn check_disabled(&self) -> bool {
        self.disable_check
    }

    /// Whether GC is not to be done (`disableGC`).
    pub fn gc_disabled(&self) -> bool {
        self.disable_gc
    }

    pub(super) fn only_inlined(&self) -> bool {
        self.only_inlined
    }

    /// The chain, in the order of ADD.
    pub fn plugins(&self) -> &[PluginConfig] {
        &self.plugins
    }

    /// The types of the chain's plugins, in the order of ADD.
    pub fn plugin_types(&self) -> Vec<&str> {
        self.plugins.iter().map(PluginConfig::plugin_type).collect()
    }

    /// The text that [`Self::parse`] turns into this very list: the file's bytes where the file
    /// says all. It is what a runtime keeps for DEL.
    pub fn bytes(&self) -> &str {
        &self.bytes
    }

    /// The file that it came from.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// The whole object, for keys that are somebody's own.
    pub fn object(&self) -> &Map<String, Value> {
        &self.object
    }

    /// Whether any plugin of the chain declares a capability.
    pub fn declares(&self, capability: &str) -> bool {
        self.plugins
            .iter()
            .any(|plugin| plugin.declares(capability))
    }

    /// The name servers that the configuration itself names: the list's, else the first plugin's
    /// that has any.
    pub fn dns(&self) -> Option<Dns> {
        let own = std::iter::once(&self.object);
        let mut objects = own.chain(self.plugins.iter().map(|plugin| &plugin.object));
        objects.find_map(|object| Dns::from_value(object.get("dns")?))
    }
}

fn inlined(object: &Map<String, Value>, only_inlined: bool) -> Result<Vec<PluginConfig>, Flaw> {
    let plugins = match object.get("plugins") {
        Some(Value::Array(plugins)) if plugins.is_empty() => return Err(Flaw::EmptyPlugins),
        Some(Value::Array(plugins)) => plugins,
        Some(_) => return Err(kind("plugins", "a list")),
        None if only_inlined => return Err(Flaw::NoPlugins),
        None => return Ok(Vec::new()),
    };
    let numbered = plugins.iter().zip(1..);
    numbered
        .map(|(plugin, index)| PluginConfig::new(plugin, index))
        .collect()
}

/// The version to speak, and all that are offered, the highest first: of `cniVersions` and
/// `cniVersion` those we know; without `cniVersions` it is `cniVersion` as it stands, even a newer
/// one.
fn choose_version(object: &Map<String, Value>) -> Result<(String, Vec<String>), Flaw> {
    let own = text(object, "cniVersion")?.unwrap_or_default();
    let parsed = own.parse::<Version>()?;
    let Some(offered) = object.get("cniVersions") else {
        return Ok((own.to_owned(), vec![own.to_owned()]));
    };
    let expected = || kind("cniVersions", "a list of texts");
    let mut candidates = Vec::new();
    if object.contains_key("cniVersion") {
        candidates.push((parsed, own));
    }
    for entry in offered.as_array().ok_or_else(expected)? {
        let entry = entry.as_str().ok_or_else(expected)?;
        candidates.push((entry.parse::<Version>()?, entry));
    }
    candidates.retain(|(version, _)| *version <= version::NEWEST);
    // Of two spellings of one version the later one counts, as in libcni.
    candidates.reverse();
    candidates.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    candidates.dedup_by_key(|(version, _)| *version);
    let offered: Vec<String> = candidates
        .iter()
        .map(|(_, text)| (*text).to_owned())
        .collect();
    let best = offered.first().map_or(own, String::as_str).to_owned();
    Ok((best, offered))
}

fn text<'a>(object: &'a Map<String, Value>, key: &'static str) -> Result<Option<&'a str>, Flaw> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(kind(key, "a text")),
    }
}

/// A boolean, which libcni also takes as a text.
fn boolean(object: &Map<String, Value>, key: &'static str) -> Result<bool, Flaw> {
    match object.get(key) {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(kind(key, "true or false")),
    }
}

fn kind(key: &'static str, expected: &'static str) -> Flaw {
    Flaw::Kind { key, expected }
}

#[cfg(test)]
#[path = "conflist_tests.rs"]
mod tests;
