//! For loops that are not ours: another scheduler plugs our poller into its idle path.
//!
//! It has things of its own to run, in its own order. What it needs of a runtime is what [`block_on`](crate::block_on) is
//! made of, in parts: *try* an operation once ([`try_read`](crate::net::TcpStream::try_read) and its like), *park* a waker on the
//! side of a socket that said `WouldBlock` ([`park`](crate::net::TcpStream::park)), and when it has nothing left to run make the
//! *one waiting call*, [`Loop::wait`], which calls the wakers of all that may try again.
//!
//! ```
//! use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
//! use std::task::{Wake, Waker};
//! use dormouse::foreign::{Loop, Side};
//! use dormouse::net::UdpSocket;
//!
//! struct Scheduler(AtomicBool); // of one coroutine, which may be runnable
//! impl Wake for Scheduler {
//!     fn wake(self: Arc<Self>) {
//!         self.0.store(true, Ordering::Relaxed);
//!     }
//! }
//!
//! # let socket = dormouse::block_on(UdpSocket::bind("127.0.0.1:0"))?;
//! let host = Loop::enter()?;
//! let runnable = Arc::new(Scheduler(AtomicBool::new(true)));
//! socket.try_send_to(b"hello", socket.local_addr()?)?;
//! let mut buf = [0; 16];
//! let received = loop {
//!     while !runnable.0.swap(false, Ordering::Relaxed) {
//!         host.wait(None)?; // nothing is runnable: sleep
//!     }
//!     match socket.try_recv_from(&mut buf) {
//!         Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
//!             socket.park(Side::Read, &Waker::from(runnable.clone()))?;
//!         }
//!         result => break result?.0,
//!     }
//! };
//! assert_eq!(&buf[..received], b"hello");
//! # std::io::Result::Ok(())
//! ```
//!
//! The crate `dormouse-capi` is that for other languages.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use super::{EXIT_STALLED, Entered, complain, installed, linger, stalled};
use crate::io::error;
use crate::reactor::Reactor;
use crate::sys::{self, Until};
use crate::time::Instant;

thread_local! {
    static KEPT: RefCell<Option<Loop>> = const { RefCell::new(None) };
}

/// A side of a socket. Reading is accepting and receiving as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// There is something to read, a connection to accept, the end of the stream or an error.
    Read,
    /// There is room to write, or an error.
    Write,
}

/// The thread is inside a runtime whose loop is the caller's, until it is dropped. Dropping it waits, as the end of
/// [`block_on`](crate::block_on) does, up to five seconds for what was written and is still on its way.
#[must_use = "the thread is inside the runtime only until this is dropped"]
pub struct Loop {
    /// None inside a simulation, whose loop goes on around this one.
    _entered: Option<Entered>,
}

impl Loop {
    /// Enters. Wakers can be parked and futures of Dormouse polled from now on.
    ///
    /// # Errors
    /// Kind `ResourceBusy` inside of another, or of [`block_on`](crate::block_on); what the host says if it cannot wait.
    pub fn enter() -> io::Result<Loop> {
        #[cfg(feature = "sim")]
        if crate::sys::sim::World::current().is_some() && Reactor::running().is_some() {
            return Ok(Loop { _entered: None });
        }
        if Reactor::running().is_some() {
            return Err(error(io::ErrorKind::ResourceBusy, "a Dormouse runtime runs on this thread already"));
        }
        Ok(Loop { _entered: Some(Entered::new()?) })
    }

    /// Sleeps until a parked waker is to be called, and calls it; no longer than until `deadline`, if there is one. May return
    /// for less: a timer that was moved, bytes that were on their way. If tasks that were [spawned](crate::spawn) are runnable, they
    /// have a turn, and then it does not sleep.
    ///
    /// # Errors
    /// Kind `Deadlock` if there is no deadline and nothing that could ever end the sleep; what the host says if it cannot wait.
    pub fn wait(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.turn(deadline.map_or(Until::Forever, Until::At))
    }

    /// Does what [`wait`](Loop::wait) does, without sleeping: the host has its turn, and the wakers of all that may try again are called.
    ///
    /// # Errors
    /// What the host says.
    pub fn look(&self) -> io::Result<()> {
        self.turn(Until::Now)
    }

    fn turn(&self, until: Until) -> io::Result<()> {
        let reactor = Reactor::current()?;
        // What the caller has done is counted.
        reactor.end_poll();
        let tasks = installed();
        // As in `try_block_on`: a wake from another thread looks whether we sleep.
        let notifier = reactor.notifier();
        notifier.sleeping(true);
        let runnable = tasks.as_ref().is_some_and(|tasks| tasks.is_runnable());
        if let (true, Some(tasks)) = (runnable, &tasks) {
            // What they do may be what the caller waits for, so there is no sleep after it.
            tasks.run_batch();
        }
        let timer = reactor.next_timer();
        let turned = match until {
            _ if runnable => reactor.turn(Until::Now),
            Until::Forever if !reactor.can_wake() => Err(stalled(tasks.as_deref())),
            Until::Forever => reactor.turn(timer.map_or(Until::Forever, Until::At)),
            Until::At(deadline) => reactor.turn(Until::At(timer.map_or(deadline, |timer| timer.min(deadline)))),
            Until::Now => reactor.turn(Until::Now),
        };
        notifier.sleeping(false);
        turned
    }
}

impl std::fmt::Debug for Loop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Loop")
    }
}

/// Enters, as [`Loop::enter`] does, and keeps the loop for the thread: for a scheduler that has no place for a [`Loop`]. Does nothing
/// inside of a runtime.
///
/// # Errors
/// What the host says if it cannot wait.
pub fn enter() -> io::Result<()> {
    if Reactor::running().is_some() {
        return Ok(());
    }
    let host = Loop::enter()?;
    KEPT.with(|kept| kept.replace(Some(host)));
    Ok(())
}

/// What was written and is still on its way gets up to five seconds, as at the end of [`block_on`](crate::block_on); the thread stays
/// inside. Does nothing outside of a runtime.
pub fn settle() {
    if let Some(reactor) = Reactor::running() {
        linger(&reactor);
    }
}

/// Whether a waker is parked on a socket. A scheduler that has a clock of its own and makes it go on when nothing happens asks: a host may
/// tell a moment later than a look of what a program has sent to itself.
pub fn is_watching() -> bool {
    Reactor::running().is_some_and(|reactor| reactor.is_watching())
}

/// Calls all wakers that are parked on sockets, whose operations are tried again: for a scheduler that ends, and has those fail that
/// would wait. Does nothing outside of a runtime.
pub fn wake_all() {
    if let Some(reactor) = Reactor::running() {
        reactor.wake_all();
    }
}

/// [`Loop::wait`] in the loop of the thread, no longer than `timeout`; of no length, [`Loop::look`]. It [enters](enter) if need be. A
/// scheduler calls it in the place where it would put its thread to sleep.
///
/// If it can never end, or the host cannot wait, standard error says so and the program is ended with the exit code
/// [`EXIT_STALLED`](crate::EXIT_STALLED), as [`block_on`](crate::block_on) does: such a place has no way to fail.
pub fn park(timeout: Option<Duration>) {
    let until = match timeout {
        None => Until::Forever,
        Some(Duration::ZERO) => Until::Now,
        Some(timeout) => Until::At(Instant::after(timeout)),
    };
    let parked = enter().and_then(|()| Loop { _entered: None }.turn(until));
    if let Err(error) = parked {
        complain(&format!("dormouse: {error}\n"));
        sys::exit(EXIT_STALLED)
    }
}
