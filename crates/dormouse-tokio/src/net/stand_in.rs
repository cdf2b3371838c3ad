//! What std and socket2 see of a socket of Dormouse's: a stand-in.
//!
//! A socket of Dormouse's is a handle of its host, and has no descriptor. The stand-in is a socket of wasi-libc's that is connected to
//! nothing. Options that are set on it are carried over to Dormouse's before the next operation; a read or a write on it fails with
//! `NotConnected`.
//!
//! ```text
//!                    as_fd: made if need be, and filled with the options
//!   tokio's socket ──────────────────────────────────────────▶ stand-in ── set_keepalive, …
//!        ▲  ▲                  the next operation carries over   │
//!        │  └────────────────────────────────────────────────────┘
//!        │                     into_std                        from_std
//!        └─ KEPT: descriptor → Dormouse's socket ◀── std's socket ──┘
//! ```
//!
//! std's socket may be dropped. Then its descriptor is closed, and may be that of another socket later. So each stand-in has a mark, a
//! read and a write timeout that no other has, which wasi-libc keeps by itself. Whenever a socket is made, waits or is handed over, those
//! that are kept for a descriptor without its mark are closed.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::mem::ManuallyDrop;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::settings::{Settings, Takes};
use super::socket::Unconnected;
use super::{TcpListener, TcpStream, UdpSocket, now};

/// The place of a socket's stand-in, which is made when it is asked for.
#[derive(Default)]
pub(super) struct Place {
    made: OnceCell<Box<Seen>>,
    /// It has been given out since the options were carried over.
    is_lent: Cell<bool>,
}

struct Seen {
    socket: Socket,
    /// The options that it had when they were last compared.
    settings: RefCell<Settings>,
}

impl Seen {
    fn new(of: &impl Takes) -> io::Result<Box<Seen>> {
        let domain = if of.is_v6() { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::STREAM, None)?;
        of.settings().fill(&socket);
        let settings = RefCell::new(Settings::of(&socket));
        Ok(Box::new(Seen { socket, settings }))
    }

    fn carry(&self, to: &impl Takes) -> io::Result<()> {
        let now = Settings::of(&self.socket);
        let changed = now.since(&self.settings.replace(now.clone()));
        to.take(&changed)
    }
}

impl Place {
    /// The descriptor of the stand-in, or of [`none`] if the host has no more sockets.
    pub(super) fn as_fd(&self, of: &impl Takes) -> BorrowedFd<'_> {
        if self.made.get().is_none()
            && let Ok(seen) = Seen::new(of)
        {
            let _ = self.made.set(seen);
        }
        match self.made.get() {
            Some(seen) => {
                self.is_lent.set(true);
                seen.socket.as_fd()
            }
            None => none(),
        }
    }

    /// Carries options over, if the stand-in was given out since. One that the host refuses is lost, as the operation that comes next is
    /// not the one that has set it.
    pub(super) fn carry(&self, to: &impl Takes) {
        if self.is_lent.get() {
            self.carry_lent(to);
        }
    }

    #[cold]
    fn carry_lent(&self, to: &impl Takes) {
        self.is_lent.set(false);
        if let Some(seen) = self.made.get() {
            let _ = seen.carry(to);
        }
    }

    /// A stand-in that goes its own way: with the options of the socket, and what was set on it.
    pub(super) fn into_socket(mut self, of: &impl Takes) -> io::Result<(Socket, Settings)> {
        self.carry(of);
        let seen = self.made.take().map_or_else(|| Seen::new(of), Ok)?;
        let Seen { socket, settings } = *seen;
        Ok((socket, settings.into_inner()))
    }
}

thread_local! {
    static KEPT: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
    static ARE_KEPT: Cell<bool> = const { Cell::new(false) };
    static MARKS: Cell<u64> = const { Cell::new(0) };
}

/// A socket that std has the stand-in of.
struct Entry {
    fd: RawFd,
    mark: Duration,
    settings: Settings,
    kept: Kept,
}

/// A socket of Dormouse's, with what else belongs to it.
enum Kept {
    Stream(TcpStream),
    Listener(TcpListener),
    Udp(UdpSocket),
}

impl Kept {
    /// It is of the runtime that takes it back.
    fn move_here(&mut self) {
        match self {
            Kept::Stream(stream) => stream.move_here(),
            Kept::Listener(listener) => listener.move_here(),
            Kept::Udp(udp) => udp.move_here(),
        }
    }
}

/// Hands a socket over to std.
fn give((socket, settings): (Socket, Settings), kept: Kept) -> io::Result<OwnedFd> {
    sweep();
    let serial = MARKS.get();
    MARKS.set(serial + 1);
    let mark = FIRST_MARK + Duration::from_micros(serial);
    socket.set_read_timeout(Some(mark))?;
    socket.set_write_timeout(Some(mark))?;
    KEPT.with_borrow_mut(|all| all.push(Entry { fd: socket.as_raw_fd(), mark, settings, kept }));
    ARE_KEPT.set(true);
    Ok(OwnedFd::from(socket))
}

/// Three and a half years, which is no timeout of a program.
const FIRST_MARK: Duration = Duration::from_secs(0x0690_0690);

/// The socket that a stand-in stands for, with the options that were set meanwhile. None if it stands for none.
fn take(socket: &Socket) -> Option<(Kept, Settings)> {
    sweep();
    let fd = socket.as_raw_fd();
    let mut entry = KEPT.with_borrow_mut(|all| {
        let place = all.iter().position(|entry| entry.fd == fd)?;
        ARE_KEPT.set(all.len() > 1);
        Some(all.swap_remove(place))
    })?;
    let changed = Settings::of(socket).since(&entry.settings);
    entry.kept.move_here();
    Some((entry.kept, changed))
}

/// Closes those of which std has dropped the stand-in.
pub(super) fn sweep() {
    if ARE_KEPT.get() {
        sweep_kept();
    }
}

#[cold]
fn sweep_kept() {
    // Dropped when the list is free again.
    let gone: Vec<Entry> = KEPT.with_borrow_mut(|all| {
        let gone = all.extract_if(.., |entry| !is_there(entry)).collect();
        ARE_KEPT.set(!all.is_empty());
        gone
    });
    drop(gone);
}

fn is_there(entry: &Entry) -> bool {
    // SAFETY: wasi-libc is only asked what kind of descriptor the number is and for its options, which it tells of any number, and
    // what is not ours is not closed.
    #[allow(unsafe_code)]
    let socket = ManuallyDrop::new(unsafe { Socket::from_raw_fd(entry.fd) });
    let (Ok(read), Ok(write)) = (socket.read_timeout(), socket.write_timeout()) else { return false };
    if read == Some(entry.mark) || write == Some(entry.mark) {
        return true;
    }
    // std's user has set both timeouts, or it is another socket, which would be bound soon or be a stand-in itself.
    let is_mark = |timeout: Option<Duration>| timeout.is_some_and(|timeout| timeout >= FIRST_MARK);
    (read.is_some() && write.is_some()) && !is_mark(read) && !is_mark(write) && socket.local_addr().is_err()
}

pub(super) fn give_stream(mut stream: TcpStream) -> io::Result<net::TcpStream> {
    let made = stream.take_place().into_socket(&stream)?;
    Ok(give(made, Kept::Stream(stream))?.into())
}

pub(super) fn give_listener(mut listener: TcpListener) -> io::Result<net::TcpListener> {
    let made = listener.take_place().into_socket(&listener)?;
    Ok(give(made, Kept::Listener(listener))?.into())
}

pub(super) fn give_udp(mut socket: UdpSocket) -> io::Result<net::UdpSocket> {
    let made = socket.take_place().into_socket(&socket)?;
    Ok(give(made, Kept::Udp(socket))?.into())
}

pub(super) fn take_stream(stream: net::TcpStream) -> io::Result<TcpStream> {
    match take(&Socket::from(stream)) {
        Some((Kept::Stream(stream), changed)) => stream.take(&changed).map(|()| stream),
        Some(_) => Err(another_kind()),
        None => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "from_std: WASI has no call that hands over a connection which std has made; connect or accept it with tokio",
        )),
    }
}

/// One of std's has an address, which the host gives us once std has closed it.
pub(super) fn take_listener(listener: net::TcpListener) -> io::Result<TcpListener> {
    let socket = Socket::from(listener);
    match take(&socket) {
        Some((Kept::Listener(listener), changed)) => return listener.take(&changed).map(|()| listener),
        Some(_) => return Err(another_kind()),
        None => {}
    }
    let addr = address(&socket)?;
    let ours = Unconnected::new(addr.is_ipv6())?;
    ours.take(&Settings::of(&socket).since(&ours.settings()))?;
    drop(socket);
    now(ours.io.bind(addr))?;
    Ok(now(ours.io.listen(BACKLOG))?.into())
}

/// As std's listeners have it.
const BACKLOG: u32 = 128;

/// As [`take_listener`].
pub(super) fn take_udp(udp: net::UdpSocket) -> io::Result<UdpSocket> {
    let peer = udp.peer_addr().ok();
    let socket = Socket::from(udp);
    match take(&socket) {
        Some((Kept::Udp(udp), changed)) => return udp.take(&changed).map(|()| udp),
        Some(_) => return Err(another_kind()),
        None => {}
    }
    let addr = address(&socket)?;
    let settings = Settings::of(&socket);
    drop(socket);
    let ours = now(dormouse::net::UdpSocket::bind(addr))?;
    ours.take(&settings.since(&ours.settings()))?;
    if let Some(peer) = peer {
        now(ours.connect(peer))?;
    }
    Ok(ours.into())
}

/// What [`TcpSocket::from_std_stream`](super::TcpSocket::from_std_stream) makes ours of: a socket that is neither connected nor listens,
/// and the address that it is bound to.
pub(super) fn take_socket(stream: net::TcpStream) -> io::Result<(Unconnected, Option<SocketAddr>)> {
    let socket = Socket::from(stream);
    if socket.peer_addr().is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "from_std_stream: WASI has no call that hands over a connection which std has made; connect it with tokio",
        ));
    }
    let bound = address(&socket).ok();
    // Which it is: socket2 does not ask wasi-libc, and one of IPv4 has no such option.
    let ours = Unconnected::new(socket.unicast_hops_v6().is_ok())?;
    ours.take(&Settings::of(&socket).since(&ours.settings()))?;
    Ok((ours, bound))
}

/// The same the other way: a socket of wasi-libc's, on the address that ours had.
pub(super) fn plain((socket, _): (Socket, Settings), bound: Option<SocketAddr>) -> io::Result<OwnedFd> {
    if let Some(addr) = bound {
        socket.bind(&addr.into())?;
    }
    Ok(socket.into())
}

/// What stands for a socket that has no stand-in, since tokio's `as_fd` has no way to fail: standard error, on which each option says
/// that it is no socket.
pub(super) fn none() -> BorrowedFd<'static> {
    // SAFETY: std never closes standard error.
    #[allow(unsafe_code)]
    unsafe {
        BorrowedFd::borrow_raw(2)
    }
}

fn address(socket: &Socket) -> io::Result<SocketAddr> {
    let unbound = || io::Error::new(io::ErrorKind::InvalidInput, "from_std: the socket has no address");
    socket.local_addr()?.as_socket().ok_or_else(unbound)
}

#[cold]
fn another_kind() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "from_std: the socket is of another kind than into_std has made it of")
}
