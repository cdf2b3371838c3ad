//! Flush. Bytes that a program has written and the system has not taken yet. The host took them, so they are sent whether the program
//! waits for that or does something else, and also when it has dropped the stream: a drop never waits. The socket counts until then.
//! A peer has [`PATIENCE`] to take what the program has dropped, so that one that takes nothing does not keep the socket. A connection
//! that is given up is reset.
//!
//! One task of the run sends them all. It is asleep unless the buffer of a connection is full. The rates of the run (`pace.rs`) do not hold it up: it
//! sends no more than the program has written, which its pauses bound.

use std::future::poll_fn;
use std::io;
use std::mem::take;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustix::io::Errno;
use tokio::time::{Instant, Sleep, sleep};

use super::tcp::{Held, MOST};
use crate::net::socket::{Hub, Side};
use crate::net::tcp;

/// How long a peer has to take the rest of a write, once the program has dropped the connection: that long at least from the write on.
/// It is looked at that often.
const PATIENCE: Duration = Duration::from_secs(30);
/// What one write may have when much is left over already, in bytes.
const LITTLE: usize = 4096;
/// Empty buffers that are kept for the next connection that has something left over.
const SPARE: usize = 4;

/// What is left over of a connection.
pub(super) struct Rest {
    socket: Arc<Held>,
    since: Instant,
    state: Mutex<State>,
}

struct State {
    bytes: Vec<u8>,
    sent: usize,
    /// Whether the half of the connection ends behind the bytes.
    ends: bool,
    done: Option<Result<(), Errno>>,
    /// Of the flusher.
    task: Option<Waker>,
    /// Whether the program has asked for room since the flusher had its turn.
    asked: bool,
}

impl State {
    /// Takes note of what a send has come to.
    fn took(&mut self, sent: io::Result<usize>) {
        match sent {
            Ok(sent) => {
                self.sent += sent;
                if self.sent == self.bytes.len() {
                    self.done = Some(Ok(()));
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => self.done = Some(Err(errno(&error))),
        }
    }
}

impl Rest {
    /// What has come of it, if it is done.
    pub(super) fn done(&self) -> Option<Result<(), Errno>> {
        lock(&self.state).done
    }

    /// The half of the connection is to end when all is sent. False if that has been, and so the caller ends it.
    pub(super) fn end(&self) -> bool {
        let mut state = lock(&self.state);
        state.ends = true;
        state.done.is_none()
    }

    /// Whether the program has nothing of the connection any more.
    fn is_dropped(&self) -> bool {
        Arc::strong_count(&self.socket) == 1
    }

    /// The program asks for room. If it asks again and again, and never waits, the flusher has no turn: what the system takes at once is sent
    /// here then.
    pub(super) fn push(&self) {
        let mut state = lock(&self.state);
        let asked = std::mem::replace(&mut state.asked, true);
        if !asked || state.ends || state.done.is_some() {
            return;
        }
        let sent = tcp::send_aside(&self.socket, &state.bytes[state.sent..]);
        state.took(sent);
        let task = if state.done.is_some() { state.task.take() } else { None };
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        let state = &mut *state;
        state.task.get_or_insert_with(|| cx.waker().clone());
        state.asked = false;
        while state.done.is_none() {
            let waited = ready!(self.socket.poll_wait_aside(Side::Write, cx));
            let sent = waited.and_then(|()| tcp::send(&self.socket, &state.bytes[state.sent..]));
            state.took(sent);
        }
        if state.ends {
            // Should it fail, the connection is no more.
            let _ = tcp::shutdown(&self.socket, Shutdown::Write);
        }
        Poll::Ready(())
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if self.done().is_none() {
            tcp::reset_at_close(&self.socket);
        }
    }
}

/// The system's number for an error; `EIO` for one that is not the system's.
pub(super) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Sends what is left over, of all connections of a run.
pub(crate) struct Flusher {
    hub: Arc<Hub>,
    patience: Duration,
    /// So many bytes may be left over before writes have to be small.
    room: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    rests: Vec<Arc<Rest>>,
    /// How many bytes they have.
    kept: usize,
    spare: Vec<Vec<u8>>,
    /// Of the task, once there is one.
    task: Option<Waker>,
    started: bool,
    /// Of who waits until nothing is left over.
    idle: Option<Waker>,
}

impl Flusher {
    pub(super) fn new(hub: &Arc<Hub>, room: usize) -> Arc<Flusher> {
        Flusher::with_patience(hub, room, PATIENCE)
    }

    pub(super) fn with_patience(hub: &Arc<Hub>, room: usize, patience: Duration) -> Arc<Flusher> {
        Arc::new(Flusher { hub: Arc::clone(hub), patience, room, inner: Mutex::default() })
    }

    /// How many bytes one write may have.
    pub(super) fn permit(&self) -> usize {
        if lock(&self.inner).kept < self.room { MOST } else { LITTLE }
    }

    /// Of how many connections something is left over.
    pub(crate) fn left(&self) -> usize {
        lock(&self.inner).rests.len()
    }

    /// A copy of what the system has not taken.
    pub(super) fn keep(&self, rest: &[u8]) -> Vec<u8> {
        let mut kept = lock(&self.inner).spare.pop().unwrap_or_default();
        kept.extend_from_slice(rest);
        kept
    }

    /// Sends the bytes as soon as there is room for them.
    pub(super) fn send(self: &Arc<Self>, socket: &Arc<Held>, bytes: Vec<u8>) -> Arc<Rest> {
        let len = bytes.len();
        let state = Mutex::new(State { bytes, sent: 0, ends: false, done: None, task: None, asked: false });
        let rest = Arc::new(Rest { socket: Arc::clone(socket), since: Instant::now(), state });
        let mut inner = lock(&self.inner);
        inner.rests.push(Arc::clone(&rest));
        inner.kept += len;
        let task = inner.task.take();
        let started = std::mem::replace(&mut inner.started, true);
        drop(inner);
        if let Some(task) = task {
            task.wake();
        }
        if !started {
            let flusher = Arc::clone(self);
            let mut look = Box::pin(sleep(self.patience));
            tokio::spawn(tokio::task::unconstrained(poll_fn(move |cx| flusher.poll(cx, look.as_mut()))));
        }
        rest
    }

    /// `look` is when those that the program has dropped are looked at next.
    fn poll(&self, cx: &mut Context<'_>, mut look: Pin<&mut Sleep>) -> Poll<()> {
        let mut inner = lock(&self.inner);
        let mut now = None;
        while !inner.rests.is_empty() && look.as_mut().poll(cx).is_ready() {
            now = Some(Instant::now());
            look.as_mut().reset(Instant::now() + self.patience);
        }
        let is_late = |rest: &Rest| now.is_some_and(|now| now >= rest.since + self.patience) && rest.is_dropped();
        inner.task = Some(cx.waker().clone());
        let Inner { rests, kept, spare, idle, .. } = &mut *inner;
        let before = rests.len();
        rests.retain(|rest| {
            if rest.poll(cx).is_pending() && !is_late(rest) {
                return true;
            }
            rest.socket.ring(Side::Write);
            let mut bytes = take(&mut lock(&rest.state).bytes);
            *kept -= bytes.len();
            if spare.len() < SPARE {
                bytes.clear();
                spare.push(bytes);
            }
            false
        });
        let waits = if rests.is_empty() { idle.take() } else { None };
        let some = rests.len() < before;
        drop(inner);
        if some {
            self.hub.wake();
        }
        if let Some(waits) = waits {
            waits.wake();
        }
        Poll::Pending
    }

    /// Waits until nothing is left over.
    pub(crate) async fn idle(&self) {
        poll_fn(|cx| {
            let mut inner = lock(&self.inner);
            match inner.rests.is_empty() {
                true => Poll::Ready(()),
                false => {
                    inner.idle = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
