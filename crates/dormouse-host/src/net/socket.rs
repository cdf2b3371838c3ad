//! Socket. A descriptor, and what is known of its readiness, whoever asks for it.
//!
//! It is registered with tokio once, when it is first waited for, and stays so. Each side is in one of four states:
//!
//! ```text
//!                 look: tokio says not ready, and keeps our waker
//!   unknown ──────────────────────────────────────────────────────▶ armed
//!      ▲  ╲                                                           │ the waker is called
//!      │    ╲ look: tokio says ready                                  ▼
//!      │      ╲                                                     marked
//!      │        ▼                       look: so it is                │
//!      └────── ready ◀────────────────────────────────────────────────┘
//!        an operation finds nothing, or takes all there was
//! ```
//!
//! So whether a side is ready is a look at one byte, except for those where something has happened.
//!
//! A program may wait for what is *not* in the list of its poll, by the bell (`BELL` in `crates/dormouse/FACTS.md`; `bell.rs`).

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{FdFlags, retry_on_intr};
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::io::{Interest, Ready};
use tokio::time::{Sleep, sleep};

use super::bell::{Bell, Watch};
use super::meter::Meter;
use super::returned::Taker;
use super::share::Held;
use super::turn::Turn;

/// What a program waits for on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Read = 0,
    Write = 1,
}

/// What a connection is registered for. Only Linux has an event for urgent data.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CARRIES: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CARRIES: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// After which time the system is asked again where tokio cannot be.
const AGAIN: Duration = Duration::from_millis(1);

const UNKNOWN: u8 = 0;
const ARMED: u8 = 1;
const MARKED: u8 = 2;
const READY: u8 = 3;
/// Ready, and the peer has closed or reset its half.
const HUNG_UP: u8 = 4;
/// An operation has found nothing, or taken all there was. [`Socket::is_ready`] makes no difference between this and unknown.
const DRAINED: u8 = 5;

/// Where the marks of sockets and the one waiting call of a run meet: the waker of that call, if one waits.
#[derive(Default)]
pub(crate) struct Hub {
    waiting: Mutex<Option<Waker>>,
    /// Whether there is one: of many marks that come together, only the first takes the lock.
    has_waker: AtomicBool,
    pub(crate) bell: Bell,
}

impl Hub {
    /// From now on a mark wakes `cx`. Tells whether something has been marked since the last time.
    pub(crate) fn wait(&self, cx: &Context<'_>) -> bool {
        let mut waiting = self.waiting();
        let is_marked = waiting.is_none();
        match &mut *waiting {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        // What is looked at after this is a mark that was made before, or else the mark sees this: both are sequentially consistent.
        self.has_waker.store(true, Ordering::SeqCst);
        is_marked
    }

    /// Something has been marked, or has changed under a lock that is taken to look at it.
    pub(crate) fn wake(&self) {
        if !self.has_waker.load(Ordering::SeqCst) {
            return;
        }
        let mut waiting = self.waiting();
        self.has_waker.store(false, Ordering::SeqCst);
        let waker = waiting.take();
        // It is woken outside of the lock.
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket that does not block. Its calls are in `tcp.rs`; each goes through [`Socket::on`], which brings the readiness up to date.
pub(crate) struct Socket {
    /// Dropped first: it takes the descriptor out of tokio's poller.
    registered: OnceLock<AsyncFd<RawFd>>,
    fd: OwnedFd,
    listens: AtomicBool,
    /// It was bound to a port of the system's choice.
    any_port: AtomicBool,
    /// It is a connection, and counted as one.
    connected: AtomicBool,
    /// It is a listener that other runs have as well. Few sockets are.
    held: OnceLock<Box<Held>>,
    sides: [Arc<Mark>; 2],
    /// Made once: each side's mark as a waker.
    wakers: [Waker; 2],
    meter: Meter,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if *self.connected.get_mut() {
            self.meter.disconnected();
        }
        for side in &self.sides {
            // tokio may still have its waker.
            side.state.store(UNKNOWN, Ordering::SeqCst);
            side.watch.end(&side.hub.bell);
        }
    }
}

/// The state of a side, which tokio may change from another thread.
struct Mark {
    state: AtomicU8,
    watch: Watch,
    hub: Arc<Hub>,
}

impl Mark {
    /// The side may have become ready. If a poll has found it not ready, the bell tells.
    fn ring(&self) {
        self.watch.ring(&self.hub.bell);
    }
}

impl Wake for Mark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // One that is no longer armed has been looked at since.
        let armed = self.state.compare_exchange(ARMED, MARKED, Ordering::SeqCst, Ordering::Relaxed);
        if armed.is_ok() {
            self.ring();
            self.hub.wake();
        }
    }
}

impl Socket {
    /// Takes a descriptor that does not block. Its marks wake `hub`, and `meter` counts its bytes.
    pub(crate) fn new(fd: OwnedFd, hub: &Arc<Hub>, meter: &Meter) -> Socket {
        // As `tcp::NO_SIGNAL` does elsewhere. Should it fail, the connection is no more.
        #[cfg(target_vendor = "apple")]
        let _ = rustix::net::sockopt::set_socket_nosigpipe(&fd, true);
        let mark = || Arc::new(Mark { state: AtomicU8::new(UNKNOWN), watch: Watch::default(), hub: Arc::clone(hub) });
        let sides = [mark(), mark()];
        let wakers = [Waker::from(Arc::clone(&sides[0])), Waker::from(Arc::clone(&sides[1]))];
        let listens = AtomicBool::new(false);
        let (any_port, connected, held) = (AtomicBool::new(false), AtomicBool::new(false), OnceLock::new());
        Socket {
            registered: OnceLock::new(),
            fd,
            listens,
            any_port,
            connected,
            held,
            sides,
            wakers,
            meter: meter.clone(),
        }
    }

    /// It is a connection from now on.
    pub(crate) fn set_connected(&self) {
        if !self.connected.swap(true, Ordering::Relaxed) {
            self.meter.connected();
        }
    }

    /// It was bound to a port of the system's choice.
    pub(super) fn set_any_port(&self) {
        self.any_port.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_any_port(&self) -> bool {
        self.any_port.load(Ordering::Relaxed)
    }

    /// It is a listener of several runs from now on.
    pub(crate) fn set_held(&self, held: Held) {
        let _ = self.held.set(Box::new(held));
    }

    pub(super) fn is_shared(&self) -> bool {
        self.held.get().is_some()
    }

    fn turn(&self) -> Option<&Arc<Turn>> {
        self.held.get()?.turn()
    }

    /// What takes the connections that other runs of this listener have not looked at.
    pub(crate) fn taker(&self) -> Option<Taker> {
        self.held.get()?.taker()
    }

    /// Whether a listener with something to accept waits, since other runs go first. Then it is not ready, and is marked a moment later.
    pub(crate) fn gives_way(&self) -> bool {
        let Some((turn, pause)) = self.turn().and_then(|turn| Some((turn, turn.pause()?))) else { return false };
        self.state(Side::Read).store(ARMED, Ordering::Release);
        turn.wait(pause, &self.meter, &self.wakers[Side::Read as usize]);
        true
    }

    /// The same for one that waits here. `moment` is kept between the calls.
    pub(crate) fn poll_turn(&self, moment: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(turn) = self.turn() else { return Poll::Ready(()) };
        while let Some(pause) = turn.pause() {
            let wait = moment.get_or_insert_with(|| {
                turn.count(pause, &self.meter);
                Box::pin(sleep(pause))
            });
            ready!(wait.as_mut().poll(cx));
            turn.waited();
            *moment = None;
        }
        *moment = None;
        Poll::Ready(())
    }

    /// A connection was accepted.
    pub(super) fn has_accepted(&self) {
        self.meter.accepted();
        self.has_taken();
    }

    /// The same of a connection that another run has accepted, and counted.
    pub(crate) fn has_taken(&self) {
        if let Some(turn) = self.turn() {
            turn.accepted();
        }
    }

    /// Makes it what `other` is, under the number that it has. False if tokio knows it already as what it was.
    pub(super) fn become_(&self, other: BorrowedFd<'_>) -> io::Result<bool> {
        if self.registered.get().is_some() {
            return Ok(false);
        }
        // SAFETY: the number is that of `self.fd`, which stays open and is its owner.
        let mut number = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(self.fd.as_raw_fd()) });
        rustix::io::dup2(other, &mut number)?;
        rustix::io::fcntl_setfd(&self.fd, FdFlags::CLOEXEC)?;
        Ok(true)
    }

    /// It is a listener from now on: it has one side, which is ready when there is a connection to accept.
    pub(crate) fn set_listens(&self) {
        self.listens.store(true, Ordering::Release);
    }

    pub(crate) fn listens(&self) -> bool {
        self.listens.load(Ordering::Acquire)
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    fn state(&self, side: Side) -> &AtomicU8 {
        &self.sides[side as usize].state
    }

    /// A poll looks at a side that is in its list: `is_ready` says whether it is told of it. If not, the bell tells of it from now on.
    pub(crate) fn poll(&self, side: Side, is_ready: impl FnOnce() -> io::Result<bool>) -> io::Result<bool> {
        let Mark { watch, hub, .. } = &*self.sides[side as usize];
        if !hub.bell.is_used() {
            return is_ready();
        }
        // Before the look: what happens after it is to ring.
        watch.begin(&hub.bell);
        let ready = is_ready();
        if !matches!(ready, Ok(false)) {
            watch.end(&hub.bell);
        }
        ready
    }

    /// A side may have become ready in another way than by its mark.
    pub(crate) fn ring(&self, side: Side) {
        self.sides[side as usize].ring();
    }

    /// Whether this side is ready, as far as is known: a hint, as readiness is. If it is not, its mark will wake the hub.
    pub(crate) fn is_ready(&self, side: Side) -> io::Result<bool> {
        match self.state(side).load(Ordering::SeqCst) {
            ARMED => Ok(false),
            READY | HUNG_UP => Ok(true),
            _ => self.look(side),
        }
    }

    /// Whether this side is ready, by the system's word. If it is not, its mark will wake the hub.
    pub(crate) fn is_surely_ready(&self, side: Side) -> io::Result<bool> {
        loop {
            let ready = self.is_ready(side)?;
            if !ready || self.confirm(side)? {
                return Ok(ready);
            }
        }
    }

    /// Asks the system whether a side is ready; if not, nothing is known of it any more.
    #[cold]
    pub(crate) fn confirm(&self, side: Side) -> io::Result<bool> {
        if self.is_hung_up(side) {
            return Ok(true);
        }
        // Taken before the question, so that what happens meanwhile is not forgotten with it.
        let guard = self.guard(side);
        let found = self.ask(side)?;
        if !found {
            self.forget(side, guard);
        }
        Ok(found)
    }

    /// What the system says of a side, whatever is known of it.
    fn ask(&self, side: Side) -> io::Result<bool> {
        let flags = match side {
            Side::Read => PollFlags::IN,
            Side::Write => PollFlags::OUT,
        };
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let found = retry_on_intr(|| poll(&mut [PollFd::from_borrowed_fd(self.as_fd(), flags)], Some(&now)))?;
        Ok(found > 0)
    }

    /// Whether a socket of datagrams has room for one: a hint, as readiness is. If not, its mark will wake the hub.
    ///
    /// An error that was sent back is a closed half to mio (1.2, sys/unix/selector/epoll.rs, `is_write_closed`), and tokio never forgets
    /// one (1.54, runtime/io/scheduled_io.rs, `clear_readiness`). From then on the system's word counts, and `again`, which is kept
    /// between the calls, marks the side while there is no room.
    pub(crate) fn has_room(&self, again: &mut Option<Pin<Box<Sleep>>>) -> io::Result<bool> {
        let ready = self.is_ready(Side::Write)?;
        if !ready || !self.is_hung_up(Side::Write) || self.ask(Side::Write)? {
            return Ok(ready);
        }
        self.state(Side::Write).store(ARMED, Ordering::Release);
        let due = again.get_or_insert_with(|| Box::pin(sleep(AGAIN)));
        let mut cx = Context::from_waker(&self.wakers[Side::Write as usize]);
        while due.as_mut().poll(&mut cx).is_ready() {
            due.set(sleep(AGAIN));
        }
        Ok(false)
    }

    /// Whether the peer has gone, of a side that is ready.
    pub(crate) fn is_hung_up(&self, side: Side) -> bool {
        self.state(side).load(Ordering::Acquire) == HUNG_UP
    }

    /// Asks tokio, which keeps our waker if the answer is no.
    #[cold]
    fn look(&self, side: Side) -> io::Result<bool> {
        if side == Side::Write && self.listens() {
            // Nothing is ever written there: such a side just never fires.
            self.state(side).store(ARMED, Ordering::Release);
            return Ok(false);
        }
        self.register()?;
        // Before the question: what happens after it is to be marked.
        self.state(side).store(ARMED, Ordering::Release);
        let mut cx = Context::from_waker(&self.wakers[side as usize]);
        let state = match self.poll_ready(side, &mut cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(guard)) => {
                let ready = guard.ready();
                if ready.is_read_closed() || ready.is_write_closed() { HUNG_UP } else { READY }
            }
            Poll::Ready(Err(error)) => return Err(error),
        };
        self.state(side).store(state, Ordering::Release);
        self.ring(side);
        Ok(true)
    }

    /// In tokio's poller from now on. Not earlier: a socket that is not connected yet would be reported as hung up for ever.
    fn register(&self) -> io::Result<()> {
        if self.registered.get().is_none() {
            let interest = match self.listens() {
                true => Interest::READABLE,
                false => CARRIES,
            };
            // SAFETY: `fd` is open, is never replaced, and is dropped after `registered`.
            let registered = unsafe { AsyncFd::register_with_interest(self.fd.as_raw_fd(), interest) }?;
            // If another thread was faster, its registration stands; this one failed with EEXIST then.
            let _ = self.registered.set(registered);
        }
        Ok(())
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.registered.get().is_some()
    }

    fn poll_ready(&self, side: Side, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'_, RawFd>>> {
        match (self.registered.get(), side) {
            // Not known to tokio, so nothing has been said of it.
            (None, _) => Poll::Pending,
            (Some(registered), Side::Read) => registered.poll_read_ready(cx),
            (Some(registered), Side::Write) => registered.poll_write_ready(cx),
        }
    }

    /// What tokio knows, if it says that this side is ready.
    fn guard(&self, side: Side) -> Option<AsyncFdReadyGuard<'_, RawFd>> {
        match self.poll_ready(side, &mut Context::from_waker(&self.wakers[side as usize])) {
            Poll::Ready(Ok(guard)) => Some(guard),
            _ => None,
        }
    }

    /// The side was found not ready: what was known before that is no longer true.
    fn forget(&self, side: Side, known: Option<AsyncFdReadyGuard<'_, RawFd>>) {
        if let Some(mut known) = known {
            known.clear_ready();
        }
        if let Some(turn) = self.turn() {
            turn.forget();
        }
        let mark = &self.sides[side as usize];
        if !mark.watch.is_begun() {
            mark.state.store(DRAINED, Ordering::Release);
            return;
        }
        // An earlier poll waits for it still, perhaps by the bell.
        mark.state.store(ARMED, Ordering::SeqCst);
        if self.guard(side).is_some() {
            mark.wake_by_ref();
        }
    }

    /// Waits until this side is ready: what a call does that may block. One at a time waits for a side.
    pub(crate) fn poll_wait(&self, side: Side, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // From now on its mark does not come.
        self.ring(side);
        self.poll_wait_aside(side, cx)
    }

    /// The same for what calls [`ring`](Self::ring) when it no longer waits.
    pub(crate) fn poll_wait_aside(&self, side: Side, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.register()?;
        // The waiter's waker takes the place of ours.
        self.state(side).store(UNKNOWN, Ordering::Release);
        self.poll_ready(side, cx).map_ok(|_| ())
    }

    /// Waits until one of these is so, and forgets an error that the network has sent back: the operation that follows is told it, and does
    /// not tell whether there was one. tokio calls a socket with nothing but an error not readable (tokio 1.54, io/ready.rs, `from_mio`).
    async fn happens(&self, interest: Interest) -> io::Result<Ready> {
        self.register()?;
        let Some(registered) = self.registered.get() else { return Ok(Ready::EMPTY) };
        let mut known = registered.ready(interest).await?;
        let ready = known.ready();
        known.clear_ready_matching(Ready::ERROR);
        Ok(ready)
    }

    /// Waits until the network has sent an error back, which the next operation may tell.
    pub(crate) async fn error(self: Arc<Self>) -> io::Result<()> {
        self.happens(Interest::ERROR).await.map(drop)
    }

    /// Waits, if the last operation on this side has drained it, until something has happened since. Where every operation is tried
    /// after this, one that can be done at once asks neither tokio nor the system first. One at a time waits for a side.
    pub(crate) fn poll_unless_drained(&self, side: Side, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.state(side).load(Ordering::Acquire) != DRAINED {
            return Poll::Ready(Ok(()));
        }
        self.register()?;
        self.poll_ready(side, cx).map_ok(|_| ())
    }

    /// The same for any number that waits for a side, and for errors too: one that comes back for a datagram makes no side ready.
    pub(crate) async fn wait_if_drained(&self, side: Side) -> io::Result<()> {
        if self.state(side).load(Ordering::Acquire) != DRAINED {
            return Ok(());
        }
        let interest = match side {
            Side::Read => Interest::READABLE,
            Side::Write => Interest::WRITABLE,
        };
        let ready = self.happens(interest | Interest::ERROR).await?;
        // As in `has_room`: without a wait this would go on and on, and nothing else would have its turn.
        if side == Side::Write && ready == Ready::WRITE_CLOSED {
            sleep(AGAIN).await;
        }
        Ok(())
    }

    /// What marks a side, if it is armed.
    pub(crate) fn waker(&self, side: Side) -> &Waker {
        &self.wakers[side as usize]
    }

    /// There is something to be found out on this side: it is ready until an operation finds nothing.
    pub(crate) fn set_ready(&self, side: Side) {
        self.state(side).store(READY, Ordering::Release);
        self.ring(side);
    }

    /// Does something on a side, and brings what is known of it up to date. `short` tells of a result whether it took all
    /// there was; with an edge-triggered poller that means that the next thing to happen is reported (epoll(7), question 9).
    pub(crate) fn on<T>(
        &self,
        side: Side,
        call: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>,
        short: impl FnOnce(&T) -> bool,
    ) -> io::Result<T> {
        // Taken before the call, so that what happens meanwhile is not forgotten with it.
        let guard = self.guard(side);
        let result = call(self.as_fd());
        let nothing_left = match &result {
            Ok(value) => short(value),
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        match nothing_left {
            true => self.forget(side, guard),
            // A poll that waits for it has not been told.
            false => self.ring(side),
        }
        result
    }

    /// Whether the socket stands at the mark of urgent data. `ask` asks the system; it is called only if an event has told of urgent data since
    /// `ask` last said no. An urgent byte that comes after the last event is an event itself, so the side is reported once more.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn is_at_mark(&self, ask: impl FnOnce(BorrowedFd<'_>) -> bool) -> bool {
        let ask = |_: &RawFd| if ask(self.as_fd()) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) };
        self.registered.get().is_some_and(|registered| registered.try_io(Interest::PRIORITY, ask).is_ok())
    }

    /// Whether the socket stands at the mark of urgent data: `ask` asks the system.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn is_at_mark(&self, ask: impl FnOnce(BorrowedFd<'_>) -> bool) -> bool {
        ask(self.as_fd())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::future::poll_fn;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixDatagram;
    use std::pin::pin;

    use rustix::net::SendFlags;

    use super::*;

    /// A socket whose write side tokio calls closed, since an error has come back, and which has no room; and its peer.
    async fn full() -> (Socket, UnixDatagram) {
        let (ours, peer) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let socket = Socket::new(ours.try_clone().unwrap().into(), &Arc::default(), &Meter::new());
        poll_fn(|cx| socket.poll_wait(Side::Write, cx)).await.unwrap();
        // Linux tells what is lost by that as an error, and ours still sends to it (net/unix/af_unix.c, `unix_dgram_disconnected`).
        ours.send(b"lost").unwrap();
        rustix::net::connect_unspec(&peer).unwrap();
        socket.registered.get().unwrap().ready(Interest::ERROR).await.unwrap().clear_ready();
        assert_eq!(ours.take_error().unwrap().map(|error| error.kind()), Some(io::ErrorKind::ConnectionReset));
        assert!(socket.is_ready(Side::Write).unwrap() && socket.is_hung_up(Side::Write));
        let send = |fd: BorrowedFd<'_>| Ok(rustix::io::write(fd, b"x")?);
        while socket.on(Side::Write, send, |_| false).is_ok() {}
        (socket, peer)
    }

    fn run(body: impl AsyncFnOnce()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(tokio::task::unconstrained(body()));
    }

    #[test]
    fn a_datagram_socket_that_had_an_error_and_has_no_room_is_not_ready_until_it_has() {
        run(async || {
            let ((socket, peer), mut again) = (full().await, None);
            assert!(!socket.has_room(&mut again).unwrap());
            assert!(!socket.has_room(&mut again).unwrap(), "its mark has not come");
            peer.recv(&mut [0]).unwrap();
            poll_fn(|cx| {
                socket.sides[0].hub.wait(cx);
                if socket.has_room(&mut again).unwrap() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        });
    }

    #[test]
    fn who_waits_for_room_after_an_error_gives_others_their_turn() {
        run(async || {
            let (socket, _peer) = full().await;
            let mut sends = pin!(async {
                loop {
                    socket.wait_if_drained(Side::Write).await.unwrap();
                    let send = |fd: BorrowedFd<'_>| Ok(rustix::io::write(fd, b"x")?);
                    assert!(socket.on(Side::Write, send, |_| false).is_err());
                }
            });
            // Without a wait the poll would never return.
            assert!(sends.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        });
    }

    #[test]
    fn the_mark_of_urgent_data_is_asked_for_only_if_some_has_come() {
        run(async || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let stream = listener.accept().unwrap().0;
            stream.set_nonblocking(true).unwrap();
            let socket = Socket::new(stream.into(), &Arc::default(), &Meter::new());
            // What comes of it, and whether the system was asked, which gives this answer.
            let is_at_mark = |answer| {
                let mut asked = false;
                let ask = |_: BorrowedFd<'_>| {
                    asked = true;
                    answer
                };
                (socket.is_at_mark(ask), asked)
            };
            rustix::net::send(&peer, b"a", SendFlags::empty()).unwrap();
            poll_fn(|cx| socket.poll_wait(Side::Read, cx)).await.unwrap();
            assert_eq!(is_at_mark(true), (false, false));
            for _ in 0..2 {
                rustix::net::send(&peer, b"!", SendFlags::OOB).unwrap();
                drop(socket.registered.get().unwrap().ready(Interest::PRIORITY).await.unwrap());
                assert_eq!(is_at_mark(true), (true, true));
                assert_eq!(is_at_mark(false), (false, true));
                assert_eq!(is_at_mark(true), (false, false), "the mark has been passed");
            }
        });
    }
}
