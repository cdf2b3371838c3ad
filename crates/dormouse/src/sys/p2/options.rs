//! Options of sockets.

use std::io;

use wasip2::sockets::network::ErrorCode;

use super::{Source, net};
use crate::sys::Setting;
use crate::sys::wasi::facts;

impl Source {
    pub(crate) fn set(&self, setting: Setting, value: u64) -> io::Result<()> {
        let hops = || u8::try_from(value).map_err(|_| ErrorCode::InvalidArgument);
        let count = || u32::try_from(value).unwrap_or(u32::MAX);
        let result = if let Ok(udp) = self.udp_socket() {
            match setting {
                Setting::HopLimit => hops().and_then(|hops| udp.set_unicast_hop_limit(hops)),
                Setting::ReceiveBuffer => udp.set_receive_buffer_size(value),
                Setting::SendBuffer => udp.set_send_buffer_size(value),
                _ => return unsupported(),
            }
        } else {
            let tcp = self.socket()?;
            match setting {
                Setting::Keepalive => tcp.set_keep_alive_enabled(value != 0),
                Setting::KeepaliveIdle => tcp.set_keep_alive_idle_time(value),
                Setting::KeepaliveInterval => tcp.set_keep_alive_interval(value),
                Setting::KeepaliveCount => tcp.set_keep_alive_count(count()),
                Setting::HopLimit => hops().and_then(|hops| tcp.set_hop_limit(hops)),
                Setting::ReceiveBuffer => tcp.set_receive_buffer_size(value),
                Setting::SendBuffer => tcp.set_send_buffer_size(value),
            }
        };
        result.map_err(net::error)
    }

    pub(crate) fn get(&self, setting: Setting) -> io::Result<u64> {
        let result = if let Ok(udp) = self.udp_socket() {
            match setting {
                Setting::HopLimit => udp.unicast_hop_limit().map(u64::from),
                Setting::ReceiveBuffer => udp.receive_buffer_size(),
                Setting::SendBuffer => udp.send_buffer_size(),
                _ => return unsupported(),
            }
        } else {
            let tcp = self.socket()?;
            match setting {
                Setting::Keepalive => tcp.keep_alive_enabled().map(u64::from),
                Setting::KeepaliveIdle => tcp.keep_alive_idle_time(),
                Setting::KeepaliveInterval => tcp.keep_alive_interval(),
                Setting::KeepaliveCount => tcp.keep_alive_count().map(u64::from),
                Setting::HopLimit => tcp.hop_limit().map(u64::from),
                Setting::ReceiveBuffer => tcp.receive_buffer_size(),
                Setting::SendBuffer => tcp.send_buffer_size(),
            }
        };
        result.map_err(net::error)
    }

    pub(crate) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket()?;
        facts::set_nodelay(nodelay)
    }

    pub(crate) fn nodelay(&self) -> io::Result<bool> {
        self.socket()?;
        facts::nodelay()
    }
}

fn unsupported<T>() -> io::Result<T> {
    Err(crate::base::error(io::ErrorKind::Unsupported, "WASI 0.2 has no such option for this kind of socket"))
}
