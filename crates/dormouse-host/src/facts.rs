//! What the runner tells a program of itself, before it runs it: `crates/dormouse/FACTS.md`. A program that has the export
//! `dormouse-host-facts` is told; to others nothing is said.

use wasmtime::component;
use wasmtime::{Instance, Store};

use crate::{p1, p2};

/// Every TCP socket of the program has TCP_NODELAY.
const NODELAY: u32 = 1 << 0;
/// Readiness is exact, and closing never waits.
const EXACT: u32 = 1 << 1;

/// A wait for the last instant of the monotonic clock ends when the program is asked to stop (`interrupt.rs`).
const STOP: u32 = 1 << 2;

/// A wait for the instant before that ends when a socket outside of its list has become ready (`net/bell.rs`).
const BELL: u32 = 1 << 3;

/// The function that is called, of type `func(facts: u32)`.
pub(crate) const EXPORT: &str = "dormouse-host-facts";

/// What is true of a component. The sockets of WASI 0.2 are as exact as those of wasip1; on 0.3 streams and events are wasmtime's.
pub(crate) fn of_component(is_wasi03: bool) -> u32 {
    if is_wasi03 { NODELAY | STOP } else { NODELAY | EXACT | STOP | BELL }
}

/// Whether a component has the export.
pub(crate) fn is_told(component: &component::Component) -> bool {
    component.get_export_index(None, EXPORT).is_some()
}

/// What is true of a module. That no socket delays it has no call to ask for.
pub(crate) const OF_MODULE: u32 = EXACT | STOP | BELL;

pub(crate) async fn tell_component(
    store: &mut Store<p2::State>,
    instance: &component::Instance,
    facts: u32,
) -> wasmtime::Result<()> {
    match instance.get_typed_func::<(u32,), ()>(&mut *store, EXPORT) {
        Ok(tell) => {
            store.data_mut().own.last_instant.offer(facts & BELL != 0);
            tell.call_async(store, (facts,)).await
        }
        // It has no such export, or means something else by it.
        _ => Ok(()),
    }
}

pub(crate) async fn tell_module(store: &mut Store<p1::State>, instance: &Instance, facts: u32) -> wasmtime::Result<()> {
    match instance.get_typed_func::<u32, ()>(&mut *store, EXPORT) {
        Ok(tell) => {
            store.data_mut().p1.offer_last_instant(facts & BELL != 0);
            tell.call_async(store, facts).await
        }
        _ => Ok(()),
    }
}
