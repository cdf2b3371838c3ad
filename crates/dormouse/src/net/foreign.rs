//! What a loop that is not ours needs of a socket: to try once, and to park a waker without trying. See
//! [`foreign`](crate::foreign).

use std::cell::Cell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};

use super::addr::reachable;
use super::{TcpListener, TcpStream, UdpSocket};
use crate::foreign;
use crate::sys::Side;

impl From<foreign::Side> for Side {
    fn from(side: foreign::Side) -> Side {
        match side {
            foreign::Side::Read => Side::Read,
            foreign::Side::Write => Side::Write,
        }
    }
}

macro_rules! park {
    ($($socket:ty),*) => {$(
        impl $socket {
            /// Has `waker` called, once, when an operation on this side is worth another try: when the host says so, the
            /// deadline passes, or it is closed. Of each clone and each side the latest waker counts. A hint, as readiness is.
            /// For [loops that are not ours](crate::foreign); all others await an operation.
            ///
            /// # Errors
            /// `TimedOut` if the deadline has passed, one that [`is_closed`](super::is_closed) recognises if it is closed, and what
            /// the host says if it cannot wait for that. Outside of any runtime.
            pub fn park(&self, side: foreign::Side, waker: &Waker) -> io::Result<()> {
                self.handle.park(side.into(), waker)
            }

            /// Ready if the host has said, since an operation on this side said `WouldBlock` or this did, that it is worth another
            /// try; `asked` is where the caller keeps whether it has asked, false at first and after each `WouldBlock`. Parks the waker as
            /// [`park`](Self::park) does.
            ///
            /// # Errors
            /// Those of [`park`](Self::park).
            pub fn poll_ready(
                &self,
                side: foreign::Side,
                asked: &Cell<bool>,
                cx: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                if asked.get() && !self.handle.is_armed(side.into()) {
                    return Poll::Ready(Ok(()));
                }
                asked.set(true);
                self.handle.with(|socket| {
                    crate::sys::begin(socket, side.into());
                    Ok(())
                })?;
                match self.handle.park(side.into(), cx.waker()) {
                    Ok(()) => Poll::Pending,
                    Err(error) => Poll::Ready(Err(error)),
                }
            }

            /// Takes the waker off again.
            pub fn unpark(&self, side: foreign::Side) {
                self.handle.unpark(side.into());
            }
        }
    )*};
}

park!(TcpListener, TcpStream, UdpSocket);

/// The descriptor that a socket has on wasip1, as long as it is not closed.
#[cfg(all(target_os = "wasi", target_env = "p1"))]
macro_rules! descriptor {
    ($($socket:ty),*) => {$(
        impl $socket {
            /// The descriptor, which stays this socket's: for what asks a descriptor for its options. wasip1 only. `None` if it is closed.
            pub fn descriptor(&self) -> Option<std::os::fd::RawFd> {
                let fd = self.handle.with(|socket| Ok(socket.fd())).ok()??;
                std::os::fd::RawFd::try_from(fd).ok()
            }
        }
    )*};
}

#[cfg(all(target_os = "wasi", target_env = "p1"))]
descriptor!(TcpListener, TcpStream);

impl TcpListener {
    /// [`accept`](Self::accept) that does not wait.
    ///
    /// # Errors
    /// As [`accept`](Self::accept), and `WouldBlock` if there is no connection, or while the listener pauses: [`park`](Self::park) waits
    /// for the end of that as well.
    pub fn try_accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let accepted = self.handle.try_once(Side::Read, |listener| listener.try_accept());
        self.conclude(accepted)
    }
}

impl TcpStream {
    /// [`peek`](Self::peek) that does not wait.
    ///
    /// # Errors
    /// As [`peek`](Self::peek), and `WouldBlock` if nothing has come.
    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.handle.try_once(Side::Read, |stream| stream.try_peek(buf))
    }

    /// [`read`](Self::read) that does not wait.
    ///
    /// # Errors
    /// As [`read`](Self::read), and `WouldBlock` if nothing has come. After a read that did not fill its buffer it may say so once without
    /// asking the host again: what is waited for then is due at the next wait.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.handle.try_once(Side::Read, |stream| stream.try_read(buf))
    }

    /// [`read_vectored`](Self::read_vectored) that does not wait.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read).
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.handle.try_once(Side::Read, |stream| stream.try_read_vectored(bufs))
    }

    /// [`write_vectored`](Self::write_vectored) that does not wait.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.handle.try_once(Side::Write, |stream| stream.try_write_vectored(bufs))
    }

    /// [`write`](Self::write) that does not wait.
    ///
    /// # Errors
    /// As [`write`](Self::write), and `WouldBlock` if there is no room.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.handle.try_once(Side::Write, |stream| stream.try_write(buf))
    }
}

impl UdpSocket {
    /// [`recv_from`](Self::recv_from) that does not wait.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and `WouldBlock` if nothing has come.
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.handle.try_once(Side::Read, |socket| socket.try_receive(buf, false))
    }

    /// [`peek_from`](Self::peek_from) that does not wait.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and `WouldBlock` if nothing has come.
    pub fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.handle.try_once(Side::Read, |socket| socket.try_receive(buf, true))
    }

    /// [`send`](Self::send) that does not wait.
    ///
    /// # Errors
    /// As [`send`](Self::send), and `WouldBlock` if there is no room.
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        self.handle.try_once(Side::Write, |socket| socket.try_send(buf, None))
    }

    /// [`send_to`](Self::send_to) that does not wait.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to), and `WouldBlock` if there is no room.
    pub fn try_send_to(&self, buf: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.handle.try_once(Side::Write, |socket| socket.try_send(buf, Some(reachable(to))))
    }
}
