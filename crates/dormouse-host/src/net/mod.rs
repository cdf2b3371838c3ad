//! Net. One network under every WASI: the sockets of a run, and what it may do with them.
//!
//! ```text
//!   socket.rs   a descriptor and its readiness      policy.rs   which addresses are allowed
//!   tcp.rs      what is done with TCP               limits.rs   how many sockets there may be
//!   udp.rs      and with UDP                        meter.rs    what was done, in numbers
//!   addr.rs     how addresses are written           share.rs    listeners of several runs
//!   names.rs    names, and what lookups gave        turn.rs     which of these runs accepts
//!   bell.rs     what is ready outside of a list     returned.rs what one of them has not looked at
//! ```
//!
//! Nothing below `mod.rs` knows which WASI it serves; `p1`, `p2` and `p3` make their tables, errors and streams of it.

pub(crate) mod addr;
mod bell;
pub(crate) mod limits;
pub(crate) mod meter;
mod names;
pub(crate) mod policy;
pub(crate) mod returned;
pub(crate) mod share;
pub(crate) mod socket;
pub(crate) mod tcp;
mod turn;
pub(crate) mod udp;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime_wasi::sockets::SocketAddrUse;

use crate::stdio::Sink;
use limits::{Most, Sockets};
use meter::Meter;
use names::Known;
use policy::{Policy, Refusal};
use share::Share;
use socket::{Hub, Socket};

/// What one run may do with sockets: the policy, how many it may have, and the refusals that were said.
pub(crate) struct Net {
    policy: Policy,
    /// What its lookups have given it, of the names that the policy has rules for.
    known: Mutex<Known>,
    pub(crate) meter: Meter,
    /// Where the one waiting call of WASI 0.2 sleeps, until a mark or until a socket is closed. Sockets of WASI 0.3 are waited for one by one,
    /// and marked never.
    pub(crate) hub: Arc<Hub>,
    pub(crate) sockets: Arc<Sockets>,
    /// The option by which there may be more.
    option: &'static str,
    refusals: Refusals,
    /// The listeners that it has with other runs.
    share: Option<Share>,
}

/// A lookup that is allowed, and the name by which its addresses are remembered if a rule is about it.
#[derive(Clone, Debug)]
pub(crate) struct LookUp(Option<String>);

impl LookUp {
    /// Whether a rule is about it: then what it gives is to be told to [`Net::learn`].
    pub(crate) fn is_ruled(&self) -> bool {
        self.0.is_some()
    }
}

/// Why a socket is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSocket {
    /// The policy allows none.
    Denied,
    /// There are as many as there may be.
    Full,
}

impl Net {
    pub(crate) fn new(
        policy: Policy,
        most: impl Into<Most>,
        meter: Meter,
        stderr: Arc<Sink>,
        share: Option<Share>,
    ) -> Arc<Net> {
        let refusals = Refusals { stderr, said: Mutex::default() };
        let Most { sockets, option } = most.into();
        let hub = Arc::default();
        let sockets = Arc::new(Sockets::new(sockets, &hub));
        Arc::new(Net { policy, known: Mutex::default(), meter, hub, sockets, option, refusals, share })
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether wasmtime-wasi may use the address so; a refusal is said.
    pub(crate) fn check(&self, addr: SocketAddr, what: SocketAddrUse) -> bool {
        let checked = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            self.policy.check(addr, what, &known)
        };
        self.allowed(checked)
    }

    /// Whether the program may look up the name; a refusal is said. Its addresses are told to [`learn`](Net::learn), if there is a name for them.
    pub(crate) fn may_look_up(&self, name: &str) -> Option<LookUp> {
        let checked = self.policy.check_lookup(name);
        let ruled = checked.as_ref().ok().cloned().flatten();
        self.allowed(checked.map(|_| ())).then_some(LookUp(ruled))
    }

    /// A lookup has given the program this address.
    pub(crate) fn learn(&self, lookup: &LookUp, ip: IpAddr) {
        if let LookUp(Some(name)) = lookup {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).learn(name, ip);
        }
    }

    /// Whether the program may bind a TCP socket to the address; a refusal is said.
    pub(crate) fn may_bind(&self, addr: SocketAddr) -> bool {
        self.allowed(self.policy.check_bind(addr))
    }

    /// Counts a TCP socket that is about to be opened.
    pub(crate) fn open_tcp(&self) -> Result<(), NoSocket> {
        self.open(self.policy.check_tcp())
    }

    /// Counts a UDP socket that is about to be opened.
    pub(crate) fn open_udp(&self) -> Result<(), NoSocket> {
        self.open(self.policy.check_udp())
    }

    /// Binds a TCP socket.
    pub(crate) fn bind_tcp(&self, socket: &Socket, addr: SocketAddr) -> io::Result<()> {
        match &self.share {
            Some(share) => share.bind(socket, addr),
            None => tcp::bind_alone(socket, addr),
        }
    }

    /// Makes a bound socket a listener, or changes the backlog of one.
    pub(crate) fn listen(&self, socket: &Socket, backlog: u32) -> io::Result<()> {
        match &self.share {
            Some(share) => share.listen(socket, backlog),
            None => tcp::listen_alone(socket, backlog),
        }
    }

    /// Binds a UDP socket, and gives the address that it is bound to.
    pub(crate) fn bind_udp(&self, socket: &Socket, addr: SocketAddr) -> io::Result<SocketAddr> {
        match &self.share {
            Some(share) => share.bind_udp(socket, addr),
            None => udp::bind(socket, addr),
        }
    }

    fn open(&self, checked: Result<(), Refusal>) -> Result<(), NoSocket> {
        if !self.allowed(checked) {
            return Err(NoSocket::Denied);
        }
        match self.sockets.take() {
            true => Ok(()),
            false => Err(NoSocket::Full),
        }
    }

    /// A socket was refused, since there are as many as there may be: says so the first time.
    pub(crate) fn say_full(&self) {
        self.meter.refused();
        self.tell_full();
    }

    /// A connection waits to be accepted until a socket has been closed, since there are as many as there may be: says so the first time.
    pub(crate) fn tell_full(&self) {
        if self.sockets.first_full() {
            let (most, option) = (self.sockets.most(), self.option);
            self.refusals
                .line(&format!("refused: the program wants more sockets at a time than {most}; raise {option}"));
        }
    }

    /// Says what has come of the program's connections.
    pub(crate) fn say(&self, text: &str) {
        self.refusals.line(text);
    }

    fn allowed(&self, checked: Result<(), Refusal>) -> bool {
        checked
            .map_err(|refusal| {
                self.meter.refused();
                self.refusals.say(refusal);
            })
            .is_ok()
    }
}

/// Says each refusal once, so that a program that tries again and again does not flood.
struct Refusals {
    stderr: Arc<Sink>,
    said: Mutex<BTreeSet<Refusal>>,
}

impl Refusals {
    /// A program that scans addresses is cut short here.
    const MOST: usize = 100;

    fn say(&self, refusal: Refusal) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let text = refusal.to_string();
        if said.len() > Self::MOST || !said.insert(refusal) {
            return;
        }
        match said.len() > Self::MOST {
            false => self.line(&text),
            true => self.line("refused: more addresses, which are no longer named"),
        }
    }

    fn line(&self, text: &str) {
        // A refusal that cannot be said is still a refusal.
        self.stderr.say(&format!("dormouse: {text}\n"));
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::io::{self, IoSlice, Write as _};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    use rustix::io::Errno;

    use super::*;
    use crate::stdio::Output;

    #[test]
    fn a_refusal_waits_for_no_reader() {
        let (_reader, mut writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        while writer.write(&[b'x'; 4096]).is_ok() {}
        rustix::io::ioctl_fionbio(&writer, false).unwrap();
        let stderr = Sink::new(Output::Inherit, &writer).unwrap();
        let net = Net::new(Policy::default(), 1, Meter::new(), stderr, None);
        assert_eq!(net.open_tcp(), Err(NoSocket::Denied));
        net.say_full();
    }

    /// Has this process do as the system does by default with a signal that Rust's `main` ignores, as one with a `main` in C would.
    fn leave_sigpipe_alone() {
        // SAFETY: it installs no handler.
        let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        assert_ne!(before, libc::SIG_ERR, "{}", io::Error::last_os_error());
    }

    /// A process of its own: SIGPIPE is the same for all threads of one.
    #[test]
    fn a_peer_that_hangs_up_ends_no_process_that_leaves_sigpipe_alone() {
        const CHILD: &str = "DORMOUSE_LEAVES_SIGPIPE_ALONE";
        if env::var_os(CHILD).is_none() {
            let name = std::thread::current().name().unwrap().to_owned();
            let mut child = Command::new(env::current_exe().unwrap());
            let ended = child.env(CHILD, "").args(["--exact", "--nocapture", &name]).output().unwrap();
            let said = String::from_utf8_lossy(&ended.stdout);
            assert!(ended.status.success() && said.contains("each send told it"), "{}: {ended:?}", ended.status);
            return;
        }
        leave_sigpipe_alone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            stream.set_nonblocking(true).unwrap();
            let socket = socket::Socket::new(stream.into(), &Arc::default(), &Meter::new());
            // What a peer that has hung up comes to, at once and each time.
            tcp::shutdown(&socket, Shutdown::Write).unwrap();
            let some = [IoSlice::new(b"a"), IoSlice::new(b"b")];
            let gone = Some(Errno::PIPE.raw_os_error());
            for sent in [
                tcp::send(&socket, b"a"),
                tcp::send_aside(&socket, b"a"),
                tcp::send_vectored(&socket, &some),
                tcp::send_vectored(&socket, &[]),
            ] {
                assert_eq!(sent.unwrap_err().raw_os_error(), gone);
            }
            let (ours, peer) = UnixStream::pair().unwrap();
            let (reader, pipe) = io::pipe().unwrap();
            drop((peer, reader));
            let mut outputs = vec![OwnedFd::from(ours)];
            if has_rwf_nosignal() {
                outputs.push(pipe.into());
            }
            for output in outputs {
                let sink = Sink::new(Output::Inherit, output).unwrap();
                assert_eq!(sink.write_all(b"a").unwrap_err().raw_os_error(), gone);
            }
            println!("each send told it");
        });
    }

    /// Linux has it since 6.18.
    fn has_rwf_nosignal() -> bool {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut version = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        cfg!(target_os = "linux") && (version.next(), version.next()) >= (Some(6), Some(18))
    }
}
