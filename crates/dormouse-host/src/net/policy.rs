//! Policy. Which addresses a program may use: none, until somebody says otherwise.
//!
//! The policy itself is a pure function from (address, use, what was looked up) to yes or to a refusal that names the missing flag.
//! `Net` asks it right before each system call.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use wasmtime_wasi::sockets::SocketAddrUse;

use super::addr::{ConnectAddr, ListenAddr};
use super::names::{Known, canonical};
use crate::error::escaped;

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
    udp: Vec<ConnectAddr>,
    dns: bool,
}

impl Policy {
    /// Allows every address, TCP and UDP. The lookup of names is not part of it: see [`allow_dns`](Policy::allow_dns).
    pub fn allow_all() -> Policy {
        Policy { all: true, ..Policy::default() }
    }

    /// Allows a listener on `addr`, and whoever connects to it. A name stands for the addresses that it has when the run starts.
    #[must_use]
    pub fn allow_listen(mut self, addr: ListenAddr) -> Policy {
        self.listen.push(addr);
        self
    }

    /// Allows connections to `addr`. A name stands for the addresses that the program's own lookups of it give, which are allowed.
    #[must_use]
    pub fn allow_connect(mut self, addr: ConnectAddr) -> Policy {
        self.connect.push(addr);
        self
    }

    /// Allows datagrams from and to `addr`, and a UDP socket that is bound to it: both ends of a datagram's way must be allowed, but for
    /// a local end that the system chooses. A name is as of [`allow_connect`](Policy::allow_connect).
    #[must_use]
    pub fn allow_udp(mut self, addr: ConnectAddr) -> Policy {
        self.udp.push(addr);
        self
    }

    /// Allows the lookup of every name, which tells the system's resolver, and whom that asks, which names they are.
    #[must_use]
    pub fn allow_dns(mut self) -> Policy {
        self.dns = true;
        self
    }

    /// The same policy with addresses in place of the names to listen on.
    ///
    /// # Errors
    ///
    /// The name that has none, and what the system's resolver says.
    pub(crate) fn resolved(mut self) -> Result<Policy, (String, io::Error)> {
        let mut listen = Vec::with_capacity(self.listen.len());
        for addr in &self.listen {
            listen.extend(addr.resolved().map_err(|error| (addr.to_string(), error))?);
        }
        self.listen = listen;
        Ok(self)
    }

    /// Whether some name may be looked up.
    pub(crate) fn allows_lookups(&self) -> bool {
        self.dns || self.connect.iter().chain(&self.udp).any(ConnectAddr::is_name)
    }

    /// Whether a name may be looked up. What to remember its addresses by, if a rule is about it.
    pub(super) fn check_lookup(&self, name: &str) -> Result<Option<String>, Refusal> {
        let canonical = canonical(name);
        let ruled = canonical.filter(|name| self.connect.iter().chain(&self.udp).any(|rule| rule.names(name)));
        match self.dns || ruled.is_some() {
            true => Ok(ruled),
            false => {
                Err(Refusal { what: What::LookUp(name.chars().take(MOST_OF_A_NAME).collect()), addr: UNSPECIFIED })
            }
        }
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
        match self.all || !self.udp.is_empty() {
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

    /// Whether `addr` may be used so by a program whose lookups have given it what is `known`.
    pub(super) fn check(&self, addr: SocketAddr, what: SocketAddrUse, known: &Known) -> Result<(), Refusal> {
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
            SocketAddrUse::TcpConnect if self.connect.iter().any(|rule| rule.allows(addr, known)) => Ok(()),
            SocketAddrUse::TcpConnect => {
                let names = self.connect.iter().any(ConnectAddr::is_name);
                Err(Refusal { what: What::Connect { names }, addr })
            }
            // A local end that the system chooses; what goes over it is checked by itself.
            SocketAddrUse::UdpBind if addr.ip().is_unspecified() && addr.port() == 0 && !self.udp.is_empty() => Ok(()),
            SocketAddrUse::UdpBind | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive
                if self.udp.iter().any(|rule| rule.allows(addr, known)) =>
            {
                Ok(())
            }
            SocketAddrUse::UdpBind | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => {
                Err(Refusal { what: What::Udp, addr })
            }
        }
    }
}

/// An address that was refused, and for what. `Display` is the sentence that names the flag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Refusal {
    what: What,
    addr: SocketAddr,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    OpenTcp,
    OpenUdp,
    Listen,
    Connect {
        /// Whether some names may be connected to.
        names: bool,
    },
    Udp,
    LookUp(String),
}

/// Letters of a name that a refusal shows; DNS has 253.
const MOST_OF_A_NAME: usize = 260;

/// Where a refusal has no address.
const UNSPECIFIED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Scope ids are not part of the rules' syntax.
        let addr = SocketAddr::new(self.addr.ip(), self.addr.port());
        match &self.what {
            What::OpenTcp => f.write_str(
                "refused: the program wants to open a TCP socket and may use no address; \
                 allow it some with --allow-listen ADDR or --allow-connect ADDR (or --allow-net)",
            ),
            What::OpenUdp => f.write_str(
                "refused: the program wants to open a UDP socket and may use no address with it; \
                 allow it some with --allow-udp ADDR (or --allow-net)",
            ),
            What::Listen => write!(
                f,
                "refused: the program wants to listen on {addr}; \
                 allow it with --allow-listen {addr} (or --allow-net)"
            ),
            What::Connect { names } => write!(
                f,
                "refused: the program wants to connect to {addr}; \
                 allow it with --allow-connect {addr} (or --allow-net){}",
                if *names { "; a name allows what the program has looked up by it" } else { "" }
            ),
            What::Udp => write!(
                f,
                "refused: the program wants to use UDP on {addr}; \
                 allow it with --allow-udp {} (or --allow-net)",
                any_if_0(addr)
            ),
            What::LookUp(name) => {
                let name = escaped(name);
                write!(
                    f,
                    "refused: the program wants to look up {name}; \
                     allow it with --allow-connect {name}:PORT, or every name with --allow-dns"
                )
            }
        }
    }
}

/// As `--allow-udp` has it, where port 0 is `*`.
fn any_if_0(addr: SocketAddr) -> String {
    match (addr, addr.port()) {
        (SocketAddr::V4(addr), 0) => format!("{}:*", addr.ip()),
        (SocketAddr::V6(addr), 0) => format!("[{}]:*", addr.ip()),
        (addr, _) => addr.to_string(),
    }
}

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

    fn check(policy: &Policy, addr: SocketAddr, what: SocketAddrUse) -> Result<(), Refusal> {
        policy.check(addr, what, &Known::default())
    }

    fn udp(text: &str) -> Policy {
        Policy::default().allow_udp(text.parse().unwrap())
    }

    #[test]
    fn everything_is_refused_by_default() {
        let policy = Policy::default();
        for what in [TcpBind, TcpListen, TcpConnect, UdpBind, UdpSend, UdpReceive] {
            for text in ["127.0.0.1:80", "[::1]:80", "192.0.2.1:0", "0.0.0.0:80"] {
                assert!(check(&policy, addr(text), what).is_err(), "{what:?} {text}");
            }
        }
        assert!(check(&policy, addr("0.0.0.0:0"), TcpListen).is_err());
        assert!(check(&policy, addr("[::]:0"), UdpBind).is_err());
    }

    #[test]
    fn allow_all_allows_every_use() {
        let policy = Policy::allow_all();
        for what in [TcpBind, TcpListen, TcpAccept, TcpConnect, UdpBind, UdpSend, UdpReceive] {
            assert!(check(&policy, addr("192.0.2.1:80"), what).is_ok(), "{what:?}");
        }
    }

    #[test]
    fn connecting_needs_no_permission_to_listen() {
        let policy = connect("192.0.2.1:443");
        for implicit in ["0.0.0.0:0", "[::]:0"] {
            assert!(check(&policy, addr(implicit), TcpBind).is_ok(), "{implicit}");
        }
        assert!(check(&policy, addr("192.0.2.1:443"), TcpConnect).is_ok());
        assert!(check(&policy, addr("192.0.2.1:444"), TcpConnect).is_err());
        assert!(check(&policy, addr("192.0.2.2:443"), TcpConnect).is_err());
    }

    #[test]
    fn no_socket_is_opened_where_no_address_may_be_used() {
        assert!(Policy::default().check_tcp().unwrap_err().to_string().contains("--allow-listen ADDR"));
        assert!(Policy::default().allow_dns().check_udp().unwrap_err().to_string().contains("--allow-udp ADDR"));
        assert!(udp("127.0.0.1:53").check_udp().is_ok() && udp("127.0.0.1:53").check_tcp().is_err());
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
        assert!(check(&connect("192.0.2.1:443"), addr("0.0.0.0:49152"), TcpListen).is_err());
        assert!(check(&listen("127.0.0.1:0"), addr("0.0.0.0:49152"), TcpListen).is_err());
        assert!(check(&listen("0.0.0.0:80"), addr("0.0.0.0:49152"), TcpListen).is_err());
        assert!(check(&listen("0.0.0.0:0"), addr("0.0.0.0:49152"), TcpListen).is_ok());
        assert!(check(&listen("[::]:0"), addr("[::]:0"), TcpListen).is_ok());
    }

    #[test]
    fn port_zero_permits_the_port_that_the_system_assigned() {
        let policy = listen("127.0.0.1:0");
        assert!(check(&policy, addr("127.0.0.1:0"), TcpBind).is_ok());
        assert!(check(&policy, addr("127.0.0.1:49152"), TcpListen).is_ok());
        assert!(check(&policy, addr("127.0.0.1:8080"), TcpBind).is_err());
        assert!(check(&policy, addr("127.0.0.2:0"), TcpBind).is_err());
    }

    #[test]
    fn a_star_permits_every_port_of_its_address() {
        let policy = listen("[::1]:*");
        assert!(check(&policy, addr("[::1]:0"), TcpBind).is_ok());
        assert!(check(&policy, addr("[::1]:8080"), TcpListen).is_ok());
        assert!(check(&policy, addr("127.0.0.1:8080"), TcpBind).is_err());
        assert!(check(&policy, addr("[::1]:8080"), TcpConnect).is_err());
    }

    #[test]
    fn a_permitted_listener_accepts_from_anyone() {
        assert!(check(&listen("127.0.0.1:80"), addr("198.51.100.7:49152"), TcpAccept).is_ok());
    }

    #[test]
    fn a_range_permits_its_addresses_only() {
        let policy = connect("10.0.0.0/8:443");
        assert!(check(&policy, addr("10.200.3.4:443"), TcpConnect).is_ok());
        assert!(check(&policy, addr("11.0.0.1:443"), TcpConnect).is_err());
        assert!(check(&policy, addr("10.200.3.4:80"), TcpConnect).is_err());
        let policy = connect("[fd00::/8]:*");
        assert!(check(&policy, addr("[fd12::1]:22"), TcpConnect).is_ok());
        assert!(check(&policy, addr("[fe80::1]:22"), TcpConnect).is_err());
        assert!(check(&connect("0.0.0.0/0:80"), addr("192.0.2.1:80"), TcpConnect).is_ok());
    }

    #[test]
    fn a_refusal_names_the_flag_that_is_missing() {
        let refusal = |text, what| check(&Policy::default(), addr(text), what).unwrap_err().to_string();
        assert_eq!(
            refusal("127.0.0.1:8080", TcpBind),
            "refused: the program wants to listen on 127.0.0.1:8080; \
             allow it with --allow-listen 127.0.0.1:8080 (or --allow-net)"
        );
        assert!(refusal("[::1]:443", TcpConnect).contains("--allow-connect [::1]:443 "));
        assert!(refusal("127.0.0.1:53", UdpBind).contains("--allow-udp 127.0.0.1:53 "));
        assert!(refusal("[::1]:0", UdpBind).contains("--allow-udp [::1]:* "));
        let refused = Policy::default().check_lookup("db.internal\u{1b}").unwrap_err().to_string();
        assert!(
            refused.contains(r"--allow-connect db.internal\u{1b}:PORT, or every name with --allow-dns"),
            "{refused}"
        );
        // The port was the system's choice and will be another one next time.
        assert!(refusal("0.0.0.0:49152", TcpListen).contains("--allow-listen 0.0.0.0:0 "));
    }
    #[test]
    fn both_ends_of_a_datagram_are_allowed_by_their_address() {
        let policy = udp("127.0.0.1:*").allow_udp("10.0.0.0/8:53".parse().unwrap());
        for what in [UdpBind, UdpSend, UdpReceive] {
            assert!(check(&policy, addr("127.0.0.1:5353"), what).is_ok(), "{what:?}");
            assert!(check(&policy, addr("10.1.2.3:53"), what).is_ok(), "{what:?}");
            assert!(check(&policy, addr("10.1.2.3:54"), what).is_err(), "{what:?}");
        }
        // One that the system chooses, as before something is sent.
        assert!(check(&policy, addr("0.0.0.0:0"), UdpBind).is_ok());
        assert!(check(&policy, addr("0.0.0.0:53"), UdpBind).is_err());
        assert!(check(&policy, addr("127.0.0.1:80"), TcpConnect).is_err());
        assert!(check(&connect("127.0.0.1:80"), addr("127.0.0.1:80"), UdpSend).is_err());
    }

    #[test]
    fn a_name_permits_its_lookup_and_what_that_gave() {
        let policy = connect("DB.internal:5432");
        assert_eq!(policy.check_lookup("db.INTERNAL.").unwrap(), Some("db.internal".to_owned()));
        assert!(policy.check_lookup("other.internal").is_err() && policy.check_lookup("127.0.0.1").is_err());
        assert!(policy.allows_lookups() && !connect("*:443").allows_lookups());
        assert!(connect("*:443").check_lookup("db.internal").is_err());
        let mut known = Known::default();
        known.learn("db.internal", "192.0.2.1".parse().unwrap());
        assert!(policy.check(addr("192.0.2.1:5432"), TcpConnect, &known).is_ok());
        let refused = policy.check(addr("192.0.2.1:5433"), TcpConnect, &known).unwrap_err().to_string();
        assert!(refused.ends_with("; a name allows what the program has looked up by it"), "{refused}");
        assert!(policy.check(addr("192.0.2.1:5432"), UdpSend, &known).is_err());
        // All lookups are allowed, but only the name's addresses.
        let policy = policy.allow_dns();
        assert_eq!(policy.check_lookup("other.internal").unwrap(), None);
        assert_eq!(policy.check_lookup("db.internal").unwrap(), Some("db.internal".to_owned()));
    }

    #[test]
    fn a_name_to_listen_on_is_its_addresses() {
        let policy = listen("localhost:8080").resolved().unwrap();
        assert!(check(&policy, addr("127.0.0.1:8080"), TcpBind).is_ok());
        assert!(check(&policy, addr("127.0.0.1:8081"), TcpBind).is_err());
        assert!(check(&policy, addr("192.0.2.1:8080"), TcpBind).is_err());
        assert!(check(&listen("*:8080"), addr("192.0.2.1:8080"), TcpBind).is_ok());
        let (name, _) = listen("no.such.name.invalid:80").resolved().unwrap_err();
        assert_eq!(name, "no.such.name.invalid:80");
    }
}
