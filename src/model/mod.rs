//! Plain data with validation: ids, references, records, error classes. No I/O, and no room above.

pub mod class;
pub mod id;
pub mod mount;
pub mod record;
pub mod reference;
