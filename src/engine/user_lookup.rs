//! The final spec of a new container: its user by the passwd and group of its own image.
//!
//! Invariant: the image is looked at before anything in it runs, and no link leads out of it.

use std::path::Path;

use oci_spec::runtime::Spec;

use super::error::Error;
use super::host::Host;
use super::plan::Plan;
use super::report::Report;
use super::spec;
use super::user::{User, UserError, UserRef};
use crate::containerd::Mount;
use crate::model::id::ContainerId;
use crate::sys::mount::look_into;
use crate::sys::rootfs::read_file;

/// Looks the user up in the prepared root file system, and writes the spec again if that changed it.
///
/// # Errors
/// [`Error::Image`] if the image has no such user; containerd's refusal.
pub async fn finish_spec(host: &Host, plan: &Plan, mounts: &[Mount]) -> Result<(), Error> {
    let id = &plan.record.id;
    let unreadable = |source| Error::Record {
        id: id.to_string(),
        source,
    };
    let mut spec: Spec = serde_json::from_str(&plan.spec).map_err(unreadable)?;
    let process = &plan.record.process;
    let user = look_up(id, (&process.user, &process.groups), mounts)?;
    if let Some(process) = spec.process_mut() {
        spec::set_user(process, &user);
    }
    let text = serde_json::to_string(&spec).map_err(unreadable)?;
    if text != plan.spec {
        host.client()
            .await?
            .update_spec(id.as_str(), text.into_bytes())
            .await?;
    }
    Ok(())
}

fn look_up(id: &ContainerId, user: (&str, &[String]), mounts: &[Mount]) -> Result<User, Error> {
    let failed = |source| Error::Image {
        id: id.clone(),
        source,
    };
    let Some(mount) = mounts.first() else {
        return in_root(user, Path::new("/nonexistent")).map_err(failed);
    };
    if let Some(layer) = only_layer(mount)
        && let Ok(user) = in_root(user, layer)
    {
        return Ok(user);
    }
    let instruction = (
        mount.kind.as_str(),
        mount.source.as_str(),
        mount.options.as_slice(),
    );
    look_into(instruction, |root| in_root(user, root))
        .map_err(Error::file("look into the snapshot", &mount.source))?
        .map_err(failed)
}

/// The directory that holds all of a fresh root file system, where one does: that of an image of one
/// layer can be read as it is. What it does not settle is looked up in the mounted whole.
fn only_layer(mount: &Mount) -> Option<&Path> {
    let lower = mount
        .options
        .iter()
        .find_map(|option| option.strip_prefix("lowerdir="))?;
    let one = mount.kind == "overlay" && !lower.contains([':', '\\']);
    one.then(|| Path::new(lower))
}

/// Looks a user and further groups up in a root directory that is mounted.
///
/// # Errors
/// There is no such user, or the files cannot be read.
pub fn in_root((user, groups): (&str, &[String]), root: &Path) -> Result<User, Report> {
    let text = |path: &str| -> Result<String, Report> {
        let bytes = read_file(root, Path::new(path)).map_err(|error| Report::of(&error))?;
        Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
    };
    let (passwd, group) = (text("/etc/passwd")?, text("/etc/group")?);
    let reference: Result<UserRef, UserError> = user.parse();
    let reference = reference.and_then(|reference| reference.with_groups(groups));
    let found = reference.and_then(|reference| reference.lookup(&passwd, &group));
    found.map_err(|error| Report::of(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_layer_is_the_whole_root() {
        let mount = |kind: &str, lower: &str| Mount {
            kind: kind.to_owned(),
            source: kind.to_owned(),
            options: vec!["index=off".to_owned(), format!("lowerdir={lower}")],
        };
        assert_eq!(
            only_layer(&mount("overlay", "/s/1/fs")),
            Some(Path::new("/s/1/fs"))
        );
        for (kind, lower) in [
            ("overlay", "/s/2/fs:/s/1/fs"),
            ("overlay", "/s\\:2/fs"),
            ("bind", "/s/1/fs"),
        ] {
            assert_eq!(only_layer(&mount(kind, lower)), None, "{lower}");
        }
    }
}
