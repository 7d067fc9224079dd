//! `netrun version`.

use std::path::Path;

use serde_json::{Value, json};

use super::{in_one_line, paragraph, this_machine};
use crate::cli::format::{Format, TemplateError, documents};
use crate::commands::version::{CLIENT, Versions};

/// The version of docker's API whose command line is spoken here (docker 29's). Nothing here serves it, but
/// who looks whether docker is new enough, as GitHub's runner does, asks for it.
const API: &str = "1.52";

/// The versions as they are printed. `address` is containerd's socket.
///
/// # Errors
/// The template names a field that there is not.
pub fn show(
    versions: &Versions,
    address: &Path,
    format: Option<&Format>,
) -> Result<String, TemplateError> {
    let document = document(versions, address);
    match format {
        None | Some(Format::Table) => Ok(text(&document)),
        Some(Format::Json) => Ok(format!("{document}\n")),
        template => documents(template, &[document]),
    }
}

fn document(versions: &Versions, address: &Path) -> Value {
    let server = versions.server.as_ref();
    let (os, arch) = this_machine();
    json!({
        "Client": {"Version": CLIENT, "APIVersion": API, "Os": os, "Arch": arch},
        "Server": {
            "Address": address,
            "APIVersion": server.map(|_| API).unwrap_or_default(),
            "Os": os,
            "Arch": arch,
            "Version": server.map(|server| server.version.as_str()).unwrap_or_default(),
            "Revision": server.map(|server| server.revision.as_str()).unwrap_or_default(),
            "Error": server.err().map(|error| in_one_line(error)).unwrap_or_default(),
        },
        "Runc": {"Version": versions.runc.as_deref().unwrap_or_default()},
    })
}

fn text(document: &Value) -> String {
    let word = |pointer: &str| {
        let value = document.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let client = [
        ("Version", word("/Client/Version")),
        (
            "OS/Arch",
            format!("{}/{}", word("/Client/Os"), word("/Client/Arch")),
        ),
    ];
    let mut server = vec![("Address", word("/Server/Address"))];
    match word("/Server/Error") {
        error if error.is_empty() => {
            server.push(("Version", word("/Server/Version")));
            server.push(("Revision", word("/Server/Revision")));
        }
        error => server.push(("Error", error)),
    }
    let runc = match word("/Runc/Version") {
        version if version.is_empty() => "not found".to_owned(),
        version => version,
    };
    let client = paragraph("Client: netrun", &client);
    let server = paragraph("Server: containerd", &server);
    let runc = paragraph("Runtime: runc", &[("Version", runc)]);
    format!("{client}\n{server}\n{runc}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containerd::ServerVersion;
    use crate::engine::error::Error;

    fn shown(server: Result<ServerVersion, Error>, format: Option<&str>) -> String {
        let versions = Versions { server, runc: None };
        let format: Option<Format> = format.map(|text| text.parse().unwrap());
        show(&versions, Path::new("/x.sock"), format.as_ref()).unwrap()
    }

    #[test]
    fn containerd_is_told_or_why_it_is_not() {
        let server = || ServerVersion {
            version: "1.6.20".to_owned(),
            revision: "abc".to_owned(),
        };
        assert_eq!(shown(Ok(server()), Some("{{.Server.Version}}")), "1.6.20\n");
        let api = "{{.Server.APIVersion}} {{.Client.APIVersion}}";
        assert_eq!(shown(Ok(server()), Some(api)), "1.52 1.52\n");
        let text = shown(Ok(server()), None);
        assert!(
            text.contains(" Version:  1.6.20\n Revision: abc\n"),
            "{text}"
        );
        assert!(text.contains(" Version: not found\n"), "{text}");
        let gone = || Error::NoSuchContainer { id: "x".to_owned() };
        assert_eq!(shown(Err(gone()), Some("{{.Server.Version}}")), "\n");
        let text = shown(Err(gone()), None);
        assert!(
            text.contains(" Error:   there is no container \"x\"\n"),
            "{text}"
        );
        assert!(text.contains(CLIENT), "{text}");
    }
}
