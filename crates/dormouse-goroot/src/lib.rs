#![doc = include_str!("../README.md")]
//!
//! # Where things are
//! * [`constraint`]: what a file asks for. [`Target`]: what there is.
//! * [`Listing`]: what is in a tree. [`Overrides`]: which tree each directory comes from.
//! * [`Plan`]: what is linked from where, and [why](Plan::why); [as a tree](Plan::tree), [as JSON](Plan::json), [for
//!   `go build -overlay`](Plan::go_overlay), or [made](Plan::apply).
//! * [`Report`]: what is odd about an overlay. [`Diff`]: what one build has and another has not.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod apply;
mod check;
#[cfg(feature = "cli")]
pub mod cli;
pub mod constraint;
mod diff;
mod error;
mod listing;
mod overrides;
mod plan;
mod show;
mod target;
mod targets;
mod tinygo;
mod why;

pub use apply::{Applied, Link};
pub use check::{Allowed, Expected, Finding, Kind, Report, Severity};
pub use diff::{Change, Diff, FileChange, PackageChange};
pub use error::Error;
pub use listing::{Entry, Listing};
pub use overrides::{Override, Overrides, Whose};
pub use plan::{Decision, Plan, Reason, Side};
pub use target::{Because, KNOWN_ARCH, KNOWN_OS, Target, UNIX_OS};
pub use targets::{NoTarget, Targets};
pub use tinygo::Choices;
