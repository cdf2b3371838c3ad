//! Standard output and standard error.

use std::io;

use wasip2::cli::{stderr::get_stderr, stdout::get_stdout};
use wasip2::io::streams::OutputStream;

use super::Source;
use super::net::try_write;

pub(crate) struct Output {
    source: Source,
}

impl Output {
    pub(crate) fn stdout() -> Self {
        Self::new(get_stdout())
    }

    pub(crate) fn stderr() -> Self {
        Self::new(get_stderr())
    }

    fn new(stream: OutputStream) -> Self {
        Output { source: Source { output: stream.into(), ..Source::default() } }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        try_write(&self.source, bytes)
    }
}
