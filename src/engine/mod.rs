//! The life of a container: plan, spec, launch, supervise, teardown, recover.

pub mod error;
pub mod log;
pub mod paths;
pub mod report;
pub mod seccomp;
pub mod spec;
pub mod stdio;
pub mod steps;
pub mod user;
