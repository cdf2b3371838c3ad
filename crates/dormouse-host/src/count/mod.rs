//! Count. How often a program calls which function of its host: one way for wasip1, WASI 0.2 and WASI 0.3.
//!
//! A counted program tells of each call by itself. Its core modules are rewritten before they are compiled: where a module is
//! given a function of the host, its calls go to a wrapper, which first asks for pages of a memory of its own, and then
//! calls. The number of pages says which function it is. The limiter of the store is asked whether that memory may grow; it
//! counts and says no. So nothing in a linker counts, and a program that is not counted is compiled as it is.
//!
//! ```text
//!   given.rs      which functions of the host a component gives to which of its core modules
//!   built_in.rs   the names of the canonical built-ins
//!   rewrite.rs    a component or a module, with the wrappers
//!   trace.rs      the numbers
//! ```

mod built_in;
mod given;
mod rewrite;
mod trace;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use trace::{Counts, Trace};

/// The module that wasip1 programs import.
const WASIP1: &str = "wasi_snapshot_preview1";

/// The waiting call of WASI 0.2.
const POLL: &str = "wasi:io/poll.poll";
/// The same for one pollable.
const BLOCK: &str = "wasi:io/poll.[method]pollable.block";
/// The waiting call of WASI 0.3.
const WAIT: &str = "waitable-set.wait";
/// The waiting call of wasip1.
const POLL_ONEOFF: &str = "wasi_snapshot_preview1.poll_oneoff";

/// How large the memory that is asked for may become, in pages: what tells it from others.
const MARK: u64 = 0xd0e5;
const PAGE: usize = 1 << 16;

/// The two names of an import of a core module.
type Import<'a> = (&'a str, &'a str);

/// The imports of a core module that are functions of the host, and the names by which they are counted.
type Functions<'a> = BTreeMap<Import<'a>, Arc<str>>;

/// The calls that a rewritten program tells of. The first is told by one page.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    names: Vec<Arc<str>>,
}

impl Calls {
    /// By how many pages a call of this name is told.
    fn pages(&mut self, name: &Arc<str>) -> u32 {
        let known = self.names.iter().position(|known| known == name);
        let index = known.unwrap_or_else(|| {
            self.names.push(Arc::clone(name));
            self.names.len() - 1
        });
        index as u32 + 1
    }
}

/// Counts the calls of one run.
pub(crate) struct Counter {
    /// Of each call: where its count is, and whether it waits.
    calls: Vec<(usize, bool)>,
    trace: Trace,
}

impl Counter {
    pub(crate) fn new(calls: &Calls, trace: Trace) -> Counter {
        let waits = |name: &str| [POLL, BLOCK, WAIT, POLL_ONEOFF].contains(&name);
        let calls = calls.names.iter().map(|name| (trace.slot(name), waits(name))).collect();
        Counter { calls, trace }
    }

    /// Returns true if a memory that wants to grow so tells of a call, which is counted then. Before a wait the trace is told
    /// how many `resources` there are: a reader that sees the wait sees this number, too.
    pub(crate) fn counts(
        &self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
        resources: impl FnOnce() -> usize,
    ) -> bool {
        if current != 0 || maximum != Some(MARK as usize * PAGE) {
            return false;
        }
        let call = (desired / PAGE).checked_sub(1).and_then(|call| self.calls.get(call));
        let Some((slot, waits)) = call else { return false };
        if *waits {
            self.trace.set_resources(resources());
        }
        self.trace.count(*slot);
        true
    }
}
