//! Table. The sockets of a program, and the numbers by which wasmtime knows them, their streams and their pollables.
//!
//! wasmtime keeps a number for each resource of a program, usually a place in its own table. The numbers of ours have the highest bit,
//! which no place has:
//!
//! ```text
//!   31     30 29   28 … 22      21 … 0
//!   ours   part    generation   place
//! ```
//!
//! A socket, its two streams and all pollables of these three share the place. Whatever of them is left keeps the socket open: they
//! can be dropped in any order, except a stream before its pollables, which the specification lets trap. A place that is used again has
//! another generation, so that an old number finds nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use wasmtime::component::ResourceTableError;

use super::flush::Flusher;
use super::tcp::Tcp;
use super::udp::Udp;
use crate::interrupt::{Instant, Interrupt, LastInstant};
use crate::net::socket::Hub;
use crate::net::{LookUp, Net};

const OURS: u32 = 1 << 31;
const PART: u32 = 29;
const GENERATION: u32 = 22;
const GENERATIONS: u32 = 1 << (PART - GENERATION);
const PLACES: u32 = 1 << GENERATION;
/// How many bytes of writes may be left over for each handle that the program may have, which costs the host about twice that.
const LEFT_OVER: usize = 512;
/// So many closed places are kept before one of them is used again.
const HOLD: usize = 256;

/// A pollable of no socket: the last instant of the clock, for which a program waits that wants to be asked to stop.
pub(super) const LAST_INSTANT: u32 = OURS | 3 << PART;
/// The same of the one before: the bell.
pub(super) const BELL: u32 = LAST_INSTANT | 1;

/// Whether a number is one of ours.
pub(super) fn is_ours(rep: u32) -> bool {
    rep & OURS != 0
}

/// What a number names at its place; of a pollable, what it is a pollable of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Socket = 0,
    Input = 1,
    Output = 2,
}

impl Part {
    pub(super) fn of(rep: u32) -> Part {
        match rep >> PART & 3 {
            0 => Part::Socket,
            1 => Part::Input,
            _ => Part::Output,
        }
    }
}

/// The number of another part of the same socket.
pub(super) fn part(rep: u32, part: Part) -> u32 {
    rep & !(3 << PART) | (part as u32) << PART
}

/// Handles of a socket that the program has.
#[derive(Default)]
struct Handles {
    /// Whether it has the socket, and each of the streams.
    parts: [bool; 3],
    /// How many pollables it has of each.
    pollables: [u32; 3],
}

impl Handles {
    fn count(&self) -> usize {
        let parts = self.parts.iter().filter(|has| **has).count();
        parts + self.pollables.iter().map(|&n| n as usize).sum::<usize>()
    }
}

struct Place {
    generation: u32,
    handles: Handles,
    kind: Option<Kind>,
}

/// What is at a place.
pub(super) enum Kind {
    Tcp(Tcp),
    Udp(Udp),
}

impl From<Tcp> for Kind {
    fn from(tcp: Tcp) -> Kind {
        Kind::Tcp(tcp)
    }
}

impl From<Udp> for Kind {
    fn from(udp: Udp) -> Kind {
        Kind::Udp(udp)
    }
}

/// The sockets of a program.
pub(crate) struct Own {
    places: Vec<Place>,
    /// Closed places, in the order in which they were closed.
    free: VecDeque<u32>,
    /// How many handles of ours the program has, and how many it may.
    handles: usize,
    most: usize,
    pub(super) hub: Arc<Hub>,
    pub(super) net: Arc<Net>,
    pub(super) flusher: Arc<Flusher>,
    /// Where datagrams are received. Empty until there is one.
    pub(super) room: Vec<u8>,
    /// How many reads that may wait had no need to, since one last gave tokio its turn.
    pub(super) reads: u32,
    /// Where the bytes of a connection are received.
    pub(super) spare: Vec<u8>,
    pub(crate) last_instant: LastInstant,
    /// How many pollables of it the program has, and how many of the bell.
    last_instants: [usize; 2],
    /// Its lookups under way, of wasmtime-wasi's numbers.
    pub(super) lookups: BTreeMap<u32, LookUp>,
}

impl Own {
    /// None yet, and at most so many handles.
    pub(crate) fn new(net: Arc<Net>, most: usize, interrupt: &Interrupt) -> Own {
        let hub = Arc::clone(&net.hub);
        let flusher = Flusher::new(&hub, most.saturating_mul(LEFT_OVER));
        let (places, free) = (Vec::new(), VecDeque::new());
        let last_instant = LastInstant::new(interrupt, &hub);
        Own {
            places,
            free,
            handles: 0,
            most,
            hub,
            net,
            flusher,
            room: Vec::new(),
            reads: 0,
            spare: Vec::new(),
            last_instant,
            last_instants: [0; 2],
            lookups: BTreeMap::new(),
        }
    }

    /// What sends the bytes that the system has not taken yet.
    pub(crate) fn flusher(&self) -> Arc<Flusher> {
        Arc::clone(&self.flusher)
    }

    /// How many handles the program has: what they would be in wasmtime's table.
    pub(crate) fn handles(&self) -> usize {
        self.handles
    }

    /// How many sockets there are.
    #[cfg(test)]
    pub(super) fn sockets(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Takes a socket; gives its number.
    pub(super) fn insert(&mut self, socket: impl Into<Kind>) -> Result<u32, ResourceTableError> {
        let may_grow = self.places.len() < PLACES as usize;
        let place = match self.free.len() > HOLD || !may_grow {
            true => self.free.pop_front(),
            false => None,
        };
        let place = match place {
            Some(place) => place,
            None if may_grow => {
                self.places.push(Place { generation: 0, handles: Handles::default(), kind: None });
                self.places.len() as u32 - 1
            }
            None => return Err(ResourceTableError::Full),
        };
        self.places[place as usize].kind = Some(socket.into());
        let rep = OURS | self.places[place as usize].generation << GENERATION | place;
        match self.give(rep, Part::Socket) {
            Ok(rep) => Ok(rep),
            Err(full) => {
                self.close(place);
                Err(full)
            }
        }
    }

    fn place(&self, rep: u32) -> Result<&Place, ResourceTableError> {
        let place = self.places.get((rep & (PLACES - 1)) as usize);
        place.filter(|place| place.generation == generation(rep)).ok_or(ResourceTableError::NotPresent)
    }

    fn place_mut(&mut self, rep: u32) -> Result<&mut Place, ResourceTableError> {
        let place = self.places.get_mut((rep & (PLACES - 1)) as usize);
        place.filter(|place| place.generation == generation(rep)).ok_or(ResourceTableError::NotPresent)
    }

    /// The TCP socket that a number names, or a part of.
    pub(super) fn get(&self, rep: u32) -> Result<&Tcp, ResourceTableError> {
        match &self.place(rep)?.kind {
            Some(Kind::Tcp(tcp)) => Ok(tcp),
            _ => Err(ResourceTableError::NotPresent),
        }
    }

    pub(super) fn get_mut(&mut self, rep: u32) -> Result<&mut Tcp, ResourceTableError> {
        match &mut self.place_mut(rep)?.kind {
            Some(Kind::Tcp(tcp)) => Ok(tcp),
            _ => Err(ResourceTableError::NotPresent),
        }
    }

    /// The UDP socket that a number names, or a part of.
    pub(super) fn udp(&self, rep: u32) -> Result<&Udp, ResourceTableError> {
        match &self.place(rep)?.kind {
            Some(Kind::Udp(udp)) => Ok(udp),
            _ => Err(ResourceTableError::NotPresent),
        }
    }

    pub(super) fn udp_mut(&mut self, rep: u32) -> Result<&mut Udp, ResourceTableError> {
        match &mut self.place_mut(rep)?.kind {
            Some(Kind::Udp(udp)) => Ok(udp),
            _ => Err(ResourceTableError::NotPresent),
        }
    }

    /// Whether a wait for what a number names is over.
    pub(super) fn part_is_ready(&self, rep: u32) -> Result<bool, ResourceTableError> {
        match rep {
            LAST_INSTANT => return Ok(self.last_instant.has_come()),
            BELL => return Ok(self.hub.bell.rings()),
            _ => {}
        }
        match &self.place(rep)?.kind {
            Some(Kind::Tcp(tcp)) => Ok(tcp.is_ready(Part::of(rep), &self.net)),
            Some(Kind::Udp(udp)) => Ok(udp.is_ready(Part::of(rep))),
            None => Err(ResourceTableError::NotPresent),
        }
    }

    /// The same, of a poll that has it in its list.
    pub(super) fn poll_part(&self, rep: u32) -> Result<bool, ResourceTableError> {
        if matches!(rep, LAST_INSTANT | BELL) {
            return self.part_is_ready(rep);
        }
        match &self.place(rep)?.kind {
            Some(Kind::Tcp(tcp)) => Ok(tcp.poll(Part::of(rep), &self.net)),
            Some(Kind::Udp(udp)) => Ok(udp.poll(Part::of(rep))),
            None => Err(ResourceTableError::NotPresent),
        }
    }

    /// Whether the program has a pollable of the bell.
    pub(super) fn has_bell(&self) -> bool {
        self.last_instants[Instant::Bell as usize] > 0
    }

    /// Whether the program has a part of a socket.
    pub(super) fn has(&self, rep: u32, of: Part) -> Result<bool, ResourceTableError> {
        Ok(self.place(rep)?.handles.parts[of as usize])
    }

    fn take_handle(&mut self) -> Result<(), ResourceTableError> {
        if self.handles >= self.most {
            return Err(ResourceTableError::Full);
        }
        self.handles += 1;
        Ok(())
    }

    /// Gives the program a part of a socket, which it does not have; gives the part's number.
    pub(super) fn give(&mut self, rep: u32, of: Part) -> Result<u32, ResourceTableError> {
        self.place(rep)?;
        self.take_handle()?;
        self.place_mut(rep)?.handles.parts[of as usize] = true;
        Ok(part(rep, of))
    }

    /// Gives the program a pollable of a part. It has the number of the part.
    pub(super) fn subscribe(&mut self, rep: u32) -> Result<u32, ResourceTableError> {
        self.place(rep)?;
        self.take_handle()?;
        self.place_mut(rep)?.handles.pollables[Part::of(rep) as usize] += 1;
        Ok(rep)
    }

    /// Gives the program a pollable of the last instant, or of the one before.
    pub(super) fn subscribe_last_instant(&mut self, which: Instant) -> Result<u32, ResourceTableError> {
        self.take_handle()?;
        self.last_instants[which as usize] += 1;
        match which {
            Instant::Stop => Ok(LAST_INSTANT),
            Instant::Bell => {
                self.hub.bell.use_it();
                Ok(BELL)
            }
        }
    }

    /// The program drops a part.
    pub(super) fn drop_part(&mut self, rep: u32) -> Result<(), ResourceTableError> {
        let of = Part::of(rep);
        let handles = &mut self.place_mut(rep)?.handles;
        if of != Part::Socket && handles.pollables[of as usize] > 0 {
            return Err(ResourceTableError::HasChildren);
        }
        if !std::mem::take(&mut handles.parts[of as usize]) {
            return Err(ResourceTableError::NotPresent);
        }
        self.dropped(rep);
        Ok(())
    }

    /// The program drops a pollable.
    pub(super) fn drop_pollable(&mut self, rep: u32) -> Result<(), ResourceTableError> {
        let last = match rep {
            LAST_INSTANT => Some(Instant::Stop),
            BELL => Some(Instant::Bell),
            _ => None,
        };
        if let Some(which) = last {
            let pollables = &mut self.last_instants[which as usize];
            *pollables = pollables.checked_sub(1).ok_or(ResourceTableError::NotPresent)?;
            self.handles -= 1;
            return Ok(());
        }
        let pollables = &mut self.place_mut(rep)?.handles.pollables[Part::of(rep) as usize];
        *pollables = pollables.checked_sub(1).ok_or(ResourceTableError::NotPresent)?;
        self.dropped(rep);
        Ok(())
    }

    fn dropped(&mut self, rep: u32) {
        self.handles -= 1;
        let place = rep & (PLACES - 1);
        if self.places[place as usize].handles.count() == 0 {
            self.close(place);
        }
    }

    /// The socket at a place is no more.
    fn close(&mut self, place: u32) {
        let closed = &mut self.places[place as usize];
        closed.kind = None;
        closed.generation = (closed.generation + 1) % GENERATIONS;
        self.free.push_back(place);
    }
}

fn generation(rep: u32) -> u32 {
    rep >> GENERATION & (GENERATIONS - 1)
}
