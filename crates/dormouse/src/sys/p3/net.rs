//! TCP over `wasi:sockets`. Every call returns at once.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use wasip3::sockets::types::{ErrorCode, TcpSocket};

use super::abi::{self, SocketEnd};
use super::call::Call;
use super::convert::{error, family, from_wasi, opening, to_wasi};
use super::stream::{self, Reader, Writer};
use super::{Half, Source, State};
use crate::sys::Side;
use crate::sys::wasi::{GATHER, gathered};

/// Connections that one accept passes over, because their peers have gone, before others have a turn.
const MOST_GONE: usize = 16;

// ---- a socket that is not yet a listener or a stream ----

impl Source {
    pub(crate) fn tcp(v6: bool) -> io::Result<Self> {
        let socket = TcpSocket::create(family(v6)).map_err(opening)?;
        Ok(Source::new(State::Unconnected(Rc::new(socket))))
    }

    pub(crate) fn start_bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.socket()?.bind(to_wasi(addr)).map_err(error)
    }

    pub(crate) fn try_finish_bind(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn start_listen(&self, backlog: u32) -> io::Result<()> {
        let socket = self.socket()?;
        socket.set_listen_backlog_size(backlog.max(1).into()).map_err(error)?;
        let connections = abi::listen(&socket).map_err(error)?;
        self.become_(State::Listener(connections, socket));
        Ok(())
    }

    pub(crate) fn try_finish_listen(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn start_connect(&self, addr: SocketAddr) -> io::Result<()> {
        let socket = self.socket()?;
        let connecting = Rc::clone(&socket);
        match Call::new(async move { connecting.connect(to_wasi(addr)).await.map_err(error) }) {
            Ok(Ok(())) => self.become_(State::connected(socket)),
            Ok(Err(error)) => return Err(error),
            Err(call) => self.become_(State::Connecting(call, socket)),
        }
        Ok(())
    }

    pub(crate) fn try_finish_connect(&self) -> io::Result<()> {
        let state = &mut *self.state.borrow_mut();
        let State::Connecting(call, socket) = state else { return Ok(()) };
        let Some(result) = call.try_finish() else { return Err(io::ErrorKind::WouldBlock.into()) };
        let socket = Rc::clone(socket);
        // The call goes first, and with it its hold on the socket.
        *state = if result.is_ok() { State::connected(socket) } else { State::Unconnected(socket) };
        result
    }

    pub(crate) fn into_listener(self) -> Source {
        self
    }

    pub(crate) fn into_stream(self) -> Source {
        self
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket()?.get_local_address().map(from_wasi).map_err(error)
    }
}

// ---- a listener ----

impl Source {
    pub(crate) fn try_accept(&self) -> io::Result<(Source, SocketAddr)> {
        let State::Listener(connections, _) = &mut *self.state.borrow_mut() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        for _ in 0..MOST_GONE {
            let moved = if connections.is_under_way() { connections.try_finish() } else { connections.start() };
            let Some(moved) = moved else { return Err(io::ErrorKind::WouldBlock.into()) };
            let Some(socket) = connections.take() else {
                if moved.ended {
                    return Err(crate::base::error(io::ErrorKind::Other, "the host has closed the listener"));
                }
                continue;
            };
            match socket.get_remote_address() {
                Ok(peer) => return Ok((Source::new(State::connected(Rc::new(socket))), from_wasi(peer))),
                // The peer has reset it since: it has no peer and no address. Takes the next one.
                Err(ErrorCode::InvalidState | ErrorCode::ConnectionReset | ErrorCode::ConnectionAborted) => {}
                // The host makes a socket of an error of accept: it has the code, and nothing else.
                Err(code) => return Err(opening(code)),
            }
        }
        // Nothing is under way, so the next wait reports the listener at once, when the others have had their turn.
        Err(io::ErrorKind::WouldBlock.into())
    }
}

// ---- a stream ----

impl State {
    fn connected(socket: Rc<TcpSocket>) -> State {
        State::Stream { reader: Half::Unused, writer: Half::Unused, socket }
    }
}

impl Source {
    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut *self.state.borrow_mut() {
            State::Stream { reader, writer, socket } => match reader.in_use(|| Reader::new(abi::receive(socket))) {
                Some(open) => {
                    let read = open.read(buf);
                    if let (Ok(0), true, Half::Ended) = (&read, open.is_shut() && !buf.is_empty(), writer) {
                        // All that had come is read: what comes now resets the connection, as it does natively.
                        *reader = Half::Ended;
                    }
                    read
                }
                None => Ok(0),
            },
            State::Stdin(reader) => reader.read(buf),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(crate) fn try_read_vectored(&self, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        match bufs.iter_mut().find(|buf| !buf.is_empty()) {
            Some(buf) => self.try_read(buf),
            None => Ok(0),
        }
    }

    pub(crate) fn try_peek(&self, _buf: &mut [u8]) -> io::Result<usize> {
        Err(crate::base::error(
            io::ErrorKind::Unsupported,
            "peek: WASI 0.3 has no such call (a read takes what it returns); read into a buffer and look at that",
        ))
    }

    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        match &mut *self.state.borrow_mut() {
            State::Stream { writer, socket, .. } => match writer.in_use(|| Writer::new(abi::send(socket))) {
                Some(writer) => writer.write(buf),
                None => Err(io::ErrorKind::BrokenPipe.into()),
            },
            State::Stdio(_) if buf.is_empty() => Ok(0),
            State::Stdio(writer) => writer.write_copy(buf),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(crate) fn try_write_vectored(&self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let mut filled = bufs.iter().filter(|buf| !buf.is_empty());
        let (Some(first), rest) = (filled.next(), filled) else { return self.try_write(&[]) };
        let mut rest = rest.peekable();
        if rest.peek().is_none() || first.len() >= GATHER {
            return self.try_write(first);
        }
        gathered(std::iter::once(first).chain(rest), |all| self.try_write(all))
    }

    /// Whether all that was written has left the host's hands; `WouldBlock` if not. What goes to a socket has, when the write
    /// returns.
    pub(crate) fn try_drain(&self) -> io::Result<()> {
        match &mut *self.state.borrow_mut() {
            State::Stdio(writer) => writer.settle(),
            _ => Ok(()),
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        // The host would not say that the peer has gone.
        self.peer_addr()?;
        let State::Stream { reader, writer, socket } = &mut *self.state.borrow_mut() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        if how != Shutdown::Write {
            match reader.in_use(|| Reader::new(abi::receive(socket))) {
                Some(reader) => reader.shut(),
                None => *reader = Half::Ended,
            }
        }
        // Writing ends when its stream is dropped; one that was not used must begin first.
        if how != Shutdown::Read {
            writer.in_use(|| Writer::new(abi::send(socket)));
            *writer = Half::Ended;
        }
        Ok(())
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket()?.get_remote_address().map(from_wasi).map_err(|code| match code {
            ErrorCode::InvalidState => io::ErrorKind::NotConnected.into(),
            code => error(code),
        })
    }

    /// Whether something that was written is on its way from our memory.
    pub(crate) fn is_pending(&self) -> bool {
        match &mut *self.state.borrow_mut() {
            State::Stdio(writer) => writer.settle().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock),
            State::Other(other) => other.is_pending(),
            _ => false,
        }
    }

    pub(super) fn socket(&self) -> io::Result<Rc<TcpSocket>> {
        match &*self.state.borrow() {
            State::Unconnected(socket)
            | State::Connecting(_, socket)
            | State::Listener(_, socket)
            | State::Stream { socket, .. } => Ok(Rc::clone(socket)),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn become_(&self, state: State) {
        self.state.replace(state);
    }
}

// ---- two streams ----

/// Has the host move what `from` receives to `to`, if neither of these directions has been used; or it does
/// so already.
pub(crate) fn hand_over(from: &Source, to: &Source) -> bool {
    let state = &mut *from.state.borrow_mut();
    // There and back on one connection.
    if std::ptr::eq(from, to) {
        let State::Stream { reader, writer, socket } = state else { return false };
        return connect(reader, socket, writer, socket);
    }
    match (state, &mut *to.state.borrow_mut()) {
        (State::Stream { reader, socket: from, .. }, State::Stream { writer, socket: to, .. }) => {
            connect(reader, from, writer, to)
        }
        _ => false,
    }
}

fn connect(
    reader: &mut Half<Reader<SocketEnd>>,
    from: &TcpSocket,
    writer: &mut Half<Writer<SocketEnd>>,
    to: &TcpSocket,
) -> bool {
    match (&*reader, &*writer) {
        (Half::Unused, Half::Unused) => {
            let (received, sent) = abi::forward(from, to);
            let (here, there) = (received.waitable(), sent.waitable());
            (*reader, *writer) = (Half::HandedOver(received, there), Half::HandedOver(sent, here));
            true
        }
        // The future that had asked for it has gone.
        (Half::HandedOver(received, there), Half::HandedOver(sent, here)) => {
            received.waitable() == *here && sent.waitable() == *there
        }
        _ => false,
    }
}

/// How what was handed over has ended, on this side of a stream.
pub(crate) fn try_handed_over(source: &Source, side: Side) -> io::Result<()> {
    match (&mut *source.state.borrow_mut(), side) {
        (State::Stream { reader: Half::HandedOver(end, _), .. }, Side::Read)
        | (State::Stream { writer: Half::HandedOver(end, _), .. }, Side::Write) => match end.take() {
            // It came while it was taken back.
            Some(ended) => ended.map_err(error),
            None => stream::verdict(end).unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into())),
        },
        _ => Ok(()),
    }
}

/// Begins to read, so that there is something to wait for.
pub(crate) fn begin(source: &Source, side: Side) {
    if let (State::Stream { reader, socket, .. }, Side::Read) = (&mut *source.state.borrow_mut(), side)
        && let Some(open) = reader.in_use(|| Reader::new(abi::receive(socket)))
    {
        open.begin();
    }
}

/// Waits no longer for the end of what was handed over: Dormouse's runner stops moving bytes until [`try_handed_over`] asks again. wasmtime 48
/// goes on.
pub(crate) fn take_back(source: &Source, side: Side) {
    match (&mut *source.state.borrow_mut(), side) {
        (State::Stream { reader: Half::HandedOver(end, _), .. }, Side::Read)
        | (State::Stream { writer: Half::HandedOver(end, _), .. }, Side::Write)
            if end.is_under_way() =>
        {
            end.stop();
        }
        _ => {}
    }
}
