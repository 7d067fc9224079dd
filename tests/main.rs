//! End-to-end tests over a fake host.
