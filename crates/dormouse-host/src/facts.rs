//! What the runner tells a program of itself, before it runs it: `crates/dormouse/FACTS.md`. A program that has the export
//! `dormouse-host-facts` is told; to others nothing is said.

use wasmtime::component;
use wasmtime::{Instance, Store};

/// Every TCP socket of the program has TCP_NODELAY.
const NODELAY: u32 = 1 << 0;
/// Readiness is exact, and closing never waits.
const EXACT: u32 = 1 << 1;

/// The function that is called, of type `func(facts: u32)`.
const EXPORT: &str = "dormouse-host-facts";

/// What is true of a component. The sockets of WASI 0.2 are as exact as those of wasip1; on 0.3 streams and events are wasmtime's.
pub(crate) fn of_component(is_wasi03: bool) -> u32 {
    if is_wasi03 { NODELAY } else { NODELAY | EXACT }
}

/// What is true of a module. That no socket delays it has no call to ask for.
pub(crate) const OF_MODULE: u32 = EXACT;

pub(crate) async fn tell_component<T: Send>(
    store: &mut Store<T>,
    instance: &component::Instance,
    facts: u32,
) -> wasmtime::Result<()> {
    match instance.get_typed_func::<(u32,), ()>(&mut *store, EXPORT) {
        Ok(tell) if facts != 0 => tell.call_async(store, (facts,)).await,
        // It has no such export, or means something else by it.
        _ => Ok(()),
    }
}

pub(crate) async fn tell_module<T: Send>(
    store: &mut Store<T>,
    instance: &Instance,
    facts: u32,
) -> wasmtime::Result<()> {
    match instance.get_typed_func::<u32, ()>(&mut *store, EXPORT) {
        Ok(tell) if facts != 0 => tell.call_async(store, facts).await,
        _ => Ok(()),
    }
}
