//! What std sees of a socket on wasip1: its descriptor, which a socket of Dormouse's has there.

use std::convert::Infallible;
use std::io;
use std::net;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use super::{TcpListener, TcpStream, UdpSocket, unsupported};

/// Nothing has to be made, and nothing carried over.
#[derive(Default)]
pub(super) struct Place(());

/// A socket of Dormouse's.
pub(super) trait Takes {
    fn fd(&self) -> Option<RawFd>;
}

impl Takes for TcpStream {
    fn fd(&self) -> Option<RawFd> {
        self.io.descriptor()
    }
}

impl Takes for TcpListener {
    fn fd(&self) -> Option<RawFd> {
        self.io.descriptor()
    }
}

impl Takes for UdpSocket {
    fn fd(&self) -> Option<RawFd> {
        None
    }
}

impl Takes for dormouse::net::TcpSocket {
    fn fd(&self) -> Option<RawFd> {
        None
    }
}

impl Place {
    /// That of standard error for what has none, on which each option says that it is no socket: tokio's `as_fd` has no way to fail.
    pub(super) fn as_fd<'a>(&'a self, of: &'a impl Takes) -> BorrowedFd<'a> {
        let fd = of.fd().unwrap_or(2);
        // SAFETY: the socket, which is borrowed, closes its descriptor when it is dropped, and standard error is never closed.
        #[allow(unsafe_code)]
        unsafe {
            BorrowedFd::borrow_raw(fd)
        }
    }

    pub(super) fn carry(&self, _to: &impl Takes) {}

    /// wasip1 opens no sockets.
    pub(super) fn into_socket(self, _of: &impl Takes) -> io::Result<Infallible> {
        unsupported("a socket that is not connected on wasip1")
    }
}

pub(super) fn sweep() {}

pub(super) fn give_stream(_stream: TcpStream) -> io::Result<net::TcpStream> {
    unsupported("into_std on wasip1")
}

pub(super) fn give_listener(_listener: TcpListener) -> io::Result<net::TcpListener> {
    unsupported("into_std on wasip1")
}

pub(super) fn give_udp(_socket: UdpSocket) -> io::Result<net::UdpSocket> {
    unsupported("UDP on wasip1")
}

/// The descriptor is ours from now on.
pub(super) fn take_stream(stream: net::TcpStream) -> io::Result<TcpStream> {
    let ours = dormouse::net::TcpStream::from_fd(number(&stream)?)?;
    let _ = stream.into_raw_fd();
    Ok(ours.into())
}

/// As [`take_stream`].
pub(super) fn take_listener(listener: net::TcpListener) -> io::Result<TcpListener> {
    let ours = dormouse::net::TcpListener::from_fd(number(&listener)?)?;
    let _ = listener.into_raw_fd();
    Ok(ours.into())
}

pub(super) fn take_udp(_socket: net::UdpSocket) -> io::Result<UdpSocket> {
    unsupported("UDP on wasip1")
}

pub(super) fn take_socket(_stream: net::TcpStream) -> io::Result<(dormouse::net::TcpSocket, Option<net::SocketAddr>)> {
    unsupported("from_std_stream on wasip1, which cannot connect,")
}

pub(super) fn plain(made: Infallible, _bound: Option<net::SocketAddr>) -> io::Result<OwnedFd> {
    match made {}
}

/// What stands for a socket without a descriptor.
pub(super) fn none() -> BorrowedFd<'static> {
    // SAFETY: std never closes standard error.
    #[allow(unsafe_code)]
    unsafe {
        BorrowedFd::borrow_raw(2)
    }
}

fn number(socket: &impl AsRawFd) -> io::Result<u32> {
    u32::try_from(socket.as_raw_fd()).map_err(|_| io::ErrorKind::InvalidInput.into())
}
