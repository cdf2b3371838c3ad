//! Work that the reactor does on its own: closing what cannot be dropped yet, for example.

use std::io;

use crate::sys::Source;

/// A piece of work that goes on whenever its source becomes writable.
pub(crate) trait Chore {
    fn source(&self) -> &Source;

    /// Do what can be done now. True when there is nothing left; the chore is then dropped.
    fn run(&self) -> bool;

    /// Its source cannot be watched: it is not run again, and is dropped.
    fn failed(&self, _error: io::Error) {}
}

/// A closed source whose last write is on its way. It is kept until that is through, or the peer has gone: dropping it
/// earlier would wait, with the whole program.
pub(super) struct Closing(pub(super) Source);

impl Chore for Closing {
    fn source(&self) -> &Source {
        &self.0
    }

    fn run(&self) -> bool {
        !self.0.is_pending()
    }
}
