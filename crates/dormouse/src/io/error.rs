//! Errors with a sentence.

use std::error::Error;
use std::fmt;
use std::io;

/// An error of `kind` that says `message`.
///
/// Not `io::Error::new(kind, String)`: the standard library's own wrapper prints a string as a literal when it is
/// debugged, and the tables for escaping it would be 7 KB of each small program.
#[cold]
pub(crate) fn error(kind: io::ErrorKind, message: impl Into<String>) -> io::Error {
    io::Error::new(kind, Message(message.into()))
}

struct Message(String);

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Message {}
