//! Standard output and standard error that never block the module.
//!
//! All handles of a stream share one buffer. Whole lines go out as soon as the host takes them; what it does not take
//! now the reactor goes on with when it does. So lines that are written with one call each are not mixed with another
//! task's, and the end of `block_on` waits for what is left.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
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
/// A line that is written with one call stays together, up to 64 KiB, if what was written before it ended its line.
/// Output of `println!` may overtake it.
pub fn stdout() -> Stdout {
    Stdout { lines: Lines::shared(&STDOUT, Source::stdout, "standard output"), flushing: None }
}

/// Standard error; see [`stdout`].
pub fn stderr() -> Stderr {
    Stderr { lines: Lines::shared(&STDERR, Source::stderr, "standard error"), flushing: None }
}

/// A handle to standard output; made by [`stdout`].
#[derive(Clone)]
pub struct Stdout {
    lines: Rc<Lines>,
    /// Up to where the flush that goes on has to come, in bytes since the beginning.
    flushing: Option<u64>,
}

/// A handle to standard error; made by [`stderr`].
#[derive(Clone)]
pub struct Stderr {
    lines: Rc<Lines>,
    /// Up to where the flush that goes on has to come, in bytes since the beginning.
    flushing: Option<u64>,
}

macro_rules! write_lines {
    ($handle:ident) => {
        impl AsyncWrite for $handle {
            fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                self.flushing = None;
                self.lines.poll_write(cx, buf)
            }

            /// Waits for what was written before, not for what other tasks write meanwhile.
            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let this = &mut *self;
                this.lines.poll_flush(cx, &mut this.flushing)
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
    /// Writers that wait for room, and flushers.
    waiting: RefCell<Vec<SafeWaker>>,
}

impl Lines {
    fn shared(
        slot: &'static std::thread::LocalKey<RefCell<Option<Rc<Lines>>>>,
        open: fn() -> Source,
        name: &'static str,
    ) -> Rc<Lines> {
        slot.with(|slot| {
            let new = || {
                runtime::at_end(flush_at_end);
                Rc::new(Lines {
                    output: open(),
                    name,
                    buffer: RefCell::default(),
                    lines: Cell::new(0),
                    gone: Cell::new(0),
                    out: Cell::new(0),
                    wanted: Cell::new(None),
                    draining: Cell::new(false),
                    failed: RefCell::default(),
                    waiting: RefCell::default(),
                })
            };
            Rc::clone(slot.borrow_mut().get_or_insert_with(new))
        })
    }

    fn poll_write(self: &Rc<Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        // A reader that is always fast enough must not keep this task running for ever.
        if let Some(reactor) = Reactor::running() {
            ready!(reactor.poll_budget(cx));
            if self.lines.get() < FULL {
                reactor.spend(buf.len().min(FULL));
            }
        }
        if self.lines.get() >= FULL {
            return self.wait(cx);
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

    fn poll_flush(self: &Rc<Self>, cx: &mut Context<'_>, flushing: &mut Option<u64>) -> Poll<io::Result<()>> {
        let end = *flushing.get_or_insert_with(|| self.end());
        if self.out.get() < end {
            self.wanted.set(Some(self.wanted.get().map_or(end, |other| other.min(end))));
            self.send_all();
        }
        let error = self.failed.take();
        if error.is_none() && self.out.get() < end {
            return self.wait(cx);
        }
        *flushing = None;
        Poll::Ready(error.map_or(Ok(()), Err))
    }

    fn wait<T>(&self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if Reactor::running().is_none() {
            return Poll::Ready(Err(reactor::no_runtime()));
        }
        // A clone is code of others, and may write.
        let waker = SafeWaker::new(cx.waker());
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|other| other.is_same(&waker)) {
            waiting.push(waker);
        }
        Poll::Pending
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
        // Who was woken may have sent, too.
        if self.draining.get() || self.drain() || self.draining.get() {
            return;
        }
        if let Ok(reactor) = Reactor::current() {
            self.draining.set(true);
            reactor.adopt(Rc::new(Draining(Rc::clone(self))));
        }
    }

    /// True when no line is left, and nobody waits for the host to be through.
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
                    // Nobody reads any more: what waits is lost, and the next writer is told.
                    let told = crate::io::error(error.kind(), format!("write to {}: {error}", self.name));
                    self.failed.replace(Some(told));
                    sent = lines;
                    self.flushed(begin + sent as u64);
                }
            }
        }
        buffer.drain(..sent);
        self.gone.set(begin + sent as u64);
        self.lines.set(lines - sent);
        drop(buffer);
        let is_news = lines - sent < FULL || self.out.get() > out;
        let waiting = if is_news { self.waiting.take() } else { Vec::new() };
        waiting.into_iter().for_each(SafeWaker::wake);
        // Who was woken may have written.
        self.lines.get() == 0 && self.wanted.get().is_none()
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
        self.0.draining.set(false);
        self.0.failed.replace(Some(error));
        self.0.waiting.take().into_iter().for_each(SafeWaker::wake);
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
