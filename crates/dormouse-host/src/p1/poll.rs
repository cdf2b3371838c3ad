//! `poll_oneoff`: the one call that waits, for sockets, clocks, and what is wasmtime-wasi's, together.
//!
//! A pass over the program's array looks at a byte for each socket. If none is ready, the call sleeps until a mark, a clock
//! or wasmtime-wasi's own `poll_oneoff`, which gets those of the subscriptions that are its. A call that need not sleep
//! gives tokio's reactor a turn, so that nothing that is always ready hides the sockets. A second pass writes the events.
//!
//! A listener that may not accept, since there are as many sockets as there may be, is not ready: a program that polls, and tries what is
//! ready, would turn in circles. It is ready again in the call that comes after one of them was closed.

use std::future::poll_fn;
use std::io;
use std::mem::take;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{self, sleep_until};
use wasmtime_wasi::p1::types::Clockid;

use super::errno::Errno;
use super::memory::{self, long, word};
use super::others::{EVENT, Others, READ, SUBSCRIPTION, Told, WRITE};
use super::socket::{Side, Socket};
use super::table::{Owner, Table};
use super::{MONOTONIC, REALTIME, Wasip1};
use crate::interrupt::{Instant, LastInstant};
use crate::net::Net;

const CLOCK: u8 = 0;
const HANGUP: u16 = 1;
const ABSOLUTE: u16 = 1;

/// How many of the subscriptions of one call may be wasmtime-wasi's, which takes copies. Those of sockets and clocks take none, and so
/// there may be as many as there is memory for: more than this of standard streams and files is ENOMEM.
const MOST_OTHERS: usize = 1 << 16;
/// How many subscriptions are looked at between two turns of tokio: a millisecond of them. A list may have tens of millions.
const PIECE: usize = 1 << 16;
/// How many there may be if the events lie over the subscriptions, which are copied then.
const MOST_OVERLAID: usize = 1 << 16;

/// What one subscription asks for.
enum Asks {
    Clock {
        id: u32,
        timeout: u64,
        absolute: bool,
    },
    Side {
        fd: u32,
        side: Side,
    },
    /// The last instant of the monotonic clock, of a program that was told what it means.
    Stop,
    /// The instant before: that something outside of the list is ready.
    Bell,
    Nonsense,
}

/// What a subscription asks for, of a program that may wait for a request to stop.
fn asks(subscription: &[u8], last: Option<&LastInstant>) -> Asks {
    match decode(subscription) {
        asks @ Asks::Clock { id: MONOTONIC, timeout, absolute: true } => match last.and_then(|last| last.of(timeout)) {
            Some(Instant::Stop) => Asks::Stop,
            Some(Instant::Bell) => Asks::Bell,
            None => asks,
        },
        asks => asks,
    }
}

fn has_come(last: Option<&LastInstant>) -> bool {
    last.is_some_and(LastInstant::has_come)
}

fn decode(subscription: &[u8]) -> Asks {
    match subscription[8] {
        CLOCK => Asks::Clock {
            id: word(subscription, 16),
            timeout: long(subscription, 24),
            absolute: word(subscription, 40) as u16 & ABSOLUTE != 0,
        },
        READ => Asks::Side { fd: word(subscription, 16), side: Side::Read },
        WRITE => Asks::Side { fd: word(subscription, 16), side: Side::Write },
        _ => Asks::Nonsense,
    }
}

/// There are as many sockets as there may be. The program does nothing in a call that polls, so that stays so for all of it.
struct Full(Option<Arc<Net>>);

impl Full {
    fn of(p1: &mut Wasip1) -> Option<Full> {
        (!p1.table.has_room()).then(|| Full(p1.net.clone()))
    }

    /// A connection waits at a listener: that is said, since the program is not told.
    fn tell(&self) {
        if let Some(net) = &self.0 {
            net.tell_full();
        }
    }
}

/// Whether a side is ready, of a program that may have more sockets or, if `full`, may not.
fn is_ready(socket: &Socket, side: Side, full: Option<&Full>) -> io::Result<bool> {
    socket.poll(side, || {
        let ready = socket.is_ready(side)? && !socket.gives_way();
        match full.filter(|_| ready && socket.listens()) {
            None => Ok(ready),
            Some(full) => {
                full.tell();
                Ok(false)
            }
        }
    })
}

/// What is kept between calls, so that none of them allocates.
#[derive(Default)]
pub(super) struct Scratch {
    clocks: Clocks,
    others: Others,
}

/// When clocks are due: what they showed when the call began. So any number of them takes no memory, and the second pass finds the
/// same as the first.
#[derive(Default)]
struct Clocks {
    /// Relative time, and absolute time of either clock: what it was, and tokio's time then. Each is read once, and only if it is
    /// asked for.
    begun: [Option<(u64, time::Instant)>; 3],
}

impl Clocks {
    const RELATIVE: usize = 0;
    const MONOTONIC: usize = 1;
    const REALTIME: usize = 2;

    fn which(id: u32, absolute: bool) -> Result<usize, Errno> {
        match (id, absolute) {
            (MONOTONIC | REALTIME, false) => Ok(Clocks::RELATIVE),
            (MONOTONIC, true) => Ok(Clocks::MONOTONIC),
            (REALTIME, true) => Ok(Clocks::REALTIME),
            _ => Err(Errno::INVAL),
        }
    }

    /// When a subscription is due, in the first pass.
    fn begin(
        &mut self,
        p1: &mut Wasip1,
        id: u32,
        timeout: u64,
        absolute: bool,
    ) -> wasmtime::Result<Option<time::Instant>> {
        let Ok(which) = Clocks::which(id, absolute) else { return Ok(None) };
        if self.begun[which].is_none() {
            let passed = match which {
                Clocks::RELATIVE => 0,
                Clocks::MONOTONIC => p1.now(Clockid::Monotonic)?,
                _ => p1.now(Clockid::Realtime)?,
            };
            // Read after the clock, so that no event comes early.
            self.begun[which] = Some((passed, time::Instant::now()));
        }
        Ok(self.due(id, timeout, absolute).ok())
    }

    /// When a subscription is due that the first pass has seen.
    fn due(&self, id: u32, timeout: u64, absolute: bool) -> Result<time::Instant, Errno> {
        let (passed, then) = self.begun[Clocks::which(id, absolute)?].ok_or(Errno::INVAL)?;
        let left = Duration::from_nanos(timeout.saturating_sub(passed));
        // Some decades are for ever.
        Ok(then.checked_add(left).unwrap_or(then + Duration::from_secs(1 << 30)))
    }
}

/// Waits, and tells how many events it has written to `events`.
pub(super) async fn poll_oneoff(
    p1: &mut Wasip1,
    guest: &mut [u8],
    subscriptions: u32,
    events: u32,
    count: u32,
) -> wasmtime::Result<Result<u32, Errno>> {
    let mut scratch = std::mem::take(&mut p1.scratch);
    let result = poll(p1, &mut scratch, guest, subscriptions, events, count).await;
    p1.scratch = scratch;
    result
}

async fn poll(
    p1: &mut Wasip1,
    scratch: &mut Scratch,
    guest: &mut [u8],
    subscriptions: u32,
    events: u32,
    count: u32,
) -> wasmtime::Result<Result<u32, Errno>> {
    if count == 0 {
        return Ok(Err(Errno::INVAL));
    }
    let ranges = memory::range(guest, subscriptions, count as usize * SUBSCRIPTION)
        .and_then(|asked| memory::range(guest, events, count as usize * EVENT).map(|out| (asked, out)));
    let (asked, out) = match ranges {
        Ok(ranges) => ranges,
        Err(errno) => return Ok(Err(errno)),
    };
    // The array is the program's, which does nothing meanwhile. The events may lie over it, as on other hosts: then the second pass
    // reads a copy.
    let overlaid = asked.start < out.end && out.start < asked.end;
    if overlaid && count as usize > MOST_OVERLAID {
        return Ok(Err(Errno::NOMEM));
    }

    // First pass: clocks, what is not ours, and whether anything is ready. What is marked after it has looked wakes us.
    poll_fn(|cx| {
        p1.table.hub.wait(cx);
        Poll::Ready(())
    })
    .await;
    scratch.clocks = Clocks::default();
    scratch.others.clear();
    let mut due: Option<time::Instant> = None;
    let mut ready = false;
    let mut bell = false;
    let full = Full::of(p1);
    let full = full.as_ref();
    for (index, subscription) in guest[asked.clone()].chunks_exact(SUBSCRIPTION).enumerate() {
        match asks(subscription, p1.last_instant.as_ref()) {
            Asks::Stop => ready |= has_come(p1.last_instant.as_ref()),
            Asks::Bell => bell = true,
            Asks::Clock { id, timeout, absolute } => match scratch.clocks.begin(p1, id, timeout, absolute)? {
                Some(when) => {
                    due = Some(due.map_or(when, |due| due.min(when)));
                    ready |= timeout == 0;
                }
                None => ready = true,
            },
            Asks::Side { fd, side } => match p1.table.owner(fd) {
                // The second pass looks at it, after tokio's turn.
                Owner::Socket(socket) if ready && socket.is_registered() => {}
                Owner::Socket(socket) => ready |= is_ready(socket, side, full).unwrap_or(true),
                Owner::Wasi(_) if scratch.others.len() == MOST_OTHERS => return Ok(Err(Errno::NOMEM)),
                Owner::Wasi(number) => scratch.others.push(subscription, index as u32, number),
                Owner::Closed => ready = true,
            },
            Asks::Nonsense => ready = true,
        }
        if index % PIECE == PIECE - 1 {
            yield_now().await;
        }
    }
    if bell {
        p1.table.hub.bell.use_it();
        ready |= p1.table.hub.bell.rings();
    }
    if let Some(trace) = &p1.trace {
        trace.count_poll_entries(count as usize);
    }

    // Read after the clocks above, so that one of 0 ns is due: to sleep for it takes a tick of tokio's clock, 1 ms.
    let mut at_once = ready || due.is_some_and(|due| due <= time::Instant::now());
    let mut has_looked = true;
    loop {
        let slept = match at_once {
            true => false,
            false => wait(p1, &guest[asked.clone()], due, &mut scratch.others, full, bell, has_looked).await?,
        };
        if !slept {
            // The reactor's turn, and that of who wants to stop us.
            yield_now().await;
        }
        if at_once {
            scratch.others.look(&mut p1.wasi).await?;
        }
        let subscriptions = match overlaid {
            true => Asked::Copied(guest[asked.clone()].to_vec()),
            false => Asked::There(&asked),
        };
        let told = tell(p1, scratch, guest, &subscriptions, &out, full, bell).await;
        if told > 0 {
            return Ok(Ok(told));
        }
        // Somebody else has the listener, too, and was faster. Nothing to tell would mean that a time was out.
        (at_once, has_looked) = (false, false);
    }
}

/// Where the second pass reads the subscriptions.
enum Asked<'a> {
    /// In the program's memory, where no event is written.
    There(&'a Range<usize>),
    Copied(Vec<u8>),
}

impl Asked<'_> {
    fn at<'a>(&'a self, guest: &'a [u8], index: usize) -> &'a [u8] {
        match self {
            Asked::There(asked) => &guest[asked.start + index * SUBSCRIPTION..][..SUBSCRIPTION],
            Asked::Copied(copy) => &copy[index * SUBSCRIPTION..][..SUBSCRIPTION],
        }
    }
}

impl Told {
    /// Writes it as an event.
    fn write(&self, event: &mut [u8], userdata: u64, kind: u8) {
        event.fill(0);
        event[..8].copy_from_slice(&userdata.to_le_bytes());
        event[8..10].copy_from_slice(&self.error.to_le_bytes());
        event[10] = kind;
        event[16..24].copy_from_slice(&self.bytes.to_le_bytes());
        event[24..26].copy_from_slice(&self.flags.to_le_bytes());
    }
}

/// The second pass: writes the events, and tells how many.
async fn tell(
    p1: &mut Wasip1,
    scratch: &Scratch,
    guest: &mut [u8],
    asked: &Asked<'_>,
    out: &Range<usize>,
    full: Option<&Full>,
    bell: bool,
) -> u32 {
    let now = scratch.clocks.begun.iter().any(Option::is_some).then(time::Instant::now);
    let mut written = 0;
    for index in 0..out.len() / EVENT {
        let subscription = asked.at(guest, index);
        let (userdata, kind) = (long(subscription, 0), subscription[8]);
        let told = match asks(subscription, p1.last_instant.as_ref()) {
            Asks::Stop => has_come(p1.last_instant.as_ref()).then(Told::default),
            // At the end, when all have been looked at.
            Asks::Bell => None,
            Asks::Clock { id, timeout, absolute } => match scratch.clocks.due(id, timeout, absolute) {
                Ok(when) => now.is_some_and(|now| when <= now).then_some(Told::default()),
                Err(errno) => Some(Told::error(errno)),
            },
            Asks::Side { fd, side } => match p1.table.owner(fd) {
                Owner::Socket(socket) => match is_ready(socket, side, full) {
                    Ok(false) => None,
                    Ok(true) if socket.is_hung_up(side) => Some(Told { flags: HANGUP, bytes: 1, ..Told::default() }),
                    Ok(true) => Some(Told { bytes: 1, ..Told::default() }),
                    Err(error) => Some(Told::error(error.into())),
                },
                Owner::Wasi(_) => scratch.others.told(index as u32),
                Owner::Closed => Some(Told::error(Errno::BADF)),
            },
            Asks::Nonsense => Some(Told::error(Errno::INVAL)),
        };
        if let Some(told) = told {
            told.write(&mut guest[out.start + written * EVENT..][..EVENT], userdata, kind);
            written += 1;
        }
        if index % PIECE == PIECE - 1 {
            yield_now().await;
        }
    }
    if !bell || !p1.table.hub.bell.tell() {
        return written as u32;
    }
    for index in 0..out.len() / EVENT {
        let subscription = asked.at(guest, index);
        if matches!(asks(subscription, p1.last_instant.as_ref()), Asks::Bell) {
            let userdata = long(subscription, 0);
            Told::default().write(&mut guest[out.start + written * EVENT..][..EVENT], userdata, CLOCK);
            written += 1;
        }
        if index % PIECE == PIECE - 1 {
            yield_now().await;
        }
    }
    written as u32
}

/// Sleeps until something is marked that is asked for, or wasmtime-wasi has something, or `due`. Tells whether it has slept at
/// all: standard output is ready most of the time. `has_looked`: nothing was ready since the last that the hub was told of us.
async fn wait(
    p1: &mut Wasip1,
    asked: &[u8],
    due: Option<time::Instant>,
    others: &mut Others,
    full: Option<&Full>,
    bell: bool,
    mut has_looked: bool,
) -> wasmtime::Result<bool> {
    let hub = p1.table.hub.clone();
    let Wasip1 { table, wasi, last_instant, .. } = p1;
    let last = last_instant.as_ref();
    let mut sleep = pin!(due.map(sleep_until));
    let mut others = pin!(others.wait(wasi));
    let mut slept = false;
    let mut look = Look::default();
    let woken: wasmtime::Result<()> = poll_fn(|cx| {
        // Before the look: what is marked after it wakes us.
        let is_marked = hub.wait(cx);
        look.again |= is_marked;
        if !take(&mut has_looked) || is_marked {
            match look.go_on(table, asked, full, last, bell) {
                Looked::Ready => return Poll::Ready(Ok(())),
                Looked::Nothing => {}
                Looked::InPart => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        if let Poll::Ready(result) = others.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        if let Some(sleep) = sleep.as_mut().as_pin_mut()
            && sleep.poll(cx).is_ready()
        {
            return Poll::Ready(Ok(()));
        }
        slept = true;
        Poll::Pending
    })
    .await;
    woken.map(|()| slept)
}

/// A look for sockets that are ready, a piece of the subscriptions after the other.
#[derive(Default)]
struct Look {
    /// Where the next piece begins.
    at: usize,
    /// Something has been marked, perhaps behind it.
    again: bool,
}

enum Looked {
    Ready,
    Nothing,
    /// There is more to look at.
    InPart,
}

impl Look {
    fn go_on(
        &mut self,
        table: &mut Table,
        asked: &[u8],
        full: Option<&Full>,
        last: Option<&LastInstant>,
        bell: bool,
    ) -> Looked {
        if self.at == 0 {
            self.again = false;
        }
        let rest = &asked[self.at..];
        let piece = &rest[..rest.len().min(PIECE * SUBSCRIPTION)];
        if any_ready(table, piece, full, last) {
            return Looked::Ready;
        }
        self.at = if piece.len() < rest.len() { self.at + piece.len() } else { 0 };
        match self.at > 0 || self.again {
            true => Looked::InPart,
            // All have been looked at: what the bell counts is outside of the list.
            false if bell && table.hub.bell.rings() => Looked::Ready,
            false => Looked::Nothing,
        }
    }
}

fn any_ready(table: &mut Table, asked: &[u8], full: Option<&Full>, last: Option<&LastInstant>) -> bool {
    // An entry of a clock is looked at if that can be.
    let stops = has_come(last);
    asked.chunks_exact(SUBSCRIPTION).any(|subscription| match decode(subscription) {
        Asks::Clock { id: MONOTONIC, timeout: u64::MAX, absolute: true } => stops,
        Asks::Side { fd, side } => match table.owner(fd) {
            Owner::Socket(socket) => is_ready(socket, side, full).unwrap_or(true),
            _ => false,
        },
        _ => false,
    })
}
