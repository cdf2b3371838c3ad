//! wasmtime-wasi as it is, with its own sockets: what the `wasmtime` command gives a component. It leaves on the guest a
//! budget of 128 operations of tokio's, after which every socket looks not ready until the guest waits (wasmtime #14174), and
//! Nagle's algorithm on the sockets.

use std::sync::{Arc, OnceLock};

use wasmtime::component::{Component, InstancePre, Linker, Resource, ResourceTable, ResourceType};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::LinkOptions;
use wasmtime_wasi::p3::bindings::sockets::types::{HostTcpSocket, TcpSocket};
use wasmtime_wasi::sockets::WasiSocketsView as _;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, p2, p3};
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

/// A component that is compiled and linked.
pub struct Program {
    command: InstancePre<State>,
    wasi03: bool,
}

impl Program {
    /// Compiles the one in `bytes`, which has its `run` of WASI 0.3 or of 0.2.
    pub fn new(bytes: &[u8], wasi03: bool) -> wasmtime::Result<Program> {
        let engine = engine();
        let mut linker = Linker::<State>::new(&engine);
        let mut options = LinkOptions::default();
        options.network_error_code(true);
        p2::add_to_linker_with_options_async(&mut linker, &options)?;
        p3::add_to_linker(&mut linker)?;
        // The same, and tests see that a guest waits.
        linker.allow_shadowing(true);
        let mut poll = linker.instance("wasi:io/poll@0.2.12")?;
        poll.func_wrap_async("poll", |mut store, (list,): (Vec<Resource<DynPollable>>,)| {
            Box::new(async move {
                let State { table, seen, .. } = store.data_mut();
                seen.wait(table.iter_mut().count());
                Ok((table.poll(list).await?,))
            })
        })?;
        // The same, and then measured: a guest of 0.3 goes on with a connection when the host has accepted it.
        let mut types = linker.instance("wasi:sockets/types@0.3.0")?;
        types.resource("tcp-socket", ResourceType::host::<TcpSocket>(), |mut store, rep| {
            let state = store.data_mut();
            HostTcpSocket::drop(&mut state.sockets(), Resource::new_own(rep))?;
            state.seen.hold(state.table.iter_mut().count());
            Ok(())
        })?;
        let command = linker.instantiate_pre(&Component::new(&engine, bytes)?)?;
        Ok(Program { command, wasi03 })
    }

    /// Runs it, with the whole network.
    pub fn run(&self, args: &[&str]) -> Subject {
        let (command, wasi03) = (self.command.clone(), self.wasi03);
        run(self.command.engine(), args, None, async move |mut wasi, seen| {
            wasi.inherit_network().allow_tcp(true).allow_udp(true).allow_ip_name_lookup(true);
            let state = State { wasi: wasi.build(), table: ResourceTable::new(), seen: Arc::clone(&seen) };
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
