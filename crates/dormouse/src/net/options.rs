//! Options of sockets: each where the host has it, and `Unsupported` elsewhere.

use std::io;
use std::time::Duration;

use super::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use crate::reactor::Handle;
use crate::sys::Setting;

/// When a quiet connection is asked whether its peer is still there.
///
/// ```
/// use std::time::Duration;
/// use dormouse::net::Keepalive;
/// let keepalive = Keepalive { idle: Some(Duration::from_secs(60)), ..Keepalive::default() };
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// How long it has to be quiet before the first question; `None` leaves what the host has. Hosts count in seconds.
    pub idle: Option<Duration>,
    /// How long from one question to the next.
    pub interval: Option<Duration>,
    /// How many questions without an answer end it.
    pub count: Option<u32>,
}

fn set(handle: &Handle, setting: Setting, value: u64) -> io::Result<()> {
    handle.with(|socket| socket.set(setting, value)).map_err(|error| context(error, setting.name()))
}

fn get(handle: &Handle, setting: Setting) -> io::Result<u64> {
    handle.with(|socket| socket.get(setting)).map_err(|error| context(error, setting.name()))
}

/// Says which option it was. What is closed says just that.
#[cold]
fn context(error: io::Error, option: &str) -> io::Error {
    match super::is_closed(&error) {
        true => error,
        false => crate::io::error(error.kind(), format!("{option}: {error}")),
    }
}

fn set_keepalive(handle: &Handle, keepalive: Option<&Keepalive>) -> io::Result<()> {
    let Some(keepalive) = keepalive else { return set(handle, Setting::Keepalive, 0) };
    if let Some(idle) = keepalive.idle {
        set(handle, Setting::KeepaliveIdle, nanos(idle))?;
    }
    if let Some(interval) = keepalive.interval {
        set(handle, Setting::KeepaliveInterval, nanos(interval))?;
    }
    if let Some(count) = keepalive.count {
        set(handle, Setting::KeepaliveCount, count.into())?;
    }
    set(handle, Setting::Keepalive, 1)
}

fn keepalive(handle: &Handle) -> io::Result<Option<Keepalive>> {
    if get(handle, Setting::Keepalive)? == 0 {
        return Ok(None);
    }
    Ok(Some(Keepalive {
        idle: Some(Duration::from_nanos(get(handle, Setting::KeepaliveIdle)?)),
        interval: Some(Duration::from_nanos(get(handle, Setting::KeepaliveInterval)?)),
        count: Some(u32::try_from(get(handle, Setting::KeepaliveCount)?).unwrap_or(u32::MAX)),
    }))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

macro_rules! options {
    ($socket:ty: $($option:ident)*) => {
        impl $socket {
            $(options!(@ $option);)*
        }
    };
    (@ buffers) => {
        /// Asks for a receive buffer of about this many bytes in the host. It may take another size, and says which with
        /// [`recv_buffer_size`](Self::recv_buffer_size): Linux takes twice as many.
        ///
        /// # Errors
        /// `InvalidInput` for 0, `Unsupported` on wasip1.
        pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
            set(&self.handle, Setting::ReceiveBuffer, bytes as u64)
        }

        /// The size of the receive buffer in the host, in bytes.
        ///
        /// # Errors
        /// `Unsupported` on wasip1.
        pub fn recv_buffer_size(&self) -> io::Result<usize> {
            Ok(get(&self.handle, Setting::ReceiveBuffer)? as usize)
        }

        /// Asks for a send buffer of about this many bytes in the host; as
        /// [`set_recv_buffer_size`](Self::set_recv_buffer_size).
        ///
        /// # Errors
        /// `InvalidInput` for 0, `Unsupported` on wasip1.
        pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
            set(&self.handle, Setting::SendBuffer, bytes as u64)
        }

        /// The size of the send buffer in the host, in bytes.
        ///
        /// # Errors
        /// `Unsupported` on wasip1.
        pub fn send_buffer_size(&self) -> io::Result<usize> {
            Ok(get(&self.handle, Setting::SendBuffer)? as usize)
        }
    };
    (@ ttl) => {
        /// Over how many routers what is sent may go: IP's time to live, or hop limit, from 1 to 255.
        ///
        /// # Errors
        /// `InvalidInput` for 0 and for more than 255, `Unsupported` on wasip1.
        pub fn set_ttl(&self, hops: u32) -> io::Result<()> {
            set(&self.handle, Setting::HopLimit, hops.into())
        }

        /// Over how many routers what is sent may go.
        ///
        /// # Errors
        /// `Unsupported` on wasip1.
        pub fn ttl(&self) -> io::Result<u32> {
            Ok(get(&self.handle, Setting::HopLimit)? as u32)
        }
    };
    (@ keepalive) => {
        /// Has the host ask whether the peer of a quiet connection is still there, or not any more. What it accepts inherits
        /// it from a listener.
        ///
        /// # Errors
        /// `InvalidInput` for what is 0, `Unsupported` on wasip1.
        pub fn set_keepalive(&self, keepalive: Option<&Keepalive>) -> io::Result<()> {
            set_keepalive(&self.handle, keepalive)
        }

        /// How the host asks, if it does.
        ///
        /// # Errors
        /// `Unsupported` on wasip1.
        pub fn keepalive(&self) -> io::Result<Option<Keepalive>> {
            keepalive(&self.handle)
        }
    };
    (@ nodelay) => {
        /// Has the host send what is written at once, and not wait for an answer to what it sent before (Nagle's algorithm,
        /// `TCP_NODELAY`). Large answers to a client that delays its own take 40 ms otherwise.
        ///
        /// WASI has no such option. On wasip2 it is always on under a host that says so, as `dormouse run` does on Linux: see
        /// `FACTS.md` in the crate.
        ///
        /// # Errors
        /// `Unsupported` on wasip1, on wasip2 under a host that does not say so, and for `false` under one that does.
        pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
            self.handle.with(|socket| socket.set_nodelay(nodelay)).map_err(|error| context(error, "nodelay"))
        }

        /// Whether the host sends what is written at once.
        ///
        /// # Errors
        /// `Unsupported` on wasip1, and on wasip2 under a host that does not say so.
        pub fn nodelay(&self) -> io::Result<bool> {
            self.handle.with(|socket| socket.nodelay()).map_err(|error| context(error, "nodelay"))
        }
    };
}

options!(TcpSocket: buffers ttl keepalive nodelay);
options!(TcpStream: buffers ttl keepalive nodelay);
options!(TcpListener: buffers ttl keepalive);
options!(UdpSocket: buffers ttl);
