//! A socket that looks readable after a short read, until a read finds nothing.
//!
//! * **Host**: wasmtime up to 49, and what embeds its sockets (wasmtime-wasi 48.0.8, sockets/tcp.rs: `try_read` leaves the readiness as it
//!   was unless the system says EAGAIN).
//! * **What it does**: a poll after a short read tells of the socket at once, though nothing has come.
//! * **What is done**: one connection alone makes the read that finds nothing, since parking without it would cost a second poll. When a
//!   poll has told of [`CROWD`] or more it is left out: while a crowd is served, the peers of the first of it answer, and the read finds
//!   something when its turn comes.
//! * **Cost**: one call an echo on a quiet connection, five and not four.
//! * **Can go** when wasmtime clears the readiness after a short read. Without it a short read is always believed.

use std::cell::Cell;

/// A poll that reports so many events has found a crowd.
const CROWD: usize = 3;

thread_local! {
    static CROWDED: Cell<bool> = const { Cell::new(false) };
}

/// Notes how many events a poll has reported. A poll of all of a long list that was quiet (`was_quiet`) never makes a crowd.
pub(in crate::sys) fn note(reported: usize, was_quiet: bool) {
    CROWDED.set(reported >= CROWD && !was_quiet);
}

/// True if the last poll found a crowd. Then a short read is believed to have drained the socket.
pub(in crate::sys) fn is_crowded() -> bool {
    CROWDED.get()
}

/// Whether a short read is believed to have taken all there was: its task parks without another read.
pub(in crate::sys) fn is_believed() -> bool {
    is_crowded() || !super::are_needed()
}
