//! A stream whose drop waits.
//!
//! * **Host**: wasmtime up to 49, and what embeds its sockets (wasmtime-wasi 48.0.8, p2/tcp.rs, `cancel`; p2/host/udp.rs, `drop`).
//! * **What it does**: dropping an output stream whose last write is on its way waits, with the whole guest, until the peer has read enough.
//! * **What is done**: such a source is pending, and the reactor keeps it until it is writable or its peer has gone.
//! * **Cost**: a check of the permit for each source that is closed after it has written.
//! * **Can go** when wasmtime's drops do not wait.

/// Whether dropping a socket's stream may wait.
pub(in crate::sys) fn may_wait() -> bool {
    super::are_needed()
}
