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
pub mod attachment;
pub mod forgotten;
pub mod host;
pub mod launch;
pub mod plan;
pub mod teardown;
pub mod user_lookup;
pub mod adopt;
pub mod claim;
pub mod daemon;
pub mod etc;
pub mod exec;
pub mod protocol;
pub mod serve;
pub mod session;
pub mod supervise;
pub mod recover;
