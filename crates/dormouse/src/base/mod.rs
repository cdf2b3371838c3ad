//! The ground floor: keys, instants and errors, which both sides of the seam speak of. It names nothing else of this crate.

mod cause;
mod error;
mod instant;
mod key;

pub(crate) use cause::{Cause, cause, told};
pub(crate) use error::{closed, error, exhausted, is_closed};
pub use instant::Instant;
pub(crate) use key::{Arena, Key};
