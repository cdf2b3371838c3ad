//! Interrupt. How a program is asked to end: its standard input ends, if it reads it.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use wasmtime_wasi::cli::{IsTerminal, StdinStream};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::bytes::Bytes;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, StreamError, StreamResult};

/// Asks the program of a run to end, from another thread; see [`Run::interrupt`](crate::Run::interrupt).
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The program has read, or has waited for something to read.
    read: AtomicBool,
    ended: AtomicBool,
    wake: Arc<Notify>,
}

impl Interrupt {
    /// One that asks nobody yet.
    pub fn new() -> Interrupt {
        Interrupt::default()
    }

    /// Ends the program's standard input. False if it does not read that, or has been asked before: then it does not hear it.
    pub fn ask(&self) -> bool {
        if !self.state.read.load(Ordering::SeqCst) || self.state.ended.swap(true, Ordering::SeqCst) {
            return false;
        }
        self.state.wake.notify_waiters();
        true
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
