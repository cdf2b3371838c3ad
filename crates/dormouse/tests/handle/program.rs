//! A program of the simulation's choice: some tasks that read, write, cancel, shut down, close and set deadlines on both
//! ends of one connection. What comes of each operation is compared with a model at the instant at which it ends, so the
//! model is exact: closed before timed out before the rest, and every byte in its place.
//!
//! Included by the tests and by the fuzz target.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;

use dormouse::net::{Shutdown, TcpListener, TcpStream, is_closed};
use dormouse::sim::choose;
use dormouse::time::{Duration, Instant, sleep, timeout};
use futures_lite::{AsyncRead, AsyncWrite};

/// Bytes that one direction holds.
pub const BUFFER: usize = 64;

/// Longer than anything in a program takes.
const LONG: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Read,
    Write,
}

/// One end, and what the model knows of it.
struct End {
    stream: TcpStream,
    closed: Cell<bool>,
    shut: Cell<bool>,
    /// By side.
    deadlines: [Cell<Option<Instant>>; 2],
    pending: [Cell<u32>; 2],
    /// What the other end has written and this one has not read.
    inbox: RefCell<VecDeque<u8>>,
}

struct Link {
    ends: [End; 2],
    /// One end was closed, or the network has reset the connection: bytes may be lost.
    broken: Cell<bool>,
    /// No more steps.
    over: Cell<bool>,
}

/// Runs a program, and checks all of it.
///
/// # Panics
/// With a sentence, if something is not as the model says.
pub async fn run() {
    let Some(link) = connect().await.map(Rc::new) else { return };
    let tasks: Vec<_> = (0..1 + choose(4))
        .map(|_| {
            let link = Rc::clone(&link);
            dormouse::spawn(async move {
                for _ in 0..1 + choose(6) {
                    if !link.over.get() {
                        step(&link).await;
                    }
                }
            })
        })
        .collect();
    // Whatever can happen has happened then.
    sleep(LONG).await;
    for at in [0, 1] {
        nobody_waits_for_nothing(&link, at);
    }
    // Tasks that still wait can be told to stop.
    link.over.set(true);
    for end in &link.ends {
        end.set_deadline(&[Side::Read, Side::Write], Some(Instant::now()));
    }
    for task in tasks {
        timeout(LONG, task).await.expect("a task is parked though its deadline has passed").expect("no task panics");
    }
}

/// `None`: a fault has kept them apart.
async fn connect() -> Option<Link> {
    let listener = TcpListener::bind("10.0.0.1:80").await.expect("nobody else listens");
    let client = dormouse::spawn(TcpStream::connect("10.0.0.1:80"));
    let accepted = timeout(LONG, listener.accept()).await;
    let near = client.await.expect("no task panics").ok()?;
    let far = accepted.ok()?.ok()?.0;
    let end = |stream| End {
        stream,
        closed: Cell::new(false),
        shut: Cell::new(false),
        deadlines: Default::default(),
        pending: Default::default(),
        inbox: RefCell::default(),
    };
    Some(Link { ends: [end(near), end(far)], broken: Cell::new(false), over: Cell::new(false) })
}

async fn step(link: &Link) {
    let at = choose(2);
    let end = &link.ends[at];
    match choose(16) {
        0..=3 => read(link, at).await,
        4..=6 => write(link, at).await,
        7 => {
            // Dropped when it has waited for some time, or not at all.
            let _ = timeout(time(), read(link, at)).await;
        }
        8 => {
            let _ = timeout(time(), write(link, at)).await;
        }
        9 => sleep(time()).await,
        10..=12 => {
            let deadline = match choose(4) {
                0 => None,
                1 => Some(Instant::now()),
                _ => Some(Instant::now() + time()),
            };
            let sides = [&[Side::Read, Side::Write][..], &[Side::Read], &[Side::Write]][choose(3)];
            end.set_deadline(sides, deadline);
        }
        13 => match end.stream.shutdown(Shutdown::Write) {
            Ok(()) => end.shut.set(true),
            Err(error) => assert_eq!(is_closed(&error), end.closed.get(), "shutdown: {error}"),
        },
        14 => {
            let clone = end.stream.try_clone();
            assert_eq!(clone.is_err(), end.closed.get(), "a clone");
            drop(clone);
        }
        _ if choose(4) == 3 => {
            let closed = end.stream.close();
            assert_eq!(closed.is_err_and(|error| is_closed(&error)), end.closed.get(), "a second close is an error");
            end.closed.set(true);
            link.broken.set(true);
        }
        _ => {}
    }
}

fn time() -> Duration {
    Duration::from_millis(choose(20) as u64)
}

/// Reads something, in one of the ways that there are.
async fn read(link: &Link, at: usize) {
    let end = &link.ends[at];
    let _pending = end.pending(Side::Read);
    let mut buf = vec![0; 1 + choose(BUFFER)];
    let result = match choose(3) {
        0 => end.stream.read(&mut buf).await,
        1 => {
            let mut shared = &end.stream;
            poll_fn(|cx| Pin::new(&mut shared).poll_read(cx, &mut buf)).await
        }
        _ => match end.stream.try_clone() {
            Ok(mut clone) => poll_fn(|cx| Pin::new(&mut clone).poll_read(cx, &mut buf)).await,
            Err(error) => Err(error),
        },
    };
    let Some(n) = end.verdict(link, Side::Read, result) else { return };
    let mut inbox = end.inbox.borrow_mut();
    if n == 0 {
        let other = &link.ends[1 - at];
        assert!(other.shut.get() || link.broken.get(), "the end of a stream that nobody has ended");
        assert!(inbox.is_empty() || link.broken.get(), "the end of a stream came before {} bytes", inbox.len());
        return;
    }
    assert!(n <= inbox.len(), "{n} bytes were read of {}", inbox.len());
    assert!(inbox.drain(..n).eq(buf[..n].iter().copied()), "other bytes were read than were written");
}

/// Writes something, in one of the ways that there are.
async fn write(link: &Link, at: usize) {
    let end = &link.ends[at];
    let _pending = end.pending(Side::Write);
    let buf: Vec<u8> = (0..1 + choose(BUFFER)).map(|_| choose(256) as u8).collect();
    let result = match choose(3) {
        0 => end.stream.write(&buf).await,
        1 => {
            let mut shared = &end.stream;
            poll_fn(|cx| Pin::new(&mut shared).poll_write(cx, &buf)).await
        }
        _ => match end.stream.try_clone() {
            Ok(mut clone) => poll_fn(|cx| Pin::new(&mut clone).poll_write(cx, &buf)).await,
            Err(error) => Err(error),
        },
    };
    let Some(n) = end.verdict(link, Side::Write, result) else { return };
    assert!(n > 0 && n <= buf.len(), "{n} bytes of {} were written", buf.len());
    link.ends[1 - at].inbox.borrow_mut().extend(&buf[..n]);
}

/// Asserts that no operation that could go on is still parked: no wake was lost.
fn nobody_waits_for_nothing(link: &Link, at: usize) {
    let (end, other) = (&link.ends[at], &link.ends[1 - at]);
    let waits = |side: Side| end.pending[side as usize].get() > 0;
    let refused = |side| end.closed.get() || end.is_expired(side);
    for side in [Side::Read, Side::Write] {
        assert!(!(waits(side) && refused(side)), "parked, though closed or timed out");
        assert!(!(waits(side) && other.closed.get()), "parked, though the peer has gone");
    }
    if link.broken.get() {
        return;
    }
    if waits(Side::Read) {
        assert!(end.inbox.borrow().is_empty(), "parked in a read, with something to read");
        assert!(!other.shut.get(), "parked in a read, at the end of the stream");
    }
    if waits(Side::Write) {
        assert!(other.inbox.borrow().len() >= BUFFER, "parked in a write, with room to write");
        assert!(!end.shut.get(), "parked in a write, after writing was shut down");
    }
}

/// An operation is in progress for as long as it is held.
struct Pending<'a>(&'a Cell<u32>);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl End {
    fn pending(&self, side: Side) -> Pending<'_> {
        let count = &self.pending[side as usize];
        count.set(count.get() + 1);
        Pending(count)
    }

    fn is_expired(&self, side: Side) -> bool {
        self.deadlines[side as usize].get().is_some_and(|deadline| deadline <= Instant::now())
    }

    fn set_deadline(&self, sides: &[Side], deadline: Option<Instant>) {
        let set = match sides {
            [Side::Read] => self.stream.set_read_deadline(deadline),
            [Side::Write] => self.stream.set_write_deadline(deadline),
            _ => self.stream.set_deadline(deadline),
        };
        assert_eq!(set.is_err_and(|error| is_closed(&error)), self.closed.get(), "a deadline on a closed handle");
        sides.iter().for_each(|&side| self.deadlines[side as usize].set(deadline));
    }

    /// Whether an operation that ends now may end so. Gives what it has read or written.
    fn verdict(&self, link: &Link, side: Side, result: io::Result<usize>) -> Option<usize> {
        match result {
            Err(error) if is_closed(&error) => assert!(self.closed.get(), "closed, and nobody has closed it"),
            result if self.closed.get() => panic!("closed, and yet {result:?}"),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                assert!(self.is_expired(side), "timed out too early")
            }
            result if self.is_expired(side) => panic!("the deadline has passed, and yet {result:?}"),
            Ok(n) => return Some(n),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && side == Side::Write && self.shut.get() => {}
            Err(error) => {
                use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
                assert!(matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected), "{error}");
                link.broken.set(true);
            }
        }
        None
    }
}
