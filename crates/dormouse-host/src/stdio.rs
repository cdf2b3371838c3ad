//! Standard streams. A program that writes with the non-blocking calls is never blocked here, and what it wrote is
//! never lost.
//!
//! `inherit_stdout` of wasmtime-wasi 48 (src/cli/stdout.rs) always says "ready" and then blocks in write(2). Here
//! `check-write` asks poll(2) and permits [`PERMIT`] bytes, which a pipe takes whole once poll(2) calls it writable;
//! `write` goes straight to the descriptor, so there is no buffer to lose at exit. The descriptor is shared with
//! other processes, so it is never made non-blocking. A write that may wait asks nothing before: it is one system call that
//! fails where it would block ([`Way`]). One whose reader has gone is an error and no SIGPIPE, where the system can: of a pipe Linux since
//! 6.18, of a socket each but macOS, whose option for it would be of all processes that share the socket.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IsTerminal as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::net::SendFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::bytes::Bytes;

use crate::net::tcp::NO_SIGNAL;

/// How much a pipe takes without blocking after poll(2) said it is writable: PIPE_BUF on Linux.
const PERMIT: usize = 4096;

/// How much is written in one call at the most, so that a file does not keep the program long.
const MOST: usize = 16 * PERMIT;

/// What [`Output::Pipe`] calls, on the thread that runs the program.
pub type OnChunk = Box<dyn FnMut(&[u8]) + Send>;

/// Where the standard output or the standard error of a program goes.
#[derive(Default)]
pub enum Output {
    /// To the stream of the same name of this process.
    ///
    /// If it is a pipe whose reader has gone, the program gets an error. Before Linux 6.18 and on other systems the process gets SIGPIPE as
    /// well, as for any write to its own standard output: Rust's `main` ignores it, and one in another language may have to.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// To a function, called with each chunk as it is written.
    Pipe(OnChunk),
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Output::Inherit => "Inherit",
            Output::Null => "Null",
            Output::Pipe(_) => "Pipe",
        })
    }
}

/// Where the standard input of a program comes from.
#[derive(Clone, Debug, Default)]
pub enum Input {
    /// From the standard input of this process.
    #[default]
    Inherit,
    /// From nowhere: it is at its end.
    Null,
    /// From these bytes.
    Bytes(Vec<u8>),
}

/// The host's end of an output stream, shared by all streams that the program opens on it.
pub(crate) enum Sink {
    Fd(FdSink),
    /// The same in whole lines, since others write there, too. What has begun of one is held.
    Lines(FdSink, Mutex<Vec<u8>>),
    Call(Mutex<OnChunk>),
}

impl Sink {
    /// `own` is the stream of this process that [`Output::Inherit`] means.
    pub(crate) fn new(output: Output, own: impl AsFd) -> io::Result<Arc<Sink>> {
        Ok(Arc::new(match output {
            Output::Inherit => Sink::Fd(FdSink::new(own)?),
            Output::Null => Sink::Call(Mutex::new(Box::new(|_| {}))),
            Output::Pipe(call) => Sink::Call(Mutex::new(call)),
        }))
    }

    /// One of several that write to the same stream: no line of one has a part of another's in it.
    pub(crate) fn in_lines(output: Output, own: impl AsFd) -> io::Result<Arc<Sink>> {
        match output {
            Output::Inherit => Ok(Arc::new(Sink::Lines(FdSink::new(own)?, Mutex::default()))),
            output => Sink::new(output, own),
        }
    }

    /// The stream of this process that it writes to.
    fn fd(&self) -> Option<&FdSink> {
        match self {
            Sink::Fd(sink) | Sink::Lines(sink, _) => Some(sink),
            Sink::Call(_) => None,
        }
    }

    /// Writes all of `bytes`; waits where the descriptor makes it wait.
    pub(crate) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Sink::Fd(sink) => sink.write_all(bytes),
            Sink::Lines(sink, begun) => sink.write_all_by(bytes, |bytes| try_write_lines(sink, begun, bytes)),
            Sink::Call(call) => {
                call.lock().unwrap_or_else(PoisonError::into_inner)(bytes);
                Ok(())
            }
        }
    }

    /// Writes a line, if there is room for it. What the runner says must not keep it, or its timeout, waiting for a reader.
    pub(crate) fn say(&self, line: &str) {
        let _ = self.try_write(line.as_bytes());
    }

    /// Writes what fits without waiting; WouldBlock if nothing does.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Fd(sink) => sink.try_write(bytes),
            Sink::Lines(sink, begun) => try_write_lines(sink, begun, bytes),
            Sink::Call(_) => self.write_all(bytes).map(|()| bytes.len()),
        }
    }

    fn is_writable(&self) -> bool {
        self.fd().is_none_or(FdSink::is_writable)
    }

    fn poll_writable(&self, waiter: &mut Waiter, cx: &mut Context<'_>) -> Poll<()> {
        self.fd().map_or(Poll::Ready(()), |sink| sink.poll_writable(waiter, cx))
    }
}

/// What has begun of a line, and never ends, goes out with the rest.
impl Drop for Sink {
    fn drop(&mut self) {
        if let Sink::Lines(sink, begun) = self {
            let _ = sink.try_write(begun.get_mut().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// How much of a line is held at the most: what a pipe takes as one.
const HELD: usize = PERMIT;

/// Writes the lines that end in `bytes` without waiting, and holds what has begun of the next.
fn try_write_lines(sink: &FdSink, begun: &Mutex<Vec<u8>>, bytes: &[u8]) -> io::Result<usize> {
    let mut begun = begun.lock().unwrap_or_else(PoisonError::into_inner);
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
    let taken = match end {
        None if begun.len() + bytes.len() <= HELD => {
            begun.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        // A line that is too long goes out in parts.
        None => bytes,
        Some(end) => &bytes[..end],
    };
    if begun.is_empty() {
        return sink.try_write(taken);
    }
    let held = begun.len();
    begun.extend_from_slice(taken);
    let written = sink.try_write(&begun);
    begun.truncate(held);
    let written = written?;
    begun.drain(..written.min(held));
    match written.checked_sub(held) {
        None | Some(0) => Err(ErrorKind::WouldBlock.into()),
        Some(written) => Ok(written),
    }
}

/// What a stream waits with, made when it first has to; `Some(None)` where epoll does not take the descriptor. Each has its
/// own, since one remembers only who asked last, and streams of WASI 0.3 wait at the same time.
type Waiter = Option<Option<AsyncFd<OwnedFd>>>;

pub(crate) struct FdSink {
    fd: OwnedFd,
    way: Way,
    /// The system has RWF_NOSIGNAL, as far as is known.
    no_signal: AtomicBool,
    /// The system has no such write for this descriptor: ask poll(2) first, then write what it takes for sure.
    looks: AtomicBool,
}

/// How to write without waiting.
enum Way {
    /// A regular file never makes a write wait.
    File,
    /// A terminal, opened once more: O_NONBLOCK is of the open file, and this one is ours alone.
    Own(OwnedFd),
    /// MSG_DONTWAIT is of one send, and MSG_NOSIGNAL.
    Socket,
    /// Anything else: a pipe, a device. RWF_NOWAIT is of one write, and RWF_NOSIGNAL.
    NoWait,
}

impl Way {
    fn of(fd: &OwnedFd) -> Way {
        match fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::RegularFile) => return Way::File,
            Ok(FileType::Socket) => return Way::Socket,
            _ => {}
        }
        if fd.is_terminal() {
            let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            if let Ok(own) = open(format!("/proc/self/fd/{}", fd.as_raw_fd()), flags, Mode::empty()) {
                return Way::Own(own);
            }
        }
        Way::NoWait
    }
}

impl FdSink {
    fn new(fd: impl AsFd) -> io::Result<FdSink> {
        let fd = fd.as_fd().try_clone_to_owned()?;
        Ok(FdSink { way: Way::of(&fd), fd, no_signal: AtomicBool::new(true), looks: AtomicBool::new(false) })
    }

    fn is_writable(&self) -> bool {
        matches!(self.way, Way::File) || self.look(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
    }

    /// One system call, in general.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let written = match &self.way {
                Way::File => rustix::io::write(&self.fd, bytes),
                Way::Own(fd) => rustix::io::write(fd, bytes),
                Way::Socket => rustix::net::send(&self.fd, bytes, SendFlags::DONTWAIT | NO_SIGNAL),
                Way::NoWait if !self.looks.load(Ordering::Relaxed) => {
                    let no_signal = self.no_signal.load(Ordering::Relaxed);
                    match write_no_wait(&self.fd, bytes, no_signal) {
                        Err(Errno::OPNOTSUPP) if no_signal => {
                            self.no_signal.store(false, Ordering::Relaxed);
                            continue;
                        }
                        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::SPIPE) => {
                            self.looks.store(true, Ordering::Relaxed);
                            continue;
                        }
                        written => written,
                    }
                }
                Way::NoWait if !self.is_writable() => Err(Errno::AGAIN),
                Way::NoWait => rustix::io::write(&self.fd, &bytes[..bytes.len().min(PERMIT)]),
            };
            match written {
                Err(Errno::INTR) => {}
                written => return Ok(written?),
            }
        }
    }

    /// One poll(2). A descriptor in error counts as writable: the write will say what is wrong.
    fn look(&self, timeout: Option<&Timespec>) -> bool {
        loop {
            match poll(&mut [PollFd::new(&self.fd, PollFlags::OUT)], timeout) {
                Err(Errno::INTR) => {}
                Ok(0) => return false,
                Ok(_) | Err(_) => return true,
            }
        }
    }

    fn poll_writable(&self, waiter: &mut Waiter, cx: &mut Context<'_>) -> Poll<()> {
        while !self.is_writable() {
            let waiter = waiter.get_or_insert_with(|| {
                // A second descriptor, because epoll forgets one only when it is closed, and fails with EPERM on
                // regular files: those are always writable and do not come here.
                let fd = self.fd.try_clone().ok()?;
                // SAFETY: an `OwnedFd` is open and the same descriptor for as long as it lives, and the `AsyncFd`
                // owns it. `self` never hands it out.
                unsafe { AsyncFd::register_with_interest(fd, Interest::WRITABLE) }.ok()
            });
            let Some(waiter) = waiter else { break };
            match ready!(waiter.poll_write_ready(cx)) {
                Ok(_) if self.is_writable() => break,
                Ok(mut guard) => guard.clear_ready(),
                Err(_) => break,
            }
        }
        Poll::Ready(())
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        self.write_all_by(bytes, |bytes| self.try_write(bytes))
    }

    fn write_all_by(&self, mut bytes: &[u8], try_write: impl Fn(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        while !bytes.is_empty() {
            match try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.look(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// write(2) that fails with EAGAIN where it would wait; with `no_signal` one whose reader has gone fails with EPIPE and no more.
#[cfg(target_os = "linux")]
fn write_no_wait(fd: &OwnedFd, bytes: &[u8], no_signal: bool) -> rustix::io::Result<usize> {
    use rustix::io::ReadWriteFlags;
    /// `RWF_NOSIGNAL`, since Linux 6.18.
    const NO_SIGNAL: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x100);
    let flags = if no_signal { ReadWriteFlags::NOWAIT | NO_SIGNAL } else { ReadWriteFlags::NOWAIT };
    // This offset means the file's own.
    rustix::io::pwritev2(fd, &[io::IoSlice::new(bytes)], u64::MAX, flags)
}

#[cfg(not(target_os = "linux"))]
fn write_no_wait(_: &OwnedFd, _: &[u8], _: bool) -> rustix::io::Result<usize> {
    Err(Errno::NOSYS)
}

/// What a program is told of a stream whose reader has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// `closed`, as WASI 0.2 has it.
    Closed,
    /// The error: wasmtime-wasi makes EPIPE of it for WASI 0.1, and EIO of `closed` (wasmtime-wasi 48.0.8, p1.rs).
    Error,
}

/// What wasmtime-wasi asks for a stream whenever the program wants one.
pub(crate) struct Outlet(pub(crate) Arc<Sink>, pub(crate) Gone);

impl IsTerminal for Outlet {
    fn is_terminal(&self) -> bool {
        self.0.fd().is_some_and(|sink| sink.fd.is_terminal())
    }
}

impl StdoutStream for Outlet {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(Stream::new(self.0.clone(), self.1))
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Stream::new(self.0.clone(), self.1))
    }
}

/// One stream of the program on a sink.
struct Stream {
    sink: Arc<Sink>,
    gone: Gone,
    /// What may be written before the next `check-write`.
    permit: usize,
    closed: bool,
    waiter: Waiter,
}

impl Stream {
    fn new(sink: Arc<Sink>, gone: Gone) -> Stream {
        Stream { sink, gone, permit: 0, closed: false, waiter: None }
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sink.poll_writable(&mut self.waiter, cx)
    }

    fn fail(&mut self, error: io::Error) -> StreamError {
        self.closed = error.kind() == ErrorKind::BrokenPipe && self.gone == Gone::Closed;
        match self.closed {
            true => StreamError::Closed,
            false => StreamError::LastOperationFailed(error.into()),
        }
    }
}

#[async_trait]
impl OutputStream for Stream {
    fn check_write(&mut self) -> StreamResult<usize> {
        if self.closed {
            return Err(StreamError::Closed);
        }
        self.permit = if self.sink.is_writable() { PERMIT } else { 0 };
        Ok(self.permit)
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if self.closed {
            return Err(StreamError::Closed);
        }
        if bytes.len() > self.permit {
            return Err(StreamError::trap("write of more bytes than check-write permitted"));
        }
        self.permit -= bytes.len();
        let written = self.sink.write_all(&bytes);
        written.map_err(|error| self.fail(error))
    }

    fn flush(&mut self) -> StreamResult<()> {
        match self.closed {
            true => Err(StreamError::Closed),
            false => Ok(()), // Nothing is held back.
        }
    }

    /// Nothing is held back, so nothing is waited for afterwards. The default waits until *more* may be written: for the
    /// reader of a pipe that this write has filled, and the whole program with it (wasmtime-wasi-io 48.0.8, streams.rs). All
    /// that a wasip1 program prints comes by here, also what it was told that there is room for.
    async fn blocking_write_and_flush(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        if self.closed {
            return Err(StreamError::Closed);
        }
        while !bytes.is_empty() {
            match self.sink.try_write(&bytes) {
                Ok(written) => drop(bytes.split_to(written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => poll_fn(|cx| self.poll_writable(cx)).await,
                Err(error) => return Err(self.fail(error)),
            }
        }
        Ok(())
    }

    /// It is asked after a flush, which has nothing to wait for, and before [`blocking_write_and_flush`](Self::blocking_write_and_flush),
    /// which waits itself.
    async fn write_ready(&mut self) -> StreamResult<usize> {
        match self.closed {
            true => Err(StreamError::Closed),
            false => Ok(PERMIT),
        }
    }
}

#[async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {
        if !self.closed {
            poll_fn(|cx| self.poll_writable(cx)).await;
        }
    }
}

impl tokio::io::AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let bytes = &bytes[..bytes.len().min(MOST)];
        loop {
            match self.sink.try_write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(self.poll_writable(cx)),
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn lines_of_several_do_not_mix() {
        let (mut reader, writer) = io::pipe().unwrap();
        let sinks = [0, 1].map(|_| Sink::in_lines(Output::Inherit, &writer).unwrap());
        for part in ["one", " two", "\nthree", " four\nfive"] {
            for sink in &sinks {
                sink.write_all(part.as_bytes()).unwrap();
            }
        }
        let long = vec![b'x'; HELD + 1];
        sinks[0].write_all(&long).unwrap();
        drop((sinks, writer));
        let mut all = String::new();
        reader.read_to_string(&mut all).unwrap();
        assert_eq!(all, format!("one two\none two\nthree four\nthree four\nfive{}five", "x".repeat(HELD + 1)));
    }

    #[test]
    fn a_line_that_finds_no_room_is_neither_lost_nor_written_twice() {
        let (mut reader, writer) = io::pipe().unwrap();
        let sink = Sink::in_lines(Output::Inherit, &writer).unwrap();
        let mut written = Vec::new();
        for n in 0.. {
            let line = format!("{n} {}\n", "y".repeat(n % 700));
            let (first, second) = line.as_bytes().split_at(line.len() / 2);
            assert_eq!(sink.try_write(first).unwrap(), first.len());
            written.extend_from_slice(&line.as_bytes()[..first.len()]);
            match sink.try_write(second) {
                Ok(n) => written.extend_from_slice(&second[..n]),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        let mut all = vec![0; written.len()];
        let held = written.len() - written.iter().rposition(|byte| *byte == b'\n').unwrap() - 1;
        reader.read_exact(&mut all[..written.len() - held]).unwrap();
        // It goes out with the sink.
        drop((sink, writer));
        reader.read_exact(&mut all[written.len() - held..]).unwrap();
        assert!(all == written && reader.read(&mut [0]).unwrap() == 0);
    }

    fn stream(fd: impl AsFd) -> Stream {
        Stream::new(Sink::new(Output::Inherit, fd).unwrap(), Gone::Closed)
    }

    fn write(stream: &mut Stream, len: usize) -> StreamResult<()> {
        stream.write(Bytes::from(vec![b'x'; len]))
    }

    fn fill(stream: &mut Stream) -> usize {
        let mut filled = 0;
        loop {
            match stream.check_write().unwrap() {
                0 => return filled,
                permit => {
                    write(stream, permit).unwrap();
                    filled += permit;
                }
            }
        }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap()
    }

    #[test]
    fn a_full_pipe_permits_nothing_and_loses_nothing() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut stream = stream(&writer);
        let filled = fill(&mut stream);
        assert!(filled >= PERMIT);
        drop((stream, writer));
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), filled);
    }

    #[test]
    fn a_flush_does_not_wait_for_the_reader_of_a_full_pipe() {
        let (_reader, writer) = io::pipe().unwrap();
        let mut stream = stream(&writer);
        fill(&mut stream);
        // What `blocking-flush` of 0.2 does (wasmtime-wasi-io 48.0.8, impls.rs).
        stream.flush().unwrap();
        let mut flushed = std::pin::pin!(stream.write_ready());
        let flushed = flushed.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
        assert!(matches!(flushed, Poll::Ready(Ok(PERMIT))));
    }

    #[test]
    fn a_full_pipe_becomes_ready_when_it_is_read() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut stream = stream(&writer);
        fill(&mut stream);
        runtime().block_on(async {
            poll_fn(|cx| {
                // Not ready while it is full, however often it is asked.
                for _ in 0..3 {
                    assert!(stream.poll_writable(cx).is_pending());
                }
                Poll::Ready(())
            })
            .await;
            reader.read_exact(&mut [0; 2 * PERMIT]).unwrap();
            stream.ready().await;
        });
        assert_eq!(stream.check_write().unwrap(), PERMIT);
    }

    #[test]
    fn each_stream_that_waits_for_a_full_pipe_is_woken() {
        let (mut reader, writer) = io::pipe().unwrap();
        let sink = Sink::new(Output::Inherit, &writer).unwrap();
        let mut streams = [Stream::new(sink.clone(), Gone::Closed), Stream::new(sink, Gone::Closed)];
        fill(&mut streams[0]);
        runtime().block_on(async {
            let waiting: Vec<_> =
                streams.into_iter().map(|mut stream| tokio::spawn(async move { stream.ready().await })).collect();
            // They wait before there is room.
            tokio::task::yield_now().await;
            reader.read_exact(&mut [0; 2 * PERMIT]).unwrap();
            for stream in waiting {
                stream.await.unwrap();
            }
        });
    }

    #[test]
    fn a_blocking_write_waits_for_the_reader_and_is_complete() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut stream = stream(&writer);
        drop(writer);
        let filled = fill(&mut stream);
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all.len())
        });
        runtime().block_on(stream.blocking_write_and_flush(Bytes::from(vec![b'y'; 3 * PERMIT]))).unwrap();
        drop(stream);
        assert_eq!(reading.join().unwrap().unwrap(), filled + 3 * PERMIT);
    }

    #[test]
    fn a_pipe_without_reader_is_closed() {
        let (reader, writer) = io::pipe().unwrap();
        let mut stream = stream(&writer);
        drop(reader);
        assert_eq!(stream.check_write().unwrap(), PERMIT);
        assert!(matches!(write(&mut stream, 1), Err(StreamError::Closed)));
        assert!(matches!(stream.check_write(), Err(StreamError::Closed)));
        runtime().block_on(stream.ready());
    }

    #[test]
    fn a_blocking_write_to_a_pipe_without_reader_tells_so() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        for (gone, closed) in [(Gone::Closed, true), (Gone::Error, false)] {
            let mut stream = Stream::new(Sink::new(Output::Inherit, &writer).unwrap(), gone);
            for _ in 0..2 {
                match runtime().block_on(stream.blocking_write_and_flush(Bytes::from_static(b"x"))) {
                    Err(StreamError::Closed) => assert!(closed),
                    Err(StreamError::LastOperationFailed(error)) => {
                        let error: io::Error = error.downcast().unwrap();
                        assert!(error.kind() == ErrorKind::BrokenPipe && !closed);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_write_that_does_not_wait_takes_what_fits() {
        let (mut reader, writer) = io::pipe().unwrap();
        let sink = FdSink::new(&writer).unwrap();
        for looks in [false, true] {
            sink.looks.store(looks, Ordering::Relaxed);
            let mut filled = 0;
            let full = loop {
                match sink.try_write(&[b'x'; 3 * PERMIT]) {
                    Ok(written) => filled += written,
                    Err(error) => break error,
                }
            };
            assert_eq!(full.kind(), ErrorKind::WouldBlock);
            assert!(filled >= PERMIT);
            reader.read_exact(&mut vec![0; filled]).unwrap();
        }
    }

    #[test]
    fn a_write_beyond_the_permit_traps() {
        let mut stream = Stream::new(Sink::new(Output::Null, io::stdout()).unwrap(), Gone::Closed);
        assert!(matches!(write(&mut stream, 1), Err(StreamError::Trap(_))));
        stream.check_write().unwrap();
        write(&mut stream, PERMIT).unwrap();
        assert!(matches!(write(&mut stream, 1), Err(StreamError::Trap(_))));
    }

    #[test]
    fn a_regular_file_is_always_ready() {
        let file = std::fs::File::open("/dev/null").unwrap();
        runtime().block_on(stream(&file).ready());
        let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        runtime().block_on(stream(&file).ready());
    }
}
