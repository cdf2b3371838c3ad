//! Trace. Counts host calls by name, exactly and cheaply.
//!
//! The bindings of wasmtime-wasi open a [`tracing`] span called "wit-bindgen import" for each call. While a counted
//! program runs, its thread has a subscriber that takes those spans, adds one and forgets them: nothing is formatted.
//! What has no span (resource drops) or needs its arguments (the length of a poll list) is counted by the linker,
//! see `p2.rs` and `p3.rs`; what the linker does not see (the built-ins of WASI 0.3) by the program, see `built_ins.rs`. Without a trace there is no subscriber, and a call costs one load of a static.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Sub;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, Interest};
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// The one waiting call.
pub(crate) const POLL: &str = "wasi:io/poll.poll";

/// The same, of a program of WASI 0.3.
pub(crate) const WAIT: &str = "waitable-set.wait";

/// The same, of a wasip1 program.
pub(crate) const POLL_ONEOFF: &str = "wasi_snapshot_preview1.poll_oneoff";

/// A counter of host calls. Clones share the numbers, so one thread runs the program and another reads.
///
/// Names are those of WIT with the version left out: `wasi:io/poll.poll`,
/// `wasi:io/streams.[method]input-stream.read`, `wasi:io/poll.[resource-drop]pollable`. The built-ins by which a program of
/// WASI 0.3 reads, writes and waits are calls like any other, and have the component model's names: `stream.read`,
/// `waitable-set.wait`.
///
/// All numbers are exact. A call is counted when it begins. A call that traps before it reaches the host (a bad handle, say)
/// is not counted, unless it is a built-in, nor is what the component does with a handle by itself.
///
/// While a counted program runs, `tracing` events of other crates on the same thread are not seen by anybody.
#[derive(Clone, Default)]
pub struct Trace {
    tally: Arc<Mutex<Tally>>,
}

#[derive(Default)]
struct Tally {
    /// Where each call site's count is. Several sites can share a name.
    sites: HashMap<Identifier, usize>,
    index: HashMap<String, usize>,
    counts: Vec<(String, u64)>,
    poll_entries: u64,
    resources: u64,
}

impl Tally {
    fn slot(&mut self, name: &str) -> usize {
        if let Some(slot) = self.index.get(name) {
            return *slot;
        }
        let slot = self.counts.len();
        self.counts.push((name.to_owned(), 0));
        self.index.insert(name.to_owned(), slot);
        slot
    }
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
            calls: tally.counts.iter().cloned().collect(),
            poll_entries: tally.poll_entries,
            resources: tally.resources,
        }
    }

    /// Counts the calls that this thread makes until the guard is dropped.
    pub(crate) fn install(&self) -> DefaultGuard {
        // tracing-core caches per call site whether anybody wants it. A site that is met while no trace is alive and
        // a new one is being made could be cached as unwanted; one subscriber that never goes away prevents that.
        static KEEP: OnceLock<Dispatch> = OnceLock::new();
        KEEP.get_or_init(|| Dispatch::new(CountCalls(Trace::new())));
        tracing::dispatcher::set_default(&Dispatch::new(CountCalls(self.clone())))
    }

    /// One more call of `name`.
    pub(crate) fn count(&self, name: &str) {
        let mut tally = self.tally();
        let slot = tally.slot(name);
        tally.counts[slot].1 += 1;
    }

    /// One more poll, of so many pollables.
    pub(crate) fn count_poll(&self, entries: usize) {
        self.count(POLL);
        self.tally().poll_entries += entries as u64;
    }

    /// One more call of a wasip1 program.
    pub(crate) fn count_p1(&self, function: &str) {
        self.count(&format!("wasi_snapshot_preview1.{function}"));
    }

    /// One more poll of a wasip1 program, of so many subscriptions.
    pub(crate) fn count_poll_oneoff(&self, entries: usize) {
        self.count(POLL_ONEOFF);
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

/// The subscriber.
struct CountCalls(Trace);

/// How the bindings of WASI 0.2 and of WASI 0.1 call their spans.
const WIT: &str = "wit-bindgen import";
const WITX: &str = "wiggle abi";

fn is_call(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && [WIT, WITX].contains(&metadata.name())
}

impl Subscriber for CountCalls {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match is_call(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_call(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let site = span.metadata().callsite();
        let mut tally = self.0.tally();
        let slot = match tally.sites.get(&site) {
            Some(slot) => *slot,
            None => {
                let slot = tally.slot(&full_name(span));
                tally.sites.insert(site, slot);
                slot
            }
        };
        tally.counts[slot].1 += 1;
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// `wasi:io/streams.[method]input-stream.read`. The span has the interface and the function; the package is taken
/// from the module that the bindings are in, `wasmtime_wasi_io::bindings::wasi::io::streams`.
fn full_name(span: &Attributes<'_>) -> String {
    #[derive(Default)]
    struct Names {
        module: String,
        function: String,
    }
    impl Visit for Names {
        fn record_str(&mut self, field: &Field, value: &str) {
            match field.name() {
                "module" => self.module = value.to_owned(),
                "function" => self.function = value.to_owned(),
                _ => {}
            }
        }
        fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
    }
    let mut names = Names::default();
    span.record(&mut names);
    if span.metadata().name() == WITX {
        return format!("{}.{}", names.module, names.function);
    }
    let package = span.metadata().target().rsplit("::").nth(1).unwrap_or("").replace('_', "-");
    format!("wasi:{package}/{}.{}", names.module, names.function)
}

#[cfg(test)]
mod tests {
    use super::*;

    mod bindings {
        pub mod wasi {
            pub mod made_up {
                pub mod streams {
                    pub fn call() {
                        let span = tracing::span!(
                            tracing::Level::TRACE,
                            "wit-bindgen import",
                            module = "streams",
                            function = "[method]input-stream.read",
                        );
                        let _enter = span.enter();
                        tracing::event!(tracing::Level::TRACE, "call");
                    }
                }
            }
        }
    }
    use bindings::wasi::made_up::streams::call;

    const READ: &str = "wasi:made-up/streams.[method]input-stream.read";

    #[test]
    fn a_span_is_counted_under_its_full_name() {
        let trace = Trace::new();
        call();
        let guard = trace.install();
        call();
        call();
        drop(guard);
        call();
        assert_eq!(trace.counts().get(READ), 2);
        assert_eq!(trace.counts().total(), 2);
    }

    #[test]
    fn traces_on_several_threads_count_their_own_calls() {
        let run = |times| {
            move || {
                let trace = Trace::new();
                let _guard = trace.install();
                (0..times).for_each(|_| call());
                trace.counts().get(READ)
            }
        };
        let threads: Vec<_> = (0..8u64).map(|n| std::thread::spawn(run(n * 100))).collect();
        for (n, thread) in threads.into_iter().enumerate() {
            assert_eq!(thread.join().unwrap(), n as u64 * 100);
        }
    }

    #[test]
    fn since_is_the_difference() {
        let trace = Trace::new();
        trace.count("a");
        trace.count_poll(3);
        let earlier = trace.counts();
        trace.count("b");
        trace.count_poll(5);
        trace.set_resources(7);
        let later = trace.counts().since(&earlier);
        assert_eq!(later.iter().collect::<Vec<_>>(), [("b", 1), (POLL, 1)]);
        assert_eq!((later.polls(), later.poll_entries(), later.resources()), (1, 5, 7));
        assert_eq!(later, &trace.counts() - &earlier);
    }

    #[test]
    fn the_table_has_the_total_and_the_mean_poll_list() {
        let trace = Trace::new();
        trace.count("wasi:random/random.get-random-u64");
        trace.count_poll(2);
        trace.count_poll(5);
        let table = trace.counts().to_string();
        assert!(table.contains("           2  wasi:io/poll.poll\n"), "{table}");
        assert!(table.contains("           3  total\n"), "{table}");
        assert!(table.contains("2  polls, 3.5 pollables each"), "{table}");
    }
}
