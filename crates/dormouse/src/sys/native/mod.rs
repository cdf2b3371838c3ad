//! Unix and Windows, over epoll or the `polling` crate: to develop and to test on, and to keep the seam honest.

mod abi;
pub(crate) mod clock;
mod file;
mod lookup;
mod net;
mod options;
mod poller;
#[cfg(unix)]
mod preopened;
mod stdio;
mod stop;
mod udp;

use std::io;
use std::net::{TcpListener, TcpStream};
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
#[cfg(windows)]
use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, RawSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_task::{Builder, Runnable, Schedule, Task};

use super::drained::Drained;
pub(crate) use poller::Poller;

pub(crate) const THREADS: bool = true;

/// An error of a file: std knows its kind.
pub(crate) fn file_error(error: io::Error) -> io::Error {
    error
}

/// `async_task`'s own: it checks that a task stays on its thread.
pub(crate) fn spawn_local<F, S, M>(builder: Builder<M>, future: F, schedule: S) -> (Runnable<M>, Task<F::Output, M>)
where
    F: Future + 'static,
    F::Output: 'static,
    S: Schedule<M> + Send + Sync + 'static,
    M: 'static,
{
    builder.spawn_local(|_| future, schedule)
}

/// What can be polled.
pub(crate) enum Source {
    Socket(socket2::Socket),
    Listener(TcpListener),
    Stream(TcpStream, Drained),
    Stdin(io::Stdin),
    Udp(udp::Udp),
    Lookup(lookup::Lookup),
    Stdout(io::Stdout),
    Stderr(io::Stderr),
    /// A descriptor of the caller's file, to wait on.
    #[cfg(unix)]
    File(std::fs::File),
    #[cfg(unix)]
    Stop(stop::Stop),
}

impl Source {
    /// What a number stands for is for the program to know, which may have given it to std.
    pub(crate) fn from_fd(fd: u32) -> io::Result<Self> {
        let sentence = format!(
            "FD {fd}: only wasm32-wasip1 names sockets by number; here, listeners that systemd has opened are \
             TcpListener::bind_or_preopened's"
        );
        Err(crate::base::error(io::ErrorKind::Unsupported, sentence))
    }

    /// Whether it is a standard stream: its descriptor is the process's, which may put another file there.
    fn is_standard(&self) -> bool {
        matches!(self, Source::Stdin(_) | Source::Stdout(_) | Source::Stderr(_))
    }

    /// Listeners by socket activation, as systemd does it.
    #[cfg(unix)]
    pub(crate) fn preopened(name: Option<&str>) -> io::Result<Option<Self>> {
        preopened::next(name)
    }

    #[cfg(windows)]
    pub(crate) fn preopened(_name: Option<&str>) -> io::Result<Option<Self>> {
        Ok(None)
    }

    pub(crate) fn fd(&self) -> Option<u32> {
        None
    }
}

#[cfg(unix)]
impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Source::Socket(socket) => socket.as_fd(),
            Source::Listener(listener) => listener.as_fd(),
            Source::Stream(stream, _) => stream.as_fd(),
            Source::Stdin(stdin) => stdin.as_fd(),
            Source::Udp(udp) => udp.socket.as_fd(),
            Source::Lookup(_) => unreachable!("a lookup has no descriptor"),
            Source::Stdout(stdout) => stdout.as_fd(),
            Source::Stderr(stderr) => stderr.as_fd(),
            Source::File(file) => file.as_fd(),
            Source::Stop(stop) => stop.as_fd(),
        }
    }
}

#[cfg(unix)]
impl AsRawFd for Source {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

#[cfg(windows)]
impl AsSocket for Source {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        match self {
            Source::Socket(socket) => socket.as_socket(),
            Source::Listener(listener) => listener.as_socket(),
            Source::Stream(stream, _) => stream.as_socket(),
            Source::Stdin(_) | Source::Stdout(_) | Source::Stderr(_) => {
                unreachable!("standard streams are not waited for on Windows")
            }
            Source::Udp(udp) => udp.socket.as_socket(),
            Source::Lookup(_) => unreachable!("a lookup has no socket"),
        }
    }
}

#[cfg(windows)]
impl AsRawSocket for Source {
    fn as_raw_socket(&self) -> RawSocket {
        self.as_socket().as_raw_socket()
    }
}

/// Ends a wait from another thread; costs nothing while the loop does not sleep.
#[derive(Clone)]
pub(crate) struct Notifier {
    interrupt: Arc<dyn Interrupt>,
    sleeping: Arc<AtomicBool>,
}

/// What ends a wait of the system's poller, the one that goes on or the next.
pub(crate) trait Interrupt: Send + Sync {
    fn interrupt(&self);
}

impl Notifier {
    pub(crate) fn notify(&self) {
        if self.sleeping.load(Ordering::SeqCst) {
            self.interrupt.interrupt();
        }
    }

    pub(crate) fn sleeping(&self, sleeping: bool) {
        self.sleeping.store(sleeping, Ordering::SeqCst);
    }
}
