//! Pace. What a run may use in a second, of the processor and of the network.
//!
//! The program is not polled for a while when it has used more than that. One that waits comes back to the host by itself; one that computes
//! is interrupted by the engine's epoch, which a [`Ticker`] moves on, and so is one that has moved as many bytes as it may. Its reactor goes on
//! meanwhile, so that others are told that it turns; what the host moves there by itself asks for the [`Used`] of the run, which is with its
//! [`Load`]. A program that was asked to stop does not pause any more: it has a time of its own to end in.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, ready};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Sleep, sleep};
use wasmtime::Engine;

use crate::interrupt::Interrupt;
use crate::net::meter::{Load, Meter};
use crate::pulse::Pulse;

/// For how long a program that computes keeps the thread.
const TICK: Duration = Duration::from_millis(5);
/// What may be saved up, in seconds of the rate.
const SAVED: f64 = 0.1;

/// So many a second, of which some may be saved up.
pub(crate) struct Bucket {
    rate: f64,
    most: f64,
    /// Less than 0 is a debt.
    level: f64,
    at: Instant,
}

impl Bucket {
    /// A full one. It has room for one at the least.
    pub(crate) fn new(rate: f64, now: Instant) -> Bucket {
        let most = (rate * SAVED).max(1.0);
        Bucket { rate, most, level: most, at: now }
    }

    /// Takes so many, whether they are there or not.
    pub(crate) fn take(&mut self, amount: f64) {
        self.level -= amount;
    }

    /// How long it takes until there are so many.
    /// How many there are.
    fn left(&self) -> f64 {
        self.level
    }

    pub(crate) fn lacks(&mut self, amount: f64, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.level = (self.level + passed * self.rate).min(self.most);
        let lacks = amount - self.level;
        // Rounded up, so that it is enough.
        (lacks > 0.0).then(|| {
            Duration::try_from_secs_f64(lacks / self.rate).unwrap_or(Duration::MAX).max(Duration::from_nanos(1))
        })
    }
}

/// What one run may use.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    /// Of one processor, in percent.
    pub(crate) cpu: Option<u32>,
    /// Bytes a second, received and sent.
    pub(crate) bytes: Option<u64>,
}

impl Rates {
    pub(crate) fn are_given(&self) -> bool {
        self.cpu.is_some() || self.bytes.is_some()
    }
}

/// What one run has used of what it may.
pub(crate) struct Used {
    /// In nanoseconds, and what the thread's clock showed when it was last read.
    cpu: Option<(Bucket, u64)>,
    /// In bytes, and how many had been carried.
    bytes: Option<(Bucket, u64)>,
}

impl Used {
    /// For how long a run that has carried so many bytes has to pause. To be asked on its thread.
    pub(crate) fn lacks(&mut self, carried: u64) -> Option<Duration> {
        let now = Instant::now();
        let of = |used: &mut Option<(Bucket, u64)>, total: &dyn Fn() -> u64| {
            let (bucket, seen) = used.as_mut()?;
            let total = total();
            bucket.take(total.saturating_sub(std::mem::replace(seen, total)) as f64);
            bucket.lacks(0.0, now)
        };
        of(&mut self.cpu, &thread_time).max(of(&mut self.bytes, &|| carried))
    }

    /// How many bytes it may have carried in all before it has to pause, as far as is known now.
    pub(crate) fn may_carry_to(&self) -> u64 {
        self.bytes.as_ref().map_or(u64::MAX, |(bucket, seen)| seen.saturating_add(bucket.left().max(1.0) as u64))
    }
}

/// Keeps the program of one run from using more than it may.
pub(crate) struct Pace {
    load: Arc<Load>,
    meter: Meter,
    pulse: Pulse,
    interrupt: Interrupt,
}

impl Pace {
    /// For a run on this thread whose connections are counted in `load`.
    pub(crate) fn new(rates: Rates, load: Arc<Load>, meter: Meter, pulse: Pulse, of: (Interrupt, Engine)) -> Pace {
        let now = Instant::now();
        let cpu = rates.cpu.map(|percent| (Bucket::new(f64::from(percent) * 1e7, now), thread_time()));
        let bytes = rates.bytes.map(|rate| (Bucket::new(rate as f64, now), load.bytes()));
        let (interrupt, engine) = of;
        load.set_used(Used { cpu, bytes }, engine);
        Pace { load, meter, pulse, interrupt }
    }

    /// What the program returns, at this pace.
    pub(crate) async fn keep<F: Future>(mut self, program: F) -> F::Output {
        let mut program = pin!(program);
        let interrupt = self.interrupt.clone();
        let mut asked = pin!(interrupt.is_asked());
        let mut is_asked = false;
        let mut pause: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            is_asked = is_asked || asked.as_mut().poll(cx).is_ready();
            loop {
                if let Some(pause) = pause.as_mut().filter(|_| !is_asked) {
                    ready!(pause.as_mut().poll(cx));
                }
                pause = None;
                self.pulse.set_interrupted(false);
                if let Poll::Ready(ended) = program.as_mut().poll(cx) {
                    return Poll::Ready(ended);
                }
                // If it was woken meanwhile it is polled once more after the pause.
                let Some(after) = self.lacks().filter(|_| !is_asked) else { return Poll::Pending };
                self.meter.delayed();
                pause = Some(Box::pin(sleep(after)));
            }
        })
        .await
    }

    /// For how long it has to pause.
    fn lacks(&mut self) -> Option<Duration> {
        self.load.lacks()
    }
}

/// The processor time of this thread, in nanoseconds.
fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A thread that moves an engine's epoch on, until it is dropped.
pub(crate) struct Ticker {
    ended: Arc<AtomicBool>,
    thread: Thread,
}

impl Ticker {
    pub(crate) fn start(engine: Engine) -> io::Result<Ticker> {
        let ended = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new().name("ticker".to_owned()).spawn({
            let ended = Arc::clone(&ended);
            move || {
                while !ended.load(Ordering::SeqCst) {
                    thread::park_timeout(TICK);
                    engine.increment_epoch();
                }
            }
        })?;
        Ok(Ticker { ended, thread: thread.thread().clone() })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lends_and_fills_up_at_its_rate() {
        let now = Instant::now();
        let mut bucket = Bucket::new(1000.0, now);
        bucket.take(100.0);
        assert_eq!(bucket.lacks(0.0, now), None, "a tenth of a second was saved up");
        bucket.take(500.0);
        let half = bucket.lacks(0.0, now).unwrap();
        assert_eq!(half.as_millis(), 500);
        assert!(bucket.lacks(0.0, now + half / 2).is_some());
        assert_eq!(bucket.lacks(0.0, now + half), None);
        // No more is saved up than that.
        let later = now + Duration::from_secs(3600);
        assert_eq!(bucket.lacks(100.0, later), None);
        assert!(bucket.lacks(101.0, later).is_some());
    }

    #[test]
    fn of_a_low_rate_one_can_be_had() {
        let now = Instant::now();
        let mut bucket = Bucket::new(0.5, now);
        assert_eq!(bucket.lacks(1.0, now), None);
        bucket.take(1.0);
        assert_eq!(bucket.lacks(1.0, now).unwrap().as_secs(), 2);
    }

    #[test]
    fn what_has_carried_too_much_is_polled_later() {
        let load = Arc::new(Load::default());
        let meter = Meter::new().of_a_run(Arc::clone(&load));
        let pace = Pace::new(
            Rates { cpu: None, bytes: Some(1_000_000) },
            load,
            meter.clone(),
            Pulse::default(),
            (Interrupt::new(), Engine::default()),
        );
        let mut polls = 0;
        let program = poll_fn(|cx| {
            polls += 1;
            meter.sent(50_000);
            cx.waker().wake_by_ref();
            if polls == 5 { Poll::Ready("ended") } else { Poll::Pending }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        assert_eq!(runtime.block_on(pace.keep(program)), "ended");
        // The third and the fourth time it had carried more than 100 000 bytes, unless the machine was slow in between.
        assert!(meter.traffic().delayed >= 1);
    }
}
