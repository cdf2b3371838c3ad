//! From a reader to a writer.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

/// What is asked for at first, and the double each time a read fills it: wasmtime zeroes as much as is asked for at each read
/// (wasmtime-wasi 48.0.8, p2/tcp.rs), but gives up to 64 KiB in one.
const SMALLEST: usize = 4 * 1024;
const LARGEST: usize = 64 * 1024;

/// Reads and writes that one direction may do in a row. Less than half of what a task may do in one poll, so that a
/// direction which is always ready leaves something for the other one; and a reader and a writer that are not sockets,
/// and so count nothing, let other tasks run.
const TURN: usize = 32;

thread_local! {
    /// The buffer that goes round: most connections are quiet most of the time, and need none then.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Copies all that `reader` gives to `writer` until the reader's end, flushes, and returns the number of bytes. The
/// writer is not closed.
///
/// Both can be the same stream through two references; this is an echo server:
///
/// ```
/// # async fn echo(conn: dormouse::net::TcpStream) -> std::io::Result<()> {
/// dormouse::io::copy(&conn, &conn).await?;
/// # Ok(()) }
/// ```
///
/// Not safe to cancel: what has been read but not yet written is lost.
///
/// # Errors
/// The first error of either; `WriteZero` if the writer takes nothing.
pub async fn copy<R, W>(mut reader: R, mut writer: W) -> io::Result<u64>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut copy = Copy::new();
    poll_fn(|cx| copy.poll(cx, Pin::new(&mut reader), Pin::new(&mut writer))).await
}

/// Copies in both directions until both have ended, and returns how many bytes went from `a` to `b` and from `b` to `a`.
/// The end of one direction is passed on as a half close.
///
/// Not safe to cancel: what has been read but not yet written is lost.
///
/// # Errors
/// The first error of either direction.
pub async fn copy_bidirectional<A, B>(a: &mut A, b: &mut B) -> io::Result<(u64, u64)>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let mut there = Direction::new();
    let mut back = Direction::new();
    poll_fn(|cx| {
        let there = there.poll(cx, Pin::new(&mut *a), Pin::new(&mut *b))?;
        let back = back.poll(cx, Pin::new(&mut *b), Pin::new(&mut *a))?;
        match (there, back) {
            (Poll::Ready(there), Poll::Ready(back)) => Poll::Ready(Ok((there, back))),
            _ => Poll::Pending,
        }
    })
    .await
}

/// One direction: copy, then close, then done.
enum Direction {
    Copying(Copy),
    Closing(u64),
    Done(u64),
}

impl Direction {
    fn new() -> Self {
        Direction::Copying(Copy::new())
    }

    fn poll<R, W>(&mut self, cx: &mut Context<'_>, reader: Pin<&mut R>, writer: Pin<&mut W>) -> Poll<io::Result<u64>>
    where
        R: AsyncRead + ?Sized,
        W: AsyncWrite + ?Sized,
    {
        let mut writer = writer;
        if let Direction::Copying(copy) = self {
            let copied = ready!(copy.poll(cx, reader, writer.as_mut()))?;
            *self = Direction::Closing(copied);
        }
        if let Direction::Closing(copied) = *self {
            ready!(writer.poll_close(cx))?;
            *self = Direction::Done(copied);
        }
        match *self {
            Direction::Done(copied) => Poll::Ready(Ok(copied)),
            _ => Poll::Pending,
        }
    }
}

/// ```text
///   buffer │ written │ waiting │        │ … of a copy that asks for more  │
///          0       start      end     room
/// ```
struct Copy {
    /// Empty while there is nothing in it.
    buffer: Vec<u8>,
    /// How much is asked for.
    room: usize,
    start: usize,
    end: usize,
    /// The reader has said that there is no more.
    ended: bool,
    /// Something has been written since the last flush.
    unflushed: bool,
    copied: u64,
}

impl Copy {
    fn new() -> Self {
        Copy { buffer: Vec::new(), room: SMALLEST, start: 0, end: 0, ended: false, unflushed: false, copied: 0 }
    }

    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        mut reader: Pin<&mut R>,
        mut writer: Pin<&mut W>,
    ) -> Poll<io::Result<u64>>
    where
        R: AsyncRead + ?Sized,
        W: AsyncWrite + ?Sized,
    {
        for _ in 0..TURN {
            if self.start < self.end {
                let n = ready!(writer.as_mut().poll_write(cx, &self.buffer[self.start..self.end]))?;
                if n == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.start += n;
                self.copied += n as u64;
                self.unflushed = true;
                continue;
            }
            if self.ended {
                ready!(writer.as_mut().poll_flush(cx))?;
                return Poll::Ready(Ok(self.copied));
            }
            if self.end == self.room && self.room < LARGEST {
                self.room *= 2;
            }
            (self.start, self.end) = (0, 0);
            if self.buffer.is_empty() {
                self.buffer = SPARE.take();
            }
            if self.buffer.len() < self.room {
                self.buffer = vec![0; self.room];
            }
            match reader.as_mut().poll_read(cx, &mut self.buffer[..self.room])? {
                Poll::Ready(n) => {
                    self.end = n;
                    self.ended = n == 0;
                }
                Poll::Pending => {
                    // Nothing more for now: let the other side have what there is.
                    SPARE.set(std::mem::take(&mut self.buffer));
                    if self.unflushed {
                        ready!(writer.as_mut().poll_flush(cx))?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
