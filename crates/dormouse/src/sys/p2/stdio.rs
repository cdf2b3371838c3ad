//! Standard output and standard error.

use wasip2::cli::{stderr::get_stderr, stdout::get_stdout};

use super::Source;

impl Source {
    pub(crate) fn stdout() -> Self {
        Source { output: get_stdout().into(), ..Source::default() }
    }

    pub(crate) fn stderr() -> Self {
        Source { output: get_stderr().into(), ..Source::default() }
    }
}
