//! Reading, writing and copying.
//!
//! The traits are those of `futures-io`; their extension methods (`read_exact`, `write_all`, `lines` …) come from
//! `futures-lite` or `futures-util`.

mod copy;
mod error;
pub(crate) mod stdio;

pub use std::io::{Error, ErrorKind, Result};

pub use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};

pub(crate) use error::{closed, error, is_closed};

pub use copy::{copy, copy_bidirectional};
pub use stdio::{Stderr, Stdout, stderr, stdout};
