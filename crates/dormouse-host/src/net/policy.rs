//! Policy. Which addresses a program may use: none, until somebody says otherwise.
//!
//! The policy itself is a pure function from (address, use) to yes or to a refusal that names the missing flag.
//! wasmtime asks it through [`check`], right before each system call.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use wasmtime_wasi::sockets::SocketAddrUse;

/// Which addresses a program may use. The default denies them all.
///
/// ```
/// use dormouse_host::Policy;
///
/// # fn main() -> Result<(), dormouse_host::AddrError> {
/// let policy = Policy::default()
///     .allow_listen("127.0.0.1:0".parse()?)
///     .allow_connect("10.0.0.0/8:443".parse()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Policy {
    all: bool,
    listen: Vec<ListenAddr>,
    connect: Vec<ConnectAddr>,
    dns: bool,
}

impl Policy {
    /// Allows every address, TCP and UDP. The lookup of names is not part of it: see [`allow_dns`](Policy::allow_dns).
    pub fn allow_all() -> Policy {
        Policy { all: true, ..Policy::default() }
    }

    /// Allows a listener on `addr`, and whoever connects to it.
    #[must_use]
    pub fn allow_listen(mut self, addr: ListenAddr) -> Policy {
        self.listen.push(addr);
        self
    }

    /// Allows connections to `addr`.
    #[must_use]
    pub fn allow_connect(mut self, addr: ConnectAddr) -> Policy {
        self.connect.push(addr);
        self
    }

    /// Allows the lookup of names, which tells the system's resolver, and whom that asks, which names they are.
    #[must_use]
    pub fn allow_dns(mut self) -> Policy {
        self.dns = true;
        self
    }

    /// Whether names may be looked up.
    pub(crate) fn allows_dns(&self) -> bool {
        self.dns
    }

    /// Whether there is an address that may be used with TCP. If not, no socket is opened at all.
    pub(crate) fn check_tcp(&self) -> Result<(), Refusal> {
        match self.all || !self.listen.is_empty() || !self.connect.is_empty() {
            true => Ok(()),
            false => Err(Refusal { what: What::OpenTcp, addr: UNSPECIFIED }),
        }
    }

    /// Whether there is an address that may be used with UDP. If not, no socket is opened at all.
    pub(crate) fn check_udp(&self) -> Result<(), Refusal> {
        match self.all {
            true => Ok(()),
            false => Err(Refusal { what: What::OpenUdp, addr: UNSPECIFIED }),
        }
    }

    /// Whether the program may bind a TCP socket to `addr` itself. [`check`](Policy::check) cannot tell that from what comes
    /// before a connect; a socket that is bound and never connected holds a port.
    pub(crate) fn check_bind(&self, addr: SocketAddr) -> Result<(), Refusal> {
        match self.all || self.listens(addr, addr.port()) {
            true => Ok(()),
            false => Err(Refusal { what: What::Listen, addr }),
        }
    }

    fn listens(&self, addr: SocketAddr, port: u16) -> bool {
        self.listen.iter().any(|rule| rule.allows(addr.ip(), port))
    }

    /// Whether `addr` may be used so.
    pub(crate) fn check(&self, addr: SocketAddr, what: SocketAddrUse) -> Result<(), Refusal> {
        if self.all {
            return Ok(());
        }
        let listens = |port: u16| self.listens(addr, port);
        match what {
            // Connecting and listening on an unbound socket both ask for the wildcard address with port 0 first. What
            // follows, a connect or a listen, is checked by itself; a bind by the program by `check_bind`.
            SocketAddrUse::TcpBind if addr.ip().is_unspecified() && addr.port() == 0 => Ok(()),
            SocketAddrUse::TcpBind if listens(addr.port()) => Ok(()),
            // A listener is checked with the port it got. Where that port was asked for, the bind has been checked;
            // where it was not, the rule for port 0 decides.
            SocketAddrUse::TcpListen if listens(addr.port()) || listens(0) => Ok(()),
            SocketAddrUse::TcpListen if addr.ip().is_unspecified() => {
                Err(Refusal { what: What::Listen, addr: SocketAddr::new(addr.ip(), 0) })
            }
            SocketAddrUse::TcpBind | SocketAddrUse::TcpListen => Err(Refusal { what: What::Listen, addr }),
            SocketAddrUse::TcpAccept => Ok(()),
            SocketAddrUse::TcpConnect if self.connect.iter().any(|rule| rule.allows(addr)) => Ok(()),
            SocketAddrUse::TcpConnect => Err(Refusal { what: What::Connect, addr }),
            SocketAddrUse::UdpBind | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => {
                Err(Refusal { what: What::Udp, addr })
            }
        }
    }
}

/// An address that was refused, and for what. `Display` is the sentence that names the flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Refusal {
    what: What,
    addr: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    OpenTcp,
    OpenUdp,
    Listen,
    Connect,
    Udp,
}

/// Where a refusal has no address.
const UNSPECIFIED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Scope ids are not part of the rules' syntax.
        let addr = SocketAddr::new(self.addr.ip(), self.addr.port());
        match self.what {
            What::OpenTcp => f.write_str(
                "refused: the program wants to open a TCP socket and may use no address; \
                 allow it some with --allow-listen ADDR or --allow-connect ADDR (or --allow-net)",
            ),
            What::OpenUdp => f.write_str("refused: the program wants to open a UDP socket; allow it with --allow-net"),
            What::Listen => write!(
                f,
                "refused: the program wants to listen on {addr}; \
                 allow it with --allow-listen {addr} (or --allow-net)"
            ),
            What::Connect => write!(
                f,
                "refused: the program wants to connect to {addr}; \
                 allow it with --allow-connect {addr} (or --allow-net)"
            ),
            What::Udp => write!(f, "refused: the program wants to use UDP on {addr}; allow it with --allow-net"),
        }
    }
}

/// An address to listen on: `127.0.0.1:8080`, `[::1]:8080`, `127.0.0.1:*` for any port.
///
/// Port 0 stands for a port that the system assigns. The address must be the one the program binds:
/// `0.0.0.0:80` does not cover `127.0.0.1:80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddr {
    ip: IpAddr,
    port: Port,
}

impl ListenAddr {
    fn allows(&self, ip: IpAddr, port: u16) -> bool {
        self.ip == ip && self.port.allows(port)
    }
}

impl FromStr for ListenAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<ListenAddr, AddrError> {
        let (host, bracketed, port) = split(text)?;
        if host.contains('/') {
            return Err(AddrError::new(text, "a listener has one address, not a range"));
        }
        Ok(ListenAddr { ip: ip(text, host, bracketed)?, port })
    }
}

impl From<SocketAddr> for ListenAddr {
    fn from(addr: SocketAddr) -> ListenAddr {
        ListenAddr { ip: addr.ip(), port: Port::Only(addr.port()) }
    }
}

/// Addresses to connect to: `192.0.2.1:443`, `[::1]:443`, `127.0.0.1:*` for any port, `10.0.0.0/8:443` and
/// `[fd00::/8]:443` for a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectAddr {
    net: IpNet,
    port: Port,
}

impl ConnectAddr {
    fn allows(&self, addr: SocketAddr) -> bool {
        self.net.contains(&addr.ip()) && self.port.allows(addr.port())
    }
}

impl FromStr for ConnectAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<ConnectAddr, AddrError> {
        let (host, bracketed, port) = split(text)?;
        if port == Port::Only(0) {
            return Err(AddrError::new(text, "nothing can be connected to on port 0; `*` is any port"));
        }
        let net = match host.split_once('/') {
            None => ip(text, host, bracketed)?.into(),
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
                net
            }
        };
        Ok(ConnectAddr { net, port })
    }
}

impl From<SocketAddr> for ConnectAddr {
    fn from(addr: SocketAddr) -> ConnectAddr {
        ConnectAddr { net: addr.ip().into(), port: Port::Only(addr.port()) }
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

/// Splits `HOST:PORT` or `[HOST]:PORT`; the brackets are gone from what is returned, which tells whether there were some.
fn split(text: &str) -> Result<(&str, bool, Port), AddrError> {
    if text.contains('=') {
        return Err(AddrError::new(text, "a name is for a listener that the runner opens: --listen ADDR=NAME"));
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(|| AddrError::new(text, "write IP:PORT, like 127.0.0.1:80"))?;
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
        Err(_) => format!("`{host}` is not an IP address (names are not looked up)"),
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
    use SocketAddrUse::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn listen(text: &str) -> Policy {
        Policy::default().allow_listen(text.parse().unwrap())
    }

    fn connect(text: &str) -> Policy {
        Policy::default().allow_connect(text.parse().unwrap())
    }

    #[test]
    fn everything_is_refused_by_default() {
        let policy = Policy::default();
        for what in [TcpBind, TcpListen, TcpConnect, UdpBind, UdpSend, UdpReceive] {
            for text in ["127.0.0.1:80", "[::1]:80", "192.0.2.1:0", "0.0.0.0:80"] {
                assert!(policy.check(addr(text), what).is_err(), "{what:?} {text}");
            }
        }
        assert!(policy.check(addr("0.0.0.0:0"), TcpListen).is_err());
        assert!(policy.check(addr("[::]:0"), UdpBind).is_err());
    }

    #[test]
    fn allow_all_allows_every_use() {
        let policy = Policy::allow_all();
        for what in [TcpBind, TcpListen, TcpAccept, TcpConnect, UdpBind, UdpSend, UdpReceive] {
            assert!(policy.check(addr("192.0.2.1:80"), what).is_ok(), "{what:?}");
        }
    }

    #[test]
    fn connecting_needs_no_permission_to_listen() {
        let policy = connect("192.0.2.1:443");
        for implicit in ["0.0.0.0:0", "[::]:0"] {
            assert!(policy.check(addr(implicit), TcpBind).is_ok(), "{implicit}");
        }
        assert!(policy.check(addr("192.0.2.1:443"), TcpConnect).is_ok());
        assert!(policy.check(addr("192.0.2.1:444"), TcpConnect).is_err());
        assert!(policy.check(addr("192.0.2.2:443"), TcpConnect).is_err());
    }

    #[test]
    fn no_socket_is_opened_where_no_address_may_be_used() {
        assert!(Policy::default().check_tcp().unwrap_err().to_string().contains("--allow-listen ADDR"));
        assert!(Policy::default().allow_dns().check_udp().unwrap_err().to_string().ends_with("--allow-net"));
        assert!(listen("127.0.0.1:0").check_tcp().is_ok() && listen("127.0.0.1:0").check_udp().is_err());
        assert!(connect("127.0.0.1:80").check_tcp().is_ok() && connect("127.0.0.1:80").check_udp().is_err());
        assert!(Policy::allow_all().check_tcp().is_ok() && Policy::allow_all().check_udp().is_ok());
    }

    #[test]
    fn a_bind_by_the_program_needs_permission_to_listen() {
        assert!(connect("192.0.2.1:443").check_bind(addr("0.0.0.0:0")).is_err());
        assert!(listen("127.0.0.1:0").check_bind(addr("0.0.0.0:0")).is_err());
        assert!(listen("127.0.0.1:0").check_bind(addr("127.0.0.1:0")).is_ok());
        assert!(Policy::allow_all().check_bind(addr("0.0.0.0:0")).is_ok());
    }

    #[test]
    fn an_unbound_listener_needs_the_wildcard() {
        assert!(connect("192.0.2.1:443").check(addr("0.0.0.0:49152"), TcpListen).is_err());
        assert!(listen("127.0.0.1:0").check(addr("0.0.0.0:49152"), TcpListen).is_err());
        assert!(listen("0.0.0.0:80").check(addr("0.0.0.0:49152"), TcpListen).is_err());
        assert!(listen("0.0.0.0:0").check(addr("0.0.0.0:49152"), TcpListen).is_ok());
        assert!(listen("[::]:0").check(addr("[::]:0"), TcpListen).is_ok());
    }

    #[test]
    fn port_zero_permits_the_port_that_the_system_assigned() {
        let policy = listen("127.0.0.1:0");
        assert!(policy.check(addr("127.0.0.1:0"), TcpBind).is_ok());
        assert!(policy.check(addr("127.0.0.1:49152"), TcpListen).is_ok());
        assert!(policy.check(addr("127.0.0.1:8080"), TcpBind).is_err());
        assert!(policy.check(addr("127.0.0.2:0"), TcpBind).is_err());
    }

    #[test]
    fn a_star_permits_every_port_of_its_address() {
        let policy = listen("[::1]:*");
        assert!(policy.check(addr("[::1]:0"), TcpBind).is_ok());
        assert!(policy.check(addr("[::1]:8080"), TcpListen).is_ok());
        assert!(policy.check(addr("127.0.0.1:8080"), TcpBind).is_err());
        assert!(policy.check(addr("[::1]:8080"), TcpConnect).is_err());
    }

    #[test]
    fn a_permitted_listener_accepts_from_anyone() {
        assert!(listen("127.0.0.1:80").check(addr("198.51.100.7:49152"), TcpAccept).is_ok());
    }

    #[test]
    fn a_range_permits_its_addresses_only() {
        let policy = connect("10.0.0.0/8:443");
        assert!(policy.check(addr("10.200.3.4:443"), TcpConnect).is_ok());
        assert!(policy.check(addr("11.0.0.1:443"), TcpConnect).is_err());
        assert!(policy.check(addr("10.200.3.4:80"), TcpConnect).is_err());
        let policy = connect("[fd00::/8]:*");
        assert!(policy.check(addr("[fd12::1]:22"), TcpConnect).is_ok());
        assert!(policy.check(addr("[fe80::1]:22"), TcpConnect).is_err());
        assert!(connect("0.0.0.0/0:80").check(addr("192.0.2.1:80"), TcpConnect).is_ok());
    }

    #[test]
    fn a_refusal_names_the_flag_that_is_missing() {
        let refusal = |text, what| Policy::default().check(addr(text), what).unwrap_err().to_string();
        assert_eq!(
            refusal("127.0.0.1:8080", TcpBind),
            "refused: the program wants to listen on 127.0.0.1:8080; \
             allow it with --allow-listen 127.0.0.1:8080 (or --allow-net)"
        );
        assert!(refusal("[::1]:443", TcpConnect).contains("--allow-connect [::1]:443 "));
        assert!(refusal("127.0.0.1:53", UdpBind).ends_with("--allow-net"));
        // The port was the system's choice and will be another one next time.
        assert!(refusal("0.0.0.0:49152", TcpListen).contains("--allow-listen 0.0.0.0:0 "));
    }

    #[test]
    fn bad_addresses_say_what_is_wrong() {
        let cases = [
            ("127.0.0.1", "write IP:PORT, like 127.0.0.1:80"),
            ("+80", "write IP:PORT, like 127.0.0.1:80"),
            (":80", "the IP address before the port is missing"),
            ("[::1]", "the port is missing after `]`"),
            ("::1:80", "brackets"),
            ("127.0.0.1:http", "number from 0 to 65535"),
            ("127.0.0.1:65536", "number from 0 to 65535"),
            ("localhost:80", "names are not looked up"),
            ("10.0.0.0/8:80", "not a range"),
            ("127.0.0.1:+80", "number from 0 to 65535"),
            ("127.0.0.1:080", "number from 0 to 65535"),
            ("127.0.0.1:", "number from 0 to 65535"),
            ("127.0.0.1: 80", "number from 0 to 65535"),
            ("127.0.0.01:80", "not an IP address"),
            ("[127.0.0.1]:80", "without brackets"),
            ("[::ffff:127.0.0.1]:80", "write 127.0.0.1"),
            ("[fe80::1%1]:80", "no zone"),
            ("*:80", "not an IP address"),
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
            ("10.0.0.1:00", "number from 0 to 65535"),
        ];
        for (text, why) in cases {
            let error = text.parse::<ConnectAddr>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains(why), "{error}");
        }
    }
}
