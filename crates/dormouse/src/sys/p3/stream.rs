//! The two directions of a stream of bytes.

use std::io;

use wasip3::sockets::types::ErrorCode;

use super::abi::{Bytes, Incoming, MOST, Mailbox, Moved, Outbox, Outgoing, Readable, SocketEnd, StdioEnd, Waitable};
use super::convert::error;
use super::set;
use crate::sys::drained::Drained;

/// The future that tells how a stream has ended.
pub(super) trait End: Readable {
    /// In `io`'s words.
    fn result(item: Self::Item) -> io::Result<()>;
}

impl End for SocketEnd {
    fn result(item: Result<(), ErrorCode>) -> io::Result<()> {
        item.map_err(error)
    }
}

impl End for StdioEnd {
    fn result(item: Result<(), u8>) -> io::Result<()> {
        /// `pipe` of wasi:cli's `error-code`.
        const PIPE: u8 = 2;
        item.map_err(|case| match case {
            PIPE => io::ErrorKind::BrokenPipe.into(),
            _ => crate::base::error(io::ErrorKind::Other, "the host does not say why"),
        })
    }
}

/// Asks how the stream has ended; `None` if the host does not know yet.
pub(super) fn verdict<E: End>(end: &mut Mailbox<E>) -> Option<io::Result<()>> {
    let moved = if end.is_under_way() { end.try_finish() } else { end.start() };
    moved?;
    Some(end.take().map_or(Ok(()), E::result))
}

/// What comes in.
pub(super) struct Reader<E: End> {
    mailbox: Mailbox<Bytes>,
    end: Mailbox<E>,
    state: Phase,
    /// The last read got all that it had room for, so there is probably more.
    more: bool,
    /// The last read took all there was, and the next one is not begun at once: see [`set::is_crowded`].
    drained: Drained,
    /// Shut down by this program: what a read does then. A program that shuts nothing down does not link it.
    shut: Option<TakeLast<E>>,
}

/// [`Reader::take_last`].
type TakeLast<E> = fn(&mut Reader<E>, &mut [u8]) -> Option<usize>;

#[derive(PartialEq)]
enum Phase {
    Open,
    /// The stream has ended, and how is not known.
    Ending,
    Ended,
}

impl<E: End> Reader<E> {
    pub(super) fn new((mailbox, end): Incoming<E>) -> Self {
        Reader { mailbox, end, state: Phase::Open, more: false, drained: Drained::default(), shut: None }
    }

    pub(super) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            let n = self.mailbox.take_bytes(buf);
            if n > 0 {
                self.drained.set(!self.more && set::is_crowded());
                let more = if self.more && n < buf.len() { self.read_on(&mut buf[n..]) } else { 0 };
                return Ok(n + more);
            }
            match self.state {
                Phase::Ended => return Ok(0),
                Phase::Ending => {
                    let Some(result) = verdict(&mut self.end) else { return Err(io::ErrorKind::WouldBlock.into()) };
                    self.state = Phase::Ended;
                    return result.map(|()| 0);
                }
                Phase::Open => {}
            }
            if let Some(take_last) = self.shut {
                match take_last(self, buf) {
                    Some(n) => return Ok(n),
                    None => continue,
                }
            }
            if self.mailbox.is_under_way() {
                let Some(moved) = self.mailbox.try_finish() else { return Err(io::ErrorKind::WouldBlock.into()) };
                self.note(moved, self.mailbox.room());
            } else if self.more && buf.len() >= self.mailbox.room() {
                match self.read_on(buf) {
                    0 => {}
                    n => return Ok(n),
                }
            } else if self.drained.is_drained() {
                return Err(io::ErrorKind::WouldBlock.into());
            } else {
                let Some(moved) = self.mailbox.start() else { return Err(io::ErrorKind::WouldBlock.into()) };
                self.note(moved, self.mailbox.room());
            }
        }
    }

    /// Begins to read, if nothing has come and nothing is under way.
    pub(super) fn begin(&mut self) {
        let is_idle = self.mailbox.is_empty() && !self.mailbox.is_under_way() && self.shut.is_none();
        if is_idle
            && self.state == Phase::Open
            && let Some(moved) = self.mailbox.start()
        {
            self.note(moved, self.mailbox.room());
        }
    }

    /// Reads straight to the caller.
    fn read_on(&mut self, buf: &mut [u8]) -> usize {
        if self.state != Phase::Open {
            return 0;
        }
        let room = buf.len().min(MOST);
        let moved = self.mailbox.read(&mut buf[..room]);
        self.note(moved, room);
        moved.count
    }

    fn note(&mut self, moved: Moved, room: usize) {
        self.more = moved.count == room;
        if moved.ended {
            self.state = Phase::Ending;
        }
    }

    /// Shuts it down. It is not dropped, or what has come would be lost; TCP sends nothing for it.
    pub(super) fn shut(&mut self) {
        self.shut = Some(Reader::take_last);
    }

    /// Reads what has come, if anything has: the host is asked, and stopped at once. `None`: something else is known now, to be looked at.
    fn take_last(&mut self, buf: &mut [u8]) -> Option<usize> {
        if self.mailbox.is_under_way() {
            let moved = self.mailbox.stop();
            self.note(moved, self.mailbox.room());
            return None;
        }
        match (self.read_on(buf), &self.state) {
            (0, Phase::Ending) => None,
            (n, _) => Some(n),
        }
    }

    pub(super) fn is_shut(&self) -> bool {
        self.shut.is_some()
    }

    /// What is to be waited for, if there is nothing to read.
    pub(super) fn under_way(&self) -> Option<Waitable> {
        match self.state {
            _ if self.mailbox.is_under_way() => Some(self.mailbox.waitable()),
            Phase::Ending if self.end.is_under_way() => Some(self.end.waitable()),
            _ => None,
        }
    }
}

/// What goes out.
pub(super) struct Writer<E: End> {
    outbox: Outbox,
    end: Mailbox<E>,
    state: Phase,
}

impl<E: End> Writer<E> {
    pub(super) fn new((outbox, end): Outgoing<E>) -> Self {
        Writer { outbox, end, state: Phase::Open }
    }

    /// Writes straight from the caller.
    pub(super) fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return if self.state == Phase::Open { Ok(0) } else { Err(self.failed()) };
        }
        self.settle()?;
        let moved = self.outbox.write(buf);
        self.note(moved);
        match moved.count {
            0 if moved.ended => Err(self.failed()),
            0 => Err(io::ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }

    /// Writes from memory of its own, which the host may take its time with.
    pub(super) fn write_copy(&mut self, buf: &[u8]) -> io::Result<usize> {
        /// What a pipe takes at once, on most systems.
        const MOST: usize = 4096;
        self.settle()?;
        let letters = self.outbox.letters();
        letters.clear();
        letters.extend_from_slice(&buf[..buf.len().min(MOST)]);
        let all = letters.len();
        match self.outbox.start() {
            None => Ok(all),
            Some(moved) => {
                self.outbox.letters().clear();
                self.note(moved);
                if moved.count == 0 && moved.ended { Err(self.failed()) } else { Ok(moved.count) }
            }
        }
    }

    /// Finishes the write that is under way; `WouldBlock` if it has not ended.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        loop {
            let moved = if self.outbox.is_under_way() {
                let Some(moved) = self.outbox.try_finish() else { return Err(io::ErrorKind::WouldBlock.into()) };
                moved
            } else if self.state == Phase::Open && !self.outbox.letters().is_empty() {
                let Some(moved) = self.outbox.start() else { return Err(io::ErrorKind::WouldBlock.into()) };
                moved
            } else {
                break;
            };
            self.note(moved);
            let letters = self.outbox.letters();
            letters.drain(..moved.count.min(letters.len()));
        }
        if self.state == Phase::Open { Ok(()) } else { Err(self.failed()) }
    }

    /// Why nothing can be written any more. The first time it is the host's reason.
    fn failed(&mut self) -> io::Error {
        if self.state == Phase::Ended {
            return io::ErrorKind::BrokenPipe.into();
        }
        match verdict(&mut self.end) {
            None => io::ErrorKind::WouldBlock.into(),
            Some(result) => {
                self.state = Phase::Ended;
                result.err().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())
            }
        }
    }

    fn note(&mut self, moved: Moved) {
        if moved.ended {
            self.state = Phase::Ending;
        }
    }

    /// What is to be waited for, if there is no room: the write that is under way, or an empty one.
    pub(super) fn under_way(&mut self) -> Option<Waitable> {
        match self.state {
            Phase::Open => {}
            Phase::Ending => return self.end.is_under_way().then(|| self.end.waitable()),
            // An empty write would be one, too, and a host traps at that.
            Phase::Ended => return None,
        }
        if !self.outbox.is_under_way()
            && let Some(moved) = self.outbox.start()
        {
            self.note(moved);
            return None;
        }
        Some(self.outbox.waitable())
    }
}
