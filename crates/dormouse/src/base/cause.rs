//! Why a socket could not be had: what the hosts say, in four words.

use std::io::{self, ErrorKind};

use super::exhausted;

/// What has failed.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Cause {
    Connection,
    Descriptors,
    Memory,
    Listener,
}

/// The same error, as it is told on every host.
pub(crate) fn told(error: io::Error) -> io::Error {
    match cause(&error) {
        Cause::Connection => ErrorKind::ConnectionAborted.into(),
        Cause::Descriptors => exhausted(),
        Cause::Memory => ErrorKind::OutOfMemory.into(),
        Cause::Listener => error,
    }
}

/// What an error of opening or accepting a socket means.
pub(crate) fn cause(error: &io::Error) -> Cause {
    match error.kind() {
        ErrorKind::ConnectionAborted
        | ErrorKind::ConnectionReset
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown => Cause::Connection,
        ErrorKind::QuotaExceeded => Cause::Descriptors,
        ErrorKind::OutOfMemory => Cause::Memory,
        _ => error.raw_os_error().map_or(Cause::Listener, of_number),
    }
}

/// What std has no kind for.
#[cfg(unix)]
fn of_number(number: i32) -> Cause {
    use rustix::io::Errno;
    match Errno::from_raw_os_error(number) {
        Errno::MFILE | Errno::NFILE => Cause::Descriptors,
        Errno::NOBUFS => Cause::Memory,
        // Linux reports an error of the network that the new connection has had as one of the accept; accept(2) says which.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Errno::PROTO | Errno::NOPROTOOPT | Errno::HOSTDOWN | Errno::NONET | Errno::OPNOTSUPP => Cause::Connection,
        _ => Cause::Listener,
    }
}

#[cfg(windows)]
fn of_number(number: i32) -> Cause {
    const WSAEMFILE: i32 = 10024;
    const WSAENOBUFS: i32 = 10055;
    match number {
        WSAEMFILE => Cause::Descriptors,
        WSAENOBUFS => Cause::Memory,
        _ => Cause::Listener,
    }
}

#[cfg(target_os = "wasi")]
fn of_number(number: i32) -> Cause {
    const MFILE: i32 = 33;
    const NFILE: i32 = 41;
    const NOBUFS: i32 = 42;
    const NOMEM: i32 = 48;
    const NOPROTOOPT: i32 = 50;
    const PROTO: i32 = 65;
    match number {
        MFILE | NFILE => Cause::Descriptors,
        NOBUFS | NOMEM => Cause::Memory,
        PROTO | NOPROTOOPT => Cause::Connection,
        _ => Cause::Listener,
    }
}
