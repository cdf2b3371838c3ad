//! A socket before it listens or is connected.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::{TcpListener, TcpStream};
use crate::local::Local;

/// A TCP socket that neither listens nor is connected.
///
/// tokio's `bind` does not wait and Dormouse's does, so it is done by what comes next, which fails with its error.
pub struct TcpSocket {
    io: Local<dormouse::net::TcpSocket>,
    bound: Local<Cell<Option<SocketAddr>>>,
}

impl TcpSocket {
    pub fn new_v4() -> io::Result<TcpSocket> {
        Self::of(dormouse::net::TcpSocket::new_v4()?)
    }

    pub fn new_v6() -> io::Result<TcpSocket> {
        Self::of(dormouse::net::TcpSocket::new_v6()?)
    }

    fn of(socket: dormouse::net::TcpSocket) -> io::Result<TcpSocket> {
        Ok(TcpSocket { io: Local(socket), bound: Local(Cell::new(None)) })
    }

    /// The address that it is bound to when it listens or connects.
    ///
    /// # Errors
    /// `InvalidInput` if it has one already.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        match self.bound.replace(Some(addr)) {
            None => Ok(()),
            Some(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "the socket is bound already")),
        }
    }

    /// The address that was asked for: with port 0 the host has not chosen one yet.
    ///
    /// # Errors
    /// If it is not bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.bound.get().map_or_else(|| self.io.local_addr(), Ok)
    }

    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        let TcpSocket { io, bound } = self;
        let connect = async move {
            let (Local(io), Local(bound)) = (io, bound);
            if let Some(bound) = bound.get() {
                io.bind(bound).await?;
            }
            io.connect(addr).await
        };
        Ok(TcpStream::from(Local(connect).await?))
    }

    /// tokio's does not wait, and neither does this: hosts bind and listen at once.
    ///
    /// # Errors
    /// What the host says; `WouldBlock` if it asks to wait.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let Local(io) = self.io;
        if let Some(bound) = self.bound.get() {
            now(io.bind(bound))?;
        }
        Ok(TcpListener::from(now(io.listen(backlog))?))
    }

    /// WASI's sockets can always be bound again to an address in `TIME_WAIT`.
    pub fn set_reuseaddr(&self, _reuseaddr: bool) -> io::Result<()> {
        Ok(())
    }

    pub fn reuseaddr(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// # Errors
    /// `Unsupported`: WASI has no such option.
    pub fn set_reuseport(&self, reuseport: bool) -> io::Result<()> {
        match reuseport {
            false => Ok(()),
            true => super::unsupported("SO_REUSEPORT"),
        }
    }

    pub fn reuseport(&self) -> io::Result<bool> {
        Ok(false)
    }

    pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        match keepalive {
            true => self.io.set_keepalive(Some(&dormouse::net::Keepalive::default())),
            false => self.io.set_keepalive(None),
        }
    }

    pub fn keepalive(&self) -> io::Result<bool> {
        Ok(self.io.keepalive()?.is_some())
    }

    pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        self.io.set_send_buffer_size(size as usize)
    }

    pub fn send_buffer_size(&self) -> io::Result<u32> {
        Ok(self.io.send_buffer_size()? as u32)
    }

    pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
        self.io.set_recv_buffer_size(size as usize)
    }

    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        Ok(self.io.recv_buffer_size()? as u32)
    }

    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.io.set_nodelay(nodelay)
    }

    pub fn nodelay(&self) -> io::Result<bool> {
        self.io.nodelay()
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
            Some(_) => super::unsupported("lingering"),
        }
    }

    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }
}

/// What a future gives that does not wait.
fn now<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.io, f)
    }
}
