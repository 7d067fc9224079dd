//! Links `netrun` at a fixed address.
//!
//! A program that may lie anywhere has its tables of pointers written anew by the loader, in every
//! process: 440 KiB of memory for each supervisor, that is for each container, and time of each
//! start. Stack, heap and libraries are at random addresses all the same.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-no-pie");
}
