//! Plain data with validation: ids, references, records, error classes. No I/O, and no room above.

pub mod asked;
pub mod bytes;
pub mod class;
pub mod cpus;
pub mod detach_keys;
pub mod device;
pub mod exit;
pub mod generated_name;
pub mod health;
pub mod id;
pub mod isolation;
pub mod mac;
pub mod mount;
pub mod netns;
pub mod port;
pub mod ready;
pub mod record;
pub mod reference;
pub mod restart;
pub mod scope;
pub mod signal;
pub mod time;
pub mod ulimit;
