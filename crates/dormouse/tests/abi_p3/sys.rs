//! What the files find around them.

pub mod p3;

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
