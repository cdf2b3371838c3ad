//! Merges an upstream Go source tree with an overlay, by Go's build constraints.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod constraint;
mod error;
mod listing;
mod target;

pub use error::Error;
pub use listing::{Entry, Listing};
pub use target::{Because, KNOWN_ARCH, KNOWN_OS, Target, UNIX_OS};
