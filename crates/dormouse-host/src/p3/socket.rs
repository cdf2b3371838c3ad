//! A socket of the runner's under the calls of WASI 0.3, which wait: each is tried, and tried again when the socket may be ready.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use crate::net::limits::Counted;
use crate::net::socket::{self, Side};
use crate::net::{Net, tcp};

pub(super) struct Socket {
    /// Closed before it is given back.
    inner: socket::Socket,
    _counted: Counted,
}

impl Socket {
    /// Takes a descriptor that does not block.
    pub(super) fn new(fd: OwnedFd, net: &Net, counted: Counted) -> Socket {
        Socket { inner: socket::Socket::new(fd, &net.hub, &net.meter), _counted: counted }
    }

    /// Tries a call on a side until it has a result, each time when there is hope for one. One at a time may wait for a side.
    fn poll_try<T>(
        &self,
        side: Side,
        cx: &mut Context<'_>,
        mut call: impl FnMut(&socket::Socket) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.inner.poll_unless_drained(side, cx))?;
            match call(&self.inner) {
                Err(error) if again(&error) => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// The same for calls that may wait beside others, as those for datagrams.
    pub(super) async fn try_beside_others<T>(
        &self,
        side: Side,
        mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            self.inner.wait_if_drained(side).await?;
            match self.inner.on(side, &mut call, |_| false) {
                Err(error) if again(&error) => {}
                result => return result,
            }
        }
    }

    /// Receives into `buf`, which is not empty; 0 is the end.
    pub(super) fn poll_receive(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_try(Side::Read, cx, |socket| tcp::receive(socket, buf))
    }

    /// Sends what the system takes of `buf`, at least a byte.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_try(Side::Write, cx, |socket| tcp::send(socket, buf))
    }

    /// Waits until the connect that was started has ended.
    pub(super) fn poll_connect(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.inner.poll_wait(Side::Write, cx))?;
        Poll::Ready(tcp::finish_connect(&self.inner))
    }
}

fn again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl Deref for Socket {
    type Target = socket::Socket;

    fn deref(&self) -> &socket::Socket {
        &self.inner
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}
