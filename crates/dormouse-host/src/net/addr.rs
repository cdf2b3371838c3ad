//! Addresses of a policy: what `--allow-listen`, `--allow-connect` and `--allow-udp` are given.
//!
//! ```text
//!   127.0.0.1:80   [::1]:80     one address               localhost:80      a name
//!   10.0.0.0/8:80  [fd00::/8]:* a range, to connect to    *.example.com:80  the names below one
//!   *:80                        every address
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;

use ipnet::IpNet;

use super::names::{Known, Name};

/// An address to listen on: `127.0.0.1:8080`, `[::1]:8080`, `127.0.0.1:*` for any port, `*:8080` for any address, `localhost:8080`
/// for those that the name has when the run starts.
///
/// Port 0 stands for a port that the system assigns. The address must be the one the program binds:
/// `0.0.0.0:80` does not cover `127.0.0.1:80`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddr {
    host: Host,
    port: Port,
}

impl ListenAddr {
    pub(super) fn allows(&self, ip: IpAddr, port: u16) -> bool {
        let allows = match &self.host {
            Host::Any => true,
            Host::Net(net) => net.contains(&ip),
            Host::Name(_) => false,
        };
        allows && self.port.allows(port)
    }

    /// The addresses that it stands for now: of a name, those that the system's resolver gives. This may take as long as the resolver does.
    ///
    /// # Errors
    ///
    /// What the resolver says of a name.
    pub fn resolved(&self) -> io::Result<Vec<ListenAddr>> {
        let Host::Name(name) = &self.host else { return Ok(vec![self.clone()]) };
        let found: BTreeSet<IpAddr> =
            (name.as_str(), 0).to_socket_addrs()?.map(|addr| addr.ip().to_canonical()).collect();
        Ok(found.into_iter().map(|ip| ListenAddr { host: Host::Net(ip.into()), port: self.port }).collect())
    }

    /// The addresses to open a listener on: one, or those of a name, in the order of the system's resolver; none if it is a rule for
    /// more than one listener.
    ///
    /// # Errors
    ///
    /// What the resolver says of a name.
    pub fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        match (&self.host, self.port) {
            (Host::Net(net), Port::Only(port)) => Ok(vec![SocketAddr::new(net.addr(), port)]),
            (Host::Name(name), Port::Only(port)) => Ok((name.as_str(), port).to_socket_addrs()?.collect()),
            (Host::Any, _) | (_, Port::Any) => Ok(Vec::new()),
        }
    }

    /// Whether it stands for exactly one listener: neither the port nor the address is `*`.
    pub fn is_one(&self) -> bool {
        self.host != Host::Any && self.port != Port::Any
    }
}

impl FromStr for ListenAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<ListenAddr, AddrError> {
        let (host, bracketed, port) = split(text)?;
        if host.contains('/') {
            return Err(AddrError::new(text, "a listener has one address, not a range"));
        }
        let host = Host::parse(text, host, bracketed)?;
        match &host {
            Host::Name(name) if name.is_below() => {
                Err(AddrError::new(text, "a listener has one name, or any address: `*`"))
            }
            _ => Ok(ListenAddr { host, port }),
        }
    }
}

impl From<SocketAddr> for ListenAddr {
    fn from(addr: SocketAddr) -> ListenAddr {
        ListenAddr { host: Host::Net(addr.ip().into()), port: Port::Only(addr.port()) }
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Addresses to connect to, or to exchange datagrams with: `192.0.2.1:443`, `[::1]:443`, `127.0.0.1:*` for any port, `10.0.0.0/8:443` and
/// `[fd00::/8]:443` for a range, `*:443` for every address.
///
/// A name, `db.internal:5432`, stands for the addresses that the program's own lookups of that name have given it so far, and permits these
/// lookups. `*.example.com:443` is every name that ends in `.example.com`. Which addresses a name has is decided by its owner, which may choose one
/// in your own network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectAddr {
    host: Host,
    port: Port,
}

impl ConnectAddr {
    pub(super) fn allows(&self, addr: SocketAddr, known: &Known) -> bool {
        let allows = match &self.host {
            Host::Any => true,
            Host::Net(net) => net.contains(&addr.ip()),
            Host::Name(name) => known.names_of(addr.ip()).any(|known| name.is(known)),
        };
        allows && self.port.allows(addr.port())
    }

    /// Whether it permits the lookup of a name, which is as [`canonical`](super::names::canonical) has it.
    pub(super) fn names(&self, name: &str) -> bool {
        matches!(&self.host, Host::Name(of) if of.is(name))
    }

    pub(super) fn is_name(&self) -> bool {
        matches!(self.host, Host::Name(_))
    }
}

impl FromStr for ConnectAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<ConnectAddr, AddrError> {
        let (host, bracketed, port) = split(text)?;
        if port == Port::Only(0) {
            return Err(AddrError::new(text, "nothing can be connected to on port 0; `*` is any port"));
        }
        let host = match host.split_once('/') {
            None => Host::parse(text, host, bracketed)?,
            Some((base, bits)) => {
                let base = ip(text, base, bracketed)?;
                let most = if base.is_ipv4() { 32 } else { 128 };
                let bits = number(bits).filter(|bits| *bits <= most);
                let bits = bits.ok_or_else(|| {
                    AddrError::new(text, format!("the length of the range is a number from 0 to {most}"))
                })?;
                let net = IpNet::new(base, bits).map_err(|_| AddrError::new(text, "the range is too long"))?;
                let trunc = net.trunc();
                if trunc != net {
                    // A range by its first address, or one address with a length that was not meant.
                    return Err(AddrError::new(text, format!("the range that begins there is written {trunc}")));
                }
                Host::Net(net)
            }
        };
        Ok(ConnectAddr { host, port })
    }
}

impl From<SocketAddr> for ConnectAddr {
    fn from(addr: SocketAddr) -> ConnectAddr {
        ConnectAddr { host: Host::Net(addr.ip().into()), port: Port::Only(addr.port()) }
    }
}

impl fmt::Display for ConnectAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// Every address.
    Any,
    /// One address, or a range of them.
    Net(IpNet),
    Name(Name),
}

impl Host {
    fn parse(text: &str, host: &str, bracketed: bool) -> Result<Host, AddrError> {
        let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        // 127.0.0.01 is a mistake, and no name.
        let numbers = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
        match host {
            "*" if !bracketed => Ok(Host::Any),
            name if !bracketed && !numbers => {
                Name::parse(name).map(Host::Name).map_err(|why| AddrError::new(text, why))
            }
            host => Ok(Host::Net(ip(text, host, bracketed)?.into())),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Any => f.write_str("*"),
            Host::Name(name) => write!(f, "{name}"),
            Host::Net(net) => {
                let range = net.prefix_len() != net.max_prefix_len();
                match (net.addr(), range) {
                    (IpAddr::V4(ip), false) => write!(f, "{ip}"),
                    (IpAddr::V6(ip), false) => write!(f, "[{ip}]"),
                    (IpAddr::V4(_), true) => write!(f, "{net}"),
                    (IpAddr::V6(_), true) => write!(f, "[{net}]"),
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Any,
    Only(u16),
}

impl Port {
    fn allows(self, port: u16) -> bool {
        self == Port::Any || self == Port::Only(port)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Port::Any => f.write_str("*"),
            Port::Only(port) => write!(f, "{port}"),
        }
    }
}

/// Splits `HOST:PORT` or `[HOST]:PORT`; the brackets are gone from what is returned, which tells whether there were some.
fn split(text: &str) -> Result<(&str, bool, Port), AddrError> {
    if text.contains("://") {
        return Err(AddrError::new(text, "it is a URL; write its host and port, like example.com:443"));
    }
    if text.contains('=') {
        return Err(AddrError::new(text, "a name is for a listener that the runner opens: --listen ADDR=NAME"));
    }
    let (host, port) =
        text.rsplit_once(':').ok_or_else(|| AddrError::new(text, "write IP:PORT, like 127.0.0.1:80, or NAME:PORT"))?;
    let (host, bracketed) = match host.strip_prefix('[') {
        Some(inner) => match inner.strip_suffix(']') {
            Some(inner) => (inner, true),
            None => return Err(AddrError::new(text, "the port is missing after `]`")),
        },
        None if host.contains(':') => {
            return Err(AddrError::new(text, "an IPv6 address is written in brackets, like [::1]:80"));
        }
        None if host.is_empty() => {
            return Err(AddrError::new(text, "the IP address before the port is missing, like 127.0.0.1:80"));
        }
        None => (host, false),
    };
    let port = match port {
        "*" => Port::Any,
        port => match number(port) {
            Some(port) => Port::Only(port),
            None => {
                let why = "the port is a number from 0 to 65535, without a sign or leading zeros (`*` allows any)";
                return Err(AddrError::new(text, why));
            }
        },
    };
    Ok((host, bracketed, port))
}

/// A number as it is written: digits without a sign, and without zeros before them, which are octal elsewhere.
fn number<N: FromStr>(text: &str) -> Option<N> {
    let written = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| written)
}

fn ip(text: &str, host: &str, bracketed: bool) -> Result<IpAddr, AddrError> {
    let why = match host.parse() {
        Ok(IpAddr::V4(_)) if bracketed => "an IPv4 address is written without brackets, like 127.0.0.1:80".to_owned(),
        // No socket has such an address: wasmtime-wasi refuses it to both families.
        Ok(IpAddr::V6(ip)) if let Some(ip) = ip.to_ipv4_mapped() => {
            format!("it is an IPv4 address in IPv6 form; write {ip}")
        }
        Ok(ip) => return Ok(ip),
        Err(_) if host.contains('%') => "an address has no zone here".to_owned(),
        Err(_) => format!("`{host}` is not an IP address"),
    };
    Err(AddrError::new(text, why))
}

/// An address that does not follow the syntax. `Display` says what is wrong with it.
#[derive(Clone, Debug)]
pub struct AddrError {
    text: String,
    why: String,
}

impl AddrError {
    fn new(text: &str, why: impl Into<String>) -> AddrError {
        AddrError { text: text.to_owned(), why: why.into() }
    }
}

impl fmt::Display for AddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an address: {}", self.text, self.why)
    }
}

impl std::error::Error for AddrError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_addresses_say_what_is_wrong() {
        let cases = [
            ("127.0.0.1", "write IP:PORT, like 127.0.0.1:80"),
            ("localhost", "or NAME:PORT"),
            ("+80", "write IP:PORT, like 127.0.0.1:80"),
            (":80", "the IP address before the port is missing"),
            ("[::1]", "the port is missing after `]`"),
            ("::1:80", "brackets"),
            ("127.0.0.1:http", "number from 0 to 65535"),
            ("127.0.0.1:65536", "number from 0 to 65535"),
            ("lo cal:80", "neither an IP address nor a name"),
            ("-a.b:80", "neither an IP address nor a name"),
            ("a..b:80", "neither an IP address nor a name"),
            ("a/b:80", "not a range"),
            ("*.example.com:80", "one name, or any address"),
            ("10.0.0.0/8:80", "not a range"),
            ("127.0.0.1:+80", "number from 0 to 65535"),
            ("127.0.0.1:080", "number from 0 to 65535"),
            ("127.0.0.1:", "number from 0 to 65535"),
            ("127.0.0.1: 80", "number from 0 to 65535"),
            ("127.0.0.01:80", "not an IP address"),
            ("[127.0.0.1]:80", "without brackets"),
            ("[::ffff:127.0.0.1]:80", "write 127.0.0.1"),
            ("[fe80::1%1]:80", "no zone"),
            ("[*]:80", "not an IP address"),
            ("127.0.0.1:0=a:b", "--listen ADDR=NAME"),
        ];
        for (text, why) in cases {
            let error = text.parse::<ListenAddr>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains(why), "{error}");
        }
        let cases = [
            ("10.0.0.0/33:80", "0 to 32"),
            ("10.0.0.0/08:80", "0 to 32"),
            ("10.0.0.0/+8:80", "0 to 32"),
            ("10.0.0.0/:80", "0 to 32"),
            ("10.0.0.1/8:80", "10.0.0.0/8"),
            ("[fd00::1/8]:80", "fd00::/8"),
            ("[::/x]:80", "0 to 128"),
            ("[10.0.0.0/8]:80", "without brackets"),
            ("[::ffff:10.0.0.0/104]:80", "write 10.0.0.0"),
            ("10.0.0.1:0", "port 0"),
            ("https://example.com", "write its host and port, like example.com:443"),
            ("a.*.b:80", "neither an IP address nor a name"),
            ("**:80", "neither an IP address nor a name"),
            ("*.:80", "neither an IP address nor a name"),
            ("name/8:80", "not an IP address"),
            ("10.0.0.1:00", "number from 0 to 65535"),
        ];
        for (text, why) in cases {
            let error = text.parse::<ConnectAddr>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains(why), "{error}");
        }
    }
    #[test]
    fn an_address_is_shown_as_it_was_written() {
        for text in [
            "127.0.0.1:80",
            "[::1]:*",
            "10.0.0.0/8:443",
            "[fd00::/8]:443",
            "*:443",
            "db.internal:5432",
            "*.b.example:*",
        ] {
            assert_eq!(text.parse::<ConnectAddr>().unwrap().to_string(), text);
        }
        for text in ["127.0.0.1:0", "[::1]:80", "*:0", "localhost:8080"] {
            assert_eq!(text.parse::<ListenAddr>().unwrap().to_string(), text);
        }
        assert_eq!("DB.Bücher.:1".parse::<ConnectAddr>().unwrap().to_string(), "db.xn--bcher-kva:1");
    }

    #[test]
    fn a_name_is_what_was_looked_up_by_that_name() {
        let (one, other) = ("192.0.2.1:443".parse().unwrap(), "192.0.2.2:443".parse().unwrap());
        let addr = |text: &str| text.parse::<ConnectAddr>().unwrap();
        let mut known = Known::default();
        assert!(!addr("db.internal:443").allows(one, &known));
        known.learn("db.internal", "192.0.2.1".parse().unwrap());
        assert!(addr("db.internal:443").allows(one, &known) && addr("DB.internal.:*").allows(one, &known));
        assert!(!addr("db.internal:443").allows(other, &known));
        assert!(!addr("db.internal:80").allows(one, &known));
        assert!(!addr("other.internal:443").allows(one, &known));
        assert!(addr("*.internal:443").allows(one, &known) && !addr("*.db.internal:443").allows(one, &known));
        // By no lookup at all.
        assert!(addr("*:443").allows(other, &known) && !addr("*:80").allows(other, &known));
    }

    #[test]
    fn the_names_below_one_do_not_include_it() {
        let below: ConnectAddr = "*.example.com:443".parse().unwrap();
        assert!(below.names("a.example.com") && below.names("a.b.example.com"));
        assert!(!below.names("example.com") && !below.names("anexample.com") && !below.names(".example.com.evil"));
        assert!(!"*:443".parse::<ConnectAddr>().unwrap().names("example.com"));
    }
}
