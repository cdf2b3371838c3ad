//! A socket before it listens or is connected.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::stand_in::{self, Place};
use super::{TcpListener, TcpStream, now, unsupported};
use crate::home::Home;
use crate::local::Local;

/// A TCP socket that neither listens nor is connected.
///
/// tokio's `bind` does not wait, and hosts bind at once. Where they do not, listening or connecting fails with what they say.
pub struct TcpSocket {
    /// Why there is none, if it is one of std's that cannot be made ours: `from_std_stream` has no way to fail.
    io: Local<io::Result<Unconnected>>,
    nodelay: Local<Cell<bool>>,
    reuseaddr: Local<Cell<bool>>,
    place: Local<Place>,
}

/// A socket of Dormouse's, and its family.
pub(super) struct Unconnected {
    pub(super) io: dormouse::net::TcpSocket,
    pub(super) is_v6: bool,
}

impl Unconnected {
    pub(super) fn new(is_v6: bool) -> io::Result<Unconnected> {
        use dormouse::net::TcpSocket;
        Ok(Unconnected { io: if is_v6 { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?, is_v6 })
    }
}

impl TcpSocket {
    pub fn new_v4() -> io::Result<TcpSocket> {
        Ok(Self::of(Ok(Unconnected::new(false)?)))
    }

    pub fn new_v6() -> io::Result<TcpSocket> {
        Ok(Self::of(Ok(Unconnected::new(true)?)))
    }

    fn of(io: io::Result<Unconnected>) -> TcpSocket {
        TcpSocket {
            io: Local(io),
            nodelay: Local(Cell::new(false)),
            reuseaddr: Local(Cell::new(false)),
            place: Local(Place::default()),
        }
    }

    /// A socket of std's, or of socket2's, that is not connected: with its options, and on its address if it is bound. If it cannot be
    /// made ours, all that is done with it says why.
    pub fn from_std_stream(std_stream: std::net::TcpStream) -> TcpSocket {
        let nodelay = std_stream.nodelay().unwrap_or(false);
        let taken = stand_in::take_socket(std_stream).and_then(|(io, bound)| {
            bound.map_or(Ok(()), |addr| now(io.io.bind(addr)))?;
            Ok(io)
        });
        let socket = Self::of(taken);
        socket.nodelay.set(nodelay);
        socket
    }

    fn ours(&self) -> io::Result<&dormouse::net::TcpSocket> {
        let io = self.io.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
        self.place.carry(io);
        Ok(&io.io)
    }

    /// # Errors
    /// What the host says; `WouldBlock` if it asks to wait.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        now(self.ours()?.bind(addr))
    }

    /// # Errors
    /// If it is not bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.ours()?.local_addr()
    }

    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        Home::here().check()?;
        self.ours()?;
        let (Local(io), nodelay) = (self.io, self.nodelay.get());
        let connect = async move { io?.io.connect(addr).await };
        let stream = TcpStream::from(Local(connect).await?);
        stream.set_nodelay(nodelay)?;
        Ok(stream)
    }

    /// tokio's does not wait, and neither does this: hosts listen at once.
    ///
    /// # Errors
    /// What the host says; `WouldBlock` if it asks to wait.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        Home::here().check()?;
        let ours = self.ours()?;
        if ours.local_addr().is_err() {
            // As systems have it: any address of its family.
            let is_v6 = self.io.as_ref().is_ok_and(|io| io.is_v6);
            let any = if is_v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { Ipv4Addr::UNSPECIFIED.into() };
            now(ours.bind((any, 0).into()))?;
        }
        let Local(io) = self.io;
        Ok(TcpListener::from(now(io?.io.listen(backlog))?))
    }

    /// What is set is remembered: WASI's sockets can always be bound again to an address in `TIME_WAIT`.
    pub fn set_reuseaddr(&self, reuseaddr: bool) -> io::Result<()> {
        self.reuseaddr.set(reuseaddr);
        Ok(())
    }

    pub fn reuseaddr(&self) -> io::Result<bool> {
        Ok(self.reuseaddr.get())
    }

    /// # Errors
    /// `Unsupported`: WASI has no such option.
    pub fn set_reuseport(&self, reuseport: bool) -> io::Result<()> {
        match reuseport {
            false => Ok(()),
            true => unsupported("SO_REUSEPORT"),
        }
    }

    pub fn reuseport(&self) -> io::Result<bool> {
        Ok(false)
    }

    pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        match keepalive {
            true => self.ours()?.set_keepalive(Some(&dormouse::net::Keepalive::default())),
            false => self.ours()?.set_keepalive(None),
        }
    }

    pub fn keepalive(&self) -> io::Result<bool> {
        Ok(self.ours()?.keepalive()?.is_some())
    }

    pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        self.ours()?.set_send_buffer_size(size as usize)
    }

    pub fn send_buffer_size(&self) -> io::Result<u32> {
        Ok(self.ours()?.send_buffer_size()? as u32)
    }

    pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
        self.ours()?.set_recv_buffer_size(size as usize)
    }

    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        Ok(self.ours()?.recv_buffer_size()? as u32)
    }

    /// As [`TcpStream::set_nodelay`].
    ///
    /// # Errors
    /// None.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.nodelay.set(nodelay);
        Ok(())
    }

    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.nodelay.get())
    }

    /// WASI closes without waiting.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(None)
    }

    /// # Errors
    /// `Unsupported`, unless it is asked for what WASI does: to close without waiting.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        match linger {
            None => Ok(()),
            Some(_) => unsupported("lingering"),
        }
    }

    /// # Errors
    /// As [`set_linger`](Self::set_linger).
    pub fn set_zero_linger(&self) -> io::Result<()> {
        unsupported("lingering")
    }

    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }
}

/// The stand-in, for options. What is set on it is this socket's when it connects or listens.
impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &*self.io {
            Ok(io) => self.place.as_fd(io),
            Err(_) => stand_in::none(),
        }
    }
}

impl AsRawFd for TcpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl FromRawFd for TcpSocket {
    /// As [`from_std_stream`](Self::from_std_stream).
    #[allow(unsafe_code)]
    unsafe fn from_raw_fd(fd: RawFd) -> TcpSocket {
        // SAFETY: the caller says that it is an open socket which is its own.
        TcpSocket::from_std_stream(unsafe { std::net::TcpStream::from_raw_fd(fd) })
    }
}

impl IntoRawFd for TcpSocket {
    /// A socket of wasi-libc's with its options, bound as it was; that of standard error if the host has none.
    fn into_raw_fd(self) -> RawFd {
        let bound = self.local_addr().ok();
        let TcpSocket { io: Local(io), place: Local(place), .. } = self;
        let plain = io.and_then(|io| {
            let made = place.into_socket(&io)?;
            drop(io);
            stand_in::plain(made, bound)
        });
        plain.map_or(2, OwnedFd::into_raw_fd)
    }
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.io {
            Ok(io) => fmt::Debug::fmt(&io.io, f),
            Err(error) => f.debug_tuple("TcpSocket").field(error).finish(),
        }
    }
}

super::no_type_of_service!(TcpSocket);
