//! `poll_oneoff`: the one call that waits, for sockets, clocks, and what is wasmtime-wasi's, together.
//!
//! A pass over the program's array looks at a byte for each socket. If none is ready, the call sleeps until a mark, a clock
//! or wasmtime-wasi's own `poll_oneoff`, which gets those of the subscriptions that are its. A call that need not sleep
//! gives tokio's reactor a turn, so that nothing that is always ready hides the sockets. A second pass writes the events.

use std::future::poll_fn;
use std::ops::Range;
use std::pin::pin;
use std::task::Poll;

use tokio::time::{Instant, sleep_until};

use super::Wasip1;
use super::contrary::Answer;
use super::errno::Errno;
use super::memory::{self, long, word};
use super::others::{EVENT, Others, SUBSCRIPTION, Told};
use super::socket::Side;
use super::table::{Owner, Table};

const CLOCK: u8 = 0;
const READ: u8 = 1;
const WRITE: u8 = 2;
const HANGUP: u16 = 1;
const ABSOLUTE: u16 = 1;

/// How many of the subscriptions of one call may be wasmtime-wasi's, which takes copies; those of sockets take none.
const MOST_OTHERS: usize = 1 << 16;

/// How many may be clocks, of which the time is kept.
const MOST_CLOCKS: usize = 1 << 16;

/// What one subscription asks for.
enum Asks {
    Clock { id: u32, timeout: u64, absolute: bool },
    Side { fd: u32, side: Side },
    Nonsense,
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

/// What is kept between calls, so that none of them allocates.
#[derive(Default)]
pub(super) struct Scratch {
    /// When each of the clocks is due, by index of the subscription.
    clocks: Vec<(u32, Instant)>,
    /// Which subscriptions are wasmtime-wasi's.
    theirs: Vec<u32>,
    others: Others,
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
    // The array is the program's, which does nothing meanwhile; the events may lie over it.
    if asked.start < out.end && out.start < asked.end {
        return Ok(Err(Errno::INVAL));
    }

    // First pass: clocks, what is not ours, and whether anything is ready.
    scratch.clocks.clear();
    scratch.theirs.clear();
    let mut due: Option<Instant> = None;
    let (mut ready, mut absolute_time) = (false, false);
    for (index, subscription) in guest[asked.clone()].chunks_exact(SUBSCRIPTION).enumerate() {
        match decode(subscription) {
            Asks::Clock { id, timeout, absolute } => match p1.when(id, timeout, absolute)? {
                Ok(when) => {
                    absolute_time |= absolute;
                    if scratch.clocks.len() == MOST_CLOCKS {
                        return Ok(Err(Errno::NOMEM));
                    }
                    scratch.clocks.push((index as u32, when));
                    due = Some(due.map_or(when, |due| due.min(when)));
                }
                Err(_) => ready = true,
            },
            Asks::Side { fd, side } => match p1.table.owner(fd) {
                Owner::Socket(socket) => ready |= socket.is_ready(side).unwrap_or(true),
                Owner::Wasi(_) if scratch.theirs.len() == MOST_OTHERS => return Ok(Err(Errno::NOMEM)),
                Owner::Wasi(_) => scratch.theirs.push(index as u32),
                Owner::Closed => ready = true,
            },
            Asks::Nonsense => ready = true,
        }
    }
    if let Some(trace) = &p1.trace {
        // Before it is counted: who sees the count sees this number, too.
        trace.set_resources(p1.table.open());
        trace.count_poll_oneoff(count as usize);
    }

    let answer = match &mut p1.contrary {
        Some(contrary) => contrary.next(count as usize, absolute_time),
        None => Answer::True,
    };
    match answer {
        Answer::Refused(errno) => return Ok(Err(errno)),
        Answer::Nothing => {
            tokio::task::yield_now().await;
            return Ok(Ok(0));
        }
        Answer::True | Answer::AllReady => ready |= answer == Answer::AllReady,
    }

    scratch.others.copy(&guest[asked.clone()], &scratch.theirs, p1.table.shift());
    // Read after the clocks above, so that one of 0 ns is due: to sleep for it takes a tick of tokio's clock, 1 ms.
    let mut at_once = ready || due.is_some_and(|due| due <= Instant::now());
    loop {
        let slept = match at_once {
            true => false,
            false => wait(p1, &guest[asked.clone()], due, &mut scratch.others).await?,
        };
        if !slept {
            // The reactor's turn, and that of who wants to stop us.
            tokio::task::yield_now().await;
        }
        if at_once {
            scratch.others.look(&mut p1.wasi).await?;
        }
        let told = tell(p1, scratch, guest, &asked, &out, answer);
        if told > 0 {
            return Ok(Ok(told));
        }
        // Somebody else has the listener, too, and was faster. Nothing to tell would mean that a time was out.
        at_once = false;
    }
}

/// The second pass: writes the events, and tells how many.
fn tell(
    p1: &mut Wasip1,
    scratch: &Scratch,
    guest: &mut [u8],
    asked: &Range<usize>,
    out: &Range<usize>,
    answer: Answer,
) -> u32 {
    let now = Instant::now();
    let mut written = 0;
    let mut clocks = scratch.clocks.iter();
    for (index, at) in asked.clone().step_by(SUBSCRIPTION).enumerate() {
        let subscription = &guest[at..at + SUBSCRIPTION];
        let (userdata, kind) = (long(subscription, 0), subscription[8]);
        let told = match decode(subscription) {
            Asks::Clock { .. } => match clocks.as_slice().first() {
                Some(&(of, when)) if of as usize == index => {
                    clocks.next();
                    (when <= now).then_some(Told::default())
                }
                _ => Some(Told::error(Errno::INVAL)),
            },
            Asks::Side { fd, side } => match p1.table.owner(fd) {
                Owner::Socket(socket) => match socket.is_ready(side) {
                    Ok(false) if answer == Answer::AllReady => Some(Told::default()),
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
            let at = out.start + written * EVENT;
            let event = &mut guest[at..at + EVENT];
            event.fill(0);
            event[..8].copy_from_slice(&userdata.to_le_bytes());
            event[8..10].copy_from_slice(&told.error.to_le_bytes());
            event[10] = kind;
            event[16..24].copy_from_slice(&told.bytes.to_le_bytes());
            event[24..26].copy_from_slice(&told.flags.to_le_bytes());
            written += 1;
        }
    }
    written as u32
}

/// Sleeps until something is marked that is asked for, or wasmtime-wasi has something, or `due`. Tells whether it has slept at
/// all: standard output is ready most of the time.
async fn wait(p1: &mut Wasip1, asked: &[u8], due: Option<Instant>, others: &mut Others) -> wasmtime::Result<bool> {
    let hub = p1.table.hub.clone();
    let Wasip1 { table, wasi, .. } = p1;
    let mut sleep = pin!(due.map(sleep_until));
    let mut others = pin!(others.wait(wasi));
    let mut slept = false;
    let woken: wasmtime::Result<()> = poll_fn(|cx| {
        // Before the look: what is marked after it wakes us.
        hub.wait(cx);
        if any_ready(table, asked) {
            return Poll::Ready(Ok(()));
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

fn any_ready(table: &mut Table, asked: &[u8]) -> bool {
    asked.chunks_exact(SUBSCRIPTION).any(|subscription| match decode(subscription) {
        Asks::Side { fd, side } => match table.owner(fd) {
            Owner::Socket(socket) => socket.is_ready(side).unwrap_or(true),
            _ => false,
        },
        _ => false,
    })
}
