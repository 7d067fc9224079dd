//! The life of a container: plan, spec, launch, supervise, teardown, recover.

pub mod adopt;
pub mod attachment;
pub mod claim;
pub mod daemon;
pub mod error;
pub mod etc;
pub mod exec;
pub mod forgotten;
pub mod host;
pub mod launch;
pub mod log;
pub mod paths;
pub mod plan;
pub mod protocol;
pub mod recover;
pub mod report;
pub mod seccomp;
pub mod serve;
pub mod session;
pub mod spec;
pub mod stdio;
pub mod steps;
pub mod supervise;
pub mod teardown;
pub mod user;
pub mod user_lookup;
