//! End-to-end tests of the `netrun` binary, each on a fake host of its own (see [`host`]).
//!
//! A test's host is compared with its first photograph when the test ends: whatever a test leaves
//! behind without having announced it is a failure.

#[cfg(test)]
mod host;

#[cfg(test)]
mod harness;

#[cfg(test)]
mod inside;

#[cfg(test)]
mod commands_files;

#[cfg(test)]
mod commands_scripts;

#[cfg(test)]
mod commands_upkeep;

#[cfg(test)]
mod flags_process;

#[cfg(test)]
mod flags_results;

#[cfg(test)]
mod flags_rights;

#[cfg(test)]
mod flags_session;

#[cfg(test)]
mod flags_storage;

#[cfg(test)]
mod architecture;

#[cfg(test)]
mod checklist;

#[cfg(test)]
mod long;

#[cfg(test)]
mod crash;

#[cfg(test)]
mod rows;

#[cfg(test)]
mod jobs;

#[cfg(test)]
mod control;

#[cfg(test)]
mod gc;

#[cfg(test)]
mod adoption;

#[cfg(test)]
mod ps;

#[cfg(test)]
mod network;

#[cfg(test)]
mod plugins;

#[cfg(test)]
mod push;

#[cfg(test)]
mod recording;

#[cfg(test)]
mod cni;

#[cfg(test)]
mod netns;

#[cfg(test)]
mod malformed;

#[cfg(test)]
mod input;

#[cfg(test)]
mod pull;

#[cfg(test)]
mod images_archives;
mod images_commit;

#[cfg(test)]
mod images_hostile;

#[cfg(test)]
mod images_killed;

#[cfg(test)]
mod images_others;

#[cfg(test)]
mod registry;

#[cfg(test)]
mod store;

#[cfg(test)]
mod supervisor;

#[cfg(test)]
mod terminal;

#[cfg(test)]
mod vm;

#[cfg(test)]
mod stdio;

#[cfg(test)]
mod logs;

#[cfg(test)]
mod exec;

#[cfg(test)]
mod life;

#[cfg(test)]
mod lifecycle;

#[cfg(test)]
mod scopes;

#[cfg(test)]
mod smoke;

#[cfg(test)]
mod run;

#[cfg(test)]
mod networks_attach;

#[cfg(test)]
mod networks_crash;

#[cfg(test)]
mod networks_create;

#[cfg(test)]
mod networks_firewall;

#[cfg(test)]
mod networks_names;

#[cfg(test)]
mod networks_ports;

#[cfg(test)]
mod networks_resolvers;

/// A file that is not a module of this one would never be compiled, and its tests never run.
#[cfg(test)]
#[test]
fn every_file_here_is_a_module_of_this_one() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let modules = include_str!("main.rs");
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        // What has no Rust in it is data of the tests, or programs that they compile.
        let is_rust =
            path.extension().is_some_and(|end| end == "rs") || path.join("mod.rs").exists();
        if stem == "main" || !is_rust {
            continue;
        }
        let declared = modules.contains(&format!("\nmod {stem};\n"));
        assert!(declared, "{} is not a module of main.rs", path.display());
    }
}
