//! The budget of a poll: how much a task may do until it has to let others run, and how much is done until the host has its turn.
//!
//! An operation is one unit, and one more for each [`BYTES_PER_UNIT`] that it has moved. One that parks has done nothing and costs nothing:
//! a task that polls more of them than there are units would be woken at once, for ever. The budget is the task's: however many futures
//! it polls, and whatever polls them, it has [`UNITS_PER_POLL`] until the scheduler polls it again. What asks for more is *refused*:
//! woken at once, and pending.
//!
//! ```text
//!   begin(skip) ──▶ the first `skip` are refused ──▶ UNITS_PER_POLL are granted ──▶ all others are refused ──▶ end() = next skip
//! ```
//!
//! Futures of one task are mostly polled in the same order, so that the first would have all of each budget. So the polls of a task
//! that had to refuse several begin in turns: each passes over one more of those that were refused.
//!
//! A newcomer's wait for 64 bytes, median and worst in ms, side by side on a quiet machine (`cargo xtask bench --only newcomer --peers
//! dormouse,tokio`, 3 rounds), and the same with units of 8 KiB, of one round before:
//!
//! ```text
//!                                  tokio, natively   natively     wasip1       wasip2       WASI 0.3
//!   among 400 that do not read     2395 / 2395       0.1 / 123    27 / 447     33 / 311     28 / 383
//!   with 8 KiB                     1811 / 1811       0.1 / 175    93 / 705     100 / 698    90 / 655
//!   among 100 that read            68 / 276          14 / 28      13 / 24      19 / 34      16 / 29
//!   with 8 KiB                     25 / 173          49 / 71      45 / 72      57 / 80      49 / 102
//! ```
//!
//! What is moved in bulk takes no longer with the smaller units (`--only sink`).

use std::cell::Cell;

/// Units of a poll.
const UNITS_PER_POLL: u32 = 128;
/// A poll moves 256 KiB at most, and one call of a host's (64 KiB) counts as 32 small operations. Smaller units would move bulk more slowly.
pub(crate) const BYTES_PER_UNIT: usize = 2 * 1024;

/// Work after which sockets, timers and the host get a look, if a task is always runnable. A look costs host calls, so
/// not after each batch: two tasks that talk through a channel make many small batches.
const WORK_PER_LOOK: u32 = 64;
/// The work of a run is 1, and 1 more for each so many units: they take far longer than the run itself.
const UNITS_PER_WORK: u32 = 8;
/// Units after which they get a look within a batch. More, since most batches end before that, and a wait comes then anyway. Runs do not
/// count here: 10 000 tasks that set a timer each are a short batch, and timers fire in order if all are set before the first fires.
const UNITS_PER_LOOK_IN_BATCH: u32 = 8 * WORK_PER_LOOK * UNITS_PER_WORK;

/// Refusals in one poll after which the budget is filled again. An executor inside of a task that blocks, such as the `block_on` of
/// another crate, polls a future that was refused for ever: it never comes back to the scheduler. More than any task joins
/// futures, since those are refused once each; and few enough to take only milliseconds.
const REFUSALS_PER_POLL: u32 = 1 << 16;

pub(super) struct Budget {
    /// Units that were used since the poll began. May be more than there are: what an operation moves is known afterwards.
    used: Cell<u32>,
    /// So many operations are still to be refused, though there are units left.
    skip: Cell<u32>,
    /// The `skip` with which the poll began.
    began: Cell<u32>,
    refused: Cell<u32>,
    /// After so many refusals the budget is filled again.
    patience: Cell<u32>,
    /// What has been done since the last look.
    work: Cell<u32>,
    /// The units of it.
    units: Cell<u32>,
}

impl Budget {
    pub(super) fn new() -> Self {
        Budget {
            used: Cell::new(0),
            skip: Cell::new(0),
            began: Cell::new(0),
            refused: Cell::new(0),
            patience: Cell::new(0),
            work: Cell::new(0),
            units: Cell::new(0),
        }
    }

    /// A task is about to be polled; `skip` is what [`end`](Self::end) has given for its last poll.
    pub(super) fn begin(&self, skip: u32) {
        self.used.set(0);
        self.refused.set(0);
        self.skip.set(skip);
        self.began.set(skip);
        self.patience.set(REFUSALS_PER_POLL);
    }

    /// It has been polled: what it did is counted. How many the next poll of it is to pass over.
    pub(super) fn end(&self) -> u32 {
        self.count(1);
        let next = match self.refused.get() {
            0 | 1 => 0,
            refused => (self.began.get() + 1) % refused,
        };
        // What runs now is no task of ours, but a task of a scheduler that sees to fairness itself: it is refused once, as a hint.
        self.begin(0);
        self.patience.set(0);
        next
    }

    /// Takes a unit. False if there is none: then the operation is to be refused.
    pub(super) fn take(&self) -> bool {
        let used = self.used.get();
        let granted = used < UNITS_PER_POLL && self.skip.get() == 0;
        if granted {
            self.used.set(used + 1);
        }
        granted
    }

    /// The operation that took a unit parks.
    pub(super) fn give_back(&self) {
        self.used.set(self.used.get().saturating_sub(1));
    }

    /// An operation is refused.
    pub(super) fn refuse(&self) {
        self.skip.set(self.skip.get().saturating_sub(1));
        self.refused.set(self.refused.get() + 1);
        if self.refused.get() > self.patience.get() {
            self.refill();
        }
    }

    pub(super) fn refill(&self) {
        self.count(0);
        self.refused.set(0);
        self.used.set(0);
    }

    /// An operation has moved so many bytes.
    pub(super) fn spend(&self, bytes: usize) {
        let units = (bytes / BYTES_PER_UNIT) as u32;
        self.used.set(self.used.get().saturating_add(units));
    }

    fn count(&self, runs: u32) {
        let used = self.used.get();
        self.units.set(self.units.get().saturating_add(used));
        self.work.set(self.work.get().saturating_add(runs + used / UNITS_PER_WORK));
    }

    /// The host has its turn.
    pub(super) fn looked(&self) {
        self.work.set(0);
        self.units.set(0);
    }

    /// Whether so much has been done that it is time for a look, even if a task is runnable.
    pub(super) fn is_look_due(&self) -> bool {
        self.work.get() >= WORK_PER_LOOK
    }

    /// The same within a batch.
    pub(super) fn is_look_due_in_batch(&self) -> bool {
        self.units.get() >= UNITS_PER_LOOK_IN_BATCH
    }
}

#[cfg(all(test, not(miri)))] // Nothing in it is unsafe, and it counts to 65 536.
mod tests {
    use super::*;

    /// Polls `futures`, each of which asks for `each` units, in order. How many each was granted.
    fn poll(budget: &Budget, skip: &mut u32, futures: usize, each: u32) -> Vec<u32> {
        budget.begin(*skip);
        let granted = (0..futures)
            .map(|_| {
                (0..each).find(|_| {
                    let granted = budget.take();
                    if !granted {
                        budget.refuse();
                    }
                    !granted
                })
            })
            .map(|refused_at| refused_at.unwrap_or(each))
            .collect();
        *skip = budget.end();
        granted
    }

    #[test]
    fn a_poll_has_128_units_however_many_futures_ask() {
        let budget = Budget::new();
        for futures in [1, 2, 3, 50, 1000, 60_000] {
            let mut skip = 0;
            for _ in 0..3 {
                let granted: u32 = poll(&budget, &mut skip, futures, 200).iter().sum();
                assert_eq!(granted, UNITS_PER_POLL, "{futures} futures");
            }
        }
    }

    #[test]
    fn futures_that_are_polled_in_the_same_order_have_equal_parts() {
        let budget = Budget::new();
        let (mut skip, mut all) = (0, [0; 5]);
        for _ in 0..50 {
            for (sum, granted) in all.iter_mut().zip(poll(&budget, &mut skip, 5, u32::MAX)) {
                *sum += granted;
            }
        }
        assert_eq!(all, [10 * UNITS_PER_POLL; 5]);
    }

    #[test]
    fn a_poll_that_passes_over_too_many_is_the_last_of_its_kind() {
        let budget = Budget::new();
        let mut skip = 0;
        poll(&budget, &mut skip, 3, u32::MAX);
        poll(&budget, &mut skip, 3, u32::MAX);
        assert_eq!(skip, 2);
        assert_eq!(poll(&budget, &mut skip, 1, 1), [0], "two of the three are gone");
        assert_eq!(poll(&budget, &mut skip, 1, 1), [1]);
    }

    #[test]
    fn bytes_count() {
        let budget = Budget::new();
        budget.begin(0);
        let operations = (0..).take_while(|_| {
            let granted = budget.take();
            budget.spend(64 * 1024);
            granted
        });
        assert_eq!(operations.count(), 4, "of 64 KiB: 1 + 32 units each");
        budget.begin(0);
        assert!(budget.take());
        budget.spend(usize::MAX);
        assert!(!budget.take(), "one that has moved more than a budget is worth has all of it");
    }

    #[test]
    fn an_executor_that_never_comes_back_goes_on() {
        let budget = Budget::new();
        budget.begin(0);
        let mut granted = 0;
        let mut asked = 0_u32;
        while granted < 3 * UNITS_PER_POLL {
            asked += 1;
            if budget.take() {
                granted += 1;
            } else {
                budget.refuse();
            }
        }
        assert_eq!(asked, 3 * UNITS_PER_POLL + 2 * (REFUSALS_PER_POLL + 1));
    }

    #[test]
    fn outside_of_a_poll_one_is_refused_after_each_128() {
        let budget = Budget::new();
        budget.begin(0);
        budget.end();
        for _ in 0..3 {
            assert!((0..UNITS_PER_POLL).all(|_| budget.take()));
            assert!(!budget.take());
            budget.refuse();
        }
    }

    #[test]
    fn the_host_has_its_turn_after_64_runs_or_512_units_and_within_a_batch_after_4096_units() {
        let run = |units: u32, runs: u32| {
            let budget = Budget::new();
            for _ in 0..runs {
                budget.begin(0);
                (0..units).for_each(|_| assert!(budget.take()));
                budget.end();
            }
            (budget.is_look_due(), budget.is_look_due_in_batch())
        };
        assert_eq!([run(0, 63), run(0, 64), run(0, 511), run(0, 512)].map(|(due, _)| due), [false, true, true, true]);
        assert_eq!([run(0, 63), run(0, 64), run(0, 511), run(0, 512)].map(|(_, due)| due), [false; 4]);
        assert_eq!([run(128, 3), run(128, 4)].map(|(due, _)| due), [false, true]);
        assert_eq!([run(128, 31), run(128, 32), run(0, 10_000)].map(|(_, due)| due), [false, true, false]);
    }
}
