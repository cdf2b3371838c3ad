//! What can be given as an address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Something that names one or more socket addresses: a [`SocketAddr`], an IP address with a port, or text such as
/// `"127.0.0.1:8080"` and `"[::1]:8080"`.
///
/// Host names are not looked up yet: they are refused with `Unsupported`. This trait cannot be implemented outside of
/// Dormouse.
pub trait ToSocketAddrs: sealed::Sealed {}

pub(crate) mod sealed {
    use std::io;
    use std::net::SocketAddr;

    pub trait Sealed {
        /// # Errors
        /// `InvalidInput` for what is no address, `Unsupported` for a name.
        fn addresses(&self) -> io::Result<Vec<SocketAddr>>;
    }
}

macro_rules! literal {
    ($($kind:ty),*) => {$(
        impl ToSocketAddrs for $kind {}
        impl sealed::Sealed for $kind {
            fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
                Ok(vec![(*self).into()])
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

impl ToSocketAddrs for str {}
impl sealed::Sealed for str {
    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(addr) = self.parse() {
            return Ok(vec![addr]);
        }
        match self.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
            Some(host_and_port) => host_and_port.addresses(),
            None => Err(invalid(self)),
        }
    }
}

impl ToSocketAddrs for (&str, u16) {}
impl sealed::Sealed for (&str, u16) {
    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let (host, port) = *self;
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        if host.is_empty() || host.bytes().any(|byte| b":[] ".contains(&byte)) {
            return Err(invalid(&format!("{host}:{port}")));
        }
        Err(crate::io::error(
            io::ErrorKind::Unsupported,
            format!("look up {host}: host names are not looked up yet; give an IP address"),
        ))
    }
}

impl ToSocketAddrs for (String, u16) {}
impl sealed::Sealed for (String, u16) {
    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        (&*self.0, self.1).addresses()
    }
}

impl ToSocketAddrs for String {}
impl sealed::Sealed for String {
    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.as_str().addresses()
    }
}

impl ToSocketAddrs for [SocketAddr] {}
impl sealed::Sealed for [SocketAddr] {
    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.to_vec())
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {}
impl<T: sealed::Sealed + ?Sized> sealed::Sealed for &T {
    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        (**self).addresses()
    }
}

fn invalid(text: &str) -> io::Error {
    crate::io::error(
        io::ErrorKind::InvalidInput,
        format!("'{text}' is no socket address: write IP:PORT, for example 127.0.0.1:8080 or [::1]:8080"),
    )
}

#[cfg(test)]
mod tests {
    use super::sealed::Sealed;
    use super::*;

    #[test]
    fn literal_addresses_are_read_as_std_reads_them() {
        let v4: SocketAddr = ([127, 0, 0, 1], 80).into();
        let v6: SocketAddr = "[::1]:80".parse().unwrap();
        assert_eq!("127.0.0.1:80".addresses().unwrap(), [v4]);
        assert_eq!(String::from("[::1]:80").addresses().unwrap(), [v6]);
        assert_eq!(("127.0.0.1", 80).addresses().unwrap(), [v4]);
        assert_eq!(("::1", 80).addresses().unwrap(), [v6]);
        assert_eq!((Ipv4Addr::LOCALHOST, 80).addresses().unwrap(), [v4]);
        assert_eq!([v4, v6][..].addresses().unwrap(), [v4, v6]);
    }

    #[test]
    fn names_are_unsupported_and_nonsense_is_invalid() {
        let kind = |text: &str| text.addresses().unwrap_err().kind();
        assert_eq!(kind("localhost:80"), io::ErrorKind::Unsupported);
        for nonsense in ["", "127.0.0.1", ":80", "::1:80:", "1.2.3.4:99999", "[::1:80", "a b:80"] {
            assert_eq!(kind(nonsense), io::ErrorKind::InvalidInput, "{nonsense:?}");
        }
    }
}
