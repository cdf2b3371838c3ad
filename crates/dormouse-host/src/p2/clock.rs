//! Clock. The last instant of the monotonic clock comes when a program that was told so is asked to stop, and the one before it is the
//! bell. The rest is wasmtime-wasi's.

use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::clocks::WasiClocksView as _;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::Host as _;

use super::State;

pub(super) fn with_last_instant(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut clock = linker.instance(versioned!("wasi:clocks/monotonic-clock"))?;
    clock.func_wrap("subscribe-instant", |mut store, (when,): (u64,)| {
        let state = store.data_mut();
        let pollable: Resource<DynPollable> = match state.own.last_instant.of(when) {
            Some(which) => Resource::new_own(state.own.subscribe_last_instant(which)?),
            None => state.clocks().subscribe_instant(when)?,
        };
        Ok((pollable,))
    })
}
