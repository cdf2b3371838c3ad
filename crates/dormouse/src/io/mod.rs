//! Reading, writing and copying.
//!
//! The traits are those of `futures-io`; their extension methods (`read_exact`, `write_all`, `lines` …) come from
//! `futures-lite` or `futures-util`.

mod copy;
mod stdin;
pub(crate) mod stdio;

pub use std::io::{Error, ErrorKind, Result, SeekFrom};

pub use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};

pub(crate) use crate::base::{closed, error, is_closed};

#[cfg(feature = "send")]
pub use crate::compat::on_thread::OnThread;
pub use copy::{copy, copy_bidirectional};
pub use stdin::{Stdin, stdin};
pub use stdio::{Stderr, Stdout, stderr, stdout};
