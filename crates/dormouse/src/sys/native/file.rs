//! What a file has to wait for. A regular file is always ready. A pipe, a terminal or a device is asked with poll(2),
//! and waited for on a descriptor of its own: the caller's may be closed at any time, and the system's poller must not
//! outlive it.
//!
//! What epoll refuses, such as /dev/null, or a regular file as standard input, is never waited for: poll(2) calls it
//! ready.

use std::fs::File;
use std::io;

use super::Source;
use crate::sys::Side;

impl Source {
    #[cfg(unix)]
    pub(crate) fn file(file: &File) -> io::Result<Option<Self>> {
        let kind = file.metadata()?.file_type();
        if kind.is_file() || kind.is_dir() {
            return Ok(None);
        }
        Ok(Some(Source::File(file.try_clone()?)))
    }

    /// Windows has no such question: a read of a pipe waits, with the whole program.
    #[cfg(windows)]
    pub(crate) fn file(_file: &File) -> io::Result<Option<Self>> {
        Ok(None)
    }

    pub(crate) fn try_ready(&self, side: Side) -> io::Result<()> {
        ready(self, side)
    }
}

/// `WouldBlock` unless a call on that side would return at once, if only with an error.
#[cfg(unix)]
pub(super) fn ready(fd: &impl std::os::fd::AsFd, side: Side) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let wanted = match side {
        Side::Read => PollFlags::IN,
        Side::Write => PollFlags::OUT,
    };
    let mut fds = [PollFd::new(fd, wanted)];
    if poll(&mut fds, Some(&Timespec::default()))? == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Ok(())
}

#[cfg(windows)]
pub(super) fn ready<T>(_: &T, _: Side) -> io::Result<()> {
    Ok(())
}
