//! What the files find around them.

#[path = "../../src/sys/quirks/lowest_first.rs"]
pub mod lowest_first;
pub mod p3;

pub mod quirks {
    pub use super::lowest_first;
}

use crate::base::Key;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Read = 0,
    #[allow(dead_code)]
    Write = 1,
}

#[derive(Clone, Copy, Debug)]
pub struct Ready {
    pub key: Key,
    pub side: Side,
}
