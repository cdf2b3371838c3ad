//! The contract of [`Wait`], of both pollers, with the system's own sockets and pipes.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

use super::*;
use crate::base::Instant;

/// Counts what it asks the system for.
struct Counted<S>(S);

thread_local! {
    static CALLS: Cell<[u32; 4]> = const { Cell::new([0; 4]) };
    /// How many events there were.
    static EVENTS: Cell<u32> = const { Cell::new(0) };
}

/// How often `add`, `modify`, `delete` and `wait` were called since the last time.
fn calls() -> [u32; 4] {
    CALLS.take()
}

fn count(which: usize) {
    let mut calls = CALLS.get();
    calls[which] += 1;
    CALLS.set(calls);
}

impl<S: System> System for Counted<S> {
    const EDGES: bool = S::EDGES;

    fn new() -> io::Result<Self> {
        S::new().map(Counted)
    }

    fn add(&self, source: &Source, key: Key, sides: [bool; 2]) -> io::Result<Descriptor> {
        count(0);
        self.0.add(source, key, sides)
    }

    fn modify(&self, descriptor: Descriptor, key: Key, sides: [bool; 2]) -> io::Result<()> {
        count(1);
        self.0.modify(descriptor, key, sides)
    }

    fn delete(&self, descriptor: Descriptor) -> io::Result<()> {
        count(2);
        self.0.delete(descriptor)
    }

    fn discard_urgent(descriptor: Descriptor) {
        S::discard_urgent(descriptor);
    }

    fn wait(&mut self, until: Until, mut told: impl FnMut(Told)) -> io::Result<()> {
        count(3);
        self.0.wait(until, |event| {
            EVENTS.set(EVENTS.get() + 1);
            told(event);
        })
    }

    fn interrupt(&self) -> Arc<dyn Interrupt> {
        self.0.interrupt()
    }
}

type Edges = Armed<Counted<epoll::Epoll>>;

const KEY: Key = Key { index: 0, generation: 0 };
/// Longer than anything takes: a wait that lasts so long has lost an event.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stream, and its peer.
fn pair() -> (Source, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_nodelay(true).unwrap();
    let (ours, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Source::Socket(ours.into()).into_stream(), peer)
}

/// What the system says of a side: the level.
fn is_ready(source: &Source, side: Side) -> bool {
    let flags = if side == Side::Read { PollFlags::IN } else { PollFlags::OUT };
    poll(&mut [PollFd::new(source, flags)], Some(&Timespec::default())).unwrap() > 0
}

/// Waits until this is so of the source itself: what a peer has sent is there a moment later.
fn until_ready(source: &impl AsFd, flags: PollFlags) {
    assert_eq!(poll(&mut [PollFd::new(source, flags)], Some(&Timespec { tv_sec: 20, tv_nsec: 0 })).unwrap(), 1);
}

fn look<S: System>(poller: &mut Armed<S>) -> Vec<(u32, Side)> {
    let mut ready = Vec::new();
    // More than a wait takes.
    loop {
        let before = ready.len();
        poller.wait(Until::Now, &mut ready).unwrap();
        if ready.len() == before {
            return ready.into_iter().map(|Ready { key, side }| (key.index, side)).collect();
        }
    }
}

fn sleep<S: System>(poller: &mut Armed<S>) -> Vec<(u32, Side)> {
    let (mut ready, end) = (Vec::new(), Instant::after(PATIENCE));
    while ready.is_empty() {
        assert!(Instant::now() < end, "an event was lost");
        poller.wait(Until::At(end), &mut ready).unwrap();
    }
    ready.into_iter().map(|Ready { key, side }| (key.index, side)).collect()
}

fn would_block<T>(result: io::Result<T>) {
    assert_eq!(result.map(|_| ()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn an_echo_by_edges_is_a_wait_and_no_other_call() {
    let mut poller = Edges::new().unwrap();
    let (source, mut peer) = pair();
    calls();
    let mut buf = [0; 64];
    would_block(source.try_read(&mut buf));
    poller.arm(&source, Side::Read, KEY).unwrap();
    assert_eq!(calls(), [1, 0, 0, 0]);
    for _ in 0..10 {
        peer.write_all(b"echo").unwrap();
        assert_eq!(sleep(&mut poller), [(0, Side::Read)]);
        assert_eq!(source.try_read(&mut buf).unwrap(), 4);
        assert_eq!(source.try_write(&buf[..4]).unwrap(), 4);
        would_block(source.try_read(&mut buf));
        poller.arm(&source, Side::Read, KEY).unwrap();
        assert_eq!(calls(), [0, 0, 0, 1]);
        peer.read_exact(&mut buf[..4]).unwrap();
    }
}

#[test]
fn a_source_that_is_left_alone_ends_a_few_waits_and_no_more() {
    let mut poller = Edges::new().unwrap();
    let (reader, mut writer) = io::pipe().unwrap();
    let mut file = std::fs::File::from(OwnedFd::from(reader));
    let source = Source::file(&file).unwrap().unwrap();
    for _ in 0..3 {
        poller.arm(&source, Side::Read, KEY).unwrap();
        writer.write_all(b"x").unwrap();
        assert_eq!(sleep(&mut poller), [(0, Side::Read)]);
        EVENTS.set(0);
        for _ in 0..100 {
            writer.write_all(b"x").unwrap();
            assert!(look(&mut poller).is_empty());
        }
        assert_eq!(EVENTS.get(), NOISY.into());
        // What was left behind is reported when it is armed again, and what comes then as well.
        poller.arm_untried(&source, Side::Read, KEY).unwrap();
        assert_eq!(sleep(&mut poller), [(0, Side::Read)]);
        file.read_exact(&mut [0; 101]).unwrap();
    }
}

#[test]
fn a_side_that_is_left_alone_leaves_the_other_as_it_is() {
    let mut poller = Edges::new().unwrap();
    let (source, mut peer) = pair();
    let mut sent = 0;
    while let Ok(n) = source.try_write(&[0; 1 << 16]) {
        sent += n;
    }
    would_block(source.try_read(&mut [0]));
    poller.arm(&source, Side::Write, KEY).unwrap();
    poller.arm(&source, Side::Read, KEY).unwrap();
    poller.disarm(Side::Read, KEY);
    EVENTS.set(0);
    let mut buf = [0; 100];
    for n in 1..100 {
        peer.write_all(b"x").unwrap();
        // It is there a moment later.
        while source.try_peek(&mut buf).unwrap_or(0) < n {}
        assert!(look(&mut poller).is_empty());
    }
    assert_eq!(EVENTS.get(), NOISY.into());
    peer.read_exact(&mut vec![0; sent]).unwrap();
    assert_eq!(sleep(&mut poller), [(0, Side::Write)]);
    poller.arm_untried(&source, Side::Read, KEY).unwrap();
    assert_eq!(sleep(&mut poller), [(0, Side::Read)]);
}

fn what_comes_while_no_side_is_armed_is_reported_once_it_is<S: System>() {
    let mut poller = Armed::<S>::new().unwrap();
    let (source, mut peer) = pair();
    let mut buf = [0; 64];
    would_block(source.try_read(&mut buf));
    poller.arm(&source, Side::Read, KEY).unwrap();
    poller.disarm(Side::Read, KEY);
    peer.write_all(b"1").unwrap();
    until_ready(&source, PollFlags::IN);
    assert_eq!(look(&mut poller), []);
    poller.arm(&source, Side::Read, KEY).unwrap();
    poller.disarm(Side::Read, KEY);
    poller.arm(&source, Side::Read, KEY).unwrap();
    assert_eq!(poller.armed(), 1);
    assert_eq!(look(&mut poller), [(0, Side::Read)]);
    assert_eq!(poller.armed(), 0);
    assert_eq!(source.try_read(&mut buf).unwrap(), 1);
    would_block(source.try_read(&mut buf));
    poller.arm(&source, Side::Read, KEY).unwrap();
    assert_eq!(look(&mut poller), []);
}

fn the_end_right_behind_a_short_read_is_reported<S: System>() {
    let mut poller = Armed::<S>::new().unwrap();
    let (source, mut peer) = pair();
    let mut buf = [0; 64];
    would_block(source.try_read(&mut buf));
    poller.arm(&source, Side::Read, KEY).unwrap();
    peer.write_all(b"last").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    until_ready(&source, PollFlags::RDHUP);
    assert_eq!(sleep(&mut poller), [(0, Side::Read)]);
    assert_eq!(source.try_read(&mut buf).unwrap(), 4);
    // The guess that nothing follows.
    would_block(source.try_read(&mut buf));
    poller.arm(&source, Side::Read, KEY).unwrap();
    assert_eq!(sleep(&mut poller), [(0, Side::Read)]);
    assert_eq!(source.try_read(&mut buf).unwrap(), 0);
    // However often it is asked.
    for _ in 0..3 {
        poller.arm_untried(&source, Side::Read, KEY).unwrap();
        assert_eq!(look(&mut poller), [(0, Side::Read)]);
    }
}

fn bytes_behind_the_mark_of_urgent_data_are_reported<S: System>() {
    let mut poller = Armed::<S>::new().unwrap();
    let (source, mut peer) = pair();
    let mut buf = [0; 64];
    for _ in 0..3 {
        would_block(source.try_read(&mut buf));
        poller.arm(&source, Side::Read, KEY).unwrap();
        peer.write_all(b"before").unwrap();
        SockRef::from(&peer).send_out_of_band(b"!").unwrap();
        peer.write_all(b"behind").unwrap();
        until_ready(&source, PollFlags::PRI);
        assert_eq!(sleep(&mut poller), [(0, Side::Read)]);
        let mut got: Vec<u8> = Vec::new();
        while got.len() < 12 {
            match source.try_read(&mut buf) {
                Ok(n) => got.extend(&buf[..n]),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    poller.arm(&source, Side::Read, KEY).unwrap();
                    assert_eq!(sleep(&mut poller), [(0, Side::Read)]);
                }
            }
        }
        assert_eq!(got, b"beforebehind");
        poller.disarm(Side::Read, KEY);
    }
}

fn what_was_left_behind_is_reported_to_who_has_not_tried<S: System>() {
    let mut poller = Armed::<S>::new().unwrap();
    let (source, mut peer) = pair();
    let mut buf = [0; 2];
    would_block(source.try_read(&mut buf));
    poller.arm(&source, Side::Read, KEY).unwrap();
    peer.write_all(b"12345").unwrap();
    until_ready(&source, PollFlags::IN);
    assert_eq!(sleep(&mut poller), [(0, Side::Read)]);
    while source.try_read(&mut buf).unwrap() == 2 {
        poller.arm_untried(&source, Side::Read, KEY).unwrap();
        assert_eq!(look(&mut poller), [(0, Side::Read)]);
    }
    poller.arm_untried(&source, Side::Read, KEY).unwrap();
    assert_eq!(look(&mut poller), []);
    poller.disarm(Side::Read, KEY);
    poller.arm_untried(&source, Side::Write, KEY).unwrap();
    assert_eq!(look(&mut poller), [(0, Side::Write)]);
}

fn a_source_that_comes_after_another_has_nothing_of_it<S: System>() {
    let mut poller = Armed::<S>::new().unwrap();
    let (first, mut peer) = pair();
    would_block(first.try_read(&mut [0]));
    poller.arm(&first, Side::Read, KEY).unwrap();
    poller.disarm(Side::Read, KEY);
    peer.write_all(b"1").unwrap();
    until_ready(&first, PollFlags::IN);
    assert_eq!(look(&mut poller), []);
    poller.arm(&first, Side::Read, KEY).unwrap();
    poller.remove(KEY);
    drop(first);
    let (second, _peer) = pair();
    let key = Key { generation: 1, ..KEY };
    poller.arm(&second, Side::Read, key).unwrap();
    assert_eq!(poller.armed(), 1);
    assert_eq!(look(&mut poller), []);
    // An old key disarms nothing.
    poller.disarm(Side::Read, KEY);
    poller.remove(KEY);
    assert_eq!(poller.armed(), 1);
}

fn a_timer_ends_a_wait_each_time<S: System>() {
    let mut poller = Armed::<S>::new().unwrap();
    let mut ready = Vec::new();
    // A later one, an earlier one, and one of the same length again: an early end of a wait is fine, a missing one is not.
    for millis in [3, 5, 1, 1, 2] {
        let when = Instant::after(Duration::from_millis(millis));
        while Instant::now() < when {
            poller.wait(Until::At(when), &mut ready).unwrap();
        }
    }
    let notifier = poller.notifier();
    notifier.sleeping(true);
    std::thread::spawn(move || notifier.notify());
    poller.wait(Until::At(Instant::after(PATIENCE)), &mut ready).unwrap();
    assert_eq!(ready.len(), 0);
}

// ---- at random ----

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

enum Peer {
    Stream(Option<TcpStream>),
    Udp(UdpSocket),
    Listener(std::net::SocketAddr, Vec<TcpStream>),
    /// Of a pipe that is read, and of one that is written.
    Writer(Option<OwnedFd>),
    Reader(Option<OwnedFd>),
}

struct Subject {
    source: Source,
    /// What a source of a file is read or written by.
    file: Option<std::fs::File>,
    peer: Peer,
    key: Key,
    /// By side: an operation has said `WouldBlock` since the last report; and it is armed.
    tried: [bool; 2],
    armed: [bool; 2],
}

fn subjects() -> Vec<Subject> {
    let mut all: Vec<(Source, Option<std::fs::File>, Peer)> = Vec::new();
    for _ in 0..3 {
        let (source, peer) = pair();
        SockRef::from(&source).set_send_buffer_size(4096).unwrap();
        SockRef::from(&peer).set_recv_buffer_size(4096).unwrap();
        peer.set_nonblocking(true).unwrap();
        all.push((source, None, Peer::Stream(Some(peer))));
    }
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let source = Source::udp(false).unwrap();
    source.start_bind_udp((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let source = source.into_udp();
    peer.connect(source.udp_local_addr().unwrap()).unwrap();
    all.push((source, None, Peer::Udp(peer)));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    all.push((Source::Listener(listener), None, Peer::Listener(addr, Vec::new())));
    for is_read in [true, false] {
        let (read, write) = std::io::pipe().unwrap();
        let (ours, theirs): (OwnedFd, OwnedFd) =
            if is_read { (read.into(), write.into()) } else { (write.into(), read.into()) };
        let file = std::fs::File::from(ours);
        let peer = if is_read { Peer::Writer(Some(theirs)) } else { Peer::Reader(Some(theirs)) };
        all.push((Source::file(&file).unwrap().unwrap(), Some(file), peer));
    }
    let keys = (0..).map(|index| Key { index, generation: 0 });
    let subject =
        |((source, file, peer), key)| Subject { source, file, peer, key, tried: [true; 2], armed: [false; 2] };
    all.into_iter().zip(keys).map(subject).collect()
}

impl Subject {
    /// The side that is `wanted`, if it has it.
    fn side(&self, wanted: u64) -> Side {
        match self.peer {
            Peer::Stream(_) if wanted == 1 => Side::Write,
            Peer::Reader(_) => Side::Write,
            _ => Side::Read,
        }
    }

    /// An operation on a side, as those above the poller do it.
    fn try_side(&mut self, side: Side, random: &mut Random) {
        let len = [1, 7, 4096][random.below(3) as usize];
        let mut buf = vec![0; len];
        let result = match (&self.peer, side) {
            (Peer::Stream(_), Side::Read) => self.source.try_read(&mut buf),
            (Peer::Stream(_), Side::Write) => self.source.try_write(&vec![1; 4 * len]),
            (Peer::Udp(_), _) => self.source.try_receive(&mut buf, random.below(2) == 0).map(|(n, _)| n),
            (Peer::Listener(..), _) => self.source.try_accept().map(|_| 0),
            (Peer::Writer(_), _) => self.file(Side::Read, |mut file| file.read(&mut buf)),
            (Peer::Reader(_), _) => self.file(Side::Write, |mut file| file.write(&buf)),
        };
        self.tried[side as usize] |= result.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    }

    fn file<T>(&self, side: Side, call: impl FnOnce(&std::fs::File) -> io::Result<T>) -> io::Result<T> {
        self.source.try_ready(side)?;
        call(self.file.as_ref().unwrap())
    }

    fn peer_acts(&mut self, random: &mut Random) {
        let some = vec![2; [1, 5, 3000][random.below(3) as usize]];
        match &mut self.peer {
            Peer::Stream(peer) => {
                let Some(mut stream) = peer.as_ref() else { return };
                match random.below(20) {
                    0 => stream.shutdown(Shutdown::Write).unwrap_or_default(),
                    1 => *peer = None,
                    2 => {
                        SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
                        *peer = None;
                    }
                    3..5 => drop(SockRef::from(stream).send_out_of_band(b"!")),
                    5..12 => drop(stream.read(&mut vec![0; 64 * 1024])),
                    _ => drop(stream.write(&some)),
                }
            }
            Peer::Udp(peer) => drop(peer.send(&some)),
            Peer::Listener(addr, streams) if streams.len() < 10 => streams.push(TcpStream::connect(*addr).unwrap()),
            Peer::Listener(..) => {}
            Peer::Writer(peer) => match random.below(20) {
                0 => *peer = None,
                _ => drop(peer.as_ref().map(|peer| rustix::io::write(peer, &some[..some.len().min(100)]))),
            },
            Peer::Reader(peer) => match random.below(20) {
                0 => *peer = None,
                _ if is_ready(&self.source, Side::Write) => {}
                // It is full.
                _ => drop(peer.as_ref().map(|peer| rustix::io::read(peer, &mut vec![0; 4096]))),
            },
        }
    }
}

/// Whatever is armed as the contract wants it, and ready by poll(2), is reported.
fn a_side_that_is_armed_and_ready_is_reported<S: System>() {
    for seed in 1..=150_u64 {
        let random = &mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut poller = Armed::<S>::new().unwrap();
        let mut all = subjects();
        for step in 0..80 {
            let count = all.len() as u64;
            let subject = &mut all[random.below(count) as usize];
            let side = subject.side(random.below(2));
            match random.below(16) {
                0..4 => subject.peer_acts(random),
                4..8 => subject.try_side(side, random),
                8 | 9 if subject.tried[side as usize] => {
                    poller.arm(&subject.source, side, subject.key).unwrap();
                    subject.armed[side as usize] = true;
                }
                8..11 => {
                    poller.arm_untried(&subject.source, side, subject.key).unwrap();
                    subject.armed[side as usize] = true;
                }
                11 => {
                    poller.disarm(side, subject.key);
                    subject.armed[side as usize] = false;
                }
                12 if random.below(4) == 0 => {
                    poller.remove(subject.key);
                    // Whatever is ready when it is registered is reported.
                    (subject.armed, subject.tried) = ([false; 2], [true; 2]);
                    subject.key.generation += random.below(2) as u32;
                }
                12 => {}
                _ => check(&mut poller, &mut all, &format!("seed {seed}, step {step}")),
            }
            let armed = all.iter().flat_map(|subject| subject.armed).filter(|&armed| armed).count();
            assert_eq!(poller.armed(), armed, "seed {seed}, step {step}");
        }
        check(&mut poller, &mut all, &format!("seed {seed}, at the end"));
    }
}

fn check<S: System>(poller: &mut Armed<S>, all: &mut [Subject], place: &str) {
    let is_due = |subject: &Subject, side: Side| subject.armed[side as usize] && is_ready(&subject.source, side);
    let sides = [Side::Read, Side::Write];
    let due: Vec<(u32, Side)> = all
        .iter()
        .flat_map(|subject| {
            sides.into_iter().filter(|&side| is_due(subject, side)).map(|side| (subject.key.index, side))
        })
        .collect();
    let mut missing = due;
    let mut reported = look(poller);
    loop {
        for (index, side) in reported {
            let subject = &mut all[index as usize];
            assert!(
                subject.armed[side as usize],
                "{place}: source {index} was reported on {side:?}, which is not armed"
            );
            subject.armed[side as usize] = false;
            subject.tried[side as usize] = false;
            missing.retain(|one| *one != (index, side));
        }
        if missing.is_empty() {
            return;
        }
        // The wake of a socket comes a moment after what poll(2) sees.
        let (mut ready, end) = (Vec::new(), Instant::after(PATIENCE));
        while ready.is_empty() {
            assert!(Instant::now() < end, "{place}: {missing:?} are armed and ready, and not reported");
            poller.wait(Until::At(end), &mut ready).unwrap();
        }
        reported = ready.into_iter().map(|Ready { key, side }| (key.index, side)).collect();
    }
}

macro_rules! of_both {
    ($($test:ident),* $(,)?) => {
        mod edges {
            $(#[test]
            fn $test() {
                super::$test::<super::Counted<super::epoll::Epoll>>();
            })*
        }
        mod one_shot {
            $(#[test]
            fn $test() {
                super::$test::<super::Counted<super::oneshot::OneShot>>();
            })*
        }
    };
}

of_both!(
    what_comes_while_no_side_is_armed_is_reported_once_it_is,
    the_end_right_behind_a_short_read_is_reported,
    bytes_behind_the_mark_of_urgent_data_are_reported,
    what_was_left_behind_is_reported_to_who_has_not_tried,
    a_source_that_comes_after_another_has_nothing_of_it,
    a_timer_ends_a_wait_each_time,
    a_side_that_is_armed_and_ready_is_reported,
);
