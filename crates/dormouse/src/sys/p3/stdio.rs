//! Standard streams.
//!
//! wasmtime calls standard output writable whenever it is asked (component-model #561), so what is written is handed over from
//! memory of ours, and "writable" is that the host has taken it.

use std::io;

use super::stream::{Reader, Writer};
use super::{Source, State, abi};

impl Source {
    pub(crate) fn stdin() -> io::Result<Self> {
        Ok(Source::new(State::Stdin(Reader::new(abi::stdin()))))
    }

    pub(crate) fn stdout() -> Self {
        Source::new(State::Stdio(Writer::new(abi::stdout())))
    }

    pub(crate) fn stderr() -> Self {
        Source::new(State::Stdio(Writer::new(abi::stderr())))
    }
}
