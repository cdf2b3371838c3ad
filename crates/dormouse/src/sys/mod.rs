//! The seam. All that differs between hosts is below this line; above it there is one Rust program.
//!
//! A backend is a folder with the same files in each: `poller.rs` (sleep until something is ready), `net.rs`
//! (sockets: every call returns at once and says `WouldBlock` as an ordinary error), `stdio.rs` (standard streams,
//! likewise), `file.rs` (what a file has to wait for), `clock.rs` (`now`), and `abi.rs`, the only file that may hold
//! `unsafe`.
//!
//! Nothing here names what is above the seam; keys, instants and errors are of the ground floor, `base`. What is done because of one host
//! alone is in `quirks/`, and what is true of long lists on every host of WASI up to 0.2 in `wasi/long/`.
//!
//! To add one: write the folder, add an arm to the `cfg_select!` below, and give `conformance` a driver for it. `sim/` is
//! none of the arms: with the feature `sim` it stands in front of the one that was selected.
//!
//! What a backend gives, beside [`Poller`]:
//!
//! | item | what it is |
//! |---|---|
//! | `Source` | a thing that can become ready, with its `try_*` operations (`net.rs`, `stdio.rs`) |
//! | `Source::from_fd(fd)` | the socket that the host opened as this descriptor; `Unsupported` where there are none |
//! | `Source::preopened(name)` | a listener that the host opened and that is not taken: the first, or the one of this name |
//! | `Source::fd()` | the descriptor's number, where that is what it is known by |
//! | `Source::stdin()` | standard input: its `try_read` says `WouldBlock` instead of blocking, and dropping it closes nothing |
//! | `Source::file(&File)` | what to wait for before each read or write of a file of std; `None` if it is always ready |
//! | `Source::try_ready(Side)` | of a `Source::file`: `WouldBlock` unless a blocking call on that side would return at once |
//! | `Source::stop(Asked)` | what becomes readable when the program is asked to stop; `None` where it never is |
//! | `Source::try_stop()` | `WouldBlock` until then |
//! | `Source::get(Setting)`, `set` | an option of a socket, where the host has it |
//! | `Source::nodelay`, `set_nodelay` | whether it sends at once what is written, where that is known |
//! | `Source::is_pending()` | dropping it now would wait, with the whole program, for what was written last |
//! | `Notifier` | `Clone + Send + Sync`; `notify()` ends a `wait` in progress on another thread |
//! | `THREADS` | whether there can be another thread |
//! | `clock::now() -> u64` | nanoseconds of a clock that never goes back |
//! | `clock::latest() -> u64` | what it said last: the time without a host call |
//! | `spawn_local` | `async_task::Builder::spawn_local`, or the same without the check where there is one thread |
//!
//! And what only p3 needs, with `plain.rs` for all the others:
//!
//! | item | what it is |
//! |---|---|
//! | `enter()` | the program begins to run, until the `Entered` is dropped; an error if the host cannot wait |
//! | `tell()` | wakes foreign futures that wait in our waitable set, after each `wait`, when nothing is borrowed |
//! | `set_spawn(spawn)` | how foreign code spawns tasks; with the feature `p3-spawn` |
//! | `exit(code)` | ends the program; std can say no more than 0 or 1 there |
//! | `begin(of, side)` | has the host read, where one waits for a read and not for its being possible |
//! | `hand_over(from, to)` | has the host move all that one stream receives to another, if it can |
//! | `try_handed_over(of, side)` | how that has ended |
//! | `take_back(of, side)` | waits no longer for that, which stops it where the host can stop |

use std::io;

use crate::base::{Instant, Key};

#[cfg(not(all(target_os = "wasi", target_env = "p1")))]
mod datagrams;
mod drained;
#[cfg(target_os = "wasi")]
mod quirks;
#[cfg(target_os = "wasi")]
mod wasi;

cfg_select! {
    all(target_os = "wasi", target_env = "p1") => {
        mod p1;
        mod plain;
        use p1 as host;
        use plain as more;
    }
    all(target_os = "wasi", any(target_env = "p3", all(target_env = "p2", feature = "p3"))) => {
        mod p3;
        use p3 as host;
        use p3 as more;
        #[cfg(target_env = "p2")]
        pub use p3::{WORLD, run_main};
    }
    all(target_os = "wasi", target_env = "p2") => {
        mod p2;
        mod plain;
        use p2 as host;
        use plain as more;
    }
    any(unix, windows) => {
        mod native;
        mod plain;
        use native as host;
        use plain as more;
    }
    _ => {
        compile_error!("dormouse has no backend for this target: it runs on wasm32-wasip1 and wasm32-wasip2, and natively on Unix and Windows");
    }
}

#[cfg(feature = "sim")]
pub(crate) mod sim;

#[cfg(not(feature = "sim"))]
pub(crate) use host::{Notifier, Poller, Source, clock};
pub(crate) use host::{THREADS, file_error, spawn_local};
#[cfg(feature = "p3-spawn")]
pub(crate) use more::set_spawn;
pub(crate) use more::{Entered, enter, exit, tell};
#[cfg(not(feature = "sim"))]
pub(crate) use more::{begin, hand_over, take_back, try_handed_over};
#[cfg(feature = "sim")]
pub(crate) use sim::{Notifier, Poller, Source, begin, clock, hand_over, take_back, try_handed_over};

/// What a pipe takes without blocking once the host has called it writable: 4096 bytes on Linux, and 512 at least on
/// whatever follows POSIX.
pub(crate) const PIPE_BUF: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };

/// How many buffers at the front are empty. A host takes so many buffers in a call; were all of those empty, moving nothing would look like
/// the end.
#[allow(dead_code, reason = "two backends take one buffer at a time")]
fn empty<B: std::ops::Deref<Target = [u8]>>(bufs: &[B]) -> usize {
    bufs.iter().take_while(|buf| buf.is_empty()).count()
}

/// What a task waits for on a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// There is something to read, a connection to accept, the end of the stream or an error.
    Read = 0,
    /// There is room to write, a connection attempt has ended, or an error.
    Write = 1,
}

/// By what a program is asked to stop. WASI tells no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// Either of them, also one that has come before.
    Any,
}

/// An option of a socket. Durations are in nanoseconds, sizes in bytes, and what is on or off is 1 or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    Keepalive,
    KeepaliveIdle,
    KeepaliveInterval,
    KeepaliveCount,
    HopLimit,
    ReceiveBuffer,
    SendBuffer,
}

impl Setting {
    /// As users know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Setting::Keepalive => "keepalive",
            Setting::KeepaliveIdle => "keepalive's idle time",
            Setting::KeepaliveInterval => "keepalive's interval",
            Setting::KeepaliveCount => "keepalive's count",
            Setting::HopLimit => "ttl",
            Setting::ReceiveBuffer => "recv_buffer_size",
            Setting::SendBuffer => "send_buffer_size",
        }
    }
}

/// How long a [`Wait::wait`] may sleep: the three cases of the one host call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Look and return. The host still gets its turn.
    Now,
    /// Sleep until then, or until something is ready.
    At(Instant),
    /// Sleep until something is ready.
    Forever,
}

/// A source became ready on a side. A hint: the operation is tried again and may still say `WouldBlock`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) key: Key,
    pub(crate) side: Side,
}

/// The contract of a backend's `Poller`. Nothing is generic over it: it is here to be documented once and to be checked
/// by the compiler.
pub(crate) trait Wait: Sized {
    type Source;
    type Notifier;

    /// Whether [`arm_untried`](Self::arm_untried) costs more than [`arm`](Self::arm).
    const EDGES: bool = false;

    fn new() -> io::Result<Self>;

    /// Report `key` once, as soon as `source` can make progress on `side`. The caller has tried since the last report, and was told
    /// `WouldBlock`: what has become ready since is reported by the next `wait`. After the report the side is no longer armed.
    /// A side that is armed stays so.
    fn arm(&mut self, source: &Self::Source, side: Side, key: Key) -> io::Result<()>;

    /// The same for a caller that has not tried, or not to the end: whatever is ready is reported by the next `wait`.
    fn arm_untried(&mut self, source: &Self::Source, side: Side, key: Key) -> io::Result<()> {
        self.arm(source, side, key)
    }

    /// Stop reporting this side. Never fails; a side that is not armed is fine.
    fn disarm(&mut self, side: Side, key: Key);

    /// Disarm both sides and forget the source. Called before a source that was armed goes away.
    fn remove(&mut self, key: Key) {
        self.disarm(Side::Read, key);
        self.disarm(Side::Write, key);
    }

    /// Sleep until something armed is ready or `until` passes; push what is ready. True if the clock says that `until`
    /// may have passed (early is fine: the caller looks at the clock).
    fn wait(&mut self, until: Until, ready: &mut Vec<Ready>) -> io::Result<bool>;

    /// How many sides are armed.
    fn armed(&self) -> usize;

    /// A handle by which another thread ends a `wait`.
    fn notifier(&self) -> Self::Notifier;
}
