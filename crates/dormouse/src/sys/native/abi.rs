//! What the system's poller is told of a source, whose descriptor it must not outlive.
#![allow(unsafe_code)]

use std::io;

use polling::{Event, Poller};

use super::Source;

/// The descriptor of a source that is registered; valid until [`delete`].
#[cfg(unix)]
pub(super) type Descriptor = std::os::fd::RawFd;
#[cfg(windows)]
pub(super) type Descriptor = std::os::windows::io::RawSocket;

#[cfg(unix)]
use std::os::fd::{AsRawFd as _, BorrowedFd as Borrowed};
#[cfg(windows)]
use std::os::windows::io::{AsRawSocket as _, BorrowedSocket as Borrowed};

/// Registers a source, until [`delete`].
pub(super) fn add(poller: &Poller, source: &Source, interest: Event) -> io::Result<Descriptor> {
    // SAFETY: the reactor calls `Wait::remove` before it drops or changes a source that was armed (reactor/handle.rs
    // `release` and `change`, reactor/mod.rs `forget`), and that deletes it. Standard streams are never closed.
    unsafe { poller.add(source, interest)? };
    #[cfg(unix)]
    return Ok(source.as_raw_fd());
    #[cfg(windows)]
    return Ok(source.as_raw_socket());
}

/// Changes what is waited for.
pub(super) fn modify(poller: &Poller, descriptor: Descriptor, interest: Event) -> io::Result<()> {
    poller.modify(borrow(&descriptor), interest)
}

/// Forgets a source.
pub(super) fn delete(poller: &Poller, descriptor: Descriptor) -> io::Result<()> {
    poller.delete(borrow(&descriptor))
}

/// Takes the urgent byte of a socket, if it has one. It is no part of the stream (std does not ask for SO_OOBINLINE), and while it is there
/// epoll reports the socket each time (polling 3.11, epoll.rs, asks for EPOLLPRI of whatever is read).
pub(super) fn discard_urgent(descriptor: Descriptor) {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    // What is no socket has none.
    let _ = socket2::SockRef::from(&borrow(&descriptor)).recv_out_of_band(&mut byte);
}

fn borrow(descriptor: &Descriptor) -> Borrowed<'_> {
    // SAFETY: it came from `add`, and its source is alive until after `delete`, as is said there.
    unsafe { Borrowed::borrow_raw(*descriptor) }
}
