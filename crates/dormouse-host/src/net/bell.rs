//! Bell. A program with thousands of quiet sockets gives a poll only the busy ones, and the bell: it rings when another side has become
//! ready that an earlier poll found not ready (`BELL` in `crates/dormouse/FACTS.md`). So a poll costs nothing for those that are quiet.
//!
//! Each side has a watch, beside its state (`socket.rs`):
//!
//! ```text
//!            a poll finds the side not ready              it may have become ready: the bell counts it
//!   none ──────────────────────────────────▶ watched ────────────────────────────────────────────────▶ counted
//!     ▲                                        │  ▲                                                      │
//!     │  a poll tells of the side              │  └───── a poll finds it not ready: counted no more ─────┤
//!     └────────────────────────────────────────┴───── a poll tells of it: counted no more ───────────────┘
//! ```
//!
//! A poll looks at each side of its list, which takes them out of `counted`. So if the bell counts any after that, they are outside of
//! the list. A ring that is told begins a new round and counts from 0: each side rings once, until a poll looks at it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Of a program: how many sides are counted.
#[derive(Default)]
pub(crate) struct Bell {
    /// The program waits for it, or has. Before, nothing is watched.
    used: AtomicBool,
    /// The round in the upper half, and how many have been counted in it.
    counted: AtomicU64,
}

const NONE: u32 = 0;
const WATCHED: u32 = 1;
/// Added to a round, to be the watch of a side that is counted in it.
const COUNTED: u32 = 2;
/// Rounds are numbered below that. A side would have to be counted through all of them for one to be mistaken.
const ROUNDS: u32 = u32::MAX - COUNTED;

fn round(counted: u64) -> u32 {
    (counted >> 32) as u32
}

impl Bell {
    /// The program waits for it. The first time it rings at once: what was ready before has not been counted.
    pub(crate) fn use_it(&self) {
        if !self.used.swap(true, Ordering::SeqCst) {
            self.ring();
        }
    }

    pub(super) fn is_used(&self) -> bool {
        self.used.load(Ordering::SeqCst)
    }

    /// Something has become ready that no mark tells of, as a listener when there may be more sockets again.
    pub(crate) fn ring(&self) {
        if self.is_used() {
            self.counted.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whether it rings: asked after a look at each side in the list.
    pub(crate) fn rings(&self) -> bool {
        self.counted.load(Ordering::SeqCst) as u32 > 0
    }

    /// The same, of a poll that tells of it.
    pub(crate) fn tell(&self) -> bool {
        let next = |counted| (counted as u32 > 0).then(|| u64::from((round(counted) + 1) % ROUNDS) << 32);
        self.counted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).is_ok()
    }

    #[cfg(test)]
    pub(super) fn counted(&self) -> u32 {
        self.counted.load(Ordering::SeqCst) as u32
    }
}

/// Of a side.
#[derive(Default)]
pub(super) struct Watch(AtomicU32);

impl Watch {
    /// A poll looks at the side, and will say if it tells of it.
    pub(super) fn begin(&self, bell: &Bell) {
        if self.0.load(Ordering::SeqCst) != WATCHED {
            self.set(WATCHED, bell);
        }
    }

    /// A poll has told of the side, or it is no more.
    pub(super) fn end(&self, bell: &Bell) {
        if self.is_begun() {
            self.set(NONE, bell);
        }
    }

    /// Whether the last poll that looked at the side has found it not ready.
    pub(super) fn is_begun(&self) -> bool {
        self.0.load(Ordering::SeqCst) != NONE
    }

    fn set(&self, watch: u32, bell: &Bell) {
        let Some(counted_in) = self.0.swap(watch, Ordering::SeqCst).checked_sub(COUNTED) else { return };
        let less = |counted| (round(counted) == counted_in && counted as u32 > 0).then(|| counted - 1);
        let _ = bell.counted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    }

    /// The side may have become ready.
    pub(super) fn ring(&self, bell: &Bell) {
        let now_in = round(bell.counted.load(Ordering::SeqCst));
        let (watched, counted) = (WATCHED, COUNTED + now_in);
        if self.0.load(Ordering::SeqCst) != watched
            || self.0.compare_exchange(watched, counted, Ordering::SeqCst, Ordering::SeqCst).is_err()
        {
            return;
        }
        let counted_in = round(bell.counted.fetch_add(1, Ordering::SeqCst));
        if counted_in != now_in {
            // A ring has been told meanwhile. If a poll has looked at the side since, there is one ring too many.
            let _ = self.0.compare_exchange(counted, COUNTED + counted_in, Ordering::SeqCst, Ordering::SeqCst);
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use tokio::task::yield_now;

    use super::super::meter::Meter;
    use super::super::socket::{Hub, Side, Socket};

    /// Within a runtime, with a bell that has rung for the first time.
    fn run(body: impl AsyncFnOnce(Arc<Hub>)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let hub = Arc::<Hub>::default();
        hub.bell.use_it();
        assert!(hub.bell.tell() && !hub.bell.tell());
        runtime.block_on(tokio::task::unconstrained(body(hub)));
    }

    fn socket(fd: impl Into<std::os::fd::OwnedFd>, hub: &Arc<Hub>) -> Socket {
        let fd = fd.into();
        rustix::io::ioctl_fionbio(&fd, true).unwrap();
        Socket::new(fd, hub, &Meter::new())
    }

    fn pair(hub: &Arc<Hub>) -> (Socket, UnixStream) {
        let (ours, peer) = UnixStream::pair().unwrap();
        (socket(ours, hub), peer)
    }

    /// A poll looks at the side. Whether it tells of it.
    fn poll(socket: &Socket, side: Side) -> bool {
        socket.poll(side, || socket.is_ready(side)).unwrap()
    }

    fn say(peer: &UnixStream, bytes: &[u8]) {
        assert_eq!(rustix::io::write(peer, bytes).unwrap(), bytes.len());
    }

    /// How many bytes there were, of as many as there is room for.
    fn read(socket: &Socket, room: usize) -> io::Result<usize> {
        let mut room = vec![0; room];
        let len = room.len();
        socket.on(Side::Read, |fd| Ok(rustix::io::read(fd, &mut room)?), |&n| n < len)
    }

    /// tokio has its turn.
    async fn turn() {
        for _ in 0..4 {
            yield_now().await;
        }
    }

    #[test]
    fn a_side_rings_once_until_a_poll_looks_at_it() {
        run(async |hub| {
            let (one, peer) = pair(&hub);
            say(&peer, b"x");
            turn().await;
            assert!(!hub.bell.rings(), "no poll has waited for it");
            assert_eq!(read(&one, 1).unwrap(), 1);
            assert!(!poll(&one, Side::Read));
            say(&peer, b"x");
            turn().await;
            assert!(hub.bell.tell());
            say(&peer, b"x");
            turn().await;
            assert!(!hub.bell.rings(), "it has rung");
            assert!(poll(&one, Side::Read));
            assert_eq!(read(&one, 9).unwrap(), 2);
            assert!(!poll(&one, Side::Read));
            say(&peer, b"x");
            turn().await;
            assert!(hub.bell.rings());
            assert!(poll(&one, Side::Read));
            assert!(!hub.bell.rings(), "a poll has told of it");
        });
    }

    #[test]
    fn an_operation_leaves_the_watch_of_another_poll() {
        run(async |hub| {
            let (one, peer) = pair(&hub);
            assert!(!poll(&one, Side::Read));
            assert!(read(&one, 1).is_err());
            assert!(!hub.bell.rings());
            say(&peer, b"x");
            turn().await;
            assert!(hub.bell.tell(), "what drains a side does not end its watch");
            assert_eq!(read(&one, 9).unwrap(), 1);
            assert!(!poll(&one, Side::Read));
            say(&peer, b"xy");
            assert_eq!(read(&one, 1).unwrap(), 1);
            assert!(hub.bell.rings(), "there is more, and a poll waits for it");
        });
    }

    #[test]
    fn what_is_dropped_is_counted_no_more() {
        run(async |hub| {
            let (one, peer) = pair(&hub);
            assert!(!poll(&one, Side::Read));
            say(&peer, b"x");
            turn().await;
            assert_eq!(hub.bell.counted(), 1);
            drop(one);
            assert_eq!(hub.bell.counted(), 0);
        });
    }

    #[test]
    fn listeners_connects_and_sockets_of_datagrams_ring() {
        run(async |hub| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let listener = socket(listener, &hub);
            listener.set_listens();
            assert!(!poll(&listener, Side::Read) && !poll(&listener, Side::Write));
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            let to = udp.local_addr().unwrap();
            let udp = socket(udp, &hub);
            assert!(!poll(&udp, Side::Read));
            let peer = TcpStream::connect(addr).unwrap();
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", to).unwrap();
            while hub.bell.counted() < 2 {
                yield_now().await;
            }
            assert!(poll(&listener, Side::Read) && hub.bell.counted() == 1);
            assert!(poll(&udp, Side::Read) && hub.bell.counted() == 0);
            let connection = socket(peer, &hub);
            // A blocking call takes the mark away, so the side has to be looked at.
            assert!(!poll(&connection, Side::Read));
            let waits = std::future::poll_fn(|cx| {
                let waits = connection.poll_wait(Side::Read, cx);
                std::task::Poll::Ready(waits.is_pending())
            });
            assert!(waits.await && hub.bell.counted() == 1);
            assert!(!poll(&connection, Side::Read) && hub.bell.counted() == 0);
        });
    }

    /// In any order of polls, bytes, operations and ends: it counts those that have become ready since a poll found them not ready.
    #[test]
    fn the_count_is_exact_in_any_order() {
        struct One {
            socket: Socket,
            peer: UnixStream,
            bytes: usize,
            watched: bool,
            /// The round in which it has rung.
            rung: Option<u32>,
        }
        run(async |hub| {
            let mut random = 88172645463325252_u64;
            let mut below = |n: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % n
            };
            let new = |hub: &Arc<Hub>| {
                let (socket, peer) = pair(hub);
                // tokio knows it from now on.
                assert!(!socket.is_ready(Side::Read).unwrap());
                One { socket, peer, bytes: 0, watched: false, rung: None }
            };
            let mut all: Vec<One> = (0..8).map(|_| new(&hub)).collect();
            let mut round = 0;
            for step in 0..20_000 {
                let which = below(8) as usize;
                let one = &mut all[which];
                match below(9) {
                    0..=2 => {
                        assert_eq!(poll(&one.socket, Side::Read), one.bytes > 0, "step {step}");
                        (one.watched, one.rung) = (one.bytes == 0, None);
                    }
                    3 | 4 => {
                        say(&one.peer, b"x");
                        one.bytes += 1;
                        turn().await;
                        if one.watched {
                            one.rung = one.rung.or(Some(round));
                        }
                    }
                    5 | 6 => {
                        // All, and then there is nothing more to be told of.
                        assert_eq!(read(&one.socket, 64).unwrap_or(0), one.bytes);
                        one.bytes = 0;
                    }
                    7 => {
                        let rings = all.iter().any(|one| one.rung == Some(round));
                        assert_eq!(hub.bell.tell(), rings, "step {step}");
                        round += u32::from(rings);
                    }
                    _ => *one = new(&hub),
                }
                let counted = all.iter().filter(|one| one.rung == Some(round)).count();
                assert_eq!(hub.bell.counted() as usize, counted, "step {step}");
                // tokio knows what is ready before the next look.
                turn().await;
            }
        });
    }
}
