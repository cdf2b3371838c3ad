//! Addresses, and names that are looked up without blocking other tasks.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::local::Local;

/// What can be turned into addresses: tokio's trait, for tokio's types.
pub trait ToSocketAddrs: sealed::Sealed {}

/// The addresses of a name, from the host's resolver.
///
/// # Errors
/// `InvalidInput` for what is no address and no name with a port; what the host says of the name; `Unsupported` on wasip1.
pub async fn lookup_host<T: ToSocketAddrs>(host: T) -> io::Result<impl Iterator<Item = SocketAddr>> {
    Ok(resolve(host).await?.into_iter())
}

pub(crate) async fn resolve<T: ToSocketAddrs>(host: T) -> io::Result<Vec<SocketAddr>> {
    let target = host.target();
    drop(host);
    match target? {
        Target::Addrs(addrs) => Ok(addrs),
        Target::Name(host, port) => {
            Local(async move { Ok(dormouse::net::lookup_host((&*host, port)).await?.collect()) }).await
        }
    }
}

/// What a caller has named.
pub enum Target {
    Addrs(Vec<SocketAddr>),
    Name(String, u16),
}

impl Target {
    fn of(host: &str, port: u16) -> Target {
        match host.parse::<IpAddr>() {
            Ok(addr) => Target::Addrs(vec![(addr, port).into()]),
            Err(_) => Target::Name(host.to_owned(), port),
        }
    }
}

mod sealed {
    use std::io;

    pub trait Sealed {
        fn target(&self) -> io::Result<super::Target>;
    }
}

use sealed::Sealed;

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {}
impl<T: Sealed + ?Sized> Sealed for &T {
    fn target(&self) -> io::Result<Target> {
        (**self).target()
    }
}

macro_rules! addrs {
    ($($addr:ty),*) => {$(
        impl ToSocketAddrs for $addr {}
        impl Sealed for $addr {
            fn target(&self) -> io::Result<Target> {
                Ok(Target::Addrs(vec![SocketAddr::from(*self)]))
            }
        }
    )*};
}

addrs!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl ToSocketAddrs for [SocketAddr] {}
impl Sealed for [SocketAddr] {
    fn target(&self) -> io::Result<Target> {
        Ok(Target::Addrs(self.to_vec()))
    }
}

impl ToSocketAddrs for str {}
impl Sealed for str {
    fn target(&self) -> io::Result<Target> {
        if let Ok(addr) = self.parse() {
            return Ok(Target::Addrs(vec![addr]));
        }
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        let (host, port) = self.rsplit_once(':').ok_or_else(|| invalid("invalid socket address"))?;
        let port = port.parse().map_err(|_| invalid("invalid port value"))?;
        Ok(Target::of(host, port))
    }
}

impl ToSocketAddrs for String {}
impl Sealed for String {
    fn target(&self) -> io::Result<Target> {
        self.as_str().target()
    }
}

impl ToSocketAddrs for (&str, u16) {}
impl Sealed for (&str, u16) {
    fn target(&self) -> io::Result<Target> {
        Ok(Target::of(self.0, self.1))
    }
}

impl ToSocketAddrs for (String, u16) {}
impl Sealed for (String, u16) {
    fn target(&self) -> io::Result<Target> {
        Ok(Target::of(&self.0, self.1))
    }
}
