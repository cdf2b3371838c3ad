//! A run: a program in a world of its own, from the first poll to what it left behind.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::{Event, Faults, Log};
use crate::runtime::{self, Suspended};
use crate::sys::sim::choice::{Choices, From, Odometer};
use crate::sys::sim::{Setup, World};

/// What one direction of a connection holds, unless [`Sim::buffer`] says otherwise.
const BUFFER: usize = 64 * 1024;

/// A simulation to be run: where its choices come from and what may go wrong.
///
/// ```
/// use dormouse::sim::Sim;
/// use dormouse::time::{Duration, sleep};
/// let run = Sim::seeded(1).run(async {
///     sleep(Duration::from_secs(86_400)).await;
///     "good morning"
/// });
/// assert_eq!(run.elapsed, Duration::from_secs(86_400));
/// assert_eq!(run.unwrap(), "good morning");
/// ```
#[must_use = "a simulation does nothing until it is run"]
pub struct Sim {
    origin: Origin,
    from: From,
    faults: Faults,
    log: bool,
    buffer: usize,
    limit: Option<Duration>,
}

/// How a run is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Seed(u64),
    /// By its choices.
    Choices,
    /// By its choices, and the exploration says so.
    Explored,
}

impl Sim {
    /// Choices that look random and are the same for the same seed.
    pub fn seeded(seed: u64) -> Sim {
        Sim::new(Origin::Seed(seed), From::Seed(seed))
    }

    /// Choices from a fuzzer's bytes. When they run out nothing strange happens any more.
    ///
    /// ```
    /// use dormouse::sim::{self, Sim};
    /// let run = Sim::from_bytes([3]).run(async { (sim::choose(10), sim::choose(10)) });
    /// assert_eq!(run.unwrap(), (3, 0));
    /// ```
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Sim {
        Sim::new(Origin::Choices, From::Bytes { bytes: bytes.into(), at: 0 })
    }

    /// The choices of another run, [`Run::choices`]. With the same faults and the same program it is the same run.
    ///
    /// ```
    /// use dormouse::sim::{self, Sim};
    /// let program = || async { [sim::choose(100), sim::choose(100)] };
    /// let run = Sim::seeded(7).run(program());
    /// let again = Sim::replay(run.choices.clone()).run(program());
    /// assert_eq!(run.unwrap(), again.unwrap());
    /// ```
    pub fn replay(choices: impl Into<Vec<u32>>) -> Sim {
        Sim::new(Origin::Choices, From::List { list: choices.into(), at: 0 })
    }

    fn new(origin: Origin, from: From) -> Sim {
        Sim { origin, from, faults: Faults::none(), log: false, buffer: BUFFER, limit: None }
    }

    /// Sets what may go wrong; by default nothing.
    pub fn faults(self, faults: Faults) -> Sim {
        Sim { faults, ..self }
    }

    /// Keeps the events of the run for [`Run::log`].
    ///
    /// ```
    /// use dormouse::sim::{self, Sim};
    /// let run = Sim::seeded(7).log(true).run(async { sim::note("here") });
    /// assert_eq!(run.log[0].to_string().trim(), "0ns  note: here");
    /// ```
    pub fn log(self, keep: bool) -> Sim {
        Sim { log: keep, ..self }
    }

    /// Sets how many bytes one direction of a connection holds, written and not read; by default 64 KiB.
    pub fn buffer(self, bytes: usize) -> Sim {
        Sim { buffer: bytes.max(1), ..self }
    }

    /// Ends the run, with an error of kind `TimedOut`, rather than let more than `time` pass: a program that has a timer
    /// is never stalled.
    ///
    /// ```
    /// use dormouse::{sim::Sim, time::{Duration, sleep}};
    /// let run = Sim::seeded(7).limit(Duration::from_secs(3600)).run(async {
    ///     loop {
    ///         sleep(Duration::from_secs(1)).await;
    ///     }
    /// });
    /// assert_eq!(run.result.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    /// ```
    pub fn limit(self, time: Duration) -> Sim {
        Sim { limit: Some(time), ..self }
    }

    /// Runs `future`, and all that it spawns, in the simulated world until it ends, as
    /// [`block_on`](crate::block_on) does in the real one. If it panics, standard error says how to repeat the run.
    ///
    /// # Panics
    /// If a simulation runs on this thread already. With a sentence, if Dormouse itself breaks a rule of its own.
    pub fn run<F: Future>(self, future: F) -> Run<F::Output> {
        let Sim { origin, from, faults, log, buffer, limit } = self;
        let given = faults.clone();
        let world = World::new(Setup { choices: Choices::new(from), faults, log: Log::new(log), buffer, limit });
        let entered = Entered::new(Rc::clone(&world), &origin, &given);
        let result = runtime::try_block_on(future);
        drop(entered);
        world.with(|state| {
            let (sockets, watched) = state.left();
            Run {
                result,
                log: state.setup.log.take(),
                digest: state.digest(),
                choices: state.setup.choices.made().to_vec(),
                elapsed: state.elapsed(),
                leaks: Leaks { sockets, watched },
                origin,
                faults: given,
            }
        })
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("origin", &self.origin).field("faults", &self.faults).finish_non_exhaustive()
    }
}

/// What came of a run.
#[derive(Debug)]
#[must_use = "a run may have come to nothing"]
#[non_exhaustive]
pub struct Run<T> {
    /// What the future gave. An error of kind `Deadlock`, with the list of parked tasks, if nothing could wake the
    /// program any more; of kind `TimedOut`, if it went on for longer than [`Sim::limit`].
    pub result: io::Result<T>,
    /// What happened, if [`Sim::log`] asked for it.
    pub log: Vec<Event>,
    /// A number for all that happened: two runs that differ have, almost certainly, different ones. To compare
    /// runs of one build; another version of Dormouse or of Rust may count differently.
    pub digest: u64,
    /// What was chosen, for [`Sim::replay`].
    pub choices: Vec<u32>,
    /// The virtual time that has passed.
    pub elapsed: Duration,
    /// What the program has not given back.
    pub leaks: Leaks,
    origin: Origin,
    faults: Faults,
}

impl<T> Run<T> {
    /// What the future gave.
    ///
    /// # Panics
    /// If the run came to nothing; with the reason, and how to repeat it.
    #[track_caller]
    pub fn unwrap(self) -> T {
        match self.result {
            Ok(value) => value,
            Err(error) if self.origin == Origin::Explored => panic!("{error}"),
            Err(error) => panic!("{error}\n{}", repeat(&self.origin, &self.choices, &self.faults)),
        }
    }
}

/// What is left when a run has ended. Sockets that are part of its result count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leaks {
    /// Sockets that are open.
    pub sockets: usize,
    /// Sides of sockets that the poller watches.
    pub watched: usize,
}

impl Leaks {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        *self == Leaks::default()
    }
}

/// Calls `program` for each way in which its choices can go, and tells how many there were. It is given a simulation to
/// run once, and may look at what came of it.
///
/// This is for small programs: with three alternatives at each of ten places there are 59 049. [`Faults::most`] bounds
/// the faults. Of sizes and delays only the least and the greatest are tried.
///
/// ```
/// use dormouse::sim::{self, Faults};
/// let orders = sim::explore(Faults { reorder: true, ..Faults::none() }, |sim| {
///     sim.run(async {
///         let tasks = [(); 3].map(|()| dormouse::spawn(async {}));
///         for task in tasks {
///             task.await.unwrap();
///         }
///     })
///     .unwrap();
/// });
/// assert_eq!(orders, 6);
/// ```
///
/// # Panics
/// If `program` does; standard error then says how to repeat that run. If a run makes more than 10 000 choices, or
/// other ones than the run before it made up to the same point.
pub fn explore(faults: Faults, mut program: impl FnMut(Sim)) -> u64 {
    let odometer = Rc::new(RefCell::new(Odometer::default()));
    let mut runs = 0;
    loop {
        let sim = Sim::new(Origin::Explored, From::Odometer(Rc::clone(&odometer)));
        let guard = Exploring { odometer: &odometer, faults: &faults };
        program(sim.faults(faults.clone()));
        drop(guard);
        runs += 1;
        if !odometer.borrow_mut().turn() {
            return runs;
        }
    }
}

/// Says how to repeat the run of an exploration that panics.
struct Exploring<'a> {
    odometer: &'a RefCell<Odometer>,
    faults: &'a Faults,
}

impl Drop for Exploring<'_> {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(odometer) = self.odometer.try_borrow()
        {
            eprintln!("{}", repeat(&Origin::Choices, &odometer.made(), self.faults));
        }
    }
}

/// The thread is inside a simulation; what it had before comes back at the end, also by a panic.
struct Entered<'a> {
    world: Rc<World>,
    origin: &'a Origin,
    faults: &'a Faults,
    _suspended: Suspended,
}

impl<'a> Entered<'a> {
    fn new(world: Rc<World>, origin: &'a Origin, faults: &'a Faults) -> Self {
        assert!(World::current().is_none(), "Sim::run was called inside another Sim::run");
        World::set_current(Some(Rc::clone(&world)));
        Entered { world, origin, faults, _suspended: Suspended::new() }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        World::set_current(None);
        if std::thread::panicking() && *self.origin != Origin::Explored {
            let choices = self.world.with(|state| state.setup.choices.made().to_vec());
            eprintln!("{}", repeat(self.origin, &choices, self.faults));
        }
    }
}

fn repeat(origin: &Origin, choices: &[u32], faults: &Faults) -> String {
    match origin {
        Origin::Seed(seed) => format!("to repeat: Sim::seeded({seed}), with {faults:?}"),
        Origin::Choices | Origin::Explored => format!("to repeat: Sim::replay({choices:?}), with {faults:?}"),
    }
}
