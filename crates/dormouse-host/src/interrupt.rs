//! Interrupt. How a program is asked to end: its standard input ends, if it reads it.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio::io::AsyncRead;
use tokio::sync::Notify;
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
    wake: Notify,
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
    /// WASI 0.3 would read this one, which nobody ends.
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        StdinStream::async_stream(&std::io::stdin())
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
