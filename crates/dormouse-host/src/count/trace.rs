//! Trace. The numbers, and the table of them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Sub;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{POLL, POLL_ONEOFF, WAIT};

/// A counter of host calls. Clones share the numbers, so one thread runs the program and another reads.
///
/// Names are those of WIT with the version left out: `wasi:io/poll.poll`,
/// `wasi:io/streams.[method]input-stream.read`, `wasi:io/poll.[resource-drop]pollable`. The built-ins by which a program of
/// WASI 0.3 reads, writes and waits are calls like any other, and have the component model's names: `stream.read`,
/// `waitable-set.wait`.
///
/// All numbers are exact. A call is counted when it begins, whatever comes of it: a call that traps because of a bad handle is
/// counted, and so is one whose arguments the host refuses. What one component calls of another is not counted, nor is what a
/// component does with a resource of its own.
///
/// A counted program is compiled a second time, when it is first counted: its core modules are rewritten to tell of their
/// calls. Of a trap it then has the names of functions, but no files and lines. A component that instantiates one core module
/// twice, with different functions of the host, cannot be counted: [`Run::start`](crate::Run::start) returns
/// [`Error::Setup`](crate::Error::Setup).
#[derive(Clone, Default)]
pub struct Trace {
    tally: Arc<Mutex<Tally>>,
}

#[derive(Default)]
struct Tally {
    /// Where the count of each name is.
    index: HashMap<String, usize>,
    counts: Vec<(String, u64)>,
    poll_entries: u64,
    resources: u64,
}

impl Trace {
    /// A trace with all counts at 0.
    pub fn new() -> Trace {
        Trace::default()
    }

    /// The numbers so far. May be called at any time, from any thread.
    pub fn counts(&self) -> Counts {
        let tally = self.tally();
        Counts {
            calls: tally.counts.iter().filter(|(_, count)| *count > 0).cloned().collect(),
            poll_entries: tally.poll_entries,
            resources: tally.resources,
        }
    }

    /// Where the calls of `name` are counted.
    pub(super) fn slot(&self, name: &str) -> usize {
        let mut tally = self.tally();
        if let Some(slot) = tally.index.get(name) {
            return *slot;
        }
        let slot = tally.counts.len();
        tally.counts.push((name.to_owned(), 0));
        tally.index.insert(name.to_owned(), slot);
        slot
    }

    /// One more call.
    pub(super) fn count(&self, slot: usize) {
        self.tally().counts[slot].1 += 1;
    }

    /// A poll has been given so many pollables, or subscriptions. The poll itself tells it: the rewritten program does not
    /// look at arguments.
    pub(crate) fn count_poll_entries(&self, entries: usize) {
        self.tally().poll_entries += entries as u64;
    }

    /// The size of the resource table now.
    pub(crate) fn set_resources(&self, live: usize) {
        self.tally().resources = live as u64;
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trace").field(&self.counts()).finish()
    }
}

/// Numbers read from a [`Trace`]. `Display` is a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    calls: BTreeMap<String, u64>,
    poll_entries: u64,
    resources: u64,
}

impl Counts {
    /// How often `name` was called.
    pub fn get(&self, name: &str) -> u64 {
        self.calls.get(name).copied().unwrap_or(0)
    }

    /// Every name that was called, in order, with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.calls.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// All calls together.
    pub fn total(&self) -> u64 {
        self.calls.values().sum()
    }

    /// How often the waiting call was made: `wasi:io/poll.poll`, `poll_oneoff` or `waitable-set.wait`.
    pub fn polls(&self) -> u64 {
        self.polls_of_lists() + self.get(WAIT)
    }

    fn polls_of_lists(&self) -> u64 {
        self.get(POLL) + self.get(POLL_ONEOFF)
    }

    /// How many pollables, or subscriptions, those calls were given, together. `waitable-set.wait` is given none.
    pub fn poll_entries(&self) -> u64 {
        self.poll_entries
    }

    /// How many entries the host's resource table had when the program last called `wasi:io/poll.poll`,
    /// `[method]pollable.block` or `waitable-set.wait`, or when it ended: exact while it waits there. A clock pollable is two
    /// entries; streams and futures of WASI 0.3 are none. Of a wasip1 program it is the number of open sockets at its last
    /// `poll_oneoff`.
    pub fn resources(&self) -> u64 {
        self.resources
    }

    /// What was counted after `earlier`. `resources` is not a difference: it stays the later one.
    #[must_use]
    pub fn since(&self, earlier: &Counts) -> Counts {
        let calls = self.calls.iter().filter_map(|(name, count)| {
            let more = count.saturating_sub(earlier.get(name));
            (more > 0).then(|| (name.clone(), more))
        });
        Counts {
            calls: calls.collect(),
            poll_entries: self.poll_entries.saturating_sub(earlier.poll_entries),
            resources: self.resources,
        }
    }
}

impl Sub<&Counts> for &Counts {
    type Output = Counts;

    /// The same as [`Counts::since`].
    fn sub(self, earlier: &Counts) -> Counts {
        self.since(earlier)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut calls: Vec<_> = self.iter().collect();
        calls.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        writeln!(f, "{:>12}  host call", "count")?;
        for (name, count) in calls {
            writeln!(f, "{count:>12}  {name}")?;
        }
        writeln!(f, "{:>12}  total", self.total())?;
        match self.polls_of_lists() {
            0 => writeln!(f, "{:>12}  polls", self.polls())?,
            lists => {
                let mean = self.poll_entries as f64 / lists as f64;
                writeln!(f, "{:>12}  polls, {mean:.1} pollables each on average", self.polls())?;
            }
        }
        write!(f, "{:>12}  entries in the resource table", self.resources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(trace: &Trace, name: &str) {
        trace.count(trace.slot(name));
    }

    fn poll(trace: &Trace, entries: usize) {
        call(trace, POLL);
        trace.count_poll_entries(entries);
    }

    #[test]
    fn since_is_the_difference() {
        let trace = Trace::new();
        call(&trace, "a");
        poll(&trace, 3);
        let earlier = trace.counts();
        call(&trace, "b");
        poll(&trace, 5);
        trace.set_resources(7);
        let later = trace.counts().since(&earlier);
        assert_eq!(later.iter().collect::<Vec<_>>(), [("b", 1), (POLL, 1)]);
        assert_eq!((later.polls(), later.poll_entries(), later.resources()), (1, 5, 7));
        assert_eq!(later, &trace.counts() - &earlier);
    }

    #[test]
    fn the_table_has_the_total_and_the_mean_poll_list() {
        let trace = Trace::new();
        call(&trace, "wasi:random/random.get-random-u64");
        poll(&trace, 2);
        poll(&trace, 5);
        let table = trace.counts().to_string();
        assert!(table.contains("           2  wasi:io/poll.poll\n"), "{table}");
        assert!(table.contains("           3  total\n"), "{table}");
        assert!(table.contains("2  polls, 3.5 pollables each"), "{table}");
    }
}
