//! wasmtime-wasi as it is, with its own sockets: what the `wasmtime` command gives a component. It leaves on the guest a
//! budget of 128 operations of tokio's, after which every socket looks not ready until the guest waits (wasmtime #14174), and
//! Nagle's algorithm on the sockets.

use std::sync::{Arc, OnceLock};

use wasmtime::component::{Component, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::{CommandPre, LinkOptions};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_io::bindings::wasi::io::poll::Host as _;

use super::{Seen, engine, run, store};
use crate::drivers::{Subject, Wasi};

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    seen: Arc<Seen>,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// A component of WASI 0.2 that is compiled and linked.
pub struct Program(CommandPre<State>);

impl Program {
    /// Compiles the one in `bytes`.
    pub fn new(bytes: &[u8]) -> wasmtime::Result<Program> {
        let engine = engine();
        let mut linker = Linker::new(&engine);
        let mut options = LinkOptions::default();
        options.network_error_code(true);
        wasmtime_wasi::p2::add_to_linker_with_options_async(&mut linker, &options)?;
        // The same, and the tests see that it waits.
        linker.allow_shadowing(true);
        let mut poll = linker.instance("wasi:io/poll@0.2.12")?;
        poll.func_wrap_async("poll", |mut store, (list,): (Vec<Resource<DynPollable>>,)| {
            Box::new(async move {
                let State { table, seen, .. } = store.data_mut();
                seen.wait(table.iter_mut().count());
                Ok((table.poll(list).await?,))
            })
        })?;
        CommandPre::new(linker.instantiate_pre(&Component::new(&engine, bytes)?)?).map(Program)
    }

    /// Runs it, with the whole network.
    pub fn run(&self, args: &[&str]) -> Subject {
        let command = self.0.clone();
        run(self.0.engine(), args, None, async move |mut wasi, seen| {
            wasi.inherit_network().allow_tcp(true).allow_udp(true).allow_ip_name_lookup(true);
            let state = State { wasi: wasi.build(), table: ResourceTable::new(), seen };
            let mut store = store(command.engine(), state);
            let guest = command.instantiate_async(&mut store).await?;
            let ended = guest.wasi_cli_run().call_run(&mut store).await?;
            Ok(ended.map_or(1, |()| 0))
        })
    }
}

/// Starts the guest battery.
pub fn start(case: &str) -> Subject {
    static BATTERY: OnceLock<Program> = OnceLock::new();
    let battery = || {
        let bytes = std::fs::read(Wasi::P2.battery()).expect("it has been built");
        Program::new(&bytes).expect("it can be linked")
    };
    BATTERY.get_or_init(battery).run(&[case])
}
