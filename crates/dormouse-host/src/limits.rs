//! Limits. One budget in bytes for what a program has its host keep: linear memories, tables, instances, and the handles and
//! buffers of its host calls. Sockets are counted beside it, since each takes a descriptor of the process.
//!
//! A refusal is remembered, so that the trap that follows can say what to raise.

use std::num::NonZeroUsize;

use crate::net::meter::Meter;
use rustix::process::{Resource, getrlimit};
use wasmparser::{Parser, Payload, TypeRef};
use wasmtime::ResourceLimiter;

use crate::net::limits::Most;

/// The budget that a run has if none is said: what a memory of 32 bits can have.
pub(crate) const MAX_MEMORY: usize = 4 << 30;

/// What a handle costs the host, in bytes: an entry of its table, what is in it, and an entry of the program's table. Between
/// 0.3 and 1.5 KiB were measured, a 0.2 timer being the least and a 0.3 call under way the most.
const HANDLE: usize = 1 << 10;

/// Handles that a connection takes on WASI 0.3, counted with those of wasmtime's own tables; on 0.2 it takes 5.
const HANDLES_PER_SOCKET: usize = 12;

/// Handles that a program may have however small its budget is: a connection is 5 of them on WASI 0.2 and 12 on 0.3.
const MIN_RESOURCES: usize = 10_000;
/// Handles that a program may have however large its budget is: 80 000 connections on WASI 0.3.
const MAX_RESOURCES: usize = 1_000_000;

/// What an element of a table takes, in bytes. It is 8, or 16 for a continuation; and a table that grows takes up to twice as
/// much as it uses (wasmtime 48.0.8, runtime/vm/table.rs: the elements are a `Vec`).
const ELEMENT: usize = 16;

/// Instances, tables and memories: most of each in one store. wasmtime has 10 000, and reserves address space for each memory.
const MOST_OF_A_KIND: usize = 1000;
/// Instances that a program may have however small its budget is: one component made by wit-component is 4 to 6.
const MIN_INSTANCES: usize = 8;

/// What one host call may copy out of the program's memory, at most; wasmtime's own limit.
const MOST_PER_CALL: usize = 128 << 20;

/// Descriptors that the runner keeps for itself: standard streams, the reactor, listeners, files.
const RESERVE: usize = 64;

/// What bounds one run. `None` is the default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) memory: Option<usize>,
    pub(crate) resources: Option<usize>,
    pub(crate) sockets: Option<usize>,
    /// How many instances share the process's descriptors, if it is more than one.
    pub(crate) instances: Option<NonZeroUsize>,
}

impl Bounds {
    /// The budget in bytes.
    pub(crate) fn memory(self) -> usize {
        self.memory.unwrap_or(MAX_MEMORY)
    }

    /// How many handles the program may have at a time: half of the budget, within reason, or enough for the sockets that
    /// were asked for.
    pub(crate) fn handles(self) -> usize {
        let sockets = self.sockets.map_or(0, |most| most.saturating_mul(HANDLES_PER_SOCKET));
        self.resources.unwrap_or_else(|| (self.memory() / 2 / HANDLE).clamp(MIN_RESOURCES, MAX_RESOURCES).max(sockets))
    }

    /// How many sockets it may have at a time: as many as this process may have descriptors, less a reserve, and its part
    /// of these if there are several.
    pub(crate) fn sockets(self) -> usize {
        self.sockets.unwrap_or_else(|| {
            let descriptors = getrlimit(Resource::Nofile).current.and_then(|most| usize::try_from(most).ok());
            let instances = self.instances.map_or(1, NonZeroUsize::get);
            descriptors.map_or(MAX_RESOURCES, |most| most.saturating_sub(RESERVE).max(most / 2)).div_ceil(instances)
        })
    }

    /// How many sockets a component may have at a time: no more than it has handles for, so that accepting fails and not the
    /// program.
    pub(crate) fn sockets_of_component(self) -> Most {
        let by_handles = self.handles() / HANDLES_PER_SOCKET;
        match (self.sockets, self.resources) {
            // Asking for more sockets would give it no more handles.
            (None, Some(_)) if by_handles < self.sockets() => Most { sockets: by_handles, option: "--max-resources" },
            (None, _) => self.sockets().min(by_handles).into(),
            (Some(most), _) => most.into(),
        }
    }

    /// How many bytes one host call may copy out of the program's memory. All of it, so that no write is too long.
    pub(crate) fn per_call(self) -> usize {
        self.memory().clamp(1 << 20, MOST_PER_CALL)
    }
}

/// Bounds the memories, tables and instances of one store.
pub(crate) struct Limits {
    budget: usize,
    used: usize,
    instances: usize,
    refused: bool,
    meter: Meter,
}

impl Drop for Limits {
    fn drop(&mut self) {
        self.meter.freed(self.used);
    }
}

impl Limits {
    /// `instance` is what the largest instance costs; see [`cost_of_instances`].
    pub(crate) fn new(bounds: Bounds, instance: usize, meter: &Meter) -> Limits {
        let budget = bounds.memory();
        let instances = (budget / 4 / instance.max(1)).clamp(MIN_INSTANCES, MOST_OF_A_KIND);
        Limits { budget, used: 0, instances, refused: false, meter: meter.clone() }
    }

    /// The budget in bytes, if something was refused because of it.
    pub(crate) fn refused(&self) -> Option<usize> {
        self.refused.then_some(self.budget)
    }

    /// Takes `bytes` from the budget for something that the host keeps for the program; false if there are not so many left.
    pub(crate) fn charge(&mut self, bytes: usize) -> bool {
        let used = self.used.saturating_add(bytes);
        self.refused |= used > self.budget;
        if used <= self.budget {
            self.used = used;
            self.meter.grown(bytes);
        }
        used <= self.budget
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false); // The module's own limit, not ours.
        }
        Ok(self.charge(desired.saturating_sub(current)))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.charge(desired.saturating_sub(current).saturating_mul(ELEMENT)))
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        MOST_OF_A_KIND
    }

    fn memories(&self) -> usize {
        MOST_OF_A_KIND
    }
}

/// What an instance of the largest core module in `bytes` costs the host, in bytes: what wasmtime keeps for each global, for
/// each function that is imported, and for each that somebody may call from outside.
pub(crate) fn cost_of_instances(bytes: &[u8]) -> usize {
    const BASE: usize = 4 << 10;
    const GLOBAL: usize = 16;
    const FUNCTION: usize = 32;
    let (mut most, mut this) = (0, 0_usize);
    // What cannot be read does not compile either.
    for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        match payload {
            Payload::Version { .. } => this = 0,
            Payload::ImportSection(imports) => {
                let functions = imports.into_imports().filter(|import| {
                    import.as_ref().is_ok_and(|import| matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)))
                });
                this = this.saturating_add(functions.count() * 2 * FUNCTION);
            }
            Payload::FunctionSection(functions) => this = this.saturating_add(functions.count() as usize * FUNCTION),
            Payload::GlobalSection(globals) => this = this.saturating_add(globals.count() as usize * GLOBAL),
            _ => {}
        }
        most = most.max(this);
    }
    BASE + most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(bytes: usize) -> Limits {
        Limits::new(Bounds { memory: Some(bytes), ..Bounds::default() }, 4096, &Meter::new())
    }

    #[test]
    fn the_budget_covers_memories_and_tables_together() {
        let mut limits = limits(100);
        assert!(limits.memory_growing(0, 50, None).unwrap());
        assert!(limits.table_growing(0, 2, None).unwrap());
        assert!(limits.memory_growing(50, 60, None).unwrap());
        assert_eq!(limits.refused(), None);
        assert!(!limits.table_growing(2, 5, None).unwrap());
        assert_eq!(limits.refused(), Some(100));
        // What was refused has taken nothing.
        assert!(limits.memory_growing(60, 68, None).unwrap());
        assert!(!limits.charge(1));
    }

    #[test]
    fn a_modules_own_maximum_is_not_blamed_on_the_budget() {
        let mut limits = limits(10);
        assert!(!limits.memory_growing(0, 9, Some(8)).unwrap());
        assert!(!limits.table_growing(0, usize::MAX, Some(8)).unwrap());
        assert_eq!(limits.refused(), None);
    }

    #[test]
    fn handles_are_scaled_to_the_budget_and_can_be_said() {
        let bounds = |memory, resources| Bounds { memory, resources, ..Bounds::default() }.handles();
        assert_eq!(bounds(Some(16 << 20), None), 10_000);
        assert_eq!(bounds(Some(1 << 30), None), 1 << 19);
        assert_eq!(bounds(None, None), 1_000_000);
        assert_eq!(bounds(Some(16 << 20), Some(7)), 7);
    }

    #[test]
    fn the_option_that_bounds_sockets_is_known() {
        let most = |resources, sockets| Bounds { resources, sockets, ..Bounds::default() }.sockets_of_component();
        assert_eq!(most(Some(120), None), Most { sockets: 10, option: "--max-resources" });
        assert_eq!(most(Some(120), Some(20)), Most { sockets: 20, option: "--max-sockets" });
        assert_eq!(most(None, None).option, "--max-sockets");
    }

    #[test]
    fn an_instance_with_many_globals_costs_more_and_so_there_are_fewer() {
        let module = |globals: usize| {
            let globals = "(global i32 (i32.const 0))".repeat(globals);
            cost_of_instances(&wat::parse_str(format!("(module {globals})")).unwrap())
        };
        assert_eq!(module(1000) - module(0), 16_000);
        let bounds = Bounds { memory: Some(1 << 20), ..Bounds::default() };
        assert_eq!(Limits::new(bounds, module(0), &Meter::new()).instances(), 64);
        assert_eq!(Limits::new(bounds, module(1000), &Meter::new()).instances(), 13);
        assert_eq!(Limits::new(bounds, module(100_000), &Meter::new()).instances(), MIN_INSTANCES);
    }
}
