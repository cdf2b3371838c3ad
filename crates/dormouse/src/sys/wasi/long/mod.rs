//! Long lists. Up to WASI 0.2 the host is given all that is waited for at each wait, and looks at every entry; so what a wait costs grows
//! with the connections on which nothing happens. That is so on every host, and here is what is done about it.
//!
//! `watched.rs` is the list, kept between waits; `review.rs` decides which part of it a wait is for; `numbers.rs` has what both go by.

pub(in crate::sys) mod numbers;
pub(in crate::sys) mod review;
pub(in crate::sys) mod watched;

pub(in crate::sys) use review::{Host, Reviewed};
pub(in crate::sys) use watched::Watched;
