//! What the system's poller is told of a source, whose descriptor it must not outlive.
#![allow(unsafe_code)]

#[cfg(any(all(test, not(miri)), not(any(target_os = "linux", target_os = "android"))))]
use std::io;

use super::Source;

/// The descriptor of a source that is registered; valid until [`Wait::remove`](crate::sys::Wait::remove).
#[cfg(unix)]
pub(super) type Descriptor = std::os::fd::RawFd;
#[cfg(windows)]
pub(super) type Descriptor = std::os::windows::io::RawSocket;

#[cfg(unix)]
use std::os::fd::BorrowedFd as Borrowed;
#[cfg(windows)]
use std::os::windows::io::BorrowedSocket as Borrowed;

/// Registers a source, until it is deleted.
#[cfg(any(all(test, not(miri)), not(any(target_os = "linux", target_os = "android"))))]
pub(super) fn add(poller: &polling::Poller, source: &Source, interest: polling::Event) -> io::Result<Descriptor> {
    // SAFETY: it is deleted before it is closed, as is said in `borrow`.
    unsafe { poller.add(source, interest)? };
    Ok(descriptor(source))
}

/// What a source is registered as.
pub(super) fn descriptor(source: &Source) -> Descriptor {
    #[cfg(unix)]
    return std::os::fd::AsRawFd::as_raw_fd(source);
    #[cfg(windows)]
    return std::os::windows::io::AsRawSocket::as_raw_socket(source);
}

/// The descriptor of a source that is registered.
pub(super) fn borrow(descriptor: &Descriptor) -> Borrowed<'_> {
    // SAFETY: it is that of a source which was armed, and which is alive until after `Wait::remove`: the reactor calls that
    // before it drops or changes a source (reactor/handle.rs `release` and `change`, reactor/mod.rs `forget`). The number of a standard
    // stream is always that: should the program put another file there, the poller says that it does not know it.
    unsafe { Borrowed::borrow_raw(*descriptor) }
}
