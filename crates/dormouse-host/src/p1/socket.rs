//! One socket, and what is known of its readiness.
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

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::ioctl::{Getter, Opcode, ioctl};
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use super::hub::Hub;

/// What a program waits for on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Read = 0,
    Write = 1,
}

/// What is moved in one call at the most, in bytes: Linux moves 2 GiB less a page (read(2), NOTES), and a call that was cut short by that
/// has not taken all there was.
const MOST: usize = 1 << 30;

const UNKNOWN: u8 = 0;
const ARMED: u8 = 1;
const MARKED: u8 = 2;
const READY: u8 = 3;
/// Ready, and the peer has closed or reset its half.
const HUNG_UP: u8 = 4;

pub(super) struct Socket {
    /// Dropped first: it takes the descriptor out of tokio's poller.
    registered: Option<AsyncFd<RawFd>>,
    inner: Inner,
    sides: [Arc<Mark>; 2],
    /// Made once: each side's mark as a waker.
    wakers: [Waker; 2],
    /// An error that came after bytes that were received in the same call. The system tells it once: after a reset the next
    /// read would look like a good end.
    failed: Option<io::Error>,
    /// The program asked for calls that return at once. The system's socket always does.
    pub(super) nonblocking: bool,
}

enum Inner {
    Listener(TcpListener),
    Stream(TcpStream),
}

/// The state of a side, which tokio may change from another thread.
struct Mark {
    state: AtomicU8,
    hub: Arc<Hub>,
}

impl Wake for Mark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // One that is no longer armed has been looked at since.
        let armed = self.state.compare_exchange(ARMED, MARKED, Ordering::AcqRel, Ordering::Relaxed);
        if armed.is_ok() {
            self.hub.wake();
        }
    }
}

impl Socket {
    pub(super) fn listener(listener: TcpListener, hub: &Arc<Hub>) -> io::Result<Socket> {
        listener.set_nonblocking(true)?;
        Ok(Socket::new(Inner::Listener(listener), hub, true))
    }

    pub(super) fn stream(stream: TcpStream, hub: &Arc<Hub>, nonblocking: bool) -> io::Result<Socket> {
        stream.set_nonblocking(true)?;
        Ok(Socket::new(Inner::Stream(stream), hub, nonblocking))
    }

    fn new(inner: Inner, hub: &Arc<Hub>, nonblocking: bool) -> Socket {
        let mark = || Arc::new(Mark { state: AtomicU8::new(UNKNOWN), hub: Arc::clone(hub) });
        let sides = [mark(), mark()];
        let wakers = [Waker::from(Arc::clone(&sides[0])), Waker::from(Arc::clone(&sides[1]))];
        Socket { registered: None, inner, sides, wakers, failed: None, nonblocking }
    }

    pub(super) fn is_listener(&self) -> bool {
        matches!(self.inner, Inner::Listener(_))
    }

    // ---- readiness ----

    /// Whether this side is ready, as far as is known: a hint, as readiness is. If it is not, its mark will wake the hub.
    pub(super) fn is_ready(&mut self, side: Side) -> io::Result<bool> {
        loop {
            let ready = match self.sides[side as usize].state.load(Ordering::Acquire) {
                ARMED => false,
                READY | HUNG_UP => true,
                _ => self.look(side)?,
            };
            // A program whose calls block does not make one on a hint: it would wait there, and for this side only.
            if !ready || self.nonblocking || self.confirm(side)? {
                return Ok(ready);
            }
        }
    }

    /// Asks the system whether a side is ready that was so; if not, nothing is known of it any more.
    #[cold]
    fn confirm(&mut self, side: Side) -> io::Result<bool> {
        if self.is_hung_up(side) {
            return Ok(true);
        }
        // Taken before the question, so that what happens meanwhile is not forgotten with it.
        let guard = self.guard(side);
        let flags = match side {
            Side::Read => PollFlags::IN,
            Side::Write => PollFlags::OUT,
        };
        let fd = match &self.inner {
            Inner::Listener(listener) => listener.as_fd(),
            Inner::Stream(stream) => stream.as_fd(),
        };
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let found = retry_on_intr(|| poll(&mut [PollFd::from_borrowed_fd(fd, flags)], Some(&now)))?;
        if found == 0 {
            if let Some(mut guard) = guard {
                guard.clear_ready();
            }
            self.sides[side as usize].state.store(UNKNOWN, Ordering::Release);
        }
        Ok(found > 0)
    }

    /// Whether the peer has gone, of a side that is ready.
    pub(super) fn is_hung_up(&self, side: Side) -> bool {
        self.sides[side as usize].state.load(Ordering::Acquire) == HUNG_UP
    }

    /// Asks tokio, which keeps our waker if the answer is no.
    #[cold]
    fn look(&mut self, side: Side) -> io::Result<bool> {
        if side == Side::Write && self.is_listener() {
            // Nothing is ever written there, and nobody waits for it in vain: such a side just never fires.
            self.sides[side as usize].state.store(ARMED, Ordering::Release);
            return Ok(false);
        }
        self.register()?;
        let mark = &self.sides[side as usize];
        // Before the question: what happens after it is to be marked.
        mark.state.store(ARMED, Ordering::Release);
        let mut cx = Context::from_waker(&self.wakers[side as usize]);
        let state = match self.poll_ready(side, &mut cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(guard)) => {
                let ready = guard.ready();
                if ready.is_read_closed() || ready.is_write_closed() { HUNG_UP } else { READY }
            }
            Poll::Ready(Err(error)) => return Err(error),
        };
        mark.state.store(state, Ordering::Release);
        Ok(true)
    }

    /// In tokio's poller from now on. Not earlier: a socket that is not connected yet would be reported as hung up for ever.
    fn register(&mut self) -> io::Result<()> {
        if self.registered.is_none() {
            let (fd, interest) = match &self.inner {
                Inner::Listener(listener) => (listener.as_raw_fd(), Interest::READABLE),
                Inner::Stream(stream) => (stream.as_raw_fd(), Interest::READABLE | Interest::WRITABLE),
            };
            // SAFETY: `inner` has the descriptor open, is never replaced, and is dropped after `registered`.
            self.registered = Some(unsafe { AsyncFd::register_with_interest(fd, interest) }?);
        }
        Ok(())
    }

    fn poll_ready(&self, side: Side, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'_, RawFd>>> {
        match (&self.registered, side) {
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

    /// Waits until this side is ready: what a call does that may block.
    pub(super) fn poll_wait(&mut self, side: Side, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.register()?;
        // The waker of who waits takes the place of ours.
        self.sides[side as usize].state.store(UNKNOWN, Ordering::Release);
        self.poll_ready(side, cx).map_ok(|_| ())
    }

    /// Does something on a side, and brings what is known of it up to date. `short` tells of a result whether it took all
    /// there was; with an edge-triggered poller that means that the next thing to happen is reported (epoll(7), question 9).
    fn on<T>(
        &mut self,
        side: Side,
        call: impl FnOnce(&Inner) -> io::Result<T>,
        short: impl FnOnce(&T) -> bool,
    ) -> io::Result<T> {
        // Taken before the call, so that what happens meanwhile is not forgotten with it.
        let guard = self.guard(side);
        let result = call(&self.inner);
        let nothing_left = match &result {
            Ok(value) => short(value),
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        if nothing_left {
            if let Some(mut guard) = guard {
                guard.clear_ready();
            }
            self.sides[side as usize].state.store(UNKNOWN, Ordering::Release);
        }
        result
    }

    // ---- operations; none of them blocks ----

    /// An error of the network that the new connection has had, which Linux reports here (accept(2)), is told as `ECONNABORTED`, as
    /// wasmtime does: WASI has no numbers for some of them.
    pub(super) fn accept(&mut self) -> io::Result<TcpStream> {
        let accept = |inner: &Inner| match inner {
            Inner::Listener(listener) => listener.accept().map(|(stream, _)| stream).map_err(of_the_connection),
            Inner::Stream(_) => Err(io::Error::from(rustix::io::Errno::INVAL)),
        };
        self.on(Side::Read, accept, |_| false)
    }

    pub(super) fn receive(&mut self, buf: &mut [u8], peek: bool) -> io::Result<usize> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let room = buf.len().min(MOST);
        let buf = &mut buf[..room];
        // A read also ends at the mark of urgent data, and there may be more behind it (tcp(7), sockatmark(3)).
        let receive = |inner: &Inner| match (stream_of(inner)?, peek) {
            (stream, true) => stream.peek(buf).map(|n| (n, false)),
            (mut stream, false) => {
                let n = stream.read(buf)?;
                Ok((n, 0 < n && n < room && !is_at_mark(stream)))
            }
        };
        self.on(Side::Read, receive, |&(_, took_all)| took_all).map(|(n, _)| n)
    }

    /// Keeps an error for the next call.
    pub(super) fn fail_next(&mut self, error: io::Error) {
        self.failed = Some(error);
    }

    pub(super) fn send(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let len = bufs.iter().map(|buf| buf.len()).sum::<usize>().min(MOST);
        let send = |inner: &Inner| match len {
            // The system looks at a list that is empty in all, and not at the socket.
            0 => stream_of(inner)?.write(&[]),
            _ => stream_of(inner)?.write_vectored(bufs),
        };
        self.on(Side::Write, send, |&n| n < len)
    }

    pub(super) fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        stream_of(&self.inner)?.shutdown(how)
    }
}

fn of_the_connection(error: io::Error) -> io::Error {
    use rustix::io::Errno;
    match Errno::from_io_error(&error) {
        #[cfg(target_os = "linux")]
        Some(
            Errno::NETDOWN
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::NETUNREACH,
        ) => Errno::CONNABORTED.into(),
        _ => error,
    }
}

/// Whether a stream stands at the mark of urgent data. If the system does not say, it may: that costs the program a read that finds nothing.
fn is_at_mark(stream: &TcpStream) -> bool {
    /// SIOCATMARK.
    #[cfg(all(
        any(target_os = "linux", target_os = "android"),
        not(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc", target_arch = "sparc64"))
    ))]
    const AT_MARK: Opcode = 0x8905;
    #[cfg(not(all(
        any(target_os = "linux", target_os = "android"),
        not(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc", target_arch = "sparc64"))
    )))]
    const AT_MARK: Opcode = rustix::ioctl::opcode::read::<i32>(b's', 7);
    // SAFETY: the request writes one int, for which there is room, and keeps no pointer.
    let asked = unsafe { ioctl(stream, Getter::<AT_MARK, i32>::new()) };
    asked != Ok(0)
}

fn stream_of(inner: &Inner) -> io::Result<&TcpStream> {
    match inner {
        Inner::Stream(stream) => Ok(stream),
        Inner::Listener(_) => Err(rustix::io::Errno::NOTCONN.into()),
    }
}
