//! WASI 0.2: the linker, and what a store holds.
//!
//! Sockets are ours, with the streams and pollables of these; everything else is wasmtime-wasi's. A stream or pollable says by its number
//! whose it is (`table.rs`).
//!
//! ```text
//!   table.rs    which socket has which number       sockets.rs   wasi:sockets/tcp, over it
//!   tcp.rs      one socket: its states, its halves   streams.rs   wasi:io/streams
//!   flush.rs    what the system has not taken yet    poll.rs      wasi:io/poll
//!   udp.rs      one socket of datagrams              datagrams.rs wasi:sockets/udp, over it
//!   clock.rs    the clock's last instant         files.rs     what is written to files
//!   names.rs    wasi:sockets/ip-name-lookup, by the policy
//! ```

/// The version that wasmtime-wasi 48 defines its interfaces at; a replacement must use the same.
macro_rules! versioned {
    ($interface:literal) => {
        concat!($interface, "@0.2.12")
    };
}

mod clock;
mod datagrams;
mod files;
mod flush;
mod names;
mod poll;
mod sockets;
mod streams;
mod table;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::sync::Arc;

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime::{Engine, ResourceLimiter};
use wasmtime_wasi::p2::add_to_linker_with_options_async;
use wasmtime_wasi::p2::bindings::LinkOptions;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::p2::bindings::sockets::{tcp as wasi_tcp, tcp_create_socket, udp as wasi_udp, udp_create_socket};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_io::bindings::wasi::io;

use crate::count::{Counter, Trace};
use crate::limits::Limits;
use crate::net::{Net, NoSocket};
pub(crate) use table::Own;

/// What the store of one run holds.
pub(crate) struct State {
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) limits: Limits,
    pub(crate) net: Arc<Net>,
    /// Its sockets of WASI 0.2.
    pub(crate) own: Own,
    /// There if and only if the run is counted.
    pub(crate) trace: Option<Trace>,
    /// Counts the calls that the program tells of.
    pub(crate) counter: Option<Counter>,
}

impl State {
    pub(crate) fn view(&mut self) -> View<'_> {
        View { table: &mut self.table, own: &mut self.own, trace: self.trace.as_ref() }
    }

    /// Counts a socket that is about to be opened, with `open` of [`Net`].
    pub(crate) fn open_socket(&mut self, open: impl Fn(&Net) -> Result<(), NoSocket>) -> Result<(), NoSocket> {
        let opened = open(&self.net);
        if opened == Err(NoSocket::Full) {
            self.net.say_full();
        }
        opened
    }

    /// Walks the table: it does not know its own size.
    pub(crate) fn measure_resources(&mut self) {
        if let Some(trace) = &self.trace {
            trace.set_resources(self.table.iter_mut().count() + self.own.handles());
        }
    }
}

/// [`Limits`], and the way by which a counted program tells of its calls.
impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let State { counter, table, own, .. } = self;
        // The table does not know its own size.
        let resources = || table.iter_mut().count() + own.handles();
        match counter {
            Some(counter) if counter.counts(current, desired, maximum, resources) => Ok(false),
            _ => self.limits.memory_growing(current, desired, maximum),
        }
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.limits.table_growing(current, desired, maximum)
    }

    fn instances(&self) -> usize {
        self.limits.instances()
    }

    fn tables(&self) -> usize {
        self.limits.tables()
    }

    fn memories(&self) -> usize {
        self.limits.memories()
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// What a call of ours works on: wasmtime-wasi's table and our own.
pub(crate) struct View<'a> {
    table: &'a mut ResourceTable,
    own: &'a mut Own,
    trace: Option<&'a Trace>,
}

impl HasData for View<'static> {
    type Data<'a> = View<'a>;
}

/// What WASI 0.2 offers. `blocks`: a call about a file may block the thread.
pub(crate) fn linker(engine: &Engine, blocks: bool) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    let mut options = LinkOptions::default();
    options.network_error_code(true);
    add_to_linker_with_options_async(&mut linker, &options)?;
    linker.allow_shadowing(true);
    io::poll::add_to_linker::<State, View<'static>>(&mut linker, State::view)?;
    io::streams::add_to_linker::<State, View<'static>>(&mut linker, State::view)?;
    wasi_tcp::add_to_linker::<State, View<'static>>(&mut linker, State::view)?;
    tcp_create_socket::add_to_linker::<State, View<'static>>(&mut linker, State::view)?;
    streams::write_without_copy(&mut linker)?;
    clock::with_last_instant(&mut linker)?;
    ip_name_lookup::add_to_linker::<State, names::Names>(&mut linker, |state| state)?;
    if blocks {
        files::written_at_once(&mut linker)?;
    }
    wasi_udp::add_to_linker::<State, View<'static>>(&mut linker, State::view)?;
    udp_create_socket::add_to_linker::<State, View<'static>>(&mut linker, State::view)?;
    Ok(linker)
}

/// Why there is no new socket.
fn refused(net: &Net, no: NoSocket) -> ErrorCode {
    match no {
        NoSocket::Denied => ErrorCode::AccessDenied,
        NoSocket::Full => {
            net.say_full();
            ErrorCode::NewSocketLimit
        }
    }
}
