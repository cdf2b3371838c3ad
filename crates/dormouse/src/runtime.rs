//! The one loop: run what can run, and when no task can, make one host call that waits for everything.
//!
//! ```text
//!       ┌──────────────── main future and tasks, a batch at a time ◀─────────────┐
//!       │                                                                        │ wakers push to the queue
//!       ▼                                                                        │
//!   any task runnable? ───yes, and not for long──▶ next batch                    │
//!       │ no                     │ a turn is due                                 │
//!       ▼                        ▼                                               │
//!   wait(At(timer) | Forever)   wait(Now) ──▶ reactor: which wakers? ────────────┘
//!       │ nothing armed, no timer
//!       ▼
//!   the diagnosis
//! ```
//!
//! This file links no scheduler: the first `spawn` brings it in (see [`Tasks`]). `foreign.rs` is for loops that are not ours.

pub mod foreign;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::contain::unwound;
use crate::io::error;
use crate::reactor::Reactor;
use crate::sys::{self, Notifier, Until};
use crate::time::Instant;

/// How long the end of [`block_on`] waits for bytes that were written but are still on their way.
const LINGER: Duration = Duration::from_secs(5);

/// Exit code of a program that [`block_on`] ends because nothing can wake it any more.
pub const EXIT_STALLED: i32 = 2;

/// Exit code of a program whose last output the host refused.
const EXIT_OUTPUT_LOST: i32 = 1;

/// What the loop needs of the tasks. Installed by the first `spawn`, so that a program that spawns nothing does not
/// link it.
pub(crate) trait Tasks {
    /// Runs each task that is runnable now, once; or some of them, if they do so much that a turn is due before the others.
    fn run_batch(&self);
    /// Whether a task is runnable.
    fn is_runnable(&self) -> bool;
    /// Drops all tasks.
    fn shut_down(&self);
    /// Where each task was spawned and what it waits for.
    fn describe(&self, report: &mut String);
    /// The main future is about to run: it waits for nothing known.
    fn main_runs(&self);
    /// What the main future waits for.
    fn main_waits(&self) -> Waits;
    /// A simulation runs in the place of this runtime, and then no longer.
    #[cfg(feature = "sim")]
    fn suspend(&self);
    #[cfg(feature = "sim")]
    fn resume(self: Rc<Self>);
}

thread_local! {
    static TASKS: RefCell<Option<Rc<dyn Tasks>>> = const { RefCell::new(None) };
    /// What to do when the main future has ended; see [`at_end`].
    static AT_END: Cell<Option<AtEnd>> = const { Cell::new(None) };
    /// The last of what was written to standard output was refused, and standard error says so.
    static OUTPUT_LOST: Cell<bool> = const { Cell::new(false) };
}

#[derive(Clone, Copy)]
struct AtEnd {
    flush: fn(),
    refused: fn() -> Option<io::Error>,
}

/// Has `flush` called when a `block_on` of this thread ends, and `refused` when that is done, to tell what the host refused. A hook, so
/// that only a program that prints links the printing.
pub(crate) fn at_end(flush: fn(), refused: fn() -> Option<io::Error>) {
    AT_END.set(Some(AtEnd { flush, refused }));
}

/// True once after a `block_on` of this thread has lost some of standard output.
pub(crate) fn take_output_lost() -> bool {
    OUTPUT_LOST.take()
}

/// Gives the running loop its tasks.
pub(crate) fn install(tasks: Rc<dyn Tasks>) {
    TASKS.with(|slot| slot.replace(Some(tasks)));
}

fn installed() -> Option<Rc<dyn Tasks>> {
    TASKS.with(|slot| slot.borrow().clone())
}

/// Runs `future`, and all that it spawns, on this thread until `future` ends, and returns its output.
///
/// Tasks that are still there then are dropped. Bytes that were written to sockets, standard output or standard error
/// and are still on their way get up to five seconds; what does not leave in that time is lost, and standard error
/// says so. If the host has refused the last of standard output (a full disk, a pipe that is read no more) standard error says so as
/// well, and the program is ended with exit code 1.
///
/// ```
/// let answer = dormouse::block_on(async {
///     let task = dormouse::spawn(async { 6 * 7 });
///     task.await.unwrap()
/// });
/// assert_eq!(answer, 42);
/// ```
///
/// # If nothing can wake the program
/// When no task is runnable, no socket is waited for and no timer is set, the program would hang for ever. It is ended
/// instead: standard error lists each parked task, where it was spawned and what it waits for, and the exit code is
/// [`EXIT_STALLED`]. [`try_block_on`] returns that as an error.
///
/// # Panics
/// If it is called inside another `block_on` on the same thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let output = block_on_and_stay(future);
    if take_output_lost() {
        sys::exit(EXIT_OUTPUT_LOST);
    }
    output
}

/// [`block_on`] that returns when the last of the output is lost: its caller asks for [`take_output_lost`].
pub(crate) fn block_on_and_stay<F: Future>(future: F) -> F::Output {
    try_block_on(future).unwrap_or_else(|error| {
        complain(&format!("dormouse: {error}\n"));
        sys::exit(EXIT_STALLED)
    })
}

/// Not `eprintln`: a test harness would keep the message and lose it with the process.
pub(crate) fn complain(message: &str) {
    let _ = io::Write::write_all(&mut io::stderr(), message.as_bytes());
}

/// [`block_on`] that returns instead of ending the program when nothing can wake it any more, or when the last of standard output
/// is lost, which standard error says as well.
///
/// # Errors
/// * Kind `Deadlock`, with the list of parked tasks, when nothing can wake the program.
/// * What the host said when it cannot wait at all.
///
/// # Panics
/// If it is called inside another `block_on` on the same thread.
pub fn try_block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let entered = Entered::new()?;
    let reactor = &*entered.reactor;
    let main = Arc::new(MainWaker { woken: AtomicBool::new(true), notifier: reactor.notifier() });
    let waker = Waker::from(Arc::clone(&main));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(unwound(future));
    let mut skip = 0;
    let mut tasks: Option<Rc<dyn Tasks>> = None;
    let notifier = reactor.notifier();
    loop {
        if main.woken.swap(false, Ordering::AcqRel) {
            if let Some(tasks) = &tasks {
                tasks.main_runs();
            }
            reactor.begin_poll(skip);
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return Ok(output);
            }
            skip = reactor.end_poll();
        }
        if tasks.is_none() {
            tasks = installed();
        }
        if let Some(tasks) = &tasks {
            tasks.run_batch();
        }
        // SeqCst as in `MainWaker` and `Notifier`: with less, the load could be done before the store of `sleeping`.
        let runnable = || main.woken.load(Ordering::SeqCst) || tasks.as_ref().is_some_and(|tasks| tasks.is_runnable());
        let until = if runnable() {
            if !reactor.is_turn_due() {
                continue;
            }
            Until::Now
        } else if reactor.can_wake() {
            reactor.next_timer().map_or(Until::Forever, Until::At)
        } else {
            return Err(stalled(tasks.as_deref()));
        };
        // A waker on another thread pushes first and then looks whether we sleep; we say so first and then look
        // whether it has pushed.
        notifier.sleeping(true);
        let until = if runnable() { Until::Now } else { until };
        #[cfg(feature = "sim")]
        assert!(
            until == Until::Now || sys::sim::World::current().is_none() || !runnable(),
            "the program waits though somebody is runnable"
        );
        let turned = reactor.turn(until);
        notifier.sleeping(false);
        turned.map_err(|error| explain(error, tasks.as_deref()))?;
    }
}

/// The wait has failed. A simulated host knows when nothing will ever happen.
fn explain(error: io::Error, tasks: Option<&dyn Tasks>) -> io::Error {
    if cfg!(feature = "sim") && error.kind() == io::ErrorKind::Deadlock {
        return diagnose(format!("nothing can wake this program any more: {error}"), tasks);
    }
    error
}

/// What this thread had of a runtime while a simulation is in its place; comes back when dropped, also by a panic.
#[cfg(feature = "sim")]
pub(crate) struct Suspended {
    reactor: Option<Rc<Reactor>>,
    tasks: Option<Rc<dyn Tasks>>,
}

#[cfg(feature = "sim")]
impl Suspended {
    pub(crate) fn new() -> Self {
        let tasks = TASKS.with(|slot| slot.take());
        if let Some(tasks) = &tasks {
            tasks.suspend();
        }
        Suspended { reactor: Reactor::replace(None), tasks }
    }
}

#[cfg(feature = "sim")]
impl Drop for Suspended {
    fn drop(&mut self) {
        Reactor::replace(self.reactor.take());
        if let Some(tasks) = self.tasks.take() {
            install(Rc::clone(&tasks));
            tasks.resume();
        }
    }
}

/// The thread is inside a `block_on`; leaves it when dropped, also by a panic.
struct Entered {
    reactor: Rc<Reactor>,
    _host: sys::Entered,
}

impl Entered {
    fn new() -> io::Result<Self> {
        let reactor = Reactor::current()?;
        let host = sys::enter()?;
        OUTPUT_LOST.set(false);
        assert!(reactor.set_running(true), "block_on was called inside another block_on: await it instead");
        // What was used before belongs to no task.
        reactor.end_poll();
        Ok(Entered { reactor, _host: host })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // The thread may be ending, and its thread-locals with it.
        if let Ok(Some(tasks)) = TASKS.try_with(|slot| slot.take()) {
            tasks.shut_down();
        }
        if !std::thread::panicking() {
            linger(&self.reactor);
        }
        self.reactor.set_running(false);
    }
}

/// Waits for bytes that are on their way, up to [`LINGER`].
fn linger(reactor: &Reactor) {
    let Some(at_end) = AT_END.get() else { return see_off(reactor) };
    (at_end.flush)();
    see_off(reactor);
    if let Some(error) = (at_end.refused)() {
        OUTPUT_LOST.set(true);
        complain(&format!("dormouse: {error}\n"));
    }
}

fn see_off(reactor: &Reactor) {
    if !reactor.has_chores() {
        return;
    }
    let end = Instant::after(LINGER);
    while reactor.has_chores() {
        if Instant::now() >= end || reactor.turn(Until::At(end)).is_err() {
            complain("dormouse: the last of what was written is lost: nobody has read it for 5 seconds\n");
            return;
        }
    }
}

/// Wakes the main future. Its tasks have wakers of their own.
struct MainWaker {
    woken: AtomicBool,
    notifier: Notifier,
}

impl Wake for MainWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.notifier.notify();
    }
}

/// What a parked task waits for, as far as that is worth telling: in a program that nothing can wake it is never a
/// socket or a timer.
#[derive(Clone, Copy)]
pub(crate) enum Waits {
    ForWake,
    ForTask(&'static std::panic::Location<'static>),
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Waits::ForWake => f.write_str("a wake from another task"),
            Waits::ForTask(spawned) => write!(f, "the end of the task spawned at {spawned}"),
        }
    }
}

#[cold]
fn stalled(tasks: Option<&dyn Tasks>) -> io::Error {
    let report = String::from("nothing can wake this program any more: no runnable task, no socket, no timer");
    diagnose(report, tasks)
}

fn diagnose(mut report: String, tasks: Option<&dyn Tasks>) -> io::Error {
    let main = tasks.map_or(Waits::ForWake, |tasks| tasks.main_waits());
    report.push_str(&format!("\n  the main future waits for {main}"));
    if let Some(tasks) = tasks {
        tasks.describe(&mut report);
    }
    #[cfg(feature = "sim")]
    let alone = sys::sim::World::current().is_some();
    #[cfg(not(feature = "sim"))]
    let alone = false;
    if sys::THREADS && !alone {
        report.push_str(
            "\n  (if another thread is to wake it, hold the guard of dormouse::task::foreign_wakes() meanwhile)",
        );
    }
    error(io::ErrorKind::Deadlock, report)
}
