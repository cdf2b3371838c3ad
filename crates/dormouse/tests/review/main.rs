//! The long list of wasip1 and wasip2, on a host of the test's and in its time: the very text of `sys/wasi/long`.
#![cfg(not(target_family = "wasm"))]

mod sys;

/// What `src/base` has of it.
mod base {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Key {
        pub index: u32,
        pub generation: u32,
    }
}
