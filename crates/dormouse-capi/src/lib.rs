//! Dormouse for other languages: a C ABI.
//!
//! What C sees is `include/dormouse.h`, which is made of this crate; `README.md` is its manual, with programs.
//!
//! One idea: *nothing here waits but one call*. Each operation tries, and says `-EAGAIN` if it would have to wait. Then the
//! program asks to be told when another try is worth it, by a callback or by a token, and goes on with something else. When
//! it has nothing else to do it makes the one waiting call: [`dm_run`](run::dm_run) makes it for a program of callbacks,
//! [`dm_poll`](poll::dm_poll) for a scheduler of the program's own. So the library keeps no pointer into the program's memory but
//! the argument of a callback, which it only hands back.
//!
//! ```text
//!   C:   dm_read … ──▶ -EAGAIN ──▶ dm_when(read, call) ──┐       ┌── dm_run calls it ──▶ dm_read …
//!                             or  dm_watch(read, token) ─┤       ├── dm_poll reports it
//!   table.rs: the entry of the handle ◀── a waiter ──────┘       │
//!   dormouse: park ─────────────── the one host call ─── waker ──┘
//! ```
//!
//! `table.rs` has the handles, `wait.rs` their waiters, `run.rs` and `poll.rs` the two loops; `tcp.rs`, `udp.rs`,
//! `name.rs`, `addr.rs` and `socket.rs` the operations, and `error.rs` what they say. Each function goes by [`call`], where
//! pointers, panics and errors stop.
#![allow(non_camel_case_types, reason = "as they are called in C")]

pub mod addr;
pub mod call;
mod due;
pub mod error;
pub mod name;
pub mod poll;
pub mod run;
pub mod socket;
mod state;
mod table;
pub mod tcp;
pub mod udp;
pub mod wait;

use std::ffi::c_void;

// A program in C has a `main`, and a host of WASI 0.3 calls it through this.
dormouse::export_main!();

/// Names a socket, a lookup or a timer. It is given out once: that of something that was closed is `-EBADF`, for ever, and on
/// every thread but its own. 0 is none.
pub type dm_handle = u64;

/// What the library calls back, with the argument that was given with it. It must not throw, nor `longjmp` out.
pub type dm_call = Option<unsafe extern "C" fn(arg: *mut c_void)>;

/// To read: something has come, a connection is to be accepted, a datagram, the end, or an error.
pub const DM_READ: u32 = 1;
/// To write: there is room, or an error.
pub const DM_WRITE: u32 = 2;

/// Now: as a deadline, one that has passed; in `dm_poll`, look and do not wait.
pub const DM_NOW: u64 = 0;
/// Never: as a deadline, none.
pub const DM_FOREVER: u64 = u64::MAX;

/// The version of this header: major, minor and patch, two digits each. Before 1.0 a new minor may change anything.
pub const DM_VERSION: u32 = 100;

/// The version of the library that is linked; compare it with `DM_VERSION`. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn dm_version() -> u32 {
    DM_VERSION
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_that_of_the_crate() {
        let number = |part: &str| part.parse::<u32>().unwrap();
        let [major, minor, patch] =
            [env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"), env!("CARGO_PKG_VERSION_PATCH")]
                .map(number);
        assert_eq!(super::dm_version(), major * 10_000 + minor * 100 + patch);
    }
}
