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
//!   poll.rs     poll_oneoff                            socket.rs   one socket, and its readiness
//!   others.rs   what wasmtime-wasi waits for           hub.rs      where marks and the wait meet
//!   contrary.rs what other hosts answer, for tests
//! ```

mod contrary;
mod errno;
mod hub;
mod link;
mod memory;
mod others;
mod poll;
mod socket;
mod table;

use std::fmt;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::{InstancePre, Linker, Module};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::types::{Clockid, Sdflags};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1 as _;
use wiggle::GuestMemory;

pub use link::add_to_linker;

use crate::limits::Limits;
use crate::trace::Trace;
use contrary::Contrary;
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
    /// How many files the program has opened, and how many it may have open.
    files: usize,
    most_files: usize,
    trace: Option<Trace>,
    /// Answers as other hosts do, which is for tests.
    contrary: Option<Contrary>,
}

impl Wasip1 {
    /// No socket yet, and everything else as `wasi` has it.
    pub fn new(wasi: WasiP1Ctx) -> Wasip1 {
        Wasip1 {
            wasi,
            table: Table::new(),
            scratch: poll::Scratch::default(),
            files: 0,
            most_files: usize::MAX,
            trace: None,
            contrary: None,
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

    /// Bounds the files and directories that the program may have opened at a time: beyond that, `path_open` fails with ENFILE.
    /// Without a call of this, the system's limits are all.
    pub fn max_files(&mut self, most: usize) {
        self.most_files = most;
    }

    /// Counts the calls that sockets answer; the others have spans.
    pub(crate) fn set_trace(&mut self, trace: Option<Trace>) {
        self.trace = trace;
    }

    /// One more call that a socket has answered.
    fn count(&self, name: &str) {
        if let Some(trace) = &self.trace {
            trace.count_p1(name);
        }
    }

    /// See [`Run::contrary_p1`](crate::Run::contrary_p1).
    pub(crate) fn set_contrary(&mut self, on: bool) {
        self.contrary = on.then(Contrary::default);
    }

    /// Tells the trace how many sockets are open.
    pub(crate) fn measure_sockets(&self) {
        if let Some(trace) = &self.trace {
            trace.set_resources(self.table.open());
        }
    }

    /// When a clock's subscription is due.
    fn when(&mut self, id: u32, timeout: u64, absolute: bool) -> wasmtime::Result<Result<Instant, Errno>> {
        let passed = match (id, absolute) {
            (MONOTONIC | REALTIME, false) => 0,
            (MONOTONIC, true) => self.now(Clockid::Monotonic)?,
            (REALTIME, true) => self.now(Clockid::Realtime)?,
            _ => return Ok(Err(Errno::INVAL)),
        };
        let left = Duration::from_nanos(timeout.saturating_sub(passed));
        // Read after the clock above, so that no event comes early. Some decades are for ever.
        let now = Instant::now();
        Ok(Ok(now.checked_add(left).unwrap_or(now + Duration::from_secs(1 << 30))))
    }

    /// What wasmtime-wasi says to a call for sockets on one of its descriptors: ENOTSOCK, or EBADF if it is not open.
    fn not_a_socket(&mut self, fd: u32) -> Errno {
        // The trait's function, not the one of the program's call: that would be counted as one.
        let said = self.wasi.sock_shutdown(&mut GuestMemory::Unshared(&mut []), fd.into(), Sdflags::empty());
        match said.map_err(|error| error.downcast()) {
            Err(Ok(errno)) => Errno(errno as u16),
            _ => Errno::NOTSOCK,
        }
    }

    /// What the program would read from its clock, which wasmtime-wasi keeps.
    fn now(&mut self, clock: Clockid) -> wasmtime::Result<u64> {
        // The trait's function, not the one of the program's call: that would be counted as one.
        let now = self.wasi.clock_time_get(&mut GuestMemory::Unshared(&mut []), clock, 0);
        now.or_else(|error| error.downcast().map(|_| 0))
    }
}

/// What the store of one run holds.
pub(crate) struct State {
    pub(crate) p1: Wasip1,
    pub(crate) limits: Limits,
}

/// Links a module against WASI 0.1.
pub(crate) fn link(module: &Module) -> wasmtime::Result<InstancePre<State>> {
    let mut linker = Linker::new(module.engine());
    add_to_linker(&mut linker, |state: &mut State| &mut state.p1)?;
    linker.instantiate_pre(module)
}

impl fmt::Debug for Wasip1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wasip1").field("open_sockets", &self.table.open()).finish_non_exhaustive()
    }
}
