//! Interrupt. How a program is asked to stop: the last instant of its clock comes, if it waits for that (`STOP` in
//! `crates/dormouse/FACTS.md`), and else its standard input ends, if it reads it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use wasmtime_wasi::cli::{IsTerminal, StdinStream};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::bytes::Bytes;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, StreamError, StreamResult};

use crate::net::socket::Hub;

/// Asks the program of a run to stop, from another thread; see [`Run::interrupt`](crate::Run::interrupt).
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The program has read, or has waited for something to read.
    read: AtomicBool,
    ended: AtomicBool,
    /// The program waits for the last instant, or has.
    waits: AtomicBool,
    /// The last instant has come.
    asked: AtomicBool,
    wake: Arc<Notify>,
    /// Where the programs wait.
    hubs: Mutex<Vec<Weak<Hub>>>,
}

impl Interrupt {
    /// One that asks nobody yet.
    pub fn new() -> Interrupt {
        Interrupt::default()
    }

    /// Asks the program. False if it does not hear it: it neither waits for such a request, nor reads its standard input, which ends
    /// then; or it has been asked before.
    pub fn ask(&self) -> bool {
        if self.state.waits.load(Ordering::SeqCst) {
            if self.state.asked.swap(true, Ordering::SeqCst) {
                return false;
            }
            self.state.wake.notify_waiters();
            let hubs = self.state.hubs.lock().unwrap_or_else(PoisonError::into_inner);
            hubs.iter().filter_map(Weak::upgrade).for_each(|hub| hub.wake());
            return true;
        }
        if !self.state.read.load(Ordering::SeqCst) || self.state.ended.swap(true, Ordering::SeqCst) {
            return false;
        }
        self.state.wake.notify_waiters();
        true
    }

    /// Comes when the program has been asked.
    pub(crate) async fn is_asked(&self) {
        let asked = || self.state.asked.load(Ordering::SeqCst) || self.state.ended.load(Ordering::SeqCst);
        let mut wake = pin!(self.state.wake.notified());
        loop {
            wake.as_mut().enable();
            if asked() {
                return;
            }
            wake.as_mut().await;
            wake.set(self.state.wake.notified());
        }
    }
}

/// A reading of the monotonic clock that means something to a program that was told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instant {
    /// The last one: the program is asked to stop.
    Stop = 0,
    /// The one before: a socket outside of the list has become ready (`net/bell.rs`).
    Bell = 1,
}

impl Instant {
    pub(crate) const BELL: u64 = u64::MAX - 1;
}

/// What a program of a run sees of it: whether the last instant has come.
pub(crate) struct LastInstant {
    state: Arc<State>,
    /// Whether the program was told what it means.
    is_offered: bool,
    /// And what the one before means.
    has_bell: bool,
}

impl LastInstant {
    /// `hub` is where the program waits.
    pub(crate) fn new(interrupt: &Interrupt, hub: &Arc<Hub>) -> LastInstant {
        let state = Arc::clone(&interrupt.state);
        let mut hubs = state.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        hubs.retain(|hub| hub.strong_count() > 0);
        hubs.push(Arc::downgrade(hub));
        drop(hubs);
        LastInstant { state, is_offered: false, has_bell: false }
    }

    /// The program has been told, perhaps of the bell, too. To others the last instants are two of many.
    pub(crate) fn offer(&mut self, bell: bool) {
        self.is_offered = true;
        self.has_bell = bell;
    }

    /// Whether a wait for this reading of the monotonic clock is one for a request to stop. If it is, the program hears it from now on.
    pub(crate) fn is_waited_for(&self, instant: u64) -> bool {
        let waits = self.is_offered && instant == u64::MAX;
        if waits {
            self.state.waits.store(true, Ordering::SeqCst);
        }
        waits
    }

    /// Which of the last two instants this is, if a wait for it has a meaning.
    pub(crate) fn of(&self, instant: u64) -> Option<Instant> {
        match instant {
            Instant::BELL if self.has_bell => Some(Instant::Bell),
            _ => self.is_waited_for(instant).then_some(Instant::Stop),
        }
    }

    /// Whether it has come.
    pub(crate) fn has_come(&self) -> bool {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// Comes with it.
    pub(crate) fn comes(&self) -> impl Future<Output = ()> + use<> {
        let state = Arc::clone(&self.state);
        async move {
            let mut wake = pin!(state.wake.notified());
            loop {
                wake.as_mut().enable();
                if state.asked.load(Ordering::SeqCst) {
                    return;
                }
                wake.as_mut().await;
                wake.set(state.wake.notified());
            }
        }
    }
}

/// The process's standard input, until somebody ends it.
pub(crate) struct Endable(pub(crate) Interrupt);

impl IsTerminal for Endable {
    fn is_terminal(&self) -> bool {
        std::io::IsTerminal::is_terminal(&std::io::stdin())
    }
}

impl StdinStream for Endable {
    /// For WASI 0.3.
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(Reader {
            inner: Box::into_pin(StdinStream::async_stream(&std::io::stdin())),
            ended: Box::pin(Arc::clone(&self.0.state.wake).notified_owned()),
            state: Arc::clone(&self.0.state),
        })
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(Stream { inner: StdinStream::p2_stream(&std::io::stdin()), state: Arc::clone(&self.0.state) })
    }
}

struct Stream {
    inner: Box<dyn InputStream>,
    state: Arc<State>,
}

#[async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {
        let mut ended = pin!(self.state.wake.notified());
        // From now on it is woken.
        ended.as_mut().enable();
        self.state.read.store(true, Ordering::SeqCst);
        if self.state.ended.load(Ordering::SeqCst) {
            return;
        }
        let mut ready = pin!(self.inner.ready());
        poll_fn(|cx| match (ended.as_mut().poll(cx), ready.as_mut().poll(cx)) {
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            _ => Poll::Ready(()),
        })
        .await;
    }
}

#[async_trait]
impl InputStream for Stream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.state.read.store(true, Ordering::SeqCst);
        match self.state.ended.load(Ordering::SeqCst) {
            true => Err(StreamError::Closed),
            false => self.inner.read(size),
        }
    }
}

struct Reader {
    inner: Pin<Box<dyn AsyncRead + Send + Sync>>,
    /// Made before `state.ended` is looked at, so no end is missed.
    ended: Pin<Box<OwnedNotified>>,
    state: Arc<State>,
}

impl AsyncRead for Reader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.state.read.store(true, Ordering::SeqCst);
        let woken = self.ended.as_mut().poll(cx).is_ready();
        match woken || self.state.ended.load(Ordering::SeqCst) {
            // Nothing read is the end.
            true => Poll::Ready(Ok(())),
            false => self.inner.as_mut().poll_read(cx, bytes),
        }
    }
}
