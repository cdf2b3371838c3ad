//! What one connection receives and another sends, moved without the program.
//!
//! It is a task of tokio's, so the program's turns cost it nothing. It goes on by itself; once the program has taken back its
//! read of one of the two ends it pauses, and keeps what is on its way, until the end is read again. If the end is dropped
//! instead, it stops.
//!
//! The program is not polled for it, so it asks for the pace of the run by itself, before each chunk.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Sleep, sleep};

use super::end::Interest;
use super::error;
use super::streams::{Receive, Send};

/// How much is moved at a time, in bytes.
const CHUNK: usize = 64 << 10;
/// How many chunks are moved before the program and others have a turn.
const TURN: usize = 16;

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
    /// Until the run has not used more than it may.
    pause: Option<Pin<Box<Sleep>>>,
}

/// Moves all that is received to where it is sent, up to the end.
pub(super) fn start(from: Receive, to: Send) {
    let mut transfer = Transfer { from, to, kept: Vec::new(), sent: 0, pause: None };
    tokio::spawn(poll_fn(move |cx| transfer.poll(cx)));
}

impl Transfer {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURN {
            let (from, to) = (self.from.interest(cx), self.to.interest(cx));
            if from == Interest::GivenUp || to == Interest::GivenUp {
                return Poll::Ready(());
            }
            if from == Interest::Paused || to == Interest::Paused {
                return Poll::Pending;
            }
            ready!(self.poll_pace(cx));
            if !ready!(self.poll_step(cx)) {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits while the run has used more than it may.
    fn poll_pace(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
            }
            self.pause = None;
            let meter = self.from.socket().meter();
            let Some(after) = meter.lacks() else { return Poll::Ready(()) };
            meter.delayed();
            self.pause = Some(Box::pin(sleep(after)));
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

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::task::Waker;
    use std::thread;
    use std::time::Instant;

    use super::super::socket::Socket;
    use super::*;
    use crate::net::Net;
    use crate::net::limits::Counted;
    use crate::net::meter::{Load, Meter, Traffic};
    use crate::net::policy::Policy;
    use crate::pace::{Pace, Rates};
    use crate::pulse::Pulse;
    use crate::stdio::{Output, Sink};

    /// A connection: its client, and the runner's end.
    fn pair(net: &Net) -> (TcpStream, Arc<Socket>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        client.set_nonblocking(true).unwrap();
        server.set_nonblocking(true).unwrap();
        assert!(net.sockets.take());
        (client, Arc::new(Socket::new(server.into(), net, Counted::new(&net.sockets))))
    }

    /// Reads when there is something, while the transfer has its turns.
    async fn read(client: &mut TcpStream) -> Vec<u8> {
        let mut buf = [0; 64];
        loop {
            match client.read(&mut buf) {
                Ok(n) => return buf[..n].to_vec(),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            tokio::task::yield_now().await;
        }
    }

    async fn main(net: &Net) {
        let ((mut left, from), (mut right, to)) = (pair(net), pair(net));
        let ((receive, received), (send, sent)) = (Receive::new(from), Send::new(to));
        start(receive, send);
        left.write_all(b"though nobody reads the end").unwrap();
        assert_eq!(read(&mut right).await, b"though nobody reads the end");

        let cx = Context::from_waker(Waker::noop());
        assert!(received.poll(&cx, false).is_pending());
        assert!(matches!(received.poll(&cx, true), Poll::Ready(None)));
        left.write_all(b"while it is paused").unwrap();
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(right.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(received.poll(&cx, false).is_pending());
        assert_eq!(read(&mut right).await, b"while it is paused");
        let Traffic { received: taken, sent: passed_on, .. } = net.meter.traffic();
        assert_eq!((taken, passed_on), (45, 45));

        assert!(matches!(received.poll(&cx, true), Poll::Ready(None)));
        left.write_all(b"too late").unwrap();
        drop(received);
        assert_eq!(read(&mut right).await, b"");
        assert!(matches!(sent.poll(&cx, false), Poll::Ready(Some(Ok(())))));
        assert_eq!(net.meter.traffic().received, 45);
    }

    #[test]
    fn a_transfer_is_bound_by_the_rate_of_its_run() {
        const BYTES: usize = 1_000_000;
        let load = Arc::new(Load::default());
        let meter = Meter::new().of_a_run(Arc::clone(&load));
        // A million bytes are saved up; as many are received, and sent.
        let rates = Rates { cpu: None, bytes: Some(10 * BYTES as u64) };
        let of = (crate::interrupt::Interrupt::new(), wasmtime::Engine::default());
        let _pace = Pace::new(rates, load, meter.clone(), Pulse::default(), of);
        let stderr = Sink::new(Output::Null, std::io::stderr()).unwrap();
        let net = Net::new(Policy::allow_all(), 2, meter, stderr, None);
        let begun = Instant::now();
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let ((mut left, from), (mut right, to)) = (pair(&net), pair(&net));
            start(Receive::new(from).0, Send::new(to).0);
            left.set_nonblocking(false).unwrap();
            right.set_nonblocking(false).unwrap();
            let writes = thread::spawn(move || left.write_all(&[b'x'; BYTES]));
            let mut all = Vec::new();
            let read = tokio::task::spawn_blocking(move || right.read_to_end(&mut all));
            // The writer has gone when it has written all, and so the transfer ends.
            assert_eq!(read.await.unwrap().unwrap(), BYTES);
            writes.join().unwrap().unwrap();
        });
        // Less than the last chunk, which makes a debt.
        assert!(begun.elapsed().as_millis() >= 80, "{:?}", begun.elapsed());
    }

    #[test]
    fn a_transfer_is_counted_paused_gone_on_with_and_stopped() {
        let stderr = Sink::new(Output::Null, std::io::stderr()).unwrap();
        let net = Net::new(Policy::allow_all(), 2, Meter::new(), stderr, None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(main(&net));
        // Both sockets are closed.
        assert!(net.sockets.take() && net.sockets.take());
    }
}
