//! What the files find around them, and the tests, which have to be where they can be seen from.

#[path = "../../src/sys/wasi/long/numbers.rs"]
mod numbers;
#[path = "../../src/sys/wasi/long/review.rs"]
mod review;
#[path = "../../src/sys/wasi/long/watched.rs"]
mod watched;

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use crate::base::Key;
use numbers::{CLOCK, LONG, PART, REVIEW, SHARE, SHORTEST, SOCKETS};
use review::{Host, Reviewed};
use watched::Watched;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Read = 0,
    #[allow(dead_code)]
    Write = 1,
}

#[derive(Clone, Copy, Debug)]
pub struct Ready {
    pub key: Key,
    pub side: Side,
}

/// What wasmtime takes for each entry of a list, in nanoseconds.
const EACH: u64 = 450;
/// And what a program takes for each socket that is ready.
const SERVED: u64 = 4_000;
/// From these numbers on an entry is a clock.
const CLOCKS: u32 = 1 << 24;
/// The entry that is the bell.
const BELL: u32 = u32::MAX;

const NEVER: u64 = u64::MAX;

/// xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// When each socket and each clock is ready, and what time it is.
struct World {
    now: u64,
    sockets: Vec<u64>,
    clocks: Vec<u64>,
    /// Of the lists that polls were given.
    entries: u64,
    polls: u64,
    /// How many a poll reports at the most.
    budget: usize,
    /// Of a host with a bell: by socket, whether a poll has found it not ready, and it has not rung since.
    bell: Option<Vec<bool>>,
    rings: u64,
    /// When sides become ready that the program does not wait for any more.
    unwanted: Vec<u64>,
}

impl World {
    /// When the bell rings, in a list without these sockets.
    fn bell(&self, list: &[u32]) -> u64 {
        let Some(watched) = &self.bell else { return NEVER };
        let sockets =
            (0..).zip(&self.sockets).filter(|&(socket, _)| watched[socket] && !list.contains(&(socket as u32)));
        sockets.map(|(_, &due)| due).chain(self.unwanted.iter().copied()).min().unwrap_or(NEVER)
    }

    /// What the poll has told of the bell, and what it has looked at.
    fn after(&mut self, list: &[u32], rang: bool) {
        let (now, sockets) = (self.now, &self.sockets);
        let Some(watched) = &mut self.bell else { return };
        for &socket in list.iter().filter(|&&entry| entry < CLOCKS) {
            watched[socket as usize] = sockets[socket as usize] > now;
        }
        if rang {
            self.rings += 1;
            let rung = watched.iter_mut().zip(sockets).filter(|(_, due)| **due <= now);
            rung.for_each(|(watched, _)| *watched = false);
            self.unwanted.retain(|due| *due > now);
        }
    }

    fn of(&self, entry: u32, bell: u64) -> u64 {
        if entry == BELL {
            return bell;
        }
        match entry.checked_sub(CLOCKS) {
            Some(clock) => self.clocks[clock as usize],
            None => self.sockets[entry as usize],
        }
    }
}

struct Simulated {
    world: Rc<RefCell<World>>,
    /// The places of those that are ready.
    fired: Vec<usize>,
}

impl Host for Simulated {
    type Entry = u32;
    type Alarm = u32;
    type Error = Infallible;
    const IN_TURNS: bool = true;

    fn has_bell(&self) -> bool {
        self.world.borrow().bell.is_some()
    }

    fn bell(&mut self) -> u32 {
        BELL
    }

    fn now(&mut self) -> u64 {
        self.world.borrow().now
    }

    fn alarm(&mut self, nanos: u64) -> u32 {
        let mut world = self.world.borrow_mut();
        let due = world.now + nanos;
        world.clocks.push(due);
        CLOCKS + world.clocks.len() as u32 - 1
    }

    fn past(&mut self) -> u32 {
        self.alarm(0)
    }

    fn entry(alarm: &u32) -> u32 {
        *alarm
    }

    fn poll(&mut self, list: &[u32]) -> Result<(), Infallible> {
        let mut world = self.world.borrow_mut();
        assert!(!list.is_empty(), "a host traps on an empty list");
        world.polls += 1;
        world.entries += list.len() as u64;
        world.now += EACH * list.len() as u64;
        let bell = if list.contains(&BELL) { world.bell(list) } else { NEVER };
        let earliest = list.iter().map(|&entry| world.of(entry, bell)).min().expect("not empty");
        assert_ne!(earliest, NEVER, "nothing would ever happen");
        if earliest > world.now {
            // It sleeps, and looks at all of them again.
            world.now = earliest + EACH * list.len() as u64;
        }
        // In the order of their numbers, as wasmtime has it.
        let mut places: Vec<_> = (0..list.len()).collect();
        places.sort_by_key(|&place| (list[place] < CLOCKS, list[place]));
        let ready = places.into_iter().filter(|&place| world.of(list[place], bell) <= world.now);
        self.fired = ready.take(world.budget).collect();
        let rang = bell <= world.now && self.fired.iter().any(|&place| list[place] == BELL);
        world.after(list, rang);
        Ok(())
    }

    fn rang(&self) -> bool {
        self.fired.contains(&REVIEW)
    }

    fn report(&mut self, from: usize, alarm: bool, watched: &mut Watched<u32>, ready: &mut Vec<Ready>) -> bool {
        let fired = self.fired.iter().filter(|&&place| !alarm || place > 0).map(|place| from + place);
        let first = ready.len();
        ready.extend(fired.clone().filter_map(|place| watched.owner(place)));
        let clock_fired = fired.into_iter().any(|place| place == CLOCK);
        ready[first..].iter().for_each(|&Ready { side, key }| watched.take_out(side, key));
        clock_fired
    }
}

/// A program with a long list.
struct Program {
    world: Rc<RefCell<World>>,
    list: Reviewed<Simulated>,
    random: Random,
}

impl Program {
    fn new(sockets: usize, seed: u64) -> Program {
        let world = World {
            now: 1,
            sockets: vec![NEVER; sockets],
            clocks: Vec::new(),
            entries: 0,
            polls: 0,
            budget: usize::MAX,
            bell: None,
            rings: 0,
            unwanted: Vec::new(),
        };
        let mut list = Reviewed::new(0);
        (0..sockets as u32).for_each(|index| list.watched.push(Side::Read, key(index), index));
        Program { world: Rc::new(RefCell::new(world)), list, random: Random(seed * 2 + 1) }
    }

    /// The same, on a host with a bell.
    fn with_bell(sockets: usize, seed: u64) -> Program {
        let program = Program::new(sockets, seed);
        program.world.borrow_mut().bell = Some(vec![false; sockets]);
        program
    }

    /// Waits, and serves the ready sides: each is ready again after what `again` says. Returns them, and how long each has waited.
    fn turn(&mut self, mut again: impl FnMut(&mut Random, u32) -> u64) -> Vec<(u32, u64)> {
        let mut ready = Vec::new();
        let mut host = Simulated { world: Rc::clone(&self.world), fired: Vec::new() };
        let Ok(_) = self.list.wait(&mut host, None, &mut ready);
        let mut served = Vec::new();
        for Ready { key, side } in ready {
            let mut world = self.world.borrow_mut();
            assert!(!self.list.watched.is_armed(side, key), "what is reported is armed no more");
            let due = world.sockets[key.index as usize];
            assert!(due <= world.now, "it is not ready");
            served.push((key.index, world.now - due));
            world.now += SERVED;
            let after = again(&mut self.random, key.index);
            world.sockets[key.index as usize] = world.now.saturating_add(after);
            drop(world);
            self.list.watched.push(side, key, key.index);
        }
        served
    }

    fn now(&self) -> u64 {
        self.world.borrow().now
    }
}

fn key(index: u32) -> Key {
    Key { index, generation: 0 }
}

/// No idle connection waits longer than is said, whatever the busy ones do, and they have nine tenths of the time.
#[test]
fn the_bound_holds_and_the_share_for_every_seed() {
    for seed in 0..10 {
        for (busy, idle) in [(1, 200), (10, 1_000), (50, 1_000), (50, 10_000), (300, 3_000)] {
            let mut program = Program::new(busy + idle, seed);
            let quiet = |random: &mut Random| 1_000_000 + random.below(400_000_000);
            for index in 0..busy + idle {
                let due = if index < busy { 0 } else { quiet(&mut program.random) };
                program.world.borrow_mut().sockets[index] = due;
            }
            let all = EACH * (busy + idle + SOCKETS) as u64;
            let (mut worst, mut echoes, mut turn) = (0, 0, 0);
            while program.now() < 300_000_000 {
                let served = program.turn(|random, index| {
                    // The busy ones are at times quiet, too.
                    if (index as usize) < busy && random.below(1_000) > 0 {
                        random.below(20_000)
                    } else {
                        quiet(random)
                    }
                });
                echoes += served.iter().filter(|(index, _)| (*index as usize) < busy).count();
                // Serving them, and looking at the busy ones twice.
                turn = turn.max(SERVED * served.len() as u64 + 2 * EACH * program.list.watched.quiet() as u64);
                worst = served.iter().map(|&(_, waited)| waited).fold(worst, u64::max);
            }
            let bound = (SHARE * all).max(2 * SHORTEST) + 2 * turn;
            assert!(worst <= bound, "seed {seed}, {busy} busy, {idle} idle: {worst} ns, and {bound} is said");
            assert!(echoes > 0);
        }
    }
}

/// With a host that reports only the first 128, all sides are served alike, however many are busy.
#[test]
fn a_host_with_a_budget_leaves_nobody_behind() {
    for (busy, quiet) in [(200, 0), (400, 0), (1_000, 0), (3_000, 0), (400, 3_000)] {
        let mut program = Program::new(busy + quiet, 11);
        program.world.borrow_mut().budget = 128;
        program.world.borrow_mut().sockets.iter_mut().for_each(|due| *due = 0);
        let (mut served, mut seen) = (vec![0; busy], vec![false; busy + quiet]);
        while program.now() < 1_000_000_000 {
            let next = |random: &mut Random, index: u32| match (index as usize) < busy {
                true => random.below(100_000),
                false => NEVER / 2,
            };
            for (index, _) in program.turn(next) {
                seen[index as usize] = true;
                if let Some(count) = served.get_mut(index as usize) {
                    *count += 1;
                }
            }
        }
        assert!(seen.iter().all(|seen| *seen), "{busy} busy, {quiet} quiet: some were never served");
        served.sort_unstable();
        let (slowest, median) = (served[0], served[busy / 2]);
        assert!(
            slowest * 10 >= median * 9,
            "{busy} busy, {quiet} quiet: the slowest has {slowest}, the median {median}"
        );
    }
}

/// With many that are busy, what the host has to look at for an echo stays the same.
#[test]
fn the_cost_of_an_echo_is_flat_as_the_busy_ones_grow() {
    for busy in [200, 400, 1_000, 5_000] {
        let mut program = Program::new(busy, 13);
        program.world.borrow_mut().sockets.iter_mut().for_each(|due| *due = 0);
        let mut echoes = 0;
        while program.now() < 1_000_000_000 {
            echoes += program.turn(|random, _| random.below(200_000)).len() as u64;
        }
        let entries = program.world.borrow().entries as f64 / echoes as f64;
        assert!(entries < 1.5, "{busy} busy: {entries:.2} entries for an echo");
    }
}

/// With a bell nothing that is ready is forgotten, and one that is quiet waits for the reviews in progress, or for a tenth of the time.
#[test]
fn with_a_bell_the_bound_holds_and_all_are_served() {
    for seed in 0..5 {
        for (busy, idle) in [(1, 200), (10, 1_000), (50, 5_000), (300, 1_000)] {
            let mut program = Program::with_bell(busy + idle, seed);
            let quiet = |random: &mut Random| 1_000_000 + random.below(400_000_000);
            for index in 0..busy + idle {
                let due = if index < busy { 0 } else { quiet(&mut program.random) };
                program.world.borrow_mut().sockets[index] = due;
            }
            let all = EACH * (busy + idle + SOCKETS) as u64;
            let (mut worst, mut turn) = (0, 0);
            while program.now() < 100_000_000 {
                let served = program.turn(|random, index| {
                    if (index as usize) < busy && random.below(1_000) > 0 {
                        random.below(20_000)
                    } else {
                        quiet(random)
                    }
                });
                turn = turn.max(SERVED * served.len() as u64 + 2 * EACH * program.list.watched.quiet() as u64);
                worst = served.iter().map(|&(_, waited)| waited).fold(worst, u64::max);
            }
            // Polls that look at busy entries in vain are given at most a review's worth of them before these are quiet.
            let bound = (SHARE * all).max(2 * SHORTEST) + 3 * turn;
            assert!(worst <= bound, "seed {seed}, {busy} busy, {idle} idle: {worst} ns, and {bound} is said");
            let now = program.now();
            let late = program.world.borrow().sockets.iter().filter(|due| **due + bound < now).count();
            assert_eq!(late, 0, "seed {seed}, {busy} busy, {idle} idle: forgotten");
        }
    }
}

/// A quiet one among ten thousand wakes the program at once, and the others are looked at once for it.
#[test]
fn with_a_bell_a_quiet_connection_waits_for_one_review() {
    for busy in [0, 50] {
        let mut program = Program::with_bell(10_000, 17);
        (0..busy).for_each(|index| program.world.borrow_mut().sockets[index] = 0);
        let next =
            |random: &mut Random, index: u32| if (index as usize) < busy { random.below(20_000) } else { NEVER / 2 };
        let wake = |program: &mut Program, index: u32| {
            let due = program.now() + 100_000_000;
            program.world.borrow_mut().sockets[index as usize] = due;
            loop {
                let served = program.turn(next);
                if let Some(&(_, waited)) = served.iter().find(|(served, _)| *served == index) {
                    return waited;
                }
            }
        };
        // All become quiet that are.
        (9_000..9_004).for_each(|index| assert!(wake(&mut program, index) < NEVER));
        for index in 5_000..5_004 {
            let rings = program.world.borrow().rings;
            let (waited, review) = (wake(&mut program, index), 2 * EACH * 10_002);
            assert!(waited < review + 500_000, "beside {busy} busy: {waited} ns");
            assert_eq!(program.world.borrow().rings, rings + 1);
        }
    }
}

/// What rings and is not wanted costs a review once, and then the program rests.
#[test]
fn with_a_bell_an_unwanted_ring_costs_one_review() {
    let mut program = Program::with_bell(1_000, 19);
    const SECOND: u64 = 1_000_000_000;
    program.world.borrow_mut().sockets[500] = 3_600 * SECOND;
    program.world.borrow_mut().unwanted = (1..=10).map(|second| second * SECOND).collect();
    assert_eq!(program.turn(|_, _| NEVER / 2).len(), 1);
    let world = program.world.borrow();
    assert_eq!(world.rings, 11, "one of them is wanted");
    assert!(world.polls <= 4 * world.rings, "{} polls for {} rings", world.polls, world.rings);
}

/// Beside busy ones there are no reviews, as long as nothing rings.
#[test]
fn with_a_bell_idle_connections_cost_nothing() {
    let entries = |idle: usize| {
        let mut program = Program::with_bell(200 + idle, 23);
        (0..50).for_each(|index| program.world.borrow_mut().sockets[index] = 0);
        let (mut echoes, mut before) = (0, 0);
        while program.now() < 300_000_000 {
            if program.now() < 100_000_000 {
                (echoes, before) = (0, program.world.borrow().entries);
            }
            echoes += program.turn(|random, _| random.below(2_000)).len() as u64;
        }
        (program.world.borrow().entries - before) as f64 / echoes as f64
    };
    let (alone, beside) = (entries(0), entries(10_000));
    assert!(beside < alone * 1.02, "{alone:.2} entries an echo alone, {beside:.2} beside 10 000");
}

/// What busy connections get beside thousands of idle ones is what they get without them, but for a tenth and the few entries.
#[test]
fn idle_connections_take_a_tenth_at_the_most() {
    let rate = |idle: usize| {
        let mut program = Program::new(50 + idle, 7);
        (0..50).for_each(|index| program.world.borrow_mut().sockets[index] = 0);
        let mut echoes = 0;
        while program.now() < 2_000_000_000 {
            echoes += program.turn(|random, _| random.below(2_000)).len();
        }
        echoes as f64
    };
    let alone = rate(0);
    for idle in [200, 1_000, 10_000] {
        let part = rate(idle) / alone;
        assert!(part > 0.85, "beside {idle} idle ones: {part:.2} of the rate without");
    }
}

/// Nothing happens for an hour: the program does not wake up, and then notices an event at once.
#[test]
fn an_idle_program_does_not_wake_up() {
    is_asleep(Program::new(1_000, 3));
    is_asleep(Program::with_bell(1_000, 3));
}

fn is_asleep(mut program: Program) {
    const HOUR: u64 = 3_600_000_000_000;
    program.world.borrow_mut().sockets[500] = HOUR;
    let served = program.turn(|_, _| NEVER - HOUR);
    assert_eq!(served.len(), 1);
    assert!(served[0].1 <= 3 * EACH * 1_002, "it waited {} ns", served[0].1);
    assert!(program.world.borrow().polls < 10, "{} polls", program.world.borrow().polls);
}

/// Something happens now and then: for each time the list is looked at once, and once more for what sleeping costs.
#[test]
fn a_program_that_is_seldom_busy_makes_no_reviews() {
    let mut program = Program::new(1_000, 9);
    const TENTH: u64 = 100_000_000;
    program.world.borrow_mut().sockets[500] = TENTH;
    for turn in 1..=100 {
        assert_eq!(program.turn(|_, _| TENTH).len(), 1);
        assert!(program.world.borrow().polls <= turn, "{} polls in {turn} turns", program.world.borrow().polls);
    }
}

/// A short list is given whole, and no clock is made for it.
#[test]
fn a_short_list_is_given_whole() {
    let mut program = Program::new(LONG - 1, 5);
    program.world.borrow_mut().sockets.iter_mut().for_each(|due| *due = 0);
    for _ in 0..100 {
        program.turn(|random, _| random.below(100_000));
    }
    let world = program.world.borrow();
    assert_eq!((world.entries, world.clocks.len()), (world.polls * (LONG as u64 - 1), 0));
}

/// Arming and disarming in any order keeps the list, and the place of each side.
#[test]
fn the_list_is_right_after_any_changes() {
    for seed in 0..50 {
        let mut random = Random(seed * 2 + 1);
        let mut watched = Watched::new(0);
        let mut armed = std::collections::BTreeSet::new();
        for step in 0..2_000 {
            let index = random.below(200) as u32;
            match random.below(5) {
                0..=2 if armed.insert(index) => watched.push(Side::Read, key(index), index),
                3 => {
                    watched.take_out(Side::Read, key(index));
                    armed.remove(&index);
                }
                4 if step % 10 == 0 => watched.review(),
                4 if step % 10 == 5 => {
                    let end = watched.next_part();
                    assert!((SOCKETS..=watched.quiet().min(SOCKETS + PART)).contains(&end));
                }
                4 if step % 100 == 7 => watched.forget_turns(),
                _ => {}
            }
            assert!((SOCKETS..=watched.list.len()).contains(&watched.quiet()));
            let listed: std::collections::BTreeSet<_> = watched.list[SOCKETS..].iter().copied().collect();
            assert_eq!((listed, watched.armed()), (armed.clone(), armed.len()));
            for place in SOCKETS..watched.list.len() {
                assert_eq!(watched.owner(place).map(|owner| owner.key), Some(key(watched.list[place])));
            }
            assert!((0..200).all(|index| watched.is_armed(Side::Read, key(index)) == armed.contains(&index)));
        }
    }
}

/// Each busy side is polled once in each lap, whatever the others do meanwhile.
#[test]
fn everybody_has_his_turn() {
    for seed in 0..50 {
        let mut random = Random(seed * 2 + 1);
        let mut watched = Watched::new(0);
        let mut armed: Vec<u32> = (0..1_000).collect();
        armed.iter().for_each(|&index| watched.push(Side::Read, key(index), index));
        let (mut since, mut reported) = (vec![0; 2_000], Vec::new());
        for part in 1..=200 {
            let end = watched.next_part();
            for place in SOCKETS..end {
                let index = watched.list[place];
                assert!(!(0..place).any(|other| other >= SOCKETS && watched.list[other] == index), "twice in a part");
                since[index as usize] = part;
            }
            // Some of them are ready and armed again, some go, and others come.
            for place in SOCKETS..end {
                let index = watched.list[place];
                match random.below(10) {
                    0 => armed.retain(|other| *other != index),
                    1..=7 => {}
                    _ => continue,
                }
                reported.push(index);
            }
            for index in reported.drain(..) {
                watched.take_out(Side::Read, key(index));
                if armed.contains(&index) {
                    watched.push(Side::Read, key(index), index);
                }
            }
            while armed.len() < 1_000 {
                let index = random.below(2_000) as u32;
                if !armed.contains(&index) {
                    armed.push(index);
                    since[index as usize] = part;
                    watched.push(Side::Read, key(index), index);
                }
            }
            // A lap of a thousand is eleven parts; a side that is armed in one lap comes in the next.
            let longest = armed.iter().map(|&index| part - since[index as usize]).max().unwrap_or(0);
            assert!(longest <= 2 * 1_000_u64.div_ceil(PART as u64) + 1, "somebody waits since {longest} parts");
        }
    }
}
