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

/// The host, or this process on it, has as many sockets as it may.
#[cold]
pub(crate) fn exhausted() -> io::Error {
    error(
        io::ErrorKind::QuotaExceeded,
        "no more sockets: the limit of descriptors is reached, and one has to be closed first",
    )
}

/// The handle was closed by this program, in this task or another.
#[cold]
pub(crate) fn closed() -> io::Error {
    error(io::ErrorKind::NotConnected, CLOSED)
}

/// Whether an error is [`closed`].
pub(crate) fn is_closed(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Message>()).is_some_and(|message| message.0 == CLOSED)
}

const CLOSED: &str = "use of a closed socket";

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
