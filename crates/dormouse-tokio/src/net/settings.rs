//! Options of sockets, as they go from a stand-in to Dormouse's socket and back.

use std::io;
use std::time::Duration;

use dormouse::net::Keepalive;
use socket2::{Socket, TcpKeepalive};

/// Options, as far as they are known.
#[derive(Clone, Default)]
pub(super) struct Settings {
    keepalive: Option<bool>,
    idle: Option<Duration>,
    interval: Option<Duration>,
    count: Option<u32>,
    /// Dormouse's sockets have none to set; tokio's remember it.
    pub(super) nodelay: Option<bool>,
    recv_buffer: Option<usize>,
    send_buffer: Option<usize>,
    ttl: Option<u32>,
}

/// A socket of Dormouse's, as far as options go.
pub(super) trait Takes {
    fn is_v6(&self) -> bool;
    fn settings(&self) -> Settings;
    fn take(&self, settings: &Settings) -> io::Result<()>;
}

impl Settings {
    /// Those of a socket of wasi-libc's.
    pub(super) fn of(socket: &Socket) -> Settings {
        Settings {
            keepalive: socket.keepalive().ok(),
            idle: socket.tcp_keepalive_time().ok(),
            interval: socket.tcp_keepalive_interval().ok(),
            count: socket.tcp_keepalive_retries().ok(),
            nodelay: socket.tcp_nodelay().ok(),
            recv_buffer: socket.recv_buffer_size().ok(),
            send_buffer: socket.send_buffer_size().ok(),
            // A socket of one family has no such option of the other.
            ttl: socket.ttl_v4().or_else(|_| socket.unicast_hops_v6()).ok(),
        }
    }

    /// Those that are others than they were.
    pub(super) fn since(&self, before: &Settings) -> Settings {
        fn changed<T: PartialEq + Copy>(now: Option<T>, before: Option<T>) -> Option<T> {
            now.filter(|_| now != before)
        }
        let is_on = self.keepalive == Some(true);
        let idle = changed(self.idle, before.idle).filter(|_| is_on);
        let interval = changed(self.interval, before.interval).filter(|_| is_on);
        let count = changed(self.count, before.count).filter(|_| is_on);
        let is_timed = idle.is_some() || interval.is_some() || count.is_some();
        Settings {
            // They are set together.
            keepalive: if is_timed { Some(true) } else { changed(self.keepalive, before.keepalive) },
            idle,
            interval,
            count,
            nodelay: changed(self.nodelay, before.nodelay),
            recv_buffer: changed(self.recv_buffer, before.recv_buffer),
            send_buffer: changed(self.send_buffer, before.send_buffer),
            ttl: changed(self.ttl, before.ttl),
        }
    }

    /// Sets them on a stand-in. What it does not take it does not show.
    pub(super) fn fill(&self, socket: &Socket) {
        let mut keepalive = TcpKeepalive::new();
        if let Some(idle) = self.idle {
            keepalive = keepalive.with_time(idle);
        }
        if let Some(interval) = self.interval {
            keepalive = keepalive.with_interval(interval);
        }
        if let Some(count) = self.count {
            keepalive = keepalive.with_retries(count);
        }
        if self.keepalive == Some(true) {
            let _ = socket.set_tcp_keepalive(&keepalive);
        }
        if let Some(nodelay) = self.nodelay {
            let _ = socket.set_tcp_nodelay(nodelay);
        }
        if let Some(bytes) = self.recv_buffer {
            let _ = socket.set_recv_buffer_size(bytes);
        }
        if let Some(bytes) = self.send_buffer {
            let _ = socket.set_send_buffer_size(bytes);
        }
        if let Some(ttl) = self.ttl {
            let _ = socket.set_ttl_v4(ttl).or_else(|_| socket.set_unicast_hops_v6(ttl));
        }
    }

    fn keepalive(&self) -> Keepalive {
        Keepalive { idle: self.idle, interval: self.interval, count: self.count }
    }
}

macro_rules! takes {
    (@get tcp $socket:ident $settings:ident) => {
        if let Ok(keepalive) = $socket.keepalive() {
            $settings.keepalive = Some(keepalive.is_some());
            if let Some(keepalive) = keepalive {
                $settings.idle = keepalive.idle;
                $settings.interval = keepalive.interval;
                $settings.count = keepalive.count;
            }
        }
    };
    (@get udp $socket:ident $settings:ident) => {};
    (@set tcp $socket:ident $settings:ident) => {
        match $settings.keepalive {
            Some(true) => $socket.set_keepalive(Some(&$settings.keepalive()))?,
            Some(false) => $socket.set_keepalive(None)?,
            None => {}
        }
    };
    (@set udp $socket:ident $settings:ident) => {};
    ($($kind:ident $socket:ty),*) => {$(
        impl Takes for $socket {
            fn is_v6(&self) -> bool {
                self.local_addr().is_ok_and(|addr| addr.is_ipv6())
            }

            fn settings(&self) -> Settings {
                #[allow(unused_mut)]
                let mut settings = Settings {
                    recv_buffer: self.recv_buffer_size().ok(),
                    send_buffer: self.send_buffer_size().ok(),
                    ttl: self.ttl().ok(),
                    ..Settings::default()
                };
                takes!(@get $kind self settings);
                settings
            }

            fn take(&self, settings: &Settings) -> io::Result<()> {
                takes!(@set $kind self settings);
                if let Some(bytes) = settings.recv_buffer {
                    self.set_recv_buffer_size(bytes)?;
                }
                if let Some(bytes) = settings.send_buffer {
                    self.set_send_buffer_size(bytes)?;
                }
                match settings.ttl {
                    Some(ttl) => self.set_ttl(ttl),
                    None => Ok(()),
                }
            }
        }
    )*};
}

takes!(
    tcp dormouse::net::TcpSocket,
    tcp dormouse::net::TcpStream,
    tcp dormouse::net::TcpListener,
    udp dormouse::net::UdpSocket
);

impl Takes for super::TcpStream {
    fn is_v6(&self) -> bool {
        self.io.is_v6()
    }

    fn settings(&self) -> Settings {
        Settings { nodelay: Some(self.remembered_nodelay()), ..self.io.settings() }
    }

    fn take(&self, settings: &Settings) -> io::Result<()> {
        if let Some(nodelay) = settings.nodelay {
            self.remember_nodelay(nodelay);
        }
        self.io.take(settings)
    }
}

/// Of a socket without an address nothing tells the family.
impl Takes for super::socket::Unconnected {
    fn is_v6(&self) -> bool {
        self.is_v6
    }

    fn settings(&self) -> Settings {
        self.io.settings()
    }

    fn take(&self, settings: &Settings) -> io::Result<()> {
        self.io.take(settings)
    }
}

macro_rules! takes_as_ours {
    ($($socket:ty),*) => {$(
        impl Takes for $socket {
            fn is_v6(&self) -> bool {
                self.io.is_v6()
            }

            fn settings(&self) -> Settings {
                self.io.settings()
            }

            fn take(&self, settings: &Settings) -> io::Result<()> {
                self.io.take(settings)
            }
        }
    )*};
}

takes_as_ours!(super::TcpListener, super::UdpSocket);
