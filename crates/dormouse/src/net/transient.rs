//! Errors of an accept that pass, told the same way on every host.

use std::io;

use crate::base::{Cause, cause};

/// Whether an accept failed for a reason that passes, so that the listener is as good as before: the peer of one connection has gone, or
/// the host has no descriptors or no memory for another one now. All other errors come again: give up.
///
/// An accept tells these errors in the same way on every host, whatever the system's word for them is:
///
/// | kind | what it means | the system's words |
/// |---|---|---|
/// | `ConnectionAborted` | this connection has failed before it was accepted | `ECONNABORTED`, `ECONNRESET`, `EPROTO`; the network errors that Linux reports here |
/// | `QuotaExceeded` | there is no descriptor for it | `EMFILE`, `ENFILE`; `new-socket-limit` on wasip2 |
/// | `OutOfMemory` | there is no memory for it | `ENOBUFS`, `ENOMEM`; `out-of-memory` |
///
/// wasmtime up to 48 has no word for `EMFILE` on wasip2 and WASI 0.3: an accept that fails there for a reason that the host does not tell is
/// taken for `QuotaExceeded`. Given an error of std's own sockets, it looks at the system's number.
///
/// ```
/// use dormouse::{io, net::is_transient};
/// assert!(is_transient(&io::ErrorKind::ConnectionAborted.into()));
/// assert!(!is_transient(&io::ErrorKind::InvalidInput.into()));
/// ```
///
/// [`TcpListener::accept_with_backoff`](super::TcpListener::accept_with_backoff) is the loop that this is for.
pub fn is_transient(error: &io::Error) -> bool {
    cause(error) != Cause::Listener
}

/// Whether the next connection would fail for the same reason.
pub(super) fn comes_again(error: &io::Error) -> bool {
    matches!(cause(error), Cause::Descriptors | Cause::Memory)
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::ErrorKind;

    use rustix::io::Errno;

    use super::*;
    use crate::base;

    fn told(number: Errno) -> ErrorKind {
        let error = io::Error::from(number);
        assert_eq!(is_transient(&error), cause(&error) != Cause::Listener);
        base::told(error).kind()
    }

    #[test]
    fn what_passes_has_one_kind_for_each_cause() {
        let connection = [
            Errno::CONNABORTED,
            Errno::CONNRESET,
            Errno::NETDOWN,
            Errno::NETUNREACH,
            Errno::HOSTUNREACH,
            #[cfg(target_os = "linux")]
            Errno::PROTO,
            #[cfg(target_os = "linux")]
            Errno::NOPROTOOPT,
            #[cfg(target_os = "linux")]
            Errno::HOSTDOWN,
            #[cfg(target_os = "linux")]
            Errno::NONET,
            #[cfg(target_os = "linux")]
            Errno::OPNOTSUPP,
        ];
        for number in connection {
            assert_eq!(told(number), ErrorKind::ConnectionAborted, "{number}");
        }
        assert_eq!([Errno::MFILE, Errno::NFILE].map(told), [ErrorKind::QuotaExceeded; 2]);
        assert_eq!([Errno::NOBUFS, Errno::NOMEM].map(told), [ErrorKind::OutOfMemory; 2]);
        assert!(comes_again(&Errno::MFILE.into()) && !comes_again(&Errno::CONNABORTED.into()));
    }

    #[test]
    fn what_is_wrong_with_the_listener_is_told_as_it_is() {
        for number in [Errno::BADF, Errno::INVAL, Errno::NOTSOCK, Errno::PERM, Errno::TIMEDOUT, Errno::FAULT] {
            let error = base::told(number.into());
            assert_eq!(error.raw_os_error(), Some(number.raw_os_error()));
            assert!(!is_transient(&error), "{number}");
        }
        assert!(!is_transient(&crate::io::closed()));
        assert!(!is_transient(&ErrorKind::TimedOut.into()));
    }

    #[test]
    fn an_error_that_has_been_told_is_transient_still() {
        for number in [Errno::MFILE, Errno::NOBUFS, Errno::CONNABORTED] {
            assert!(is_transient(&base::told(number.into())));
        }
    }
}
