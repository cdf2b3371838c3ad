//! Share. Listeners that several runs have together, or that somebody else has opened: a program binds and listens as ever, and gets the
//! one that is there.
//!
//! ```text
//!   run 0   bind ─ listen ──▶ opens it, and leaves a copy here ┐
//!   run 1   bind ─ listen ──▶ gets a copy ─────────────────────┤  one queue of connections: whichever run
//!   run 2   bind ─ listen ──▶ gets a copy ─────────────────────┘  is free accepts the next
//! ```
//!
//! All have the same open file description, so there is one queue, and a run that ends takes no connection with it that it has not
//! accepted. With `SO_REUSEPORT`, where each has a queue of its own, Linux resets those (`net.ipv4.tcp_migrate_req`). UDP has that
//! option: datagrams of one peer go to one run.
//!
//! A listener is known by the address that was asked for. If that has port 0, the system's choice of the first run is that of all, and the
//! second listener of that address in one run is the second in each.
//!
//! Which of the runs accepts is in [`turn`](super::turn), and what becomes of a connection that one has accepted and not looked at in
//! [`returned`](super::returned).

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::net::sockopt;

use super::meter::{Load, Meter};
use super::returned::{Returned, Taker};
use super::socket::Socket;
use super::turn::{Accepts, Turn};
use super::{tcp, udp};

/// What a listener is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    addr: SocketAddr,
    /// Which one of this address, if the system chooses the port.
    nth: usize,
}

/// The listeners of several runs; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Listeners {
    shared: Arc<Mutex<Vec<Shared>>>,
    /// Those of a run that fails are kept, since another one is to take them.
    keep: Arc<AtomicBool>,
}

struct Shared {
    name: Name,
    /// What it is bound to.
    at: SocketAddr,
    fd: OwnedFd,
    returned: Arc<Returned>,
    /// The runs that have it, by their connections.
    holders: Vec<Arc<Load>>,
}

impl Listeners {
    /// Adds one that somebody else has opened, and tells its address. It stays until the last run that has it closes it, or until nothing is
    /// kept any more.
    pub(crate) fn add(&self, listener: TcpListener) -> io::Result<SocketAddr> {
        listener.set_nonblocking(true)?;
        let at = listener.local_addr()?;
        let (name, fd, returned) = (Name { addr: at, nth: 0 }, listener.into(), Arc::default());
        self.lock().push(Shared { name, at, fd, returned, holders: Vec::new() });
        Ok(at)
    }

    /// Whether the listeners of a run that fails are kept until another run takes them.
    pub(crate) fn keep(&self, keep: bool) {
        self.keep.store(keep, Ordering::SeqCst);
        if !keep {
            self.lock().retain(|shared| !shared.holders.is_empty());
        }
    }

    /// For one run, which accepts so many connections a second. `on_listen` is called when it has its first listener.
    pub(crate) fn of_a_run(&self, accept_rate: Option<u32>, on_listen: impl Fn() + Send + Sync + 'static) -> Share {
        let state = RunState {
            on_listen: Box::new(on_listen),
            listens: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            lost: AtomicUsize::new(0),
            listeners: Mutex::default(),
            datagrams: Mutex::default(),
            load: Arc::default(),
            accepts: Arc::new(accept_rate.map_or_else(Accepts::default, Accepts::at_rate)),
        };
        Share { listeners: self.clone(), counts: Mutex::default(), state: Arc::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Shared>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, name: Name, load: &Arc<Load>, failed: bool) {
        let mut all = self.lock();
        if let Some(shared) = all.iter_mut().find(|shared| shared.name == name) {
            shared.holders.retain(|holder| !Arc::ptr_eq(holder, load));
        }
        if !(failed && self.keep.load(Ordering::SeqCst)) {
            all.retain(|shared| shared.name != name || !shared.holders.is_empty());
        }
    }

    /// The fewest connections that a run of this listener has.
    fn least(&self, name: Name) -> usize {
        let all = self.lock();
        let shared = all.iter().find(|shared| shared.name == name);
        shared.into_iter().flat_map(|shared| &shared.holders).map(|load| load.connections()).min().unwrap_or(0)
    }
}

/// The part of one run.
pub(crate) struct Share {
    listeners: Listeners,
    /// How many listeners it has of each address whose port the system chooses.
    counts: Mutex<HashMap<SocketAddr, usize>>,
    state: Arc<RunState>,
}

/// What is known of a run.
pub(crate) struct RunState {
    on_listen: Box<dyn Fn() + Send + Sync>,
    listens: AtomicBool,
    failed: AtomicBool,
    /// How many connections it had when it failed.
    lost: AtomicUsize,
    /// What it has with others. A second socket for any of that is refused, as if nothing were shared.
    listeners: Mutex<Vec<Name>>,
    datagrams: Mutex<Vec<SocketAddr>>,
    load: Arc<Load>,
    accepts: Arc<Accepts>,
}

impl RunState {
    /// What it drops from now on it drops because it has failed.
    pub(crate) fn fails(&self) {
        self.failed.store(true, Ordering::SeqCst);
        self.lost.store(self.load.connections(), Ordering::SeqCst);
    }

    /// How many connections have ended with it, if it has failed.
    pub(crate) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

/// What a socket has with those of other runs, until it is closed.
pub(crate) struct Held {
    of: Arc<RunState>,
    what: What,
}

enum What {
    Listener(Listeners, Name, Arc<Turn>, Arc<Returned>),
    Datagrams(SocketAddr),
}

impl Held {
    /// When this run accepts, of a listener.
    pub(super) fn turn(&self) -> Option<&Arc<Turn>> {
        match &self.what {
            What::Listener(_, _, turn, _) => Some(turn),
            What::Datagrams(_) => None,
        }
    }

    /// What takes the connections of a listener that others have not looked at.
    pub(super) fn taker(&self) -> Option<Taker> {
        let What::Listener(listeners, _, _, returned) = &self.what else { return None };
        let (run, keep) = (Arc::clone(&self.of), Arc::clone(&listeners.keep));
        Some(returned.taker(move || run.failed.load(Ordering::SeqCst) && keep.load(Ordering::SeqCst)))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        match &self.what {
            What::Listener(listeners, name, ..) => {
                take_out(&mut lock(&self.of.listeners), name);
                listeners.release(*name, &self.of.load, self.of.failed.load(Ordering::SeqCst));
            }
            What::Datagrams(addr) => take_out(&mut lock(&self.of.datagrams), addr),
        }
    }
}

fn take_out<T: PartialEq>(list: &mut Vec<T>, one: &T) {
    if let Some(at) = list.iter().position(|other| other == one) {
        list.swap_remove(at);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the system refuses the second of two sockets that are bound to these.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && (any || one.ip() == other.ip())
}

impl Share {
    pub(crate) fn state(&self) -> Arc<RunState> {
        Arc::clone(&self.state)
    }

    /// Has the connections that `meter` counts in a run of its own told to the others.
    pub(crate) fn counts(&self, meter: Meter) -> Meter {
        meter.of_a_run(Arc::clone(&self.state.load))
    }

    /// Binds a socket, or makes it the listener of this address that there is.
    pub(super) fn bind(&self, socket: &Socket, addr: SocketAddr) -> io::Result<()> {
        let mut shared = self.listeners.lock();
        // Before it listens nobody knows whether a socket with any port is to be a listener.
        match shared.iter_mut().find(|shared| addr.port() != 0 && (shared.name.addr == addr || shared.at == addr)) {
            Some(shared) => self.take(socket, shared),
            None => tcp::bind_alone(socket, addr),
        }
    }

    /// Makes a bound socket a listener, or the one that there is.
    pub(super) fn listen(&self, socket: &Socket, backlog: u32) -> io::Result<()> {
        if socket.is_shared() {
            return tcp::listen_alone(socket, backlog);
        }
        let mut shared = self.listeners.lock();
        let at = tcp::local_addr(socket)?;
        let name = match socket.has_any_port() {
            false => Name { addr: at, nth: 0 },
            true => {
                let mut addr = at;
                addr.set_port(0);
                let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
                let count = counts.entry(addr).or_default();
                *count += 1;
                Name { addr, nth: *count }
            }
        };
        if let Some(shared) = shared.iter_mut().find(|shared| shared.name == name) {
            self.take(socket, shared)?;
            return tcp::listen_alone(socket, backlog);
        }
        tcp::listen_alone(socket, backlog)?;
        let fd = rustix::io::fcntl_dupfd_cloexec(socket, 0)?;
        let (returned, holders) = (Arc::<Returned>::default(), vec![Arc::clone(&self.state.load)]);
        shared.push(Shared { name, at, fd, returned: Arc::clone(&returned), holders });
        self.hold(socket, name, returned);
        Ok(())
    }

    /// A listener that somebody else has opened, for a program that finds it and does not bind it.
    pub(crate) fn opened(&self, at: SocketAddr) -> io::Result<(TcpListener, Held)> {
        let mut shared = self.listeners.lock();
        let Some(shared) = shared.iter_mut().find(|shared| shared.at == at) else {
            return Err(io::Error::new(io::ErrorKind::NotConnected, format!("the listener on {at} has been closed")));
        };
        let listener = shared.fd.try_clone()?;
        shared.holders.push(Arc::clone(&self.state.load));
        Ok((listener.into(), self.held(shared.name, Arc::clone(&shared.returned))))
    }

    /// Binds a UDP socket, and gives the address that it is bound to. Sockets of other runs may have that, too.
    pub(super) fn bind_udp(&self, socket: &Socket, addr: SocketAddr) -> io::Result<SocketAddr> {
        if addr.port() == 0 {
            return udp::bind(socket, addr);
        }
        let mut datagrams = lock(&self.state.datagrams);
        if datagrams.iter().any(|bound| overlap(*bound, addr)) {
            return Err(Errno::ADDRINUSE.into());
        }
        sockopt::set_socket_reuseport(socket, true)?;
        let at = udp::bind(socket, addr)?;
        datagrams.push(addr);
        socket.set_held(Held { of: self.state(), what: What::Datagrams(addr) });
        Ok(at)
    }

    /// Puts the listener in the place of what the socket was.
    fn take(&self, socket: &Socket, shared: &mut Shared) -> io::Result<()> {
        if lock(&self.state.listeners).contains(&shared.name) || !socket.become_(shared.fd.as_fd())? {
            return Err(Errno::ADDRINUSE.into());
        }
        shared.holders.push(Arc::clone(&self.state.load));
        self.hold(socket, shared.name, Arc::clone(&shared.returned));
        Ok(())
    }

    fn held(&self, name: Name, returned: Arc<Returned>) -> Held {
        lock(&self.state.listeners).push(name);
        let listeners = self.listeners.clone();
        let RunState { load, accepts, .. } = &*self.state;
        let turn = Turn::new(Arc::clone(load), Arc::clone(accepts), move || listeners.least(name));
        Held { of: self.state(), what: What::Listener(self.listeners.clone(), name, Arc::new(turn), returned) }
    }

    fn hold(&self, socket: &Socket, name: Name, returned: Arc<Returned>) {
        socket.set_held(self.held(name, returned));
        if !self.state.listens.swap(true, Ordering::SeqCst) {
            (self.state.on_listen)();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;
    use crate::net::meter::Meter;
    use crate::net::tcp::Family;

    fn socket(fd: io::Result<OwnedFd>) -> Socket {
        Socket::new(fd.unwrap(), &Arc::default(), &Meter::new())
    }

    fn tcp_socket() -> Socket {
        socket(tcp::create(Family::V4))
    }

    fn run(listeners: &Listeners) -> Share {
        listeners.of_a_run(None, || {})
    }

    /// A listener of the run, or why not.
    fn listen(run: &Share, addr: SocketAddr) -> io::Result<Socket> {
        let socket = tcp_socket();
        run.bind(&socket, addr)?;
        run.listen(&socket, 8)?;
        Ok(socket)
    }

    fn in_use<T>(result: io::Result<T>) {
        assert_eq!(result.err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
    }

    const ANY: &str = "127.0.0.1:0";

    #[test]
    fn runs_have_a_listener_together_and_each_has_it_once() {
        let listeners = Listeners::default();
        let runs = [run(&listeners), run(&listeners)];
        let first = runs.each_ref().map(|run| listen(run, ANY.parse().unwrap()).unwrap());
        let second = runs.each_ref().map(|run| listen(run, ANY.parse().unwrap()).unwrap());
        let at = |socket: &Socket| tcp::local_addr(socket).unwrap();
        assert_eq!((at(&first[0]), at(&second[0])), (at(&first[1]), at(&second[1])));
        assert_ne!(at(&first[0]), at(&second[0]));

        // By its number each has it already. Once it is closed it can be had again.
        let by_number = at(&first[0]);
        in_use(listen(&runs[0], by_number));
        let [one, other] = first;
        drop(one);
        let again = listen(&runs[0], by_number).unwrap();
        assert_eq!(at(&again), by_number);
        drop((again, other));
        assert!(TcpStream::connect(by_number).is_err(), "nothing listens there any more");
        assert!(TcpStream::connect(at(&second[0])).is_ok());
    }

    #[test]
    fn the_listener_of_a_run_that_fails_waits_for_the_next() {
        let listeners = Listeners::default();
        listeners.keep(true);
        let failing = run(&listeners);
        let socket = listen(&failing, ANY.parse().unwrap()).unwrap();
        let addr = tcp::local_addr(&socket).unwrap();
        failing.state().fails();
        drop((socket, failing));
        let waiting = TcpStream::connect(addr).unwrap();
        let next = run(&listeners);
        let socket = listen(&next, ANY.parse().unwrap()).unwrap();
        assert_eq!(tcp::local_addr(&socket).unwrap(), addr);
        // One that is closed by its program is closed.
        drop((socket, waiting));
        assert!(TcpStream::connect(addr).is_err());
    }

    #[test]
    fn a_port_for_datagrams_is_bound_by_each_run_once() {
        let listeners = Listeners::default();
        let runs = [run(&listeners), run(&listeners)];
        let udp_socket = || socket(udp::create(Family::V4));
        let first = udp_socket();
        let addr = runs[0].bind_udp(&first, ANY.parse().unwrap()).unwrap();
        // With any port it is its own, and has no option.
        in_use(runs[1].bind_udp(&udp_socket(), addr));
        drop(first);
        let bound = [udp_socket(), udp_socket()];
        for (run, socket) in runs.iter().zip(&bound) {
            assert_eq!(run.bind_udp(socket, addr).unwrap(), addr);
            in_use(run.bind_udp(&udp_socket(), addr));
            in_use(run.bind_udp(&udp_socket(), SocketAddr::new("0.0.0.0".parse().unwrap(), addr.port())));
        }
        drop(bound);
        assert!(runs[0].bind_udp(&udp_socket(), addr).is_ok());
    }
}
