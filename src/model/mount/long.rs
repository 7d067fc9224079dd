//! The long form: `--mount type=bind,source=/srv,target=/data,readonly`, docker's grammar.
//!
//! Invariant: every key is used or refused, and none of another kind of mount is taken silently.

use std::path::PathBuf;
use std::str::FromStr;

use super::{
    Access, Form, InvalidMount, MountRequest, Propagation, Source, parse_destination, refuse_second,
};
use crate::model::bytes::Bytes;

/// What `--mount` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongMount(pub MountRequest);

impl FromStr for LongMount {
    type Err = InvalidMount;

    fn from_str(given: &str) -> Result<Self, InvalidMount> {
        let mut fields = Fields::default();
        for field in split(given) {
            fields.take(&field)?;
        }
        fields.mount().map(Self)
    }
}

/// The fields between the commas; one in double quotes may hold commas itself (RFC 4180).
fn split(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => {
                if let Some(last) = fields.last_mut() {
                    last.push(other);
                }
            }
        }
    }
    fields
}

/// What has been said of the mount.
#[derive(Default)]
struct Fields {
    kind: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: bool,
    propagation: Option<Propagation>,
    recursion: Option<String>,
    copy: Option<bool>,
    tmpfs: Vec<String>,
    /// The options that belong to one kind only, with that kind.
    bound: Vec<(String, &'static str)>,
}

impl Fields {
    fn take(&mut self, field: &str) -> Result<(), InvalidMount> {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (field, None),
        };
        let key = key.trim().to_ascii_lowercase();
        if let Some(kind) = kind_of(&key) {
            self.bound.push((key.clone(), kind));
        }
        let refused = || InvalidMount::Value {
            option: key.clone(),
            value: value.unwrap_or_default().to_owned(),
        };
        let text = || value.filter(|value| !value.is_empty()).ok_or_else(refused);
        let switch = || boolean(value).ok_or_else(refused);
        match key.as_str() {
            "type" => set(&mut self.kind, &key, text()?),
            "source" | "src" => set(&mut self.source, &key, text()?),
            "target" | "destination" | "dst" => set(&mut self.target, &key, text()?),
            "readonly" | "ro" => {
                self.read_only = switch()?;
                Ok(())
            }
            "bind-propagation" => {
                self.propagation = Some(Propagation::from_name(text()?).ok_or_else(refused)?);
                Ok(())
            }
            "bind-nonrecursive" => {
                let word = if switch()? { "disabled" } else { "enabled" };
                set(&mut self.recursion, &key, word)
            }
            "bind-recursive" => match text()? {
                word @ ("enabled" | "disabled" | "writable" | "readonly") => {
                    set(&mut self.recursion, &key, word)
                }
                _ => Err(refused()),
            },
            "volume-nocopy" => {
                self.copy = Some(!switch()?);
                Ok(())
            }
            "volume-driver" if value == Some("local") => Ok(()),
            "tmpfs-size" => {
                let Bytes(size) = text()?.parse().map_err(|_| refused())?;
                self.tmpfs.push(format!("size={size}"));
                Ok(())
            }
            "tmpfs-mode" => {
                let mode = u32::from_str_radix(text()?, 8).map_err(|_| refused())?;
                self.tmpfs.push(format!("mode={mode:o}"));
                Ok(())
            }
            // Of Docker Desktop; docker on Linux ignores it too.
            "consistency" => Ok(()),
            "volume-driver" | "volume-opt" | "volume-label" | "volume-subpath"
            | "image-subpath" | "tmpfs-options" | "bind-create-src" => {
                Err(InvalidMount::OptionUnsupported { option: key })
            }
            _ => Err(unknown(key)),
        }
    }

    fn mount(self) -> Result<MountRequest, InvalidMount> {
        let kind = self.kind.as_deref().unwrap_or("volume");
        let foreign = self.bound.iter().find(|(_, of)| *of != kind);
        let target = self.target.as_deref();
        let target = target.ok_or(InvalidMount::Missing { what: "the target" })?;
        let destination = parse_destination(target)?;
        let named = |what: &'static str| self.source.clone().ok_or(InvalidMount::Missing { what });
        let (source, kind) = match kind {
            "bind" => {
                let path = PathBuf::from(named("the source")?);
                let recursive = self.recursion.as_deref() != Some("disabled");
                let create = false;
                let source = Source::Bind {
                    path,
                    create,
                    recursive,
                };
                (source, "bind")
            }
            "volume" => (self.volume()?, "volume"),
            "tmpfs" => {
                refuse_second(self.source.as_deref().map(|_| "type=tmpfs"), "source")?;
                let options = self.tmpfs.clone();
                (Source::Tmpfs { options }, "tmpfs")
            }
            "image" => {
                let reference = named("the source")?;
                (Source::Image { reference }, "image")
            }
            other => {
                return Err(InvalidMount::Kind {
                    kind: other.to_owned(),
                });
            }
        };
        if let Some((option, _)) = foreign {
            let option = option.clone();
            return Err(InvalidMount::OtherKind { option, kind });
        }
        Ok(MountRequest {
            source,
            destination,
            access: self.access(),
            propagation: self.propagation,
        })
    }

    fn volume(&self) -> Result<Source, InvalidMount> {
        let name = match &self.source {
            None => None,
            Some(name) => Some(name.parse().map_err(|_| InvalidMount::Value {
                option: "source".to_owned(),
                value: name.clone(),
            })?),
        };
        Ok(Source::Volume {
            name,
            copy: self.copy.unwrap_or(true),
        })
    }

    fn access(&self) -> Access {
        match (self.read_only, self.recursion.as_deref()) {
            (true, Some("readonly")) => Access::RecursivelyReadOnly,
            (true, _) => Access::ReadOnly,
            (false, _) => Access::ReadWrite,
        }
    }
}

fn unknown(option: String) -> InvalidMount {
    let of = Form::Long;
    InvalidMount::Option { option, of }
}

fn set(place: &mut Option<String>, key: &str, value: &str) -> Result<(), InvalidMount> {
    refuse_second(place.as_deref(), key)?;
    *place = Some(value.to_owned());
    Ok(())
}

/// The only kind of mount that an option is about.
fn kind_of(key: &str) -> Option<&'static str> {
    let kinds = ["bind", "volume", "tmpfs", "image"];
    let prefix = key.split_once('-')?.0;
    kinds.into_iter().find(|kind| *kind == prefix)
}

fn boolean(value: Option<&str>) -> Option<bool> {
    match value {
        None | Some("1" | "true" | "t" | "T" | "TRUE" | "True") => Some(true),
        Some("0" | "false" | "f" | "F" | "FALSE" | "False") => Some(false),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::class::{Class, Explain};

    fn mount(text: &str) -> Result<MountRequest, InvalidMount> {
        text.parse::<LongMount>().map(|mount| mount.0)
    }

    #[test]
    fn every_kind_has_its_form() {
        let bind = mount("type=bind,source=/a,target=/b,readonly,bind-propagation=rslave").unwrap();
        assert_eq!(
            bind,
            MountRequest {
                source: Source::Bind {
                    path: "/a".into(),
                    create: false,
                    recursive: true
                },
                destination: "/b".into(),
                access: Access::ReadOnly,
                propagation: Some(Propagation::RSlave),
            }
        );
        let same = "ro=1,dst=/b,\"src=/a\",bind-propagation=rslave,type=bind";
        assert_eq!(mount(same).unwrap(), bind);
        let volume = mount("source=data,target=/b,volume-nocopy").unwrap();
        assert_eq!(
            volume.source,
            Source::Volume {
                name: Some("data".parse().unwrap()),
                copy: false
            }
        );
        assert_eq!(
            mount("target=/b").unwrap().source,
            Source::Volume {
                name: None,
                copy: true
            }
        );
        let tmpfs = mount("type=tmpfs,target=/b,tmpfs-size=1m,tmpfs-mode=0700").unwrap();
        let options = vec!["size=1048576".to_owned(), "mode=700".to_owned()];
        assert_eq!(tmpfs.source, Source::Tmpfs { options });
        let image = mount("type=image,source=alpine:3.14,target=/b").unwrap();
        let reference = "alpine:3.14".to_owned();
        assert_eq!(image.source, Source::Image { reference });
        let recursive = mount("type=bind,src=/a,dst=/b,ro,bind-recursive=readonly").unwrap();
        assert_eq!(recursive.access, Access::RecursivelyReadOnly);
    }

    #[test]
    fn quotes_keep_commas() {
        let odd = mount("type=bind,\"source=/a,b\",target=/c").unwrap();
        let Source::Bind { path, .. } = odd.source else {
            panic!("{odd:?}");
        };
        assert_eq!(path, PathBuf::from("/a,b"));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for bad in [
            "",
            "type=bind,target=/b",
            "type=bind,source=/a",
            "type=bind,source=,target=/b",
            "type=socket,source=/a,target=/b",
            "type=bind,source=/a,target=b",
            "type=bind,source=/a,target=/",
            "type=bind,source=/a,target=/b,readonly=perhaps",
            "type=bind,source=/a,target=/b,bind-propagation=up",
            "type=bind,source=/a,target=/b,bind-recursive=maybe",
            "type=bind,source=/a,source=/c,target=/b",
            "type=bind,source=/a,target=/b,tmpfs-size=1m",
            "type=bind,source=/a,target=/b,volume-nocopy",
            "type=tmpfs,target=/b,tmpfs-size=lots",
            "type=tmpfs,target=/b,tmpfs-mode=9",
            "type=tmpfs,source=x,target=/b",
            "type=volume,source=a/b,target=/b",
            "type=volume,source=a,target=/b,bind-propagation=slave",
            "type=image,target=/b",
            "type=bind,source=/a,target=/b,colour=red",
        ] {
            let error = mount(bad).unwrap_err();
            assert_eq!(error.class(), Class::InvalidInput, "{bad}: {error}");
        }
        for later in [
            "volume-opt=type=nfs",
            "volume-driver=nfs",
            "volume-subpath=x",
        ] {
            let error = mount(&format!("type=volume,target=/b,{later}")).unwrap_err();
            assert_eq!(error.class(), Class::Unsupported, "{later}");
        }
    }
}
