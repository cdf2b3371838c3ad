//! What one connection receives and another sends, moved without the program.
//!
//! It is a task of tokio's, so the program's turns cost it nothing. It goes on by itself; once the program has taken back its
//! read of one of the two ends it pauses, and keeps what is on its way, until the end is read again. If the end is dropped
//! instead, it stops.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use super::end::Interest;
use super::error;
use super::streams::{Receive, Send};

/// How much is moved at a time, in bytes.
const CHUNK: usize = 64 << 10;

thread_local! {
    /// Where the bytes are between two sockets. What the second one does not take at once its transfer keeps.
    static CHUNKS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Transfer {
    from: Receive,
    to: Send,
    /// Received and not sent yet, from `sent` on.
    kept: Vec<u8>,
    sent: usize,
}

/// Moves all that is received to where it is sent, up to the end.
pub(super) fn start(from: Receive, to: Send) {
    let mut transfer = Transfer { from, to, kept: Vec::new(), sent: 0 };
    tokio::spawn(poll_fn(move |cx| transfer.poll(cx)));
}

impl Transfer {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let (from, to) = (self.from.interest(cx), self.to.interest(cx));
            if from == Interest::GivenUp || to == Interest::GivenUp {
                return Poll::Ready(());
            }
            if from == Interest::Paused || to == Interest::Paused {
                return Poll::Pending;
            }
            if !ready!(self.poll_step(cx)) {
                return Poll::Ready(());
            }
        }
    }

    /// Sends what is kept, or else receives and sends a chunk; false at the end.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while self.sent < self.kept.len() {
            match ready!(self.to.socket().poll_send(cx, &self.kept[self.sent..])) {
                Ok(n) => self.sent += n,
                Err(error) => return self.failed_to_send(error),
            }
        }
        (self.kept, self.sent) = (Vec::new(), 0);
        CHUNKS.with_borrow_mut(|chunk| {
            chunk.resize(CHUNK, 0);
            let received = match ready!(self.from.socket().poll_receive(cx, chunk)) {
                Ok(0) => {
                    self.from.finish(Ok(()));
                    return Poll::Ready(false);
                }
                Ok(n) => &chunk[..n],
                Err(error) => {
                    self.from.finish(Err(error::of(error)));
                    return Poll::Ready(false);
                }
            };
            match self.to.socket().poll_send(cx, received) {
                Poll::Ready(Ok(n)) if n == received.len() => {}
                Poll::Ready(Ok(n)) => self.kept = received[n..].to_vec(),
                Poll::Ready(Err(error)) => return self.failed_to_send(error),
                Poll::Pending => self.kept = received.to_vec(),
            }
            Poll::Ready(true)
        })
    }

    fn failed_to_send(&mut self, error: std::io::Error) -> Poll<bool> {
        self.to.finish(Err(error::of(error)));
        Poll::Ready(false)
    }
}
