//! Which descriptor is whose.
//!
//! ```text
//!   0 1 2 │ 3 … 2+n              │ 3+n …                     │ 1048576 …
//!   stdio │ pre-opened sockets   │ directories, then files   │ accepted sockets
//! ```
//!
//! wasmtime-wasi numbers its own from 0, and gives a number again as soon as it is closed. The program never sees those
//! numbers: each descriptor has an entry here under the program's number, and the entry has wasmtime-wasi's. So a number is
//! one descriptor and nothing else, whatever was closed or renumbered before.
//!
//! * A file gets the lowest number that is closed, as in POSIX; a standard stream's is one of them. A pre-opened socket's is
//!   not: libraries go by those numbers (`LISTEN_FDS`).
//! * An accepted socket gets a number that has not been given for a long time: it has the place in the list, and above it a
//!   generation that each close increments. A stale number finds nothing, and not another connection.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::mem::replace;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::errno::Errno;
use super::socket::Socket;
use crate::net::meter::Meter;
use crate::net::socket::Hub;
use crate::net::tcp;

/// The first that is no standard stream; systemd's SD_LISTEN_FDS_START.
const FIRST: u32 = 3;
const ACCEPTED: u32 = 1 << 20;
/// Numbers end here: C has them as `int`.
const NUMBERS: u32 = (1 << 31) - ACCEPTED;
/// So many closed places are kept before one of them is used again: a program that has one connection at a time goes through all
/// generations of this many places before a number is repeated.
const HOLD: usize = 256;
/// Places of accepted sockets. Two bits are left for the generation at least.
const MOST_PLACES: usize = 1 << 28;
/// Files that may be open at a time, if the embedder says nothing else.
const MOST_FILES: usize = 1 << 16;

/// Who has a descriptor.
pub(super) enum Owner<'a> {
    Socket(&'a mut Socket),
    /// wasmtime-wasi, under this number.
    Wasi(u32),
    /// It is not open.
    Closed,
}

/// A descriptor of wasmtime-wasi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Theirs {
    pub(super) number: u32,
    pub(super) kind: Kind,
    /// `fdflags` of a standard stream, which wasmtime-wasi does not keep.
    pub(super) flags: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Input,
    Output,
    Directory,
    /// The program has opened it.
    Opened,
}

enum Entry {
    Closed,
    Theirs(Theirs),
    Socket(Socket),
}

struct Place {
    generation: u32,
    entry: Entry,
}

pub(super) struct Table {
    pub(super) hub: Arc<Hub>,
    meter: Meter,
    /// Descriptors by their number, those below `ACCEPTED`.
    low: Vec<Entry>,
    /// Closed numbers in `low` that a file may get.
    free_low: BinaryHeap<Reverse<u32>>,
    /// The numbers from `ACCEPTED` on.
    high: Vec<Place>,
    /// Places in `high`, in the order in which they were closed.
    free: VecDeque<u32>,
    /// How many bits of a number in `high` are the place; fixed by the first.
    bits: u32,
    /// Sockets that were opened before the start.
    preopened: u32,
    directories: u32,
    begun: bool,
    /// Sockets that are open.
    open: usize,
    most: usize,
    /// Files that the program has opened.
    files: usize,
    most_files: usize,
}

impl Table {
    pub(super) fn new() -> Table {
        let stdio = [Kind::Input, Kind::Output, Kind::Output];
        let theirs = (0..).zip(stdio).map(|(number, kind)| Entry::Theirs(Theirs { number, kind, flags: 0 }));
        Table {
            hub: Arc::default(),
            meter: Meter::new(),
            low: theirs.collect(),
            free_low: BinaryHeap::new(),
            high: Vec::new(),
            free: VecDeque::new(),
            bits: 0,
            preopened: 0,
            directories: 0,
            begun: false,
            open: 0,
            most: usize::MAX,
            files: 0,
            most_files: MOST_FILES,
        }
    }

    /// Has `meter` count from now on: before the first socket is opened.
    pub(super) fn set_meter(&mut self, meter: Meter) {
        self.meter = meter;
    }

    pub(super) fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    pub(super) fn set_most_files(&mut self, most: usize) {
        self.most_files = most;
    }

    /// How many sockets are open.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn preopen_listener(&mut self, listener: TcpListener) -> io::Result<u32> {
        let socket = Socket::listener(listener, &self.hub, &self.meter)?;
        Ok(self.preopen(socket))
    }

    pub(super) fn preopen_stream(&mut self, stream: TcpStream) -> io::Result<u32> {
        let socket = Socket::stream(stream, &self.hub, &self.meter)?;
        Ok(self.preopen(socket))
    }

    fn preopen(&mut self, socket: Socket) -> u32 {
        self.low.push(Entry::Socket(socket));
        self.open += 1;
        if !self.begun {
            self.preopened += 1;
        }
        self.low.len() as u32 - 1
    }

    /// Whether the program runs: its directories are known.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Wasmtime-wasi has so many directories, its descriptors from 3 on. They come after the sockets.
    pub(super) fn begin(&mut self, directories: u32) {
        self.begun = true;
        self.directories = directories;
        let numbers = FIRST..FIRST + directories;
        self.low.extend(numbers.map(|number| Entry::Theirs(Theirs { number, kind: Kind::Directory, flags: 0 })));
    }

    /// Whether wasmtime-wasi has had a pre-opened directory.
    pub(super) fn has_directories(&self) -> bool {
        self.directories > 0
    }

    /// Whether this is the number of a socket that was opened before the start; it may be closed by now.
    pub(super) fn is_preopened(&self, fd: u32) -> bool {
        (FIRST..FIRST + self.preopened).contains(&fd)
    }

    fn entry(&mut self, fd: u32) -> Option<&mut Entry> {
        match fd.checked_sub(ACCEPTED) {
            None => self.low.get_mut(fd as usize),
            Some(number) => {
                let place = self.high.get_mut((number & ((1 << self.bits) - 1)) as usize)?;
                (place.generation == number >> self.bits).then_some(&mut place.entry)
            }
        }
    }

    pub(super) fn owner(&mut self, fd: u32) -> Owner<'_> {
        match self.entry(fd) {
            Some(Entry::Socket(socket)) => Owner::Socket(socket),
            Some(Entry::Theirs(theirs)) => Owner::Wasi(theirs.number),
            Some(Entry::Closed) | None => Owner::Closed,
        }
    }

    /// The descriptor of wasmtime-wasi that has this number.
    pub(super) fn theirs(&mut self, fd: u32) -> Option<&mut Theirs> {
        match self.entry(fd) {
            Some(Entry::Theirs(theirs)) => Some(theirs),
            _ => None,
        }
    }

    pub(super) fn check_open(&mut self, fd: u32) -> Result<(), Errno> {
        match self.owner(fd) {
            Owner::Closed => Err(Errno::BADF),
            Owner::Socket(_) | Owner::Wasi(_) => Ok(()),
        }
    }

    /// The socket that has this number; an error if it is something else's.
    pub(super) fn socket(&mut self, fd: u32) -> Result<&mut Socket, Errno> {
        match self.owner(fd) {
            Owner::Socket(socket) => Ok(socket),
            Owner::Wasi(_) => Err(Errno::NOTSOCK),
            Owner::Closed => Err(Errno::BADF),
        }
    }

    /// Whether there is room for one more socket.
    pub(super) fn has_room(&mut self) -> bool {
        if self.high.is_empty() {
            let places = self.most.saturating_add(HOLD).clamp(1 << 10, MOST_PLACES);
            self.bits = places.next_power_of_two().trailing_zeros();
        }
        let has_place = self.high.len() < 1 << self.bits || !self.free.is_empty();
        self.open < self.most && has_place
    }

    /// The same, of one that is asked for.
    pub(super) fn check_room(&mut self) -> Result<(), Errno> {
        if self.has_room() {
            return Ok(());
        }
        self.meter.refused();
        Err(Errno::NFILE)
    }

    /// Whether there is room for one more file.
    pub(super) fn check_file_room(&self) -> Result<(), Errno> {
        let has_number = self.low.len() < ACCEPTED as usize || !self.free_low.is_empty();
        if self.files < self.most_files && has_number { Ok(()) } else { Err(Errno::NFILE) }
    }

    /// A number for a file that wasmtime-wasi has opened under `number`; [`check_file_room`](Self::check_file_room) comes first.
    pub(super) fn opened(&mut self, number: u32) -> u32 {
        let entry = Entry::Theirs(Theirs { number, kind: Kind::Opened, flags: 0 });
        self.files += 1;
        match self.free_low.pop() {
            Some(Reverse(fd)) => {
                self.low[fd as usize] = entry;
                fd
            }
            None => {
                self.low.push(entry);
                self.low.len() as u32 - 1
            }
        }
    }

    /// A number for a connection that was accepted.
    pub(super) fn accept(&mut self, stream: OwnedFd, nonblocking: bool) -> Result<u32, Errno> {
        self.check_room()?;
        // Should it fail, that is all.
        let _ = tcp::set_nodelay(&stream);
        let socket = Entry::Socket(Socket::accepted(stream, &self.hub, &self.meter, nonblocking));
        let may_grow = self.high.len() < 1 << self.bits;
        let place = match self.free.len() > HOLD || !may_grow {
            true => self.free.pop_front(),
            false => None,
        };
        let place = match place {
            Some(place) => {
                self.high[place as usize].entry = socket;
                place
            }
            None => {
                self.high.push(Place { generation: 0, entry: socket });
                self.high.len() as u32 - 1
            }
        };
        self.open += 1;
        Ok(ACCEPTED + (self.high[place as usize].generation << self.bits | place))
    }

    /// Forgets a descriptor, and closes a socket; what is wasmtime-wasi's, the caller has closed there.
    pub(super) fn close(&mut self, fd: u32) -> Result<(), Errno> {
        match self.take(fd) {
            Entry::Closed => return Err(Errno::BADF),
            entry => self.uncount(&entry),
        }
        Ok(())
    }

    fn uncount(&mut self, entry: &Entry) {
        match entry {
            Entry::Socket(_) => {
                if !self.has_room() {
                    self.hub.bell.ring();
                }
                self.open -= 1;
            }
            Entry::Theirs(Theirs { kind: Kind::Opened, .. }) => self.files -= 1,
            Entry::Theirs(_) | Entry::Closed => {}
        }
    }

    /// Takes what has this number, which is closed then.
    fn take(&mut self, fd: u32) -> Entry {
        let Some(entry) = self.entry(fd) else { return Entry::Closed };
        let taken = replace(entry, Entry::Closed);
        match (&taken, fd.checked_sub(ACCEPTED)) {
            (Entry::Closed, _) => {}
            (_, None) if self.is_preopened(fd) => {}
            (_, None) => self.free_low.push(Reverse(fd)),
            (_, Some(number)) => {
                let place = number & ((1 << self.bits) - 1);
                let generation = &mut self.high[place as usize].generation;
                *generation = (*generation + 1) % (NUMBERS >> self.bits);
                self.free.push_back(place);
            }
        }
        taken
    }

    /// Gives what has the number `from` the number `to`, in place of what has that: a socket of that number is closed, and what is
    /// wasmtime-wasi's, the caller has closed there. Both are open, and not the same.
    pub(super) fn renumber(&mut self, from: u32, to: u32) {
        let moved = self.take(from);
        if let Some(entry) = self.entry(to) {
            let closed = replace(entry, moved);
            self.uncount(&closed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(most: usize) -> Table {
        let mut table = Table::new();
        table.set_most(most);
        table.begin(0);
        table
    }

    /// Two ends of a connection.
    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, peer)
    }

    #[test]
    fn a_number_of_a_connection_is_not_given_again_for_a_long_time() {
        let mut table = table(2);
        let (stream, _peer) = pair();
        let mut given = std::collections::HashSet::new();
        for _ in 0..2000 {
            let fd = table.accept(stream.try_clone().unwrap().into(), true).unwrap();
            assert!(given.insert(fd), "{fd} is given again");
            assert!(i32::try_from(fd).is_ok());
            table.close(fd).unwrap();
            assert_eq!(table.close(fd), Err(Errno::BADF));
        }
        assert!(table.high.len() <= HOLD + 2, "the memory is bounded");
    }

    #[test]
    fn generations_end_with_the_numbers_of_c() {
        let mut table = table(1);
        let (stream, _peer) = pair();
        let first = table.accept(stream.try_clone().unwrap().into(), true).unwrap();
        let generations = NUMBERS >> table.bits;
        table.high[0].generation = generations - 1;
        let last = ACCEPTED + ((generations - 1) << table.bits);
        assert!(i32::try_from(last + (1 << table.bits) - 1).is_ok());
        assert!(matches!(table.owner(first), Owner::Closed));
        assert!(matches!(table.owner(last), Owner::Socket(_)));
        table.close(last).unwrap();
        assert_eq!(table.high[0].generation, 0);
    }

    #[test]
    fn any_bound_leaves_generations() {
        for most in [0, 1, 1000, 1 << 20, 5_000_000, usize::MAX] {
            let mut table = table(most);
            let _ = table.check_room();
            assert!(NUMBERS >> table.bits >= 4, "{most}");
        }
    }

    #[test]
    fn files_are_bounded_and_standard_streams_are_none() {
        let mut table = table(0);
        table.set_most_files(2);
        assert_eq!(table.close(0), Ok(()));
        assert_eq!((table.opened(0), table.opened(7)), (0, 3));
        assert_eq!(table.check_file_room(), Err(Errno::NFILE));
        assert_eq!(table.close(0), Ok(()));
        assert_eq!(table.check_file_room(), Ok(()));
    }
}
