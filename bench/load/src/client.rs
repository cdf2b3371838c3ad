//! The load: one process for each server, which keeps its connections from one slice of time to the next. It reads `go SECONDS` from
//! its standard input and answers with a line of what it has seen.
//!
//! The loop is closed: a connection sends its next message when the last has come back, and has been compared with what was sent.

use std::collections::HashMap;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{TryRecvError, channel};
use std::time::{Duration, Instant};
use std::{fs, thread};

use mio::{Events, Interest, Poll, Token};

use crate::process;

/// Longer than any answer takes that comes.
const PATIENCE: Duration = Duration::from_secs(45);

/// So many connections are opened before the load waits until they are accepted: fewer than a backlog holds.
const AT_ONCE: usize = 64;

/// What `churn` has open at once.
const CHURNERS: usize = 8;

/// Clients that send and do not read.
const STALLED: usize = 10;

/// In how many parts the slice of `stalled` is counted.
const PARTS: usize = 40;

/// How a server is kept busy.
pub enum Load {
    /// `busy` connections exchange `size` bytes with the server in turns, `idle` ones are silent.
    Echo { busy: usize, idle: usize, size: usize },
    /// The same, and ten that send and do not read from a quarter of the time on.
    Stalled { busy: usize, size: usize },
    /// The same, and the ten have got so far before it begins.
    Beside { busy: usize, size: usize },
    /// One connection, which waits after each echo until the server has nothing to do.
    Quiet,
    /// Connect, 64 bytes, close.
    Churn,
    /// The same so many times, however long it takes.
    Gone { count: usize },
    /// So many `others` have asked for a page of 100 MB, and `read` it or not, when newcomers ask for 64 bytes, one after the other.
    Newcomer { others: usize, read: bool },
    /// So many bytes, one way.
    Sink { bytes: usize },
}

/// What was seen in a slice of time.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Echoes, connections or bytes that were done in time.
    pub count: u64,
    /// The same, with those that came after the end.
    pub all: u64,
    pub seconds: f64,
    /// Of the round trips, in µs.
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub worst: f64,
    /// The echoes of the slowest connection, as a part of the median's.
    pub fair: f64,
    /// The load's own processor time, in seconds.
    pub cpu: f64,
    /// How many in each part of the slice.
    pub parts: Vec<u64>,
}

impl Seen {
    fn line(&self) -> String {
        let Seen { count, all, seconds, p50, p99, p999, worst, fair, cpu, parts } = self;
        let parts: String = parts.iter().map(|part| format!(" {part}")).collect();
        format!("{count} {all} {seconds} {p50} {p99} {p999} {worst} {fair} {cpu}{parts}")
    }

    pub fn parse(line: &str) -> Result<Seen, String> {
        let mut words = line.split_whitespace();
        let mut next = || words.next().and_then(|word| word.parse::<f64>().ok()).ok_or(format!("said {line:?}"));
        Ok(Seen {
            count: next()? as u64,
            all: next()? as u64,
            seconds: next()?,
            p50: next()?,
            p99: next()?,
            p999: next()?,
            worst: next()?,
            fair: next()?,
            cpu: next()?,
            parts: words.filter_map(|word| word.parse().ok()).collect(),
        })
    }

    fn of(mut trips: Vec<Duration>, counts: Vec<u64>, all: u64, seconds: f64) -> Seen {
        trips.sort_unstable();
        let at = |part: f64| match trips.len() {
            0 => 0.0,
            len => trips[((len - 1) as f64 * part) as usize].as_secs_f64() * 1e6,
        };
        Seen {
            count: counts.iter().sum(),
            all,
            seconds,
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            worst: at(1.0),
            fair: fairness(counts),
            cpu: 0.0,
            parts: Vec::new(),
        }
    }
}

fn fairness(mut counts: Vec<u64>) -> f64 {
    counts.sort_unstable();
    match (counts.first(), counts.get(counts.len() / 2)) {
        (Some(&slowest), Some(&median)) if median > 0 => slowest as f64 / median as f64,
        _ => 0.0,
    }
}

/// Obeys until its standard input ends.
pub fn serve(addr: SocketAddr, load: &Load) -> Result<(), String> {
    let mut echo = match *load {
        Load::Echo { busy, idle, size } => Some(Echo::new(addr, busy, idle, size)?),
        Load::Stalled { busy, size } | Load::Beside { busy, size } => Some(Echo::new(addr, busy, 0, size)?),
        _ => None,
    };
    let _stalled = match load {
        Load::Beside { .. } => all_stalled(addr)?,
        _ => Vec::new(),
    };
    println!("ready");
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let seconds = line.strip_prefix("go ").and_then(|word| word.parse().ok()).ok_or(format!("heard {line:?}"))?;
        let span = Duration::from_secs_f64(seconds);
        let before = process::cpu(None);
        let seen = match (load, &mut echo) {
            (Load::Stalled { .. }, Some(echo)) => echo.beside_stalled(addr, span),
            (_, Some(echo)) => echo.go(span, 1, || {}),
            (Load::Quiet, None) => quiet(addr, span),
            (Load::Newcomer { others, read }, None) => newcomer(addr, span, *others, *read),
            (Load::Sink { bytes }, None) => sink(addr, *bytes),
            (Load::Gone { count }, None) => churn(addr, Duration::MAX, *count),
            _ => churn(addr, span, usize::MAX),
        };
        let mut seen = seen.map_err(|error| error.to_string())?;
        seen.cpu = (process::cpu(None) - before).as_secs_f64();
        println!("{}", seen.line());
    }
    Ok(())
}

// ---- echoes ----

struct Echo {
    poll: Poll,
    conns: Vec<Conn>,
    /// Open, and silent.
    _idle: Vec<TcpStream>,
}

struct Conn {
    stream: mio::net::TcpStream,
    /// What is said, and how much of it has been.
    said: Vec<u8>,
    sent: usize,
    heard: Vec<u8>,
    got: usize,
    since: Instant,
}

impl Echo {
    fn new(addr: SocketAddr, busy: usize, idle: usize, size: usize) -> Result<Echo, String> {
        let sentence = |error: io::Error| format!("only some of its connections could be opened: {error}");
        let idle = open(addr, idle).map_err(sentence)?;
        let streams = open(addr, busy).map_err(sentence)?;
        let poll = Poll::new().map_err(|error| error.to_string())?;
        let mut conns = Vec::new();
        for (n, stream) in streams.into_iter().enumerate() {
            stream.set_nonblocking(true).map_err(|error| error.to_string())?;
            let mut stream = mio::net::TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(n), interest).map_err(|error| error.to_string())?;
            let said = (0..size).map(|at| (at * 31 + n * 7 + (at >> 8)) as u8).collect();
            conns.push(Conn { stream, said, sent: size, heard: vec![0; size], got: 0, since: Instant::now() });
        }
        Ok(Echo { poll, conns, _idle: idle })
    }

    /// Runs for a while. `at_end` is called before the last answers are waited for.
    fn go(&mut self, span: Duration, parts: usize, at_end: impl FnOnce()) -> io::Result<Seen> {
        let mut at_end = Some(at_end);
        let start = Instant::now();
        let end = start + span;
        let mut trips = Vec::new();
        let mut counts = vec![0; self.conns.len()];
        let mut counted = vec![0; parts];
        let mut waiting = self.conns.len();
        for conn in &mut self.conns {
            conn.say(start)?;
        }
        let mut events = Events::with_capacity(1024);
        while waiting > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero()
                && let Some(at_end) = at_end.take()
            {
                at_end();
            }
            let timeout = if left.is_zero() { PATIENCE } else { left };
            self.poll.poll(&mut events, Some(timeout))?;
            if events.is_empty() && left.is_zero() {
                return Err(io::Error::other(format!("{waiting} connections have had no answer in {PATIENCE:?}")));
            }
            for event in &events {
                let n = event.token().0;
                let conn = &mut self.conns[n];
                if conn.sent < conn.said.len() {
                    conn.send()?;
                }
                if conn.sent == 0 || !conn.hear()? {
                    continue;
                }
                let now = Instant::now();
                trips.push(now - conn.since);
                if now < end {
                    counts[n] += 1;
                    counted[((now - start).as_secs_f64() / span.as_secs_f64() * parts as f64) as usize % parts] += 1;
                    conn.say(now)?;
                } else {
                    waiting -= 1;
                }
            }
        }
        let all = trips.len() as u64;
        let seen = Seen::of(trips, counts, all, span.as_secs_f64());
        Ok(Seen { parts: if parts > 1 { counted } else { Vec::new() }, ..seen })
    }

    fn beside_stalled(&mut self, addr: SocketAddr, span: Duration) -> io::Result<Seen> {
        let (ends, over) = channel::<()>();
        thread::scope(|scope| {
            let stalled = scope.spawn(move || {
                thread::sleep(span / 4);
                let _stay = stall(addr, || over.try_recv() != Err(TryRecvError::Empty))?;
                let _ = over.recv();
                io::Result::Ok(())
            });
            // The server may recover when they are gone.
            let seen = self.go(span, PARTS, || drop(ends));
            stalled.join().map_err(|_| io::Error::other("the stalled clients have panicked"))??;
            seen
        })
    }
}

impl Conn {
    fn say(&mut self, now: Instant) -> io::Result<()> {
        // Different each time, so that an old answer is none.
        for byte in self.said.iter_mut().step_by(61) {
            *byte = byte.wrapping_add(1);
        }
        (self.sent, self.got, self.since) = (0, 0, now);
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.said.len() {
            match self.stream.write(&self.said[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether all has come back.
    fn hear(&mut self) -> io::Result<bool> {
        if self.got == self.said.len() {
            return Ok(false);
        }
        match self.stream.read(&mut self.heard[self.got..]) {
            Ok(0) => return Err(io::Error::other("the server has hung up")),
            Ok(n) => self.got += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        if self.got < self.said.len() {
            return Ok(false);
        }
        if self.heard != self.said {
            return Err(io::Error::other("something else has come back"));
        }
        Ok(true)
    }
}

fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Connections that have been accepted: the last of each batch has had an answer, and they are accepted in their order.
fn open(addr: SocketAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    let start = Instant::now();
    let mut all = Vec::new();
    while all.len() < count {
        for _ in 0..AT_ONCE.min(count - all.len()) {
            all.push(connect(addr)?);
        }
        echo_once(all.last_mut().expect("one was opened"))?;
        if start.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("{} of {count} in {PATIENCE:?}", all.len())));
        }
    }
    Ok(all)
}

fn echo_once(stream: &mut TcpStream) -> io::Result<()> {
    let (said, mut heard) = ([42; 64], [0; 64]);
    stream.write_all(&said)?;
    stream.read_exact(&mut heard)?;
    if heard == said { Ok(()) } else { Err(io::Error::other("something else has come back")) }
}

// ---- others ----

fn quiet(addr: SocketAddr, span: Duration) -> io::Result<Seen> {
    let (start, mut stream, mut trips) = (Instant::now(), connect(addr)?, Vec::new());
    while start.elapsed() < span {
        let begun = Instant::now();
        echo_once(&mut stream)?;
        trips.push(begun.elapsed());
        thread::sleep(Duration::from_micros(500));
    }
    let all = trips.len() as u64;
    Ok(Seen::of(trips, vec![all], all, start.elapsed().as_secs_f64()))
}

fn churn(addr: SocketAddr, span: Duration, count: usize) -> io::Result<Seen> {
    let start = Instant::now();
    let begun = AtomicUsize::new(0);
    let client = || -> io::Result<Vec<Duration>> {
        let mut trips = Vec::new();
        while start.elapsed() < span && begun.fetch_add(1, Relaxed) < count {
            let begun = Instant::now();
            let mut stream = connect(addr)?;
            echo_once(&mut stream)?;
            stream.shutdown(Shutdown::Write)?;
            if stream.read(&mut [0])? != 0 {
                return Err(io::Error::other("more has come back than was sent"));
            }
            trips.push(begun.elapsed());
        }
        Ok(trips)
    };
    let trips = thread::scope(|scope| {
        let clients: Vec<_> = (0..CHURNERS).map(|_| scope.spawn(client)).collect();
        let of = |client: thread::ScopedJoinHandle<'_, _>| client.join().expect("a client does not panic");
        clients.into_iter().map(of).collect::<io::Result<Vec<_>>>()
    })?;
    let counts: Vec<u64> = trips.iter().map(|trips| trips.len() as u64).collect();
    let all = counts.iter().sum();
    Ok(Seen::of(trips.concat(), counts, all, start.elapsed().as_secs_f64()))
}

fn sink(addr: SocketAddr, bytes: usize) -> io::Result<Seen> {
    let block: Vec<u8> = (0..256 << 10).map(|at| (at * 31 + (at >> 12)) as u8).collect();
    let sample = (0..bytes).step_by(4096).fold(0, |sample, at| sample ^ block[at % block.len()]);
    let mut stream = connect(addr)?;
    let start = Instant::now();
    for sent in (0..bytes).step_by(block.len()) {
        stream.write_all(&block[..block.len().min(bytes - sent)])?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let took = start.elapsed();
    if answer.len() != 9 || answer[..8] != (bytes as u64).to_le_bytes() || answer[8] != sample {
        return Err(io::Error::other(format!("{bytes} bytes were sent, and the answer is {answer:?}")));
    }
    Ok(Seen::of(vec![took], vec![bytes as u64], bytes as u64, took.as_secs_f64()))
}

/// The worst of them is the figure: the first comes while all the others' pages begin.
fn newcomer(addr: SocketAddr, span: Duration, others: usize, read: bool) -> io::Result<Seen> {
    let others = open(addr, others)?;
    for mut other in &others {
        other.write_all(&[b'L'; 64])?;
    }
    let start = Instant::now();
    let is_over = AtomicBool::new(false);
    let trips = thread::scope(|scope| {
        if read {
            scope.spawn(|| read_all(&others, &is_over));
        }
        let mut trips = Vec::new();
        let come = || -> io::Result<Duration> {
            let begun = Instant::now();
            echo_once(&mut connect(addr)?)?;
            Ok(begun.elapsed())
        };
        let result = loop {
            match come() {
                Ok(trip) => trips.push(trip),
                Err(error) => break Err(error),
            }
            if start.elapsed() >= span {
                break Ok(trips);
            }
        };
        is_over.store(true, Relaxed);
        result
    })?;
    let all = trips.len() as u64;
    Ok(Seen::of(trips, vec![all], all, start.elapsed().as_secs_f64()))
}

/// Reads what comes, and lets it go.
fn read_all(streams: &[TcpStream], is_over: &AtomicBool) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut streams = streams
        .iter()
        .map(|stream| {
            stream.set_nonblocking(true)?;
            Ok(mio::net::TcpStream::from_std(stream.try_clone()?))
        })
        .collect::<io::Result<Vec<_>>>()?;
    for (n, stream) in streams.iter_mut().enumerate() {
        poll.registry().register(stream, Token(n), Interest::READABLE)?;
    }
    let (mut events, mut buf) = (Events::with_capacity(1024), vec![0; 1 << 20]);
    while !is_over.load(Relaxed) {
        poll.poll(&mut events, Some(Duration::from_millis(10)))?;
        for event in &events {
            while streams[event.token().0].read(&mut buf).is_ok_and(|n| n > 0) {
                if is_over.load(Relaxed) {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

// ---- clients that send and do not read ----

/// Each sends until a part of what the server has read is neither with the kernel nor with us, so that the server has it; then it
/// says that there is no more. A server whose last write goes on in the host closes its connection at this moment. Returns when all
/// have got so far, or it is over; with those that have.
fn stall(addr: SocketAddr, over: impl Fn() -> bool) -> io::Result<Vec<TcpStream>> {
    // No more than a server reads at once.
    const STEP: usize = 8 << 10;
    let block = vec![7; STEP];
    // No server has less room. What the first connection finds out, the others need not.
    let mut sure = 3 << 19;
    let mut left = Vec::new();
    for _ in 0..STALLED {
        let stream = connect(addr)?;
        stream.set_nonblocking(true)?;
        left.push((stream.local_addr()?.port(), stream, 0, None));
    }
    let mut stalled = Vec::new();
    while !left.is_empty() && !over() {
        thread::sleep(Duration::from_millis(1));
        let queues = queues()?;
        let of = |from, to| queues.get(&(from, to)).copied().unwrap_or_default();
        // The first alone, and then the others.
        let together = if stalled.is_empty() { 1 } else { left.len() };
        for n in (0..together).rev() {
            let (port, stream, sent, last) = &mut left[n];
            let (ours, theirs) = (of(*port, addr.port()), of(addr.port(), *port));
            let held = *sent - (ours.0 + ours.1 + theirs.0 + theirs.1).min(*sent);
            if last.replace((ours, theirs)) != Some((ours, theirs)) {
                continue;
            }
            if held > 0 || theirs.1 > 0 {
                sure = *sent - 16 * STEP;
                stream.shutdown(Shutdown::Write)?;
                stalled.push(left.swap_remove(n).1);
                continue;
            }
            for _ in 0..(sure.saturating_sub(*sent) / STEP).clamp(1, 64) {
                *sent += stream.write(&block).unwrap_or(0);
            }
        }
    }
    Ok(stalled)
}

/// The ten, all of them.
fn all_stalled(addr: SocketAddr) -> Result<Vec<TcpStream>, String> {
    let end = Instant::now() + PATIENCE;
    let stalled = stall(addr, || Instant::now() > end).map_err(|error| format!("cannot stall: {error}"))?;
    match stalled.len() {
        STALLED => Ok(stalled),
        some => Err(format!("only {some} of {STALLED} clients have stalled in {PATIENCE:?}")),
    }
}

/// What waits to be sent and to be read on each connection of this machine, by the ports of its two ends.
fn queues() -> io::Result<HashMap<(u16, u16), (usize, usize)>> {
    let table = fs::read_to_string("/proc/net/tcp")?;
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let port = |word: &str| u16::from_str_radix(word.rsplit(':').next()?, 16).ok();
        let (send, read) = words.get(4)?.split_once(':')?;
        let bytes = |word: &str| usize::from_str_radix(word, 16).ok();
        Some(((port(words[1])?, port(words[2])?), (bytes(send)?, bytes(read)?)))
    };
    Ok(table.lines().skip(1).filter_map(row).collect())
}
