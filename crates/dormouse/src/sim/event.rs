//! What happened in a simulated world, in words and as a number.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

/// Something that happened in a simulated world, and when.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// Since the beginning of the run.
    pub at: Duration,
    /// What it was.
    pub what: What,
}

/// What happened. Sockets are numbered in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names say it; `Display` makes a sentence of each")]
pub enum What {
    Bound { socket: u32, addr: SocketAddr },
    Listening { socket: u32 },
    Connecting { socket: u32, to: SocketAddr },
    Connected { socket: u32 },
    Failed { socket: u32, kind: ErrorKind },
    Accepted { socket: u32, peer: SocketAddr },
    Read { socket: u32, bytes: usize },
    Written { socket: u32, bytes: usize },
    Arrived { socket: u32, bytes: usize },
    Ended { socket: u32 },
    ShutDown { socket: u32, read: bool, write: bool },
    Reset { socket: u32 },
    Closed { socket: u32 },
    Paused { socket: u32 },
    Resumed { socket: u32 },
    Readable { socket: u32 },
    Writable { socket: u32 },
    Slept { time: Duration },
    Fault(Fault),
    Note(String),
}

/// The kinds of faults, as [`Faults`](super::Faults) has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields of `Faults` say it")]
pub enum Fault {
    Partial,
    WouldBlock,
    Interrupt,
    SpuriousWake,
    Subset,
    ClockJump,
    LateError,
    Reset,
    Exhausted,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12?}  ", self.at)?;
        match &self.what {
            What::Bound { socket, addr } => write!(f, "socket {socket} is bound to {addr}"),
            What::Listening { socket } => write!(f, "socket {socket} listens"),
            What::Connecting { socket, to } => write!(f, "socket {socket} connects to {to}"),
            What::Connected { socket } => write!(f, "socket {socket} is connected"),
            What::Failed { socket, kind } => write!(f, "socket {socket} fails to connect: {kind}"),
            What::Accepted { socket, peer } => write!(f, "socket {socket} is accepted, from {peer}"),
            What::Read { socket, bytes } => write!(f, "socket {socket} reads {bytes} bytes"),
            What::Written { socket, bytes } => write!(f, "socket {socket} writes {bytes} bytes"),
            What::Arrived { socket, bytes } => write!(f, "{bytes} bytes arrive at socket {socket}"),
            What::Ended { socket } => write!(f, "the end of the stream arrives at socket {socket}"),
            What::ShutDown { socket, read, write } => {
                let sides = if !write {
                    "reading"
                } else if *read {
                    "reading and writing"
                } else {
                    "writing"
                };
                write!(f, "socket {socket} shuts down {sides}")
            }
            What::Reset { socket } => write!(f, "socket {socket} is reset"),
            What::Closed { socket } => write!(f, "socket {socket} is closed"),
            What::Paused { socket } => write!(f, "nothing arrives at socket {socket} any more"),
            What::Resumed { socket } => write!(f, "what was held back arrives at socket {socket}"),
            What::Readable { socket } => write!(f, "socket {socket} is reported readable"),
            What::Writable { socket } => write!(f, "socket {socket} is reported writable"),
            What::Slept { time } => write!(f, "{time:?} pass"),
            What::Fault(fault) => write!(f, "fault: {fault:?}"),
            What::Note(note) => write!(f, "note: {note}"),
        }
    }
}

/// The events of a run: always their digest, and the events themselves if they are asked for.
pub(crate) struct Log {
    digest: Digest,
    events: Option<Vec<Event>>,
}

impl Log {
    pub(crate) fn new(keep: bool) -> Self {
        Log { digest: Digest(0), events: keep.then(Vec::new) }
    }

    pub(crate) fn push(&mut self, at: Duration, what: What) {
        let event = Event { at, what };
        event.hash(&mut self.digest);
        if let Some(events) = &mut self.events {
            events.push(event);
        }
    }

    /// Of the events, and of what was chosen: an order of tasks is in no event.
    pub(crate) fn digest(&self, choices: &[u32]) -> u64 {
        let mut digest = Digest(self.digest.0);
        choices.hash(&mut digest);
        digest.finish()
    }

    pub(crate) fn take(&mut self) -> Vec<Event> {
        self.events.take().unwrap_or_default()
    }
}

/// A hash that is the same in each process, as std's is not promised to be. One multiplication a word.
struct Digest(u64);

impl Digest {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.mix(byte.into()));
    }

    fn write_u8(&mut self, word: u8) {
        self.mix(word.into());
    }

    fn write_u16(&mut self, word: u16) {
        self.mix(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.mix(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.mix(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
