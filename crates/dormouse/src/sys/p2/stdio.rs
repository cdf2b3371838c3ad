//! Standard streams.

use std::io;

use wasip2::cli::{stderr::get_stderr, stdin::get_stdin, stdout::get_stdout};

use super::Source;

impl Source {
    pub(crate) fn stdin() -> io::Result<Self> {
        Ok(Source { input: get_stdin().into(), ..Source::default() })
    }

    pub(crate) fn stdout() -> Self {
        Source { output: get_stdout().into(), ..Source::default() }
    }

    pub(crate) fn stderr() -> Self {
        Source { output: get_stderr().into(), ..Source::default() }
    }
}
