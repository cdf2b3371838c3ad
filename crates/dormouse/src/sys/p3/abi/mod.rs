//! The canonical built-ins of the component model, and the memory that is lent to the host: the only unsafe code of this
//! backend.
//!
//! A read or write that the host cannot do at once goes on by itself, into memory that it keeps a pointer to. So whatever
//! is lent for long is owned by [`Mailbox`] or [`Outbox`], on the heap, and is let go only after the host has said that it is
//! through: by an event, or because it was told to stop. The caller's memory is lent for the length of a call: what is not
//! done by then is stopped.
//!
//! `read.rs` and `write.rs` are these two, `known.rs` knows which events have come, `open.rs` is where their streams come from, `hook.rs`
//! lets futures of wit-bindgen wait here, and `run.rs` is how the host calls the program.
//!
//! Names and numbers are those of the canonical ABI (component-model, design/mvp/CanonicalABI.md).
#![allow(unsafe_code)]

mod hook;
mod known;
mod open;
mod read;
#[cfg(target_env = "p2")]
mod run;
mod write;

pub(crate) use hook::Entered;
#[cfg(feature = "p3-spawn")]
pub(crate) use hook::set_spawn;
pub(super) use hook::{Listener, watched};
pub(super) use known::{arm, disarm, has_event, listeners, note, waitable_set, with_orphans};
pub(super) use open::{Incoming, Outgoing, forward, listen, receive, send, stderr, stdin, stdout};
pub(super) use read::{Bytes, Connections, Mailbox, Readable, SocketEnd, StdioEnd};
#[cfg(target_env = "p2")]
pub(super) use run::was_called;
#[cfg(target_env = "p2")]
pub use run::{WORLD, run_main};
pub(super) use write::Outbox;

/// A handle that can be waited for. 0 is none.
pub(super) type Waitable = u32;

/// What a read, a write or a cancel returns when the host is not through.
const BLOCKED: u32 = u32::MAX;
/// The other end has gone; in the low four bits of a result.
const DROPPED: u32 = 1;
/// The state of a call that has returned; in the low four bits.
const RETURNED: u32 = 2;

/// How many elements one read or write may name; a host traps at more (CanonicalABI.md, `Buffer.MAX_LENGTH`; wasmtime 48.0.8,
/// futures_and_streams.rs, "count too large").
pub(super) const MOST: usize = (1 << 28) - 1;

/// How a read or write went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    /// How many elements were moved.
    pub(super) count: usize,
    /// The other end has gone: there will be no more.
    pub(super) ended: bool,
}

impl Moved {
    fn new(code: u32) -> Moved {
        Moved { count: (code >> 4) as usize, ended: code & 0xf == DROPPED }
    }
}

// ---- the waitable set ----

/// What has happened to a waitable.
#[derive(Clone, Copy)]
pub(super) struct Event {
    pub(super) waitable: Waitable,
    pub(super) code: u32,
}

mod root {
    #[link(wasm_import_module = "$root")]
    unsafe extern "C" {
        #[link_name = "[waitable-set-new]"]
        pub(super) safe fn waitable_set_new() -> u32;
        #[link_name = "[waitable-set-wait]"]
        pub(super) fn waitable_set_wait(set: u32, payload: *mut [u32; 2]) -> u32;
        #[link_name = "[waitable-set-poll]"]
        pub(super) fn waitable_set_poll(set: u32, payload: *mut [u32; 2]) -> u32;
        #[link_name = "[waitable-join]"]
        pub(super) fn waitable_join(waitable: u32, set: u32);
        #[link_name = "[thread-yield]"]
        pub(super) safe fn thread_yield() -> u32;
        #[link_name = "[subtask-cancel]"]
        pub(super) fn subtask_cancel(subtask: u32) -> u32;
        #[link_name = "[subtask-drop]"]
        pub(super) fn subtask_drop(subtask: u32);
    }
}

/// A waitable set that is never given back.
#[derive(Clone, Copy)]
pub(super) struct WaitableSet(u32);

impl WaitableSet {
    pub(super) fn new() -> WaitableSet {
        WaitableSet(root::waitable_set_new())
    }

    pub(super) fn add(self, waitable: Waitable) {
        // SAFETY: no memory is involved; the host traps if there is no such waitable.
        unsafe { root::waitable_join(waitable, self.0) }
    }

    /// Waits for the next event.
    pub(super) fn wait(self) -> Option<Event> {
        let mut payload = [0; 2];
        // SAFETY: the host writes two numbers there and keeps no pointer.
        let kind = unsafe { root::waitable_set_wait(self.0, &raw mut payload) };
        Self::event(kind, payload)
    }

    /// The next event, if there is one.
    pub(super) fn poll(self) -> Option<Event> {
        let mut payload = [0; 2];
        // SAFETY: as above.
        let kind = unsafe { root::waitable_set_poll(self.0, &raw mut payload) };
        Self::event(kind, payload)
    }

    /// 0 is no event, and 6 that the task is to be cancelled, which a program that is run is not.
    fn event(kind: u32, [waitable, code]: [u32; 2]) -> Option<Event> {
        matches!(kind, 1..=5).then_some(Event { waitable, code })
    }
}

/// Takes a waitable out of the set that it is in.
fn leave(waitable: Waitable) {
    // SAFETY: as for `add`.
    unsafe { root::waitable_join(waitable, 0) }
}

/// Gives the host its turn.
pub(super) fn thread_yield() {
    root::thread_yield();
}

// ---- the clock ----

/// A call of the host that returns at a time.
pub(super) struct Timer {
    subtask: u32,
    /// It has returned.
    returned: bool,
}

impl Timer {
    /// `None`: that time has passed.
    pub(super) fn new(nanos: u64) -> Option<Timer> {
        #[link(wasm_import_module = "wasi:clocks/monotonic-clock@0.3.2")]
        unsafe extern "C" {
            #[link_name = "[async-lower]wait-until"]
            safe fn wait_until(when: u64) -> u32;
        }
        let status = wait_until(nanos);
        if status & 0xf == RETURNED {
            return None;
        }
        let subtask = status >> 4;
        known::join(subtask);
        Some(Timer { subtask, returned: false })
    }

    /// Whether its event has come.
    pub(super) fn has_fired(&mut self) -> bool {
        self.returned |= known::take_event(self.subtask).is_some_and(|state| state == RETURNED);
        self.returned
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if !self.has_fired() {
            known::leave(self.subtask);
            // SAFETY: the call has not returned, and its handle is in no set.
            unsafe { root::subtask_cancel(self.subtask) };
        }
        known::forget(self.subtask);
        // SAFETY: the call is over, and this was the last of the handle.
        unsafe { root::subtask_drop(self.subtask) }
    }
}
