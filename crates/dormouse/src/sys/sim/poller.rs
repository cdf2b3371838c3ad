//! The wait of a simulation: what is due arrives, what is ready is reported, and only if there is none, time passes.
//!
//! It holds the upper half to the contract of [`Wait`]: a source that goes while it is watched, or a key that changes
//! its source, is a panic.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::socket::Id;
use super::world::State;
use super::{Descriptor, Notifier, Source, World, host};
use crate::base::Key;
use crate::sim::{Fault, What};
use crate::sys::{Ready, Side, Until, Wait};

/// Virtual time of a look, in nanoseconds: so the clock goes on also under a program that only looks.
const LOOK: u64 = 1_000;
/// So many waits may find something ready in a row, and take no time. Then each is a look: a peer that never stops would
/// otherwise stop the clock.
const BUSY: u32 = 64;
/// How far the clock leaps at most.
const LEAP: Duration = Duration::from_secs(1);

pub(crate) enum Poller {
    Host(host::Poller),
    Sim(Rc<World>),
}

impl Wait for Poller {
    type Source = Source;
    type Notifier = Notifier;

    const EDGES: bool = <host::Poller as Wait>::EDGES;

    fn new() -> io::Result<Self> {
        match World::current() {
            Some(world) => Ok(Poller::Sim(world)),
            None => host::Poller::new().map(Poller::Host),
        }
    }

    fn arm(&mut self, source: &Source, side: Side, key: Key) -> io::Result<()> {
        match (self, source) {
            (Poller::Host(poller), Source::Host(source)) => poller.arm(source, side, key),
            (Poller::Sim(world), Source::Sim(source)) => {
                assert!(source.is_of(world), "a socket of one simulation is waited for in another");
                world.with(|state| state.arm(source.id(), side, key));
                Ok(())
            }
            _ => Err(crate::base::error(
                io::ErrorKind::InvalidInput,
                "a simulation waits for its own sockets, and the host for its own",
            )),
        }
    }

    fn arm_untried(&mut self, source: &Source, side: Side, key: Key) -> io::Result<()> {
        match (&mut *self, source) {
            (Poller::Host(poller), Source::Host(source)) => poller.arm_untried(source, side, key),
            _ => self.arm(source, side, key),
        }
    }

    fn disarm(&mut self, side: Side, key: Key) {
        match self {
            Poller::Host(poller) => poller.disarm(side, key),
            Poller::Sim(world) => world.with(|state| state.watched.disarm(side, key)),
        }
    }

    fn remove(&mut self, key: Key) {
        match self {
            Poller::Host(poller) => poller.remove(key),
            Poller::Sim(world) => world.with(|state| state.unwatch(key)),
        }
    }

    fn wait(&mut self, until: Until, ready: &mut Vec<Ready>) -> io::Result<bool> {
        match self {
            Poller::Host(poller) => poller.wait(until, ready),
            Poller::Sim(world) => world.with(|state| state.wait(until, ready)),
        }
    }

    fn armed(&self) -> usize {
        match self {
            Poller::Host(poller) => poller.armed(),
            Poller::Sim(world) => world.with(|state| state.watched.armed()),
        }
    }

    fn notifier(&self) -> Notifier {
        match self {
            Poller::Host(poller) => Notifier::Host(poller.notifier()),
            Poller::Sim(_) => Notifier::Sim,
        }
    }
}

/// What is watched, by index of the key.
#[derive(Default)]
pub(super) struct Watched(Vec<Watch>);

#[derive(Clone, Copy, Default)]
struct Watch {
    generation: u32,
    /// From `arm` to `remove`.
    socket: Option<Id>,
    /// By side.
    armed: [bool; 2],
}

impl Watched {
    fn get(&mut self, key: Key) -> Option<&mut Watch> {
        self.0.get_mut(key.index as usize).filter(|watch| watch.generation == key.generation)
    }

    fn disarm(&mut self, side: Side, key: Key) {
        if let Some(watch) = self.get(key) {
            watch.armed[side as usize] = false;
        }
    }

    /// How many sides are armed.
    pub(super) fn armed(&self) -> usize {
        self.0.iter().flat_map(|watch| watch.armed).filter(|&armed| armed).count()
    }

    /// Sides that are armed, in the order of their keys.
    fn sides(&self) -> impl Iterator<Item = (Ready, Id)> {
        self.0.iter().enumerate().flat_map(|(index, watch)| {
            let key = Key { index: index as u32, generation: watch.generation };
            let armed = [Side::Read, Side::Write].into_iter().filter(|&side| watch.armed[side as usize]);
            armed.filter_map(move |side| Some((Ready { key, side }, watch.socket?)))
        })
    }
}

impl State {
    fn arm(&mut self, id: Id, side: Side, key: Key) {
        let index = key.index as usize;
        if index >= self.watched.0.len() {
            self.watched.0.resize(index + 1, Watch::default());
        }
        let watch = &mut self.watched.0[index];
        if watch.generation != key.generation {
            assert!(watch.socket.is_none(), "socket {id} is watched under a key whose last source was not removed");
            watch.generation = key.generation;
        }
        assert!(watch.socket.is_none_or(|watched| watched == id), "socket {id} is watched under another socket's key");
        watch.socket = Some(id);
        watch.armed[side as usize] = true;
        let socket = self.sockets.get_mut(&id).expect("a socket that is closed is waited for");
        assert!(socket.watched_by.is_none_or(|other| other == key), "socket {id} is watched under two keys");
        socket.watched_by = Some(key);
    }

    fn unwatch(&mut self, key: Key) {
        let Some(watch) = self.watched.get(key) else { return };
        let socket = watch.socket.take();
        watch.armed = [false; 2];
        if let Some(socket) = socket.and_then(|id| self.sockets.get_mut(&id)) {
            socket.watched_by = None;
        }
    }

    fn wait(&mut self, until: Until, ready: &mut Vec<Ready>) -> io::Result<bool> {
        self.waits_in_a_row += 1;
        if until == Until::Now || self.waits_in_a_row > BUSY {
            self.pass(self.now() + LOOK);
        }
        let deadline = match until {
            Until::Now => Some(self.now()),
            Until::At(when) => Some(when.as_nanos()),
            Until::Forever => None,
        };
        let first = ready.len();
        loop {
            self.deliver_due();
            self.report(ready);
            let passed = deadline.is_some_and(|deadline| deadline <= self.now());
            if ready.len() > first || passed {
                return Ok(passed);
            }
            let Some(next) = self.flights.next_due().into_iter().chain(deadline).min() else {
                return Err(crate::base::error(
                    io::ErrorKind::Deadlock,
                    "no runnable task, no timer, and nothing on its way to a socket that is waited for",
                ));
            };
            if deadline.is_some() && self.goes_wrong(Fault::SpuriousWake, |faults| faults.spurious_wakes) {
                return Ok(true);
            }
            self.sleep(next)?;
        }
    }

    fn sleep(&mut self, mut until: u64) -> io::Result<()> {
        if self.goes_wrong(Fault::ClockJump, |faults| faults.clock_jumps) {
            let leap = 1_000 * (1 + self.setup.choices.within(LEAP.as_micros() as usize)) as u64;
            until = until.saturating_add(leap);
        }
        let time = Duration::from_nanos(until - self.now());
        if let Some(limit) = self.setup.limit.filter(|&limit| self.elapsed() + time > limit) {
            return Err(crate::base::error(io::ErrorKind::TimedOut, format!("the simulation went on for {limit:?}")));
        }
        self.log(What::Slept { time });
        self.waits_in_a_row = 0;
        self.pass(until);
        Ok(())
    }

    /// Reports sides that are ready, and disarms them.
    fn report(&mut self, ready: &mut Vec<Ready>) {
        let first = ready.len();
        let mut quiet = Vec::new();
        for (side, id) in self.watched.sides() {
            if self.is_ready(id, side.side) { ready.push(side) } else { quiet.push(side) }
        }
        if self.setup.faults.subsets > 0 {
            let mut at = first;
            // One at least is told, or nothing would ever move.
            while ready.len() > first + 1 && at < ready.len() {
                if self.goes_wrong(Fault::Subset, |faults| faults.subsets) {
                    ready.remove(at);
                } else {
                    at += 1;
                }
            }
        }
        if self.setup.faults.spurious_wakes > 0 {
            for side in quiet {
                if self.goes_wrong(Fault::SpuriousWake, |faults| faults.spurious_wakes) {
                    ready.push(side);
                }
            }
        }
        self.shuffle(&mut ready[first..]);
        for &Ready { key, side } in &ready[first..] {
            let Some(watch) = self.watched.get(key) else { unreachable!("taken from there") };
            watch.armed[side as usize] = false;
            let Some(socket) = watch.socket else { unreachable!("what is armed has a socket") };
            self.log(match side {
                Side::Read => What::Readable { socket },
                Side::Write => What::Writable { socket },
            });
        }
    }
}

impl Descriptor {
    /// The contract: `remove` comes before the source goes.
    pub(super) fn assert_unwatched(&self, watched_by: Option<Key>) {
        assert!(
            watched_by.is_none() || std::thread::panicking(),
            "socket {} was dropped while the poller still watched it",
            self.id()
        );
    }
}

#[cfg(all(test, panic = "unwind"))]
mod tests {
    use super::*;
    use crate::sim::{Faults, Log};
    use crate::sys::sim::Setup;
    use crate::sys::sim::choice::{Choices, From};

    const KEY: Key = Key { index: 3, generation: 1 };

    fn world() -> (Rc<World>, Poller, Source) {
        let choices = Choices::new(From::Seed(0));
        let world = World::new(Setup { choices, faults: Faults::none(), log: Log::new(false), buffer: 1, limit: None });
        let socket = Source::Sim(Descriptor::new(Rc::clone(&world), false));
        (Rc::clone(&world), Poller::Sim(world), socket)
    }

    fn reported(poller: &mut Poller) -> Vec<(Key, Side)> {
        let mut ready = Vec::new();
        poller.wait(Until::Now, &mut ready).unwrap();
        ready.iter().map(|ready| (ready.key, ready.side)).collect()
    }

    #[test]
    fn a_side_is_reported_once_each_time_it_is_armed() {
        let (_world, mut poller, socket) = world();
        for _ in 0..2 {
            poller.arm(&socket, Side::Read, KEY).unwrap();
            poller.arm(&socket, Side::Write, KEY).unwrap();
            poller.arm(&socket, Side::Write, KEY).unwrap();
            assert_eq!(poller.armed(), 2);
            assert_eq!(reported(&mut poller), [(KEY, Side::Write)], "who is not bound may write, and not read");
            assert_eq!(reported(&mut poller), []);
            assert_eq!(poller.armed(), 1);
        }
        poller.remove(KEY);
        assert_eq!(poller.armed(), 0);
    }

    #[test]
    fn what_is_disarmed_or_removed_is_not_reported() {
        let (_world, mut poller, socket) = world();
        poller.arm(&socket, Side::Write, KEY).unwrap();
        poller.disarm(Side::Write, Key { generation: 0, ..KEY });
        poller.remove(Key { generation: 0, ..KEY });
        assert_eq!(poller.armed(), 1, "an old key changes nothing");
        poller.disarm(Side::Write, KEY);
        assert_eq!(reported(&mut poller), []);
        poller.arm(&socket, Side::Write, KEY).unwrap();
        poller.remove(KEY);
        assert_eq!(reported(&mut poller), []);
    }

    #[test]
    fn a_wait_for_what_never_comes_is_an_error() {
        let (_world, mut poller, socket) = world();
        poller.arm(&socket, Side::Read, KEY).unwrap();
        let error = poller.wait(Until::Forever, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Deadlock);
        poller.remove(KEY);
    }

    #[test]
    #[should_panic(expected = "socket 1 was dropped while the poller still watched it")]
    fn a_source_that_goes_while_it_is_watched_is_found_out() {
        let (_world, mut poller, socket) = world();
        poller.arm(&socket, Side::Read, KEY).unwrap();
        poller.disarm(Side::Read, KEY);
        drop(socket);
    }

    #[test]
    #[should_panic(expected = "socket 1 is watched under two keys")]
    fn a_source_under_two_keys_is_found_out() {
        let (_world, mut poller, socket) = world();
        poller.arm(&socket, Side::Read, KEY).unwrap();
        let _ = poller.arm(&socket, Side::Read, Key { index: 4, generation: 0 });
    }

    #[test]
    #[should_panic(expected = "socket 2 is watched under another socket's key")]
    fn a_key_of_another_source_is_found_out() {
        let (world, mut poller, socket) = world();
        let other = Source::Sim(Descriptor::new(world, false));
        poller.arm(&socket, Side::Read, KEY).unwrap();
        let _ = poller.arm(&other, Side::Read, KEY);
    }

    #[test]
    #[should_panic(expected = "socket 2 is watched under a key whose last source was not removed")]
    fn a_key_that_is_used_again_too_soon_is_found_out() {
        let (world, mut poller, socket) = world();
        let other = Source::Sim(Descriptor::new(world, false));
        poller.arm(&socket, Side::Read, KEY).unwrap();
        let _ = poller.arm(&other, Side::Read, Key { generation: 2, ..KEY });
    }

    #[test]
    #[should_panic(expected = "the simulated clock went back")]
    fn a_clock_that_goes_back_is_found_out() {
        world().0.with(|state| state.pass(0));
    }
}
