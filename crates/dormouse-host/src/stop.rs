//! Stop. Ends a run from another thread: because that is asked for, or because its time has passed.

use std::fmt;
use std::future::{self, Future};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use wasmtime::Engine;

/// Ends a run from another thread.
///
/// It takes effect at once if the program waits in a host call, and at its next loop or call if it computes. What the host
/// does for it meanwhile, as a read of a file, is not interrupted.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    shared: Arc<Stopped>,
}

#[derive(Default)]
struct Stopped {
    asked: AtomicBool,
    timed_out: AtomicBool,
    ended: AtomicBool,
    wake: Notify,
    engine: Option<Engine>,
}

impl fmt::Debug for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopped").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Stop {
    /// How often, and how long apart, a program that computes is told again. Once is enough, but for a program that another run's
    /// stop has made yield just now: it sets its deadline by the epoch that it finds, which may be this one.
    const TOLD_AGAIN: u32 = 5;
    const APART: Duration = Duration::from_millis(20);

    /// For a run on this engine.
    pub(crate) fn of(engine: &Engine) -> Stop {
        Stop { shared: Arc::new(Stopped { engine: Some(engine.clone()), ..Stopped::default() }) }
    }

    /// Ends the run: [`Run::start`](crate::Run::start) returns [`Error::Stopped`](crate::Error::Stopped). Before the start it keeps the run from beginning.
    pub fn stop(&self) {
        let again = self.tell();
        if again && !self.shared.ended.load(Ordering::SeqCst) {
            let stop = self.clone();
            // If there is no thread to be had, once has to be enough.
            let _ = thread::Builder::new().name("stop".to_owned()).spawn(move || stop.tell_again());
        }
    }

    /// Returns true the first time.
    fn tell(&self) -> bool {
        let first = !self.shared.asked.swap(true, Ordering::SeqCst);
        self.shared.wake.notify_one();
        if let Some(engine) = &self.shared.engine {
            engine.increment_epoch();
        }
        first
    }

    fn tell_again(&self) {
        for _ in 0..Self::TOLD_AGAIN {
            thread::sleep(Self::APART);
            if self.shared.ended.load(Ordering::SeqCst) {
                return;
            }
            self.tell();
        }
    }

    /// Whether it was the timeout that ended the run.
    pub(crate) fn timed_out(&self) -> bool {
        self.shared.timed_out.load(Ordering::SeqCst)
    }

    /// The run has ended: there is nothing to stop any more.
    pub(crate) fn has_ended(&self) {
        self.shared.ended.store(true, Ordering::SeqCst);
    }

    /// What `guest` returns, or `None` if it was stopped.
    pub(crate) async fn or<F: Future>(&self, guest: F) -> Option<F::Output> {
        let mut woken = pin!(self.shared.wake.notified());
        let mut guest = pin!(guest);
        future::poll_fn(|cx| {
            let woken = woken.as_mut().poll(cx).is_ready();
            if woken || self.shared.asked.load(Ordering::SeqCst) {
                return Poll::Ready(None);
            }
            guest.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

/// A thread that stops the run when its time has passed. A thread, as the reactor gets no turn while the program computes.
pub(crate) struct Timer {
    stop: Stop,
    thread: Thread,
}

impl Timer {
    pub(crate) fn start(after: Duration, stop: Stop) -> io::Result<Timer> {
        let due = Instant::now().checked_add(after);
        let waits = stop.clone();
        let thread = thread::Builder::new().name("timeout".to_owned()).spawn(move || {
            while !waits.shared.ended.load(Ordering::SeqCst) {
                match due.map(|due| due.saturating_duration_since(Instant::now())) {
                    None => thread::park(),
                    Some(Duration::ZERO) => {
                        waits.shared.timed_out.store(!waits.shared.asked.load(Ordering::SeqCst), Ordering::SeqCst);
                        waits.tell();
                        return waits.tell_again();
                    }
                    Some(left) => thread::park_timeout(left),
                }
            }
        })?;
        Ok(Timer { stop, thread: thread.thread().clone() })
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.stop.shared.ended.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}
