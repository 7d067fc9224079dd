//! The life of a container: plan, spec, launch, supervise, teardown, recover.

pub mod seccomp;
pub mod spec;
pub mod user;
