//! Standard output and standard error that never block the module.
//!
//! All handles of a stream share one buffer. Whole lines go out as soon as the host takes them; what it does not take
//! now the reactor goes on with when it does. So lines that are written with one call each are not mixed with another
//! task's, and the end of `block_on` waits for what is left.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;

use crate::contain::SafeWaker;
use crate::reactor::{self, Chore, Reactor};
use crate::runtime;
use crate::sys::Source;

/// Bytes that may wait before a writer has to.
const FULL: usize = 64 * 1024;
/// A line may be this long before it is sent in parts.
const LONG_LINE: usize = 8 * 1024;

thread_local! {
    static STDOUT: RefCell<Option<Rc<Lines>>> = const { RefCell::new(None) };
    static STDERR: RefCell<Option<Rc<Lines>>> = const { RefCell::new(None) };
}

/// Standard output. Unlike `println!`, writing to it lets other tasks run while the reader is slow.
///
/// ```
/// use futures_lite::AsyncWriteExt;
/// # dormouse::block_on(async {
/// dormouse::io::stdout().write_all(b"hello\n").await?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// What has no newline yet goes out with a flush, or when the `block_on` around it ends; [`std::process::exit`] loses it.
///
/// A write returns when its bytes are in the buffer. If the host refuses them later, each flush that waits for them fails, or the
/// next write or flush if there is none. If there is no next one either, the end of `block_on` says so on standard error, and the program
/// ends with exit code 1.
///
/// A line that is written with one call stays together, up to 64 KiB, if what was written before it ended its line.
/// Output of `println!` may overtake it.
pub fn stdout() -> Stdout {
    Stdout { lines: Waits::new(Lines::shared(&STDOUT, Source::stdout, "standard output")), flushing: None }
}

/// Standard error; see [`stdout`].
pub fn stderr() -> Stderr {
    Stderr { lines: Waits::new(Lines::shared(&STDERR, Source::stderr, "standard error")), flushing: None }
}

/// A handle to standard output; made by [`stdout`].
#[derive(Clone)]
pub struct Stdout {
    lines: Waits,
    /// Up to where the flush that goes on has to come, in bytes since the beginning.
    flushing: Option<u64>,
}

/// A handle to standard error; made by [`stderr`].
#[derive(Clone)]
pub struct Stderr {
    lines: Waits,
    /// Up to where the flush that goes on has to come, in bytes since the beginning.
    flushing: Option<u64>,
}

macro_rules! write_lines {
    ($handle:ident) => {
        impl AsyncWrite for $handle {
            fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                self.flushing = None;
                self.lines.lines.poll_write(cx, buf, self.lines.id)
            }

            /// Waits for what was written before, not for what other tasks write meanwhile.
            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let this = &mut *self;
                this.lines.lines.poll_flush(cx, &mut this.flushing, this.lines.id)
            }

            /// Flushes; a standard stream stays open.
            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_flush(cx)
            }
        }

        impl fmt::Debug for $handle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($handle))
            }
        }
    };
}

write_lines!(Stdout);
write_lines!(Stderr);

/// A handle's place among those that wait: it has one waker there at most, and none when it has gone.
struct Waits {
    lines: Rc<Lines>,
    id: u64,
}

impl Waits {
    fn new(lines: Rc<Lines>) -> Waits {
        let id = lines.handles.get();
        lines.handles.set(id + 1);
        Waits { lines, id }
    }
}

impl Clone for Waits {
    fn clone(&self) -> Waits {
        Waits::new(Rc::clone(&self.lines))
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        drop(self.lines.unpark(self.id));
    }
}

/// The buffer of one stream.
///
/// ```text
///   buffer │ whole lines, on their way │ the beginning of a line │
///          0                        lines                       len
/// ```
struct Lines {
    output: Source,
    name: &'static str,
    buffer: RefCell<Vec<u8>>,
    lines: Cell<usize>,
    /// Bytes that have left the buffer since the beginning.
    gone: Cell<u64>,
    /// And of those, the bytes that the host is known to be through with.
    out: Cell<u64>,
    /// Up to where the next flush has to come; what it waits for is looked at no sooner.
    wanted: Cell<Option<u64>>,
    /// The reactor goes on with it.
    draining: Cell<bool>,
    /// The host refused: told to the next writer.
    failed: RefCell<Option<io::Error>>,
    /// What the host refused last, in bytes since the beginning, and why: told to each flush that waits for some of it.
    lost: RefCell<(Range<u64>, Option<io::ErrorKind>, String)>,
    /// Writers that wait for room, and flushers, by the number of their handle.
    waiting: RefCell<Vec<(u64, SafeWaker)>>,
    /// The number of the next handle.
    handles: Cell<u64>,
}

impl Lines {
    fn new(output: Source, name: &'static str) -> Lines {
        Lines {
            output,
            name,
            buffer: RefCell::default(),
            lines: Cell::new(0),
            gone: Cell::new(0),
            out: Cell::new(0),
            wanted: Cell::new(None),
            draining: Cell::new(false),
            failed: RefCell::default(),
            lost: RefCell::default(),
            waiting: RefCell::default(),
            handles: Cell::new(0),
        }
    }

    fn shared(
        slot: &'static std::thread::LocalKey<RefCell<Option<Rc<Lines>>>>,
        open: fn() -> Source,
        name: &'static str,
    ) -> Rc<Lines> {
        slot.with(|slot| {
            let new = || {
                runtime::at_end(flush_at_end, refused_at_end);
                Rc::new(Lines::new(open(), name))
            };
            Rc::clone(slot.borrow_mut().get_or_insert_with(new))
        })
    }

    fn poll_write(self: &Rc<Self>, cx: &mut Context<'_>, buf: &[u8], id: u64) -> Poll<io::Result<usize>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        // A reader that is always fast enough must not keep this task running for ever.
        let is_full = self.lines.get() >= FULL;
        if let Some(reactor) = Reactor::running() {
            ready!(reactor.poll_budget(cx));
            match is_full {
                true => reactor.give_back(),
                false => reactor.spend(buf.len().min(FULL)),
            }
        }
        if is_full {
            return self.wait(cx, id);
        }
        let taken = &buf[..buf.len().min(FULL)];
        {
            let mut buffer = self.buffer.borrow_mut();
            let newline = taken.iter().rposition(|&byte| byte == b'\n').map(|at| buffer.len() + at + 1);
            buffer.extend_from_slice(taken);
            if let Some(lines) = newline {
                self.lines.set(lines);
            } else if buffer.len() - self.lines.get() >= LONG_LINE {
                self.lines.set(buffer.len());
            }
        }
        self.send();
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: &Rc<Self>, cx: &mut Context<'_>, flushing: &mut Option<u64>, id: u64) -> Poll<io::Result<()>> {
        let waited = flushing.is_some();
        let end = *flushing.get_or_insert_with(|| self.end());
        if self.out.get() < end {
            self.wanted.set(Some(self.wanted.get().map_or(end, |other| other.min(end))));
            self.send_all();
        }
        let error = self.failed.take().or_else(|| if waited { self.loss_before(end) } else { None });
        if error.is_none() && self.out.get() < end {
            return self.wait(cx, id);
        }
        *flushing = None;
        Poll::Ready(error.map_or(Ok(()), Err))
    }

    fn wait<T>(&self, cx: &mut Context<'_>, id: u64) -> Poll<io::Result<T>> {
        if Reactor::running().is_none() {
            return Poll::Ready(Err(reactor::no_runtime()));
        }
        // A clone is code of others, and may write.
        let waker = SafeWaker::new(cx.waker());
        let mut waiting = self.waiting.borrow_mut();
        let old = match waiting.iter_mut().find(|(other, _)| *other == id) {
            Some((_, old)) => Some(std::mem::replace(old, waker)),
            None => {
                waiting.push((id, waker));
                None
            }
        };
        drop(waiting);
        drop(old);
        Poll::Pending
    }

    /// Takes the waker of a handle out. To be dropped when nothing is borrowed: that is code of others, too.
    fn unpark(&self, id: u64) -> Option<SafeWaker> {
        let mut waiting = self.waiting.borrow_mut();
        let at = waiting.iter().position(|(other, _)| *other == id)?;
        Some(waiting.remove(at).1)
    }

    /// How much has been written since the beginning.
    fn end(&self) -> u64 {
        self.gone.get() + self.buffer.borrow().len() as u64
    }

    /// Also what has no newline yet.
    fn send_all(self: &Rc<Self>) {
        self.lines.set(self.buffer.borrow().len());
        self.send();
    }

    /// Sends what the host takes now, and leaves the rest to the reactor.
    fn send(self: &Rc<Self>) {
        // A task that was woken may have sent, too.
        if self.draining.get() || self.drain() || self.draining.get() {
            return;
        }
        if let Ok(reactor) = Reactor::current() {
            self.draining.set(true);
            reactor.adopt(Rc::new(Draining(Rc::clone(self))));
        }
    }

    /// Writes what the host takes. True when no line is left, and no flush waits for the host.
    fn drain(&self) -> bool {
        let mut buffer = self.buffer.borrow_mut();
        let lines = self.lines.get();
        let (begin, mut sent, out) = (self.gone.get(), 0, self.out.get());
        loop {
            let gone = begin + sent as u64;
            // Before the next write, or a flush would wait for that, too.
            let flush = self.wanted.get().is_some_and(|wanted| wanted <= gone);
            let result = match flush {
                true => self.output.try_drain(),
                false if sent == lines => break,
                false => self.output.try_write(&buffer[sent..lines]).map(|n| sent += n),
            };
            match result {
                Ok(()) if flush => self.flushed(gone),
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.refused(&error, gone..begin + lines as u64);
                    sent = lines;
                }
            }
        }
        buffer.drain(..sent);
        self.gone.set(begin + sent as u64);
        self.lines.set(lines - sent);
        drop(buffer);
        let is_news = lines - sent < FULL || self.out.get() > out;
        let waiting = if is_news { self.waiting.take() } else { Vec::new() };
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
        // A task that was woken may have written.
        self.lines.get() == 0 && self.wanted.get().is_none()
    }

    /// The host takes no more: what waits is lost, and the next writer is told, and all flushes that wait for it.
    #[cold]
    fn refused(&self, error: &io::Error, lost: Range<u64>) {
        let why = format!("write to {}: {error}", self.name);
        self.flushed(lost.end);
        self.lost.replace((lost, Some(error.kind()), why.clone()));
        self.failed.replace(Some(crate::io::error(error.kind(), why)));
    }

    /// Why some of what is before `end` was lost, if that was the last of it.
    fn loss_before(&self, end: u64) -> Option<io::Error> {
        let (lost, kind, why) = &*self.lost.borrow();
        // A flush that asks the host, when all has been written, loses no byte that is known.
        let is_within = lost.start < end && end <= lost.end || lost.is_empty() && lost.end == end;
        kind.filter(|_| is_within).map(|kind| crate::io::error(kind, why.clone()))
    }

    fn flushed(&self, end: u64) {
        self.out.set(end);
        self.wanted.set(None);
    }
}

/// The reactor's part: goes on when the host takes more.
struct Draining(Rc<Lines>);

impl Chore for Draining {
    fn source(&self) -> &Source {
        &self.0.output
    }

    fn run(&self) -> bool {
        let done = self.0.drain();
        if done {
            self.0.draining.set(false);
        }
        done
    }

    fn failed(&self, error: io::Error) {
        let lines = &self.0;
        lines.draining.set(false);
        // It will not be ready again, so nothing would ever make room.
        let (begin, lost) = (lines.gone.get(), lines.lines.take());
        lines.buffer.borrow_mut().drain(..lost);
        lines.gone.set(begin + lost as u64);
        lines.refused(&error, begin..begin + lost as u64);
        lines.waiting.take().into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// Sends what has no newline yet, and has the runtime wait until the host is through with it.
fn flush_at_end() {
    for slot in [&STDOUT, &STDERR] {
        if let Ok(Some(lines)) = slot.try_with(|slot| slot.borrow().clone())
            && lines.out.get() < lines.end()
        {
            lines.wanted.set(Some(lines.end()));
            lines.send_all();
        }
    }
}

/// Why the last of what was written to standard output is lost, if nothing has been told of it.
fn refused_at_end() -> Option<io::Error> {
    STDOUT.with(|slot| slot.borrow().as_ref()?.failed.take())
}

#[cfg(all(test, not(miri)))] // A reactor asks the system for what Miri does not know.
mod tests {
    use std::future::poll_fn;
    use std::io::ErrorKind;
    use std::pin::pin;

    use futures_lite::future::poll_once;

    use super::*;

    /// A stream whose buffer is full, and which the reactor goes on with.
    fn full() -> Rc<Lines> {
        let lines = Rc::new(Lines::new(Source::stdout(), "a test"));
        lines.buffer.borrow_mut().resize(FULL, b'x');
        lines.lines.set(FULL);
        lines.draining.set(true);
        lines
    }

    async fn write(lines: &Rc<Lines>) -> io::Result<usize> {
        let handle = Waits::new(Rc::clone(lines));
        poll_fn(|cx| lines.poll_write(cx, b"y", handle.id)).await
    }

    async fn flush(lines: &Rc<Lines>) -> io::Result<()> {
        let (mut flushing, handle) = (None, Waits::new(Rc::clone(lines)));
        poll_fn(|cx| lines.poll_flush(cx, &mut flushing, handle.id)).await
    }

    #[test]
    fn a_write_that_is_given_up_leaves_no_waker() {
        crate::block_on(async {
            let lines = full();
            let mut stays = pin!(write(&lines));
            for _ in 0..100 {
                assert!(poll_once(&mut stays).await.is_none());
                assert!(poll_once(pin!(write(&lines))).await.is_none());
            }
            assert_eq!(lines.waiting.borrow().len(), 1, "that of the one that stays");
        });
    }

    #[test]
    fn a_stream_that_cannot_be_waited_for_parks_no_writer_for_ever() {
        crate::block_on(async {
            let lines = full();
            let (mut one, mut other) = (pin!(write(&lines)), pin!(write(&lines)));
            assert!(poll_once(&mut one).await.is_none() && poll_once(&mut other).await.is_none());
            Draining(Rc::clone(&lines)).failed(ErrorKind::PermissionDenied.into());
            let error = one.await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            assert!(error.to_string().starts_with("write to a test: "), "{error}");
            assert_eq!(other.await.unwrap(), 1);
            assert_eq!(*lines.buffer.borrow(), b"y");
        });
    }

    #[test]
    fn each_flush_that_waits_when_the_host_refuses_is_told() {
        crate::block_on(async {
            let lines = full();
            let (mut one, mut other) = (pin!(flush(&lines)), pin!(flush(&lines)));
            assert!(poll_once(&mut one).await.is_none() && poll_once(&mut other).await.is_none());
            Draining(Rc::clone(&lines)).failed(ErrorKind::BrokenPipe.into());
            for flush in [one.await, other.await] {
                assert_eq!(flush.unwrap_err().kind(), ErrorKind::BrokenPipe);
            }
            // It is told, and there is nothing new to lose.
            flush(&lines).await.unwrap();
        });
    }
}
