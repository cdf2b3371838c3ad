//! Options of sockets.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use super::Source;
use crate::sys::Setting;

impl Source {
    pub(crate) fn set(&self, setting: Setting, value: u64) -> io::Result<()> {
        let socket = SockRef::from(self);
        let size = usize::try_from(value).unwrap_or(usize::MAX);
        if value == 0 && setting != Setting::Keepalive {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match setting {
            Setting::Keepalive => socket.set_keepalive(value != 0),
            Setting::KeepaliveIdle => socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(seconds(value))),
            Setting::KeepaliveInterval => socket.set_tcp_keepalive(&TcpKeepalive::new().with_interval(seconds(value))),
            #[cfg(unix)]
            Setting::KeepaliveCount => socket.set_tcp_keepalive(
                &TcpKeepalive::new().with_retries(u32::try_from(value).unwrap_or(u32::MAX)),
            ),
            #[cfg(windows)]
            Setting::KeepaliveCount => Err(io::ErrorKind::Unsupported.into()),
            Setting::HopLimit if value > 255 => Err(io::ErrorKind::InvalidInput.into()),
            Setting::HopLimit => match self.is_v6()? {
                true => socket.set_unicast_hops_v6(value as u32),
                false => socket.set_ttl_v4(value as u32),
            },
            Setting::ReceiveBuffer => socket.set_recv_buffer_size(size),
            Setting::SendBuffer => socket.set_send_buffer_size(size),
        }
    }

    pub(crate) fn get(&self, setting: Setting) -> io::Result<u64> {
        let socket = SockRef::from(self);
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Ok(match setting {
            Setting::Keepalive => socket.keepalive()?.into(),
            #[cfg(unix)]
            Setting::KeepaliveIdle => nanos(socket.tcp_keepalive_time()?),
            #[cfg(unix)]
            Setting::KeepaliveInterval => nanos(socket.tcp_keepalive_interval()?),
            #[cfg(unix)]
            Setting::KeepaliveCount => socket.tcp_keepalive_retries()?.into(),
            #[cfg(windows)]
            Setting::KeepaliveIdle | Setting::KeepaliveInterval | Setting::KeepaliveCount => {
                let _ = nanos;
                return Err(io::ErrorKind::Unsupported.into());
            }
            Setting::HopLimit => match self.is_v6()? {
                true => socket.unicast_hops_v6()?.into(),
                false => socket.ttl_v4()?.into(),
            },
            Setting::ReceiveBuffer => socket.recv_buffer_size()? as u64,
            Setting::SendBuffer => socket.send_buffer_size()? as u64,
        })
    }

    pub(crate) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        SockRef::from(self).set_tcp_nodelay(nodelay)
    }

    pub(crate) fn nodelay(&self) -> io::Result<bool> {
        SockRef::from(self).tcp_nodelay()
    }

    fn is_v6(&self) -> io::Result<bool> {
        Ok(SockRef::from(self).local_addr()?.is_ipv6())
    }
}

/// The system counts in seconds, and takes no 0.
fn seconds(nanos: u64) -> Duration {
    Duration::from_secs(nanos.div_ceil(1_000_000_000).max(1))
}
