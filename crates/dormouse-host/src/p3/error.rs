//! Errors of the system as `wasi:sockets` 0.3 names them.

use std::io;

use rustix::io::Errno;
use wasmtime_wasi::p3::bindings::sockets::types::ErrorCode;

use crate::net::NoSocket;

/// WASI 0.3 has no error for it: this is the text of `other`, the name that 0.2 has.
const LIMIT: &str = "new-socket-limit";

pub(super) fn limit() -> ErrorCode {
    ErrorCode::Other(Some(LIMIT.to_owned()))
}

pub(super) fn refused(no: NoSocket) -> ErrorCode {
    match no {
        NoSocket::Denied => ErrorCode::AccessDenied,
        NoSocket::Full => limit(),
    }
}

/// The code of an error; if there is none, `other` with the system's text.
pub(super) fn of(error: io::Error) -> ErrorCode {
    match Errno::from_io_error(&error) {
        // wasmtime-wasi has no code for these (48.0.8, p3/sockets/conv.rs).
        Some(Errno::PIPE) => ErrorCode::ConnectionBroken,
        Some(Errno::MFILE | Errno::NFILE) => limit(),
        _ => match ErrorCode::from(&error) {
            ErrorCode::Other(None) => ErrorCode::Other(Some(error.to_string())),
            code => code,
        },
    }
}

/// The code of an error of `bind`.
pub(super) fn of_bind(error: io::Error) -> ErrorCode {
    match Errno::from_io_error(&error) {
        Some(Errno::AFNOSUPPORT) => ErrorCode::InvalidArgument,
        _ => of(error),
    }
}
