//! Errors: the target's own `errno` numbers, negative, and a sentence that is made when the program asks for it.

use std::cell::RefCell;
use std::ffi::{c_char, c_int};
use std::io::{self, ErrorKind};

use dormouse::net::is_closed;

use crate::call;

/// What a call ends with if it does not work.
pub enum Error {
    /// Not now. Says nothing, and leaves the last error as it is.
    Again,
    /// The program has misused the library.
    Misuse(c_int, &'static str),
    /// What the host said.
    Io(io::Error),
}

/// What a call gives.
pub type Result<T> = std::result::Result<T, Error>;

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock => Error::Again,
            _ => Error::Io(error),
        }
    }
}

/// No such handle, or none any more.
pub const STALE: Error =
    Error::Misuse(libc::EBADF, "there is no such handle on this thread: it was closed, or never was");
/// Another kind of handle is wanted.
pub const KIND: Error = Error::Misuse(libc::ENOTSOCK, "the handle is of another kind than this call is for");
/// A pointer is null that must not be.
pub const NULL: Error = Error::Misuse(libc::EFAULT, "a pointer is null");
/// Inside of no loop.
pub const NO_LOOP: Error = Error::Misuse(libc::EPERM, "call it inside dm_run, or between dm_begin and dm_end");
/// Nothing could end the wait.
pub const STALLED: Error = Error::Misuse(
    libc::EDEADLK,
    "this would wait for ever: nobody waits for a socket, and no timer ends; dm_watch, dm_when or dm_sleep first",
);

thread_local! {
    static LAST: RefCell<Option<Error>> = const { RefCell::new(None) };
}

impl Error {
    /// A broken invariant; natively, where a panic can be caught.
    pub(crate) const PANIC: Error = Error::Misuse(libc::EIO, "the library has panicked: that is a bug of Dormouse's");

    /// What C is told; the sentence is kept for [`dm_message`].
    pub(crate) fn report(self) -> c_int {
        let errno = self.errno();
        if !matches!(self, Error::Again) {
            let _ = LAST.try_with(|last| last.replace(Some(self)));
        }
        -errno
    }

    fn errno(&self) -> c_int {
        match self {
            Error::Again => libc::EAGAIN,
            Error::Misuse(errno, _) => *errno,
            Error::Io(error) if is_closed(error) => libc::EBADF,
            Error::Io(error) => match error.raw_os_error() {
                Some(errno) if !cfg!(windows) && errno > 0 => errno,
                _ => of_kind(error.kind()),
            },
        }
    }
}

fn of_kind(kind: ErrorKind) -> c_int {
    match kind {
        ErrorKind::AddrInUse => libc::EADDRINUSE,
        ErrorKind::AddrNotAvailable => libc::EADDRNOTAVAIL,
        ErrorKind::BrokenPipe => libc::EPIPE,
        ErrorKind::ConnectionAborted => libc::ECONNABORTED,
        ErrorKind::ConnectionRefused => libc::ECONNREFUSED,
        ErrorKind::ConnectionReset => libc::ECONNRESET,
        ErrorKind::Deadlock => libc::EDEADLK,
        ErrorKind::HostUnreachable => libc::EHOSTUNREACH,
        ErrorKind::Interrupted => libc::EINTR,
        ErrorKind::InvalidInput => libc::EINVAL,
        ErrorKind::NetworkDown => libc::ENETDOWN,
        ErrorKind::NetworkUnreachable => libc::ENETUNREACH,
        ErrorKind::NotConnected => libc::ENOTCONN,
        ErrorKind::NotFound => libc::ENOENT,
        ErrorKind::OutOfMemory => libc::ENOMEM,
        ErrorKind::PermissionDenied => libc::EACCES,
        ErrorKind::QuotaExceeded => libc::EMFILE,
        ErrorKind::ResourceBusy => libc::EBUSY,
        ErrorKind::TimedOut => libc::ETIMEDOUT,
        ErrorKind::Unsupported => libc::ENOTSUP,
        _ => libc::EIO,
    }
}

/// Writes the sentence of this thread's last error: what was tried, and what to do. It is cut off if need be, with a 0 at its
/// end. Returns its whole length, without that, as `snprintf` does. `-EAGAIN` is no error and leaves it as it was; before the
/// first it is empty. Never blocks.
///
/// # Safety
/// `buf` points to `len` bytes; it may be null if `len` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_message(buf: *mut c_char, len: usize) -> i64 {
    call::length(|| {
        let text = LAST.with(|last| match &*last.borrow() {
            Some(Error::Misuse(_, text)) => (*text).to_owned(),
            Some(Error::Io(error)) => error.to_string(),
            Some(Error::Again) | None => String::new(),
        });
        // SAFETY: as the caller promises.
        unsafe { call::put_text(&text, buf, len) }
    })
}
