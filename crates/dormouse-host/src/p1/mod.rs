//! WASI 0.1 with sockets. The four `sock_*` calls, those of the `fd_*` calls that a socket answers, and one `poll_oneoff` in
//! which sockets, clocks and standard streams wait together, are ours; everything else is wasmtime-wasi's.
//!
//! wasmtime had them until version 46 and has none since: `sock_*` answer ENOTSOCK there, and `poll_oneoff` EBADF
//! (wasmtime #13558; wasmtime-wasi 48.0.8, src/p1.rs). A program gets the sockets that were opened for it, as descriptors
//! from 3 on, and what it accepts.
//!
//! Any embedder of wasmtime can link this, in a tokio runtime:
//!
//! ```
//! use dormouse_host::p1::{self, Wasip1};
//! use wasmtime::{Engine, Linker, Store};
//! use wasmtime_wasi::WasiCtxBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::default();
//! let mut linker = Linker::<Wasip1>::new(&engine);
//! p1::add_to_linker(&mut linker, |state| state)?;
//!
//! let mut wasi = Wasip1::new(WasiCtxBuilder::new().inherit_stdio().build_p1());
//! wasi.listener(std::net::TcpListener::bind("127.0.0.1:0")?)?; // descriptor 3
//! let store = Store::new(&engine, wasi);
//! # drop(store);
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//!   link.rs     the calls, on the program's memory     table.rs    which descriptor is whose
//!   poll.rs     poll_oneoff                            socket.rs   a socket whose calls may block
//!   others.rs   what wasmtime-wasi waits for           bytes.rs    reads and writes
//!   stdio.rs    standard streams that do not block
//! ```

mod bytes;
mod errno;
mod link;
mod memory;
mod others;
mod poll;
mod socket;
mod stdio;
mod table;

use std::fmt;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use wasmtime::{InstancePre, Linker, Memory, Module, ResourceLimiter};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::types::Clockid;
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1 as _;
use wiggle::{GuestMemory, GuestPtr};

pub use link::add_to_linker;

use crate::count::{Counter, Trace};
use crate::interrupt::{Interrupt, LastInstant};
use crate::limits::Limits;
use crate::net::Net;
use crate::net::share::Held;
use errno::Errno;
use table::Table;

/// Clocks.
const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;

/// What the store of a wasip1 program holds: wasmtime-wasi's context, and the sockets.
pub struct Wasip1 {
    wasi: WasiP1Ctx,
    table: Table,
    scratch: poll::Scratch,
    trace: Option<Trace>,
    /// Says that there are as many sockets as there may be. An embedder has none.
    net: Option<Arc<Net>>,
    own_stdin: bool,
    /// An embedder has none.
    last_instant: Option<LastInstant>,
    /// The program's memory, if its store has one instance alone and no other will come.
    memory: Option<Memory>,
}

impl Wasip1 {
    /// No socket yet, and everything else as `wasi` has it.
    pub fn new(wasi: WasiP1Ctx) -> Wasip1 {
        Wasip1 {
            wasi,
            table: Table::new(),
            scratch: poll::Scratch::default(),
            trace: None,
            net: None,
            own_stdin: false,
            last_instant: None,
            memory: None,
        }
    }

    /// Opens a listener for the program, before it starts: the first socket is descriptor 3, and so on in the order of these
    /// calls. Pre-opened directories come after them. Tells the descriptor.
    ///
    /// The program finds them more easily with `LISTEN_FDS` in its environment, which is for the caller to set.
    ///
    /// # Errors
    /// If it cannot be made non-blocking.
    pub fn listener(&mut self, listener: TcpListener) -> io::Result<u32> {
        self.table.preopen_listener(listener)
    }

    /// The same of one that other programs have, too.
    pub(crate) fn listener_held(&mut self, listener: TcpListener, held: Option<Held>) -> io::Result<u32> {
        let fd = self.table.preopen_listener(listener)?;
        if let (Some(held), Ok(socket)) = (held, self.table.socket(fd)) {
            socket.set_held(held);
        }
        Ok(fd)
    }

    /// Opens a connection for the program, before it starts; as [`listener`](Self::listener).
    ///
    /// # Errors
    /// If it cannot be made non-blocking.
    pub fn stream(&mut self, stream: TcpStream) -> io::Result<u32> {
        self.table.preopen_stream(stream)
    }

    /// Bounds the sockets that may be open at a time: beyond that, accepting fails with ENFILE.
    pub fn max_sockets(&mut self, most: usize) {
        self.table.set_most(most);
    }

    /// Bounds the files and directories that the program may have open at a time, beside those that it is given: beyond that, opening
    /// one fails with ENFILE. Without this they are 65 536.
    pub fn max_files(&mut self, most: usize) {
        self.table.set_most_files(most);
    }

    /// How many sockets are open, listeners and what was accepted.
    pub fn open_sockets(&self) -> usize {
        self.table.open()
    }

    /// Standard input is this process's own: what poll(2) says of that is true of the program's.
    pub(crate) fn set_own_stdin(&mut self, own: bool) {
        self.own_stdin = own;
    }

    /// Says what asks the program to stop.
    pub(crate) fn set_interrupt(&mut self, interrupt: &Interrupt) {
        self.last_instant = Some(LastInstant::new(interrupt, &self.table.hub));
    }

    /// The program has been told what it means to wait for the last instant, and perhaps for the one before.
    pub(crate) fn offer_last_instant(&mut self, bell: bool) {
        self.last_instant.iter_mut().for_each(|last| last.offer(bell));
    }

    /// Says which memory the program has, of which the store has one instance and no other will come. To look for it by its name in each call
    /// is a hash, and more.
    pub(crate) fn set_memory(&mut self, memory: Option<Memory>) {
        self.memory = memory;
    }

    /// Counts the connections, those that are opened from now on, and says when there are too many.
    pub(crate) fn set_net(&mut self, net: Arc<Net>) {
        self.table.set_meter(net.meter.clone());
        self.net = Some(net);
    }

    /// Counts what polls are given.
    pub(crate) fn set_trace(&mut self, trace: Option<Trace>) {
        self.trace = trace;
    }

    /// Tells the trace how many sockets are open.
    pub(crate) fn measure_sockets(&self) {
        if let Some(trace) = &self.trace {
            trace.set_resources(self.table.open());
        }
    }

    /// Learns which descriptors wasmtime-wasi has.
    fn begin(&mut self) -> wasmtime::Result<()> {
        let mut directories = 0;
        loop {
            match self.wasi.fd_prestat_get(&mut GuestMemory::Unshared(&mut []), (3 + directories).into()) {
                Ok(_) => directories += 1,
                Err(error) => {
                    error.downcast()?;
                    break;
                }
            }
        }
        self.table.begin(directories);
        Ok(())
    }

    /// Closes a descriptor of wasmtime-wasi.
    async fn close_theirs(&mut self, fd: u32) -> wasmtime::Result<Result<(), Errno>> {
        let closed = self.wasi.fd_close(&mut GuestMemory::Unshared(&mut []), fd.into()).await;
        match closed {
            Ok(()) => Ok(Ok(())),
            Err(error) => error.downcast().map(|errno| Err(Errno(errno as u16))),
        }
    }

    /// Which of the flags of synchronous writes a file has; none if it does not say.
    async fn sync_flags(&mut self, fd: u32) -> wasmtime::Result<u32> {
        match self.wasi.fd_fdstat_get(&mut GuestMemory::Unshared(&mut []), fd.into()).await {
            Ok(stat) => Ok(u32::from(u16::from(stat.fs_flags)) & link::SYNC),
            Err(error) => error.downcast().map(|_| 0),
        }
    }

    fn fill_random(&mut self, piece: &mut [u8]) -> wasmtime::Result<()> {
        let len = piece.len() as u32;
        let filled = self.wasi.random_get(&mut GuestMemory::Unshared(piece), GuestPtr::new(0), len);
        filled.or_else(|error| error.downcast().map(|_| ()))
    }

    /// What the program would read from its clock, which wasmtime-wasi keeps.
    fn now(&mut self, clock: Clockid) -> wasmtime::Result<u64> {
        let now = self.wasi.clock_time_get(&mut GuestMemory::Unshared(&mut []), clock, 0);
        now.or_else(|error| error.downcast().map(|_| 0))
    }
}

/// What the store of one run holds.
pub(crate) struct State {
    pub(crate) p1: Wasip1,
    pub(crate) limits: Limits,
    /// Counts the calls that the program tells of.
    pub(crate) counter: Option<Counter>,
}

/// [`Limits`], and the way by which a counted program tells of its calls.
impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        match &self.counter {
            Some(counter) if counter.counts(current, desired, maximum, || self.p1.table.open()) => Ok(false),
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

/// What WASI 0.1 was called before. It has no sockets here.
const BEFORE: &str = "wasi_unstable";

/// Whether a module that imports from there is one of WASI.
pub(crate) fn is_wasi(module: &str) -> bool {
    module == "wasi_snapshot_preview1" || module == BEFORE
}

/// Whether it has the descriptors of [`BEFORE`], among which are no sockets.
pub(crate) fn is_without_sockets(module: &Module) -> bool {
    module.imports().any(|import| import.module() == BEFORE)
}

/// Links a module against WASI 0.1.
pub(crate) fn link(module: &Module) -> wasmtime::Result<InstancePre<State>> {
    let mut linker = Linker::new(module.engine());
    add_to_linker(&mut linker, |state: &mut State| &mut state.p1)?;
    if is_without_sockets(module) {
        wasmtime_wasi::p0::add_to_linker_async(&mut linker, |state: &mut State| &mut state.p1.wasi)?;
        linker.allow_shadowing(true);
        linker.func_wrap(BEFORE, "proc_exit", |code: i32| -> wasmtime::Result<()> {
            Err(wasmtime_wasi::I32Exit(code).into())
        })?;
    }
    linker.instantiate_pre(module)
}

impl fmt::Debug for Wasip1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wasip1").field("open_sockets", &self.table.open()).finish_non_exhaustive()
    }
}
