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

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::socket::Socket;
use super::tcp;

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
    /// How many sockets have it, or are about to.
    holders: usize,
}

impl Listeners {
    /// Adds one that somebody else has opened, which is there for as long as this is.
    pub(crate) fn add(&self, listener: TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let at = listener.local_addr()?;
        self.lock().push(Shared { name: Name { addr: at, nth: 0 }, at, fd: listener.into(), holders: 1 });
        Ok(())
    }

    /// Whether the listeners of a run that fails are kept until another run takes them.
    pub(crate) fn keep(&self, keep: bool) {
        self.keep.store(keep, Ordering::SeqCst);
        if !keep {
            self.lock().retain(|shared| shared.holders > 0);
        }
    }

    /// For one run. `on_listen` is called when it has its first listener.
    pub(crate) fn of_a_run(&self, on_listen: impl Fn() + Send + Sync + 'static) -> Share {
        let state = RunState {
            on_listen: Box::new(on_listen),
            listens: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        };
        Share { listeners: self.clone(), counts: Mutex::default(), state: Arc::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Shared>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, name: Name, failed: bool) {
        let mut all = self.lock();
        if let Some(shared) = all.iter_mut().find(|shared| shared.name == name) {
            shared.holders -= 1;
        }
        if !(failed && self.keep.load(Ordering::SeqCst)) {
            all.retain(|shared| shared.name != name || shared.holders > 0);
        }
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
}

impl RunState {
    /// What it drops from now on it drops because it has failed.
    pub(crate) fn fails(&self) {
        self.failed.store(true, Ordering::SeqCst);
    }
}

/// A socket has a listener of these until it is closed.
pub(crate) struct Held {
    listeners: Listeners,
    name: Name,
    of: Arc<RunState>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.listeners.release(self.name, self.of.failed.load(Ordering::SeqCst));
    }
}

impl Share {
    pub(crate) fn state(&self) -> Arc<RunState> {
        Arc::clone(&self.state)
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
        shared.push(Shared { name, at, fd, holders: 1 });
        self.hold(socket, name);
        Ok(())
    }

    /// Puts the listener in the place of what the socket was.
    fn take(&self, socket: &Socket, shared: &mut Shared) -> io::Result<()> {
        if !socket.become_(shared.fd.as_fd())? {
            return Err(Errno::ADDRINUSE.into());
        }
        shared.holders += 1;
        self.hold(socket, shared.name);
        Ok(())
    }

    fn hold(&self, socket: &Socket, name: Name) {
        socket.set_held(Held { listeners: self.listeners.clone(), name, of: self.state() });
        if !self.state.listens.swap(true, Ordering::SeqCst) {
            (self.state.on_listen)();
        }
    }
}
