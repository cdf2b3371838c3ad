//! wasmtime-wasi as it is, with its own sockets: what the `wasmtime` command gives a component. It leaves on the guest a
//! budget of 128 operations of tokio's, after which every socket looks not ready until the guest waits (wasmtime #14174), and
//! Nagle's algorithm on the sockets.

use std::sync::OnceLock;

use wasmtime::component::{Component, InstancePre, Linker, ResourceTable};
use wasmtime_wasi::p2::bindings::LinkOptions;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, p2, p3};

use super::{engine, run, store};
use crate::drivers::{Subject, Wasi};

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// A component that is compiled and linked.
pub struct Program {
    command: InstancePre<State>,
    wasi03: bool,
}

impl Program {
    /// Compiles the one in `bytes`, which has its `run` of WASI 0.3 or of 0.2.
    pub fn new(bytes: &[u8], wasi03: bool) -> wasmtime::Result<Program> {
        let engine = engine();
        let mut linker = Linker::new(&engine);
        let mut options = LinkOptions::default();
        options.network_error_code(true);
        p2::add_to_linker_with_options_async(&mut linker, &options)?;
        p3::add_to_linker(&mut linker)?;
        let command = linker.instantiate_pre(&Component::new(&engine, bytes)?)?;
        Ok(Program { command, wasi03 })
    }

    /// Runs it, with the whole network.
    pub fn run(&self, args: &[&str]) -> Subject {
        let (command, wasi03) = (self.command.clone(), self.wasi03);
        run(self.command.engine(), args, None, async move |mut wasi, seen| {
            wasi.inherit_network().allow_tcp(true).allow_udp(true).allow_ip_name_lookup(true);
            let state = State { wasi: wasi.build(), table: ResourceTable::new() };
            let mut store = store(command.engine(), state, seen, |state| state.table.iter_mut().count());
            let ended = match wasi03 {
                true => {
                    let guest = p3::bindings::CommandPre::new(command)?.instantiate_async(&mut store).await?;
                    store.run_concurrent(async |store| guest.wasi_cli_run().call_run(store).await).await??
                }
                false => {
                    let guest = p2::bindings::CommandPre::new(command)?.instantiate_async(&mut store).await?;
                    guest.wasi_cli_run().call_run(&mut store).await?
                }
            };
            Ok(ended.map_or(1, |()| 0))
        })
    }
}

/// Starts the guest battery of WASI 0.2.
pub fn p2(case: &str) -> Subject {
    static BATTERY: OnceLock<Program> = OnceLock::new();
    BATTERY.get_or_init(|| battery(Wasi::P2)).run(&[case])
}

/// Starts the guest battery of WASI 0.3.
pub fn p3(case: &str) -> Subject {
    static BATTERY: OnceLock<Program> = OnceLock::new();
    BATTERY.get_or_init(|| battery(Wasi::P3)).run(&[case])
}

fn battery(wasi: Wasi) -> Program {
    let bytes = std::fs::read(wasi.battery()).expect("it has been built");
    Program::new(&bytes, wasi == Wasi::P3).expect("it can be linked")
}
