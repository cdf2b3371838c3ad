//! How long a server waits for others: for the head of a request, for more of a body, for a peer that does not read.
//!
//! hyper has a timeout for the head of a request of HTTP/1.1, and pings for HTTP/2. The rest is here.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use dormouse::hyper::Timer;
use dormouse::net::TcpStream;
use dormouse::time::Instant;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::{self, ReadBufCursor, Sleep, Timer as _};
use pin_project_lite::pin_project;

/// How long a server waits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For all of the head of a request, from when one may come; an idle connection is kept as long. With HTTP/2, for the first
    /// request, and for the answer to a ping.
    pub head: Duration,
    /// For the next piece of a body.
    pub body: Duration,
    /// For a client that does not read.
    pub write: Duration,
    /// For what has been begun when the server is asked to end.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        let seconds = Duration::from_secs;
        Limits { head: seconds(30), body: seconds(30), write: seconds(30), drain: seconds(10) }
    }
}

impl Limits {
    /// Of arguments such as `head=5000`, in milliseconds.
    ///
    /// # Errors
    /// If one is none of those.
    pub fn from_args(args: impl Iterator<Item = String>) -> Result<Limits> {
        let mut limits = Limits::default();
        for arg in args {
            let number = |value: &str| value.parse().map(Duration::from_millis).ok();
            match arg.split_once('=').map(|(name, value)| (name, number(value))) {
                Some(("head", Some(limit))) => limits.head = limit,
                Some(("body", Some(limit))) => limits.body = limit,
                Some(("write", Some(limit))) => limits.write = limit,
                Some(("drain", Some(limit))) => limits.drain = limit,
                _ => {
                    let what = format!("{arg} is no limit: head=, body=, write= or drain= and milliseconds");
                    return Err(Error::new(ErrorKind::InvalidInput, what));
                }
            }
        }
        Ok(limits)
    }
}

pin_project! {
    /// A body that is waited for: the next piece of it comes in time, or it is an error.
    pub struct Patient<B> {
        #[pin]
        body: B,
        limit: Duration,
        // While it waits. hyper's, which is `Send`, since axum asks for that.
        waits: Option<Pin<Box<dyn Sleep>>>,
    }
}

impl<B> Patient<B> {
    pub fn new(body: B, limit: Duration) -> Patient<B> {
        Patient { body, limit, waits: None }
    }
}

impl<B: Body> Body for Patient<B>
where
    B::Error: std::error::Error + Send + Sync + 'static,
{
    type Data = B::Data;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>>>> {
        let this = self.project();
        if let Poll::Ready(frame) = this.body.poll_frame(cx) {
            *this.waits = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::other)));
        }
        let limit = *this.limit;
        ready!(this.waits.get_or_insert_with(|| Timer.sleep(limit)).as_mut().poll(cx));
        Poll::Ready(Some(Err(Error::new(ErrorKind::TimedOut, format!("no more of the body within {limit:?}")))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection whose peer reads in time what is written to it.
///
/// The deadline is the socket's own: setting it costs no host call and no timer.
pub(crate) struct Written {
    pub(crate) conn: TcpStream,
    pub(crate) limit: Duration,
    pub(crate) waits: bool,
}

impl Written {
    fn wait(&mut self, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        if written.is_pending() != self.waits {
            self.waits = written.is_pending();
            self.conn.set_write_deadline(self.waits.then(|| Instant::now() + self.limit))?;
        }
        written
    }
}

impl rt::Read for Written {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<Result<()>> {
        rt::Read::poll_read(Pin::new(&mut self.conn), cx, buf)
    }
}

impl rt::Write for Written {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let written = rt::Write::poll_write(Pin::new(&mut self.conn), cx, buf);
        self.wait(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = rt::Write::poll_write_vectored(Pin::new(&mut self.conn), cx, bufs);
        self.wait(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.conn.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        rt::Write::poll_flush(Pin::new(&mut self.conn), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        rt::Write::poll_shutdown(Pin::new(&mut self.conn), cx)
    }
}
