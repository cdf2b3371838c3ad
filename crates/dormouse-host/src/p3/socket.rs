//! One descriptor. It is registered with tokio once, and each side's readiness is a look at tokio's word for it.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net as sys;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use crate::limits::Sockets;

/// What is moved in one call at the most, in bytes: Linux moves 2 GiB less a page (read(2), NOTES), and a call that was cut short
/// by that has not taken all there was.
const MOST: usize = 1 << 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Read,
    Write,
}

/// One of the sockets that `--max-sockets` counts; it is given back when this is dropped.
pub(super) struct Counted(Arc<Sockets>);

impl Counted {
    /// `sockets` has counted it already.
    pub(super) fn new(sockets: &Arc<Sockets>) -> Counted {
        sockets.hold();
        Counted(Arc::clone(sockets))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// A socket that is not registered yet: what is neither connected nor listens would be reported as hung up for ever.
pub(super) struct Made {
    /// Dropped before it is given back.
    fd: OwnedFd,
    counted: Counted,
}

impl Made {
    pub(super) fn new(v6: bool, kind: SocketType, counted: Counted) -> io::Result<Made> {
        let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
        let fd = sys::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
        if v6 {
            sockopt::set_ipv6_v6only(&fd, true)?;
        }
        Ok(Made { fd, counted })
    }

    /// `has_room` says that a write need not wait for tokio's first word: so it is with all that is not connecting.
    pub(super) fn register(self, interest: Interest, has_room: bool) -> io::Result<Socket> {
        let Made { fd, counted } = self;
        // SAFETY: an `OwnedFd` has one descriptor, open, until it is dropped; and nobody takes it out of there.
        let fd = unsafe { AsyncFd::register_with_interest(fd, interest) }?;
        Ok(Socket { fd, has_room: AtomicBool::new(has_room), _counted: counted })
    }
}

impl AsFd for Made {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A socket that is registered with tokio.
pub(super) struct Socket {
    /// Dropped before it is given back.
    fd: AsyncFd<OwnedFd>,
    has_room: AtomicBool,
    _counted: Counted,
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.get_ref().as_fd()
    }
}

impl Socket {
    /// Waits until a side is ready, which is a hint.
    pub(super) fn poll_ready(&self, side: Side, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if side == Side::Write && self.has_room.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        self.poll_guard(side, cx).map_ok(|_| ())
    }

    fn poll_guard(&self, side: Side, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'_, OwnedFd>>> {
        match side {
            Side::Read => self.fd.poll_read_ready(cx),
            Side::Write => self.fd.poll_write_ready(cx),
        }
    }

    /// Does something on a side as soon as it can be done. `took_all` tells of a result whether nothing is left to do then: with
    /// an edge-triggered poller that means that the next thing to happen is reported (epoll(7), question 9).
    fn poll_do<T>(
        &self,
        side: Side,
        cx: &mut Context<'_>,
        mut call: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
        took_all: impl FnOnce(&T) -> bool,
    ) -> Poll<io::Result<T>> {
        if side == Side::Write && self.has_room.load(Ordering::Relaxed) {
            self.has_room.store(false, Ordering::Relaxed);
            match call(self.as_fd()) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                done => return Poll::Ready(done.map_err(io::Error::from)),
            }
        }
        loop {
            // Taken before the call, so that what happens meanwhile is not forgotten with it.
            let mut guard = ready!(self.poll_guard(side, cx))?;
            match call(self.as_fd()) {
                Ok(value) => {
                    if took_all(&value) {
                        guard.clear_ready();
                    }
                    return Poll::Ready(Ok(value));
                }
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                Err(errno) => return Poll::Ready(Err(errno.into())),
            }
        }
    }

    /// Sends a datagram.
    pub(super) fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        data: &[u8],
        addr: Option<&SocketAddr>,
    ) -> Poll<io::Result<()>> {
        let call = |fd: BorrowedFd<'_>| match addr {
            Some(addr) => sys::sendto(fd, data, SendFlags::NOSIGNAL, addr),
            None => sys::send(fd, data, SendFlags::NOSIGNAL),
        };
        self.poll_do(Side::Write, cx, call, |_| false).map_ok(|_| ())
    }

    /// Receives a datagram and the address of its sender; what does not fit into `buf` is lost.
    pub(super) fn poll_receive_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let call = |fd: BorrowedFd<'_>| {
            let (n, _, addr) = sys::recvfrom(fd, &mut *buf, RecvFlags::empty())?;
            Ok((n, SocketAddr::try_from(addr.ok_or(Errno::DESTADDRREQ)?)?))
        };
        self.poll_do(Side::Read, cx, call, |_| false)
    }

    /// Reads into `buf`, which is not empty; 0 is the end.
    pub(super) fn poll_receive(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let room = buf.len().min(MOST);
        let buf = &mut buf[..room];
        let call = |fd: BorrowedFd<'_>| sys::recv(fd, &mut *buf, RecvFlags::empty()).map(|(n, _)| n);
        self.poll_do(Side::Read, cx, call, |&n| 0 < n && n < room)
    }

    /// Writes what there is room for, at least a byte.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let buf = &buf[..buf.len().min(MOST)];
        self.poll_do(Side::Write, cx, |fd| sys::send(fd, buf, SendFlags::NOSIGNAL), |&n| n < buf.len())
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        self.poll_do(Side::Read, cx, |fd| sys::accept_with(fd, flags), |_| false)
    }

    /// What a listener has accepted.
    pub(super) fn accepted(fd: OwnedFd, counted: Counted) -> io::Result<Socket> {
        Made { fd, counted }.register(Interest::READABLE | Interest::WRITABLE, true)
    }

    /// Waits until the connect that is under way has ended.
    pub(super) fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_ready(Side::Write, cx))?;
        Poll::Ready(match sockopt::socket_error(self.as_fd())? {
            Ok(()) => Ok(()),
            Err(errno) => Err(errno.into()),
        })
    }

    pub(super) fn shutdown(&self, how: Shutdown) {
        // It fails if the peer has gone, and then there is nothing to do.
        let _ = sys::shutdown(
            self.as_fd(),
            match how {
                Shutdown::Read => sys::Shutdown::Read,
                Shutdown::Write => sys::Shutdown::Write,
                Shutdown::Both => sys::Shutdown::Both,
            },
        );
    }
}

pub(super) fn local_addr(fd: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    Ok(sys::getsockname(fd)?.try_into()?)
}

pub(super) fn peer_addr(fd: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    let addr = sys::getpeername(fd)?.ok_or(Errno::NOTCONN)?;
    Ok(addr.try_into()?)
}
