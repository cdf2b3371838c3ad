//! The world of a simulation: its clock, its choices, its sockets and what is on its way between them. Sockets hold it,
//! so one that outlives its run finds a world in which time stands still.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::choice::Choices;
use super::poller::Watched;
use super::socket::{Id, Socket};
use super::wire::Flights;
use crate::sim::{Fault, Faults, Log, What};

/// Where the clock begins: not at 0, so that a program may look back.
const BEGINNING: u64 = 24 * 60 * 60 * 1_000_000_000;

thread_local! {
    static CURRENT: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

pub(crate) struct World(RefCell<State>);

/// What a simulation is given.
pub(crate) struct Setup {
    pub(crate) choices: Choices,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
    /// Bytes that one direction of a connection holds.
    pub(crate) buffer: usize,
    pub(crate) limit: Option<Duration>,
}

pub(crate) struct State {
    clock: u64,
    /// Since the program last slept.
    pub(super) waits_in_a_row: u32,
    pub(crate) setup: Setup,
    pub(super) sockets: BTreeMap<Id, Socket>,
    pub(super) last_id: Id,
    pub(super) next_port: u16,
    pub(super) flights: Flights,
    pub(super) watched: Watched,
}

impl World {
    pub(crate) fn new(setup: Setup) -> Rc<World> {
        Rc::new(World(RefCell::new(State {
            clock: BEGINNING,
            waits_in_a_row: 0,
            setup,
            sockets: BTreeMap::new(),
            last_id: 0,
            next_port: 0,
            flights: Flights::default(),
            watched: Watched::default(),
        })))
    }

    /// The world of the simulation that runs on this thread.
    pub(crate) fn current() -> Option<Rc<World>> {
        CURRENT.with(|current| current.borrow().clone())
    }

    /// Makes it this thread's world; `None` takes the thread's world away.
    pub(crate) fn set_current(world: Option<Rc<World>>) {
        CURRENT.with(|current| current.replace(world));
    }

    /// No code of the program's runs inside.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.borrow_mut())
    }

    pub(crate) fn now(&self) -> u64 {
        self.0.borrow().clock
    }
}

impl State {
    pub(super) fn now(&self) -> u64 {
        self.clock
    }

    /// Time passes, up to `when`.
    pub(super) fn pass(&mut self, when: u64) {
        assert!(when >= self.clock, "the simulated clock went back");
        self.clock = when;
    }

    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.clock - BEGINNING)
    }

    pub(crate) fn log(&mut self, what: What) {
        self.setup.log.push(Duration::from_nanos(self.clock - BEGINNING), what);
    }

    /// Whether something goes wrong now; `percent` is that of the fault in [`Faults`].
    pub(super) fn goes_wrong(&mut self, fault: Fault, percent: impl Fn(&Faults) -> u8) -> bool {
        let percent = percent(&self.setup.faults);
        if self.setup.faults.most == 0 || !self.setup.choices.chance(percent) {
            return false;
        }
        self.setup.faults.most -= 1;
        self.log(What::Fault(fault));
        true
    }

    /// Brings a list into an order of the simulation's choice, if that is to be chosen. Each order is one sequence of
    /// choices, and that of zeros changes nothing.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        if !self.setup.faults.reorder {
            return;
        }
        for at in 0..list.len() {
            let chosen = at + self.setup.choices.choose(list.len() - at);
            list.swap(at, chosen);
        }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.setup.log.digest(self.setup.choices.made())
    }

    /// Sockets that are open, and sides that are watched.
    pub(crate) fn left(&self) -> (usize, usize) {
        (self.sockets.len(), self.watched.armed())
    }
}
