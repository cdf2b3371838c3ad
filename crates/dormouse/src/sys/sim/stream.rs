//! A connection: two ends, each with an inbox. What one end writes is on its way until it is in the other's inbox; both
//! count against the room that the direction has.
//!
//! Endings are Linux's, tried out on it: what had arrived is read before a reset is told, a reset is told once, closing
//! with something unread resets the peer, and a write to a peer that has closed succeeds once.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr};

use super::Descriptor;
use super::socket::{Id, Stage};
use super::wire::Packet;
use super::world::State;
use crate::base::Key;
use crate::sim::{Fault, What};
use crate::sys::Side;

/// A reset that comes late for its own side too comes so much later.
const LATE: u64 = 1_000_000;

pub(super) struct End {
    pub(super) peer: SocketAddr,
    /// The other end, which may have gone.
    other: Id,
    /// What has arrived and is not read.
    pub(super) inbox: VecDeque<u8>,
    /// Bytes that were written and have not arrived.
    pub(super) in_flight: usize,
    fin_sent: bool,
    pub(super) fin_received: bool,
    /// Shut down for reading here: what arrives is read still, and then it is the end.
    read_shut: bool,
    pub(super) reset: bool,
    /// To be told once.
    error: Option<ErrorKind>,
}

impl End {
    pub(super) fn new(peer: SocketAddr, other: Id) -> Self {
        End {
            peer,
            other,
            inbox: VecDeque::new(),
            in_flight: 0,
            fin_sent: false,
            fin_received: false,
            read_shut: false,
            reset: false,
            error: None,
        }
    }

    pub(super) fn is_readable(&self) -> bool {
        !self.inbox.is_empty() || self.fin_received || self.read_shut || self.reset
    }

    pub(super) fn is_shut_both_ways(&self) -> bool {
        self.read_shut && self.fin_sent
    }

    pub(super) fn is_closed_for_writing(&self) -> bool {
        self.fin_sent || self.reset
    }
}

impl Descriptor {
    pub(super) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.try_read_vectored(&mut [io::IoSliceMut::new(buf)])
    }

    pub(super) fn try_read_vectored(&self, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        self.with(|state, id| {
            let n = state.look(id, bufs)?;
            if n > 0
                && let Some(end) = state.end(id)
            {
                end.inbox.drain(..n);
                state.log(What::Read { socket: id, bytes: n });
            }
            Ok(n)
        })
    }

    pub(super) fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.with(|state, id| state.look(id, &mut [io::IoSliceMut::new(buf)]))
    }

    pub(super) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[io::IoSlice::new(buf)])
    }

    pub(super) fn try_write_vectored(&self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.with(|state, id| state.write(id, bufs))
    }

    pub(super) fn try_drain(&self) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.with(|state, id| state.shut_down(id, how))
    }

    pub(super) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.with(|state, id| state.open_end(id).map(|end| end.peer))
    }
}

impl State {
    pub(super) fn end(&mut self, id: Id) -> Option<&mut End> {
        match &mut self.sockets.get_mut(&id)?.stage {
            Stage::Connected(end) => Some(end),
            _ => None,
        }
    }

    fn stream(&mut self, id: Id) -> io::Result<&mut End> {
        self.end(id).ok_or_else(|| ErrorKind::NotConnected.into())
    }

    /// One that is still a connection: not reset, and not ended from both sides.
    fn open_end(&mut self, id: Id) -> io::Result<&mut End> {
        let end = self.stream(id)?;
        let (other, ended) = (end.other, end.reset || (end.fin_sent && end.fin_received));
        if ended && self.end(other).is_none_or(|other| other.fin_received || other.reset) {
            return Err(ErrorKind::NotConnected.into());
        }
        self.stream(id)
    }

    /// The end that has these addresses.
    pub(crate) fn connection(&self, local: SocketAddr, peer: SocketAddr) -> Option<Id> {
        let is_it = |stage: &Stage| matches!(stage, Stage::Connected(end) if end.peer == peer);
        self.sockets.iter().find(|(_, it)| it.local == Some(local) && is_it(&it.stage)).map(|(&id, _)| id)
    }

    /// How much may be written.
    pub(super) fn room(&self, end: &End) -> usize {
        let unread = match self.sockets.get(&end.other).map(|other| &other.stage) {
            Some(Stage::Connected(other)) => other.inbox.len(),
            _ => 0,
        };
        self.setup.buffer.saturating_sub(end.in_flight + unread)
    }

    /// A read or a write of `most` bytes may do less.
    fn cut(&mut self, most: usize) -> usize {
        if most > 1 && self.goes_wrong(Fault::Partial, |faults| faults.partial) {
            return 1 + self.setup.choices.within(most - 1);
        }
        most
    }

    /// Copies out what has arrived, and leaves it there.
    fn look(&mut self, id: Id, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        let wanted = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        if wanted == 0 {
            return Ok(0);
        }
        self.refuse(id, Side::Read)?;
        let end = self.stream(id)?;
        let most = wanted.min(end.inbox.len());
        if most == 0 {
            if end.fin_received {
                return Ok(0);
            }
            return match end.error.take() {
                Some(kind) => Err(kind.into()),
                None if end.reset || end.read_shut => Ok(0),
                None => Err(ErrorKind::WouldBlock.into()),
            };
        }
        let n = self.cut(most);
        let (front, back) = self.stream(id)?.inbox.as_slices();
        let mut arrived = front.chain(back).take(n as u64);
        for buf in bufs {
            let mut rest = &mut **buf;
            while let 1.. = rest.len()
                && let taken @ 1.. = arrived.read(rest)?
            {
                rest = &mut rest[taken..];
            }
        }
        Ok(n)
    }

    fn write(&mut self, id: Id, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.refuse(id, Side::Write)?;
        let end = self.stream(id)?;
        if let Some(kind) = end.error.take() {
            return Err(kind.into());
        }
        if end.is_closed_for_writing() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let other = end.other;
        let offered = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        if offered == 0 {
            return Ok(0);
        }
        let Some(Stage::Connected(end)) = self.sockets.get(&id).map(|socket| &socket.stage) else {
            unreachable!("it is connected, above")
        };
        let most = offered.min(self.room(end));
        if most == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let n = self.cut(most);
        let resets = self.goes_wrong(Fault::Reset, |faults| faults.resets);
        let late = resets && self.goes_wrong(Fault::LateError, |faults| faults.late_errors);
        if resets && !late {
            self.break_off(id);
            self.stream(id)?.error = None;
            return Err(ErrorKind::ConnectionReset.into());
        }
        let mut bytes = Vec::with_capacity(n);
        for buf in bufs {
            bytes.extend_from_slice(&buf[..buf.len().min(n - bytes.len())]);
        }
        self.stream(id)?.in_flight += n;
        self.log(What::Written { socket: id, bytes: n });
        self.send(other, Packet::Data { from: id, bytes });
        if late {
            self.send(other, Packet::Rst);
            let when = self.now() + LATE;
            self.send_at(when, id, Packet::Rst);
        }
        Ok(n)
    }

    fn shut_down(&mut self, id: Id, how: Shutdown) -> io::Result<()> {
        let end = self.open_end(id)?;
        let (read, write) = (how != Shutdown::Write, how != Shutdown::Read);
        let ends = write && !end.fin_sent;
        end.read_shut |= read;
        end.fin_sent |= write;
        let other = end.other;
        self.log(What::ShutDown { socket: id, read, write });
        if ends {
            self.send(other, Packet::Fin);
        }
        Ok(())
    }

    /// A reset has come.
    pub(super) fn reset(&mut self, id: Id) {
        let Some(end) = self.end(id).filter(|end| !end.reset) else { return };
        end.reset = true;
        // A reader that has seen the end of the stream goes on seeing it; a write gets the reset.
        end.error = Some(if end.fin_received { ErrorKind::BrokenPipe } else { ErrorKind::ConnectionReset });
        self.log(What::Reset { socket: id });
    }

    /// The network breaks a connection off: what is on its way is lost, and both ends are reset.
    pub(crate) fn break_off(&mut self, id: Id) {
        let Some(end) = self.end(id) else { return };
        for id in [id, end.other] {
            self.flights.lose(id);
            let Some(socket) = self.sockets.get_mut(&id) else { continue };
            socket.line.flying = 0;
            if let Some(held) = &mut socket.line.held {
                held.clear();
            }
            if socket.is_connecting() {
                self.failed(id, ErrorKind::ConnectionReset);
            }
            self.reset(id);
        }
    }

    /// Closes one end and resets the other.
    pub(super) fn abort(&mut self, id: Id) {
        let Some(end) = self.end(id) else { return };
        let other = end.other;
        self.sockets.remove(&id);
        self.log(What::Closed { socket: id });
        self.send(other, Packet::Rst);
    }

    /// Closes a socket, and returns the key that watches it.
    pub(super) fn close(&mut self, id: Id) -> Option<Key> {
        let socket = self.sockets.remove(&id)?;
        self.log(What::Closed { socket: id });
        match socket.stage {
            Stage::Idle | Stage::Connecting { .. } | Stage::Failed(_) => {}
            Stage::Listening { queue, .. } => queue.into_iter().for_each(|queued| self.abort(queued)),
            Stage::Connected(end) if !end.inbox.is_empty() => self.send(end.other, Packet::Rst),
            Stage::Connected(end) if !end.fin_sent => self.send(end.other, Packet::Fin),
            Stage::Connected(_) => {}
        }
        for packet in socket.line.held.into_iter().flatten() {
            self.arrive(id, packet);
        }
        socket.watched_by
    }
}
