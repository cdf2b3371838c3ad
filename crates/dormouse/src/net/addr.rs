//! What can be given as an address.

use std::future::{Future, ready};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::TcpSocket;
use super::lookup::lookup;
use super::race::race;
use super::socket::CONNECT;

/// Something that names one or more socket addresses: a [`SocketAddr`], an IP address with a port, or text such as
/// `"127.0.0.1:8080"`, `"[::1]:8080"`, `"[fe80::1%2]:8080"` and `"localhost:8080"`. Host names are looked up, which lets other
/// tasks run; natively also the name of an interface, as in `"[fe80::1%eth0]:8080"`. A name has no control characters, no
/// space, none of `#%+/:<>?@[\]^|`, and at most 254 bytes.
///
/// This trait cannot be implemented outside of Dormouse.
pub trait ToSocketAddrs: sealed::Sealed {}

pub(crate) mod sealed {
    use std::future::Future;
    use std::io;
    use std::net::SocketAddr;

    use crate::net::TcpSocket;

    /// Each type has futures of its own, so that a program that names no host links no lookup and no race.
    pub trait Sealed {
        /// The addresses, of which there is at least one.
        ///
        /// # Errors
        /// `InvalidInput` for what is neither address nor name, and those of a lookup.
        fn resolve(&self) -> impl Future<Output = io::Result<Vec<SocketAddr>>>;

        /// A socket that is connected to one of them.
        fn connect(&self) -> impl Future<Output = io::Result<TcpSocket>>;
    }
}

/// What a text names.
#[derive(Debug, PartialEq, Eq)]
enum Named<'a> {
    Address(SocketAddr),
    Host(&'a str, u16),
}

macro_rules! literal {
    ($($kind:ty),*) => {$(
        impl ToSocketAddrs for $kind {}
        impl sealed::Sealed for $kind {
            fn resolve(&self) -> impl Future<Output = io::Result<Vec<SocketAddr>>> {
                ready(Ok(vec![(*self).into()]))
            }

            fn connect(&self) -> impl Future<Output = io::Result<TcpSocket>> {
                TcpSocket::open(vec![(*self).into()], &[CONNECT])
            }
        }
    )*};
}

literal!(
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16),
    ([u8; 4], u16),
    ([u16; 8], u16)
);

/// Texts, which may name a host: how each is read.
macro_rules! text {
    ($($kind:ty: $read:expr),* $(,)?) => {$(
        impl ToSocketAddrs for $kind {}
        impl sealed::Sealed for $kind {
            async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
                let read: for<'a> fn(&'a $kind) -> io::Result<Named<'a>> = $read;
                resolve(read(self)).await
            }

            async fn connect(&self) -> io::Result<TcpSocket> {
                race(self.resolve().await?).await
            }
        }
    )*};
}

text!(
    str: |text| read(text),
    String: |text| read(text),
    (&str, u16): |&(host, port)| read_host(host, port),
    (String, u16): |(host, port)| read_host(host, *port),
);

impl ToSocketAddrs for [SocketAddr] {}
impl sealed::Sealed for [SocketAddr] {
    fn resolve(&self) -> impl Future<Output = io::Result<Vec<SocketAddr>>> {
        ready(if self.is_empty() { Err(none()) } else { Ok(self.to_vec()) })
    }

    /// In turn, as std does it.
    fn connect(&self) -> impl Future<Output = io::Result<TcpSocket>> {
        TcpSocket::open(self.to_vec(), &[CONNECT])
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {}
impl<T: sealed::Sealed + ?Sized> sealed::Sealed for &T {
    fn resolve(&self) -> impl Future<Output = io::Result<Vec<SocketAddr>>> {
        (**self).resolve()
    }

    fn connect(&self) -> impl Future<Output = io::Result<TcpSocket>> {
        (**self).connect()
    }
}

async fn resolve(named: io::Result<Named<'_>>) -> io::Result<Vec<SocketAddr>> {
    match named? {
        Named::Address(addr) => Ok(vec![addr]),
        Named::Host(host, port) => lookup(host, port).await,
    }
}

fn read(text: &str) -> io::Result<Named<'_>> {
    if let Ok(addr) = text.parse() {
        return Ok(Named::Address(addr));
    }
    match text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        // `[fe80::1%eth0]:80`: std reads numbers there and no names.
        Some((host, port)) => {
            let zoned =
                host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).filter(|host| host.contains('%'));
            read_host(zoned.unwrap_or(host), port)
        }
        None => Err(invalid(text)),
    }
}

fn read_host(host: &str, port: u16) -> io::Result<Named<'_>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(Named::Address(SocketAddr::new(ip, port)));
    }
    let (name, zone) = host.split_once('%').map_or((host, None), |(name, zone)| (name, Some(zone)));
    match (zone, name.parse::<Ipv6Addr>()) {
        (None, _) if is_name(name) => Ok(Named::Host(host, port)),
        (Some(zone), Ok(ip)) if is_name(zone) => match zone.parse() {
            Ok(scope) => Ok(Named::Address(SocketAddrV6::new(ip, port, 0, scope).into())),
            // The name of an interface. The system knows it, if any does.
            Err(_) => Ok(Named::Host(host, port)),
        },
        _ => Err(invalid(host)),
    }
}

/// The longest name of a host, in bytes, with a dot at its end (RFC 1035 2.3.4: 255 with the lengths of its parts).
const LONGEST_NAME: usize = 254;

/// True if this can be the name of a host or of an interface. Resolvers differ in what they do with the rest: C strings end at
/// a NUL, and wasmtime decodes what follows a `%`.
fn is_name(text: &str) -> bool {
    let refused = |byte: u8| b" #%+/:<>?@[\\]^|".contains(&byte);
    !text.is_empty() && is_harmless(text) && !text.bytes().any(refused)
}

/// True if a message may show it: it neither fills a terminal nor controls it.
fn is_harmless(text: &str) -> bool {
    text.len() <= LONGEST_NAME && !text.contains(char::is_control)
}

/// The address at which a peer with this one is reached: of `0.0.0.0` and `[::]`, on which a server listens, it is this
/// machine's loopback address. Linux takes them for it; WASI and Windows refuse them.
pub(super) fn reachable(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    addr
}

/// Nothing was named.
pub(super) fn none() -> io::Error {
    crate::io::error(io::ErrorKind::InvalidInput, "no address was given")
}

fn invalid(text: &str) -> io::Error {
    let text = if is_harmless(text) { text } else { "…" };
    crate::io::error(
        io::ErrorKind::InvalidInput,
        format!(
            "'{text}' is no socket address: write HOST:PORT, for example localhost:8080, 127.0.0.1:8080 or [::1]:8080"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_addresses_are_read_as_std_reads_them() {
        let v4: SocketAddr = ([127, 0, 0, 1], 80).into();
        let v6: SocketAddr = "[::1]:80".parse().unwrap();
        assert_eq!(read("127.0.0.1:80").unwrap(), Named::Address(v4));
        assert_eq!(read("[::1]:80").unwrap(), Named::Address(v6));
        assert_eq!(read_host("127.0.0.1", 80).unwrap(), Named::Address(v4));
        assert_eq!(read_host("::1", 80).unwrap(), Named::Address(v6));
    }

    #[test]
    fn the_zone_of_an_address_is_a_number_or_the_name_of_an_interface() {
        let numbered = |ip: &str, zone| SocketAddr::V6(SocketAddrV6::new(ip.parse().unwrap(), 80, 0, zone));
        for text in ["[fe80::1%3]:80", "fe80::1%3:80"] {
            assert_eq!(read(text).unwrap(), Named::Address(numbered("fe80::1", 3)), "{text}");
        }
        assert_eq!(read_host("fe80::1%3", 80).unwrap(), Named::Address(numbered("fe80::1", 3)));
        assert_eq!(read_host("::1%1", 80).unwrap(), Named::Address(numbered("::1", 1)));
        for text in ["[fe80::1%eth0]:80", "fe80::1%eth0:80"] {
            assert_eq!(read(text).unwrap(), Named::Host("fe80::1%eth0", 80), "{text}");
        }
        assert_eq!(read_host("fe80::1%eth0", 80).unwrap(), Named::Host("fe80::1%eth0", 80));
        for nonsense in
            ["fe80::1%:80", "fe80::1%a%b:80", "fe80::1%a\0b:80", "127.0.0.1%lo:80", "name%lo:80", "[::1%+1]:80"]
        {
            assert_eq!(read(nonsense).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{nonsense:?}");
        }
    }

    #[test]
    fn what_is_no_name_is_not_handed_to_a_resolver() {
        let (long, longest) = ("a".repeat(10_000), format!("{}.", "a.b".repeat(84) + "c"));
        assert_eq!(longest.len(), LONGEST_NAME);
        assert_eq!(read_host(&longest, 80).unwrap(), Named::Host(&longest, 80));
        let bytes: String = (0..=b' ').chain(0x7f..0xa0).map(char::from).collect();
        for name in [&long, "", "a\0b", "%6cocalhost", "a\\b", "a@b", "a#b", "a?b"] {
            assert_eq!(read_host(name, 80).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
        for byte in bytes.chars() {
            let error = read_host(&format!("a{byte}b"), 80).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{byte:?}");
            assert!(!error.to_string().contains(|c: char| c.is_control()), "{error:?}");
        }
        assert!(read_host(&long, 80).unwrap_err().to_string().len() < 500);
    }

    #[test]
    fn what_is_no_address_is_a_name_or_invalid() {
        assert_eq!(read("localhost:80").unwrap(), Named::Host("localhost", 80));
        for nonsense in ["", "127.0.0.1", ":80", "::1:80:", "1.2.3.4:99999", "[::1:80", "a b:80", "http://x:80"] {
            assert_eq!(read(nonsense).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{nonsense:?}");
        }
    }
}
