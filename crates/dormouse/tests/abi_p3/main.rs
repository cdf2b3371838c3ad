//! The unsafe code of WASI 0.3 under Miri: the very text of `sys/p3/abi` and `sys/p3/set.rs`, on a host that is played in
//! `host.rs`. It keeps the pointers that it is lent and uses them later, when the program waits, as a real one does.
//! `cargo xtask test` runs this for a target with pointers of 32 bits, as wasm's are, so that the offsets are the real ones.
#![cfg(miri)]

mod host;
mod sys;

/// What `src/base` has of it.
mod base {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Key {
        pub index: u32,
        pub generation: u32,
    }
}
