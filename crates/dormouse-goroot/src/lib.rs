//! Merges an upstream Go source tree with an overlay, by Go's build constraints.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod constraint;
mod target;

pub use target::{Because, KNOWN_ARCH, KNOWN_OS, Target, UNIX_OS};
