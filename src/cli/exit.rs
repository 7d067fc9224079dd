//! The exit codes: the one table, by family of verbs and class of trouble.
//!
//! Invariant: a code means the same for every verb of its family.

use crate::model::class::Class;

/// Which exit codes a verb has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// It gives the status of a process: `run`, `exec`, `wait`, and what attaches to one.
    Process,
    /// As `Process`, where docker knows no code of its own for a failure: `exec`.
    Exec,
    /// It stands in for cnitool: 0 and 1, whatever went wrong.
    Cnitool,
    /// It acts on objects: all others.
    Object,
}

/// What netrun does not have yet, whatever the verb.
pub const NOT_SUPPORTED: u8 = 125;

/// The code of a failure.
///
/// | family  | code | meaning |
/// |---------|------|---------|
/// | process | 124  | it did not end, or was not ready, in the time given |
/// | process | 125  | netrun failed before the process ran |
/// | process | 126  | the command cannot be invoked |
/// | process | 127  | the command was not found |
/// | object  | 1    | failed |
/// | object  | 2    | what was asked for is malformed |
/// | object  | 3    | no such object |
/// | object  | 4    | it exists already, or is in the wrong state |
/// | object  | 5    | something is left behind; `netrun gc` finishes it |
/// | object  | 6    | containerd or a plugin cannot be reached |
/// | cnitool | 1    | failed, for whatever reason: what takes it for cnitool knows no other |
/// | both    | 125  | netrun does not have it yet |
/// | both    | 128+n | signal n called it off |
pub fn code(family: Family, class: Class) -> u8 {
    match (family, class) {
        (Family::Cnitool, _) => 1,
        (_, Class::Unsupported) => NOT_SUPPORTED,
        (_, Class::Interrupted(signal)) => 128 + signal,
        (Family::Process | Family::Exec, Class::Late) => 124,
        (Family::Process | Family::Exec, Class::CommandNotExecutable) => 126,
        (Family::Process | Family::Exec, Class::CommandNotFound) => 127,
        (Family::Process | Family::Exec, _) => 125,
        (Family::Object, Class::InvalidInput) => 2,
        (Family::Object, Class::NotFound) => 3,
        (Family::Object, Class::AlreadyExists | Class::WrongState) => 4,
        (Family::Object, Class::LeftBehind) => 5,
        (Family::Object, Class::Unavailable) => 6,
        (
            Family::Object,
            Class::Denied
            | Class::Timeout
            | Class::Late
            | Class::CommandNotFound
            | Class::CommandNotExecutable
            | Class::Failed,
        ) => 1,
    }
}

/// The code that docker has where netrun has this one: under its name (a link) scripts know no other.
/// `parsed` says whether the command line was understood. Statuses of processes stay what they are.
pub fn dockers(family: Family, code: u8, parsed: bool) -> u8 {
    match (family, code) {
        (Family::Object, 2..=6) if parsed => 1,
        (Family::Object, 2) => 125,
        (Family::Exec, 125) if parsed => 1,
        (_, code) => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_dockers_name_there_is_one_code_of_failure() {
        for code in 2..=6 {
            assert_eq!(dockers(Family::Object, code, true), 1);
            assert_eq!(dockers(Family::Process, code, true), code);
        }
        assert_eq!(dockers(Family::Exec, 125, true), 1);
        assert_eq!(dockers(Family::Exec, 125, false), 125);
        assert_eq!(dockers(Family::Exec, 127, true), 127);
        assert_eq!(dockers(Family::Object, 2, false), 125);
        assert_eq!(dockers(Family::Object, 0, true), 0);
        assert_eq!(dockers(Family::Object, 125, true), 125);
    }

    #[test]
    fn the_codes_are_the_documented_ones() {
        use Class::*;
        let table = [
            (NotFound, 125, 3),
            (AlreadyExists, 125, 4),
            (InvalidInput, 125, 2),
            (WrongState, 125, 4),
            (Denied, 125, 1),
            (Unavailable, 125, 6),
            (Timeout, 125, 1),
            (Late, 124, 1),
            (Unsupported, 125, 125),
            (LeftBehind, 125, 5),
            (CommandNotFound, 127, 1),
            (CommandNotExecutable, 126, 1),
            (Failed, 125, 1),
            (Interrupted(15), 143, 143),
        ];
        for (class, process, object) in table {
            assert_eq!(code(Family::Process, class), process, "{class:?}");
            assert_eq!(code(Family::Object, class), object, "{class:?}");
            assert_eq!(code(Family::Cnitool, class), 1, "{class:?}");
        }
    }
}
