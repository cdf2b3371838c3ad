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

/// Whether the sockets of WASI 0.2 are the runner's own, and so are as exact as those of wasip1. (wasmtime-wasi's are not: told of them,
/// an echo is four calls, but a poll with something ready leaves out what has come meanwhile, and a drop waits for its peer.)
const OWN_SOCKETS_ON_02: bool = false;

/// What is true of a component.
pub(crate) fn of_component(nodelay: bool, is_budgeted: bool, is_wasi03: bool) -> u32 {
    let exact = OWN_SOCKETS_ON_02 && !is_budgeted && !is_wasi03;
    (if nodelay { NODELAY } else { 0 }) | (if exact { EXACT } else { 0 })
}

/// What is true of a module: its sockets are the runner's own. That none delays it has no call to ask for.
pub(crate) fn of_module(is_contrary: bool) -> u32 {
    if is_contrary { 0 } else { EXACT }
}

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
