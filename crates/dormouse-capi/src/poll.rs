//! For a scheduler of the program's own: `dm_begin`, and in its idle path `dm_poll`.

use std::ffi::c_int;

use dormouse::time::Instant;

use crate::error::{Error, NO_LOOP, Result};
use crate::run::run_batch;
use crate::state::{self, Mode, State, UNLIMITED};
use crate::{DM_FOREVER, DM_NOW, call, dm_handle};

/// A side that `dm_watch` waited for, and that is worth another try.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct dm_event {
    /// What `dm_watch` was given.
    pub token: u64,
    /// On which handle; it may have been closed meanwhile.
    pub handle: dm_handle,
    /// On which side: `DM_READ` or `DM_WRITE`.
    pub side: u32,
    /// 0.
    pub _reserved: u32,
}

/// After so many polls that had something to report at once, one looks at the host first.
const POLLS_PER_LOOK: u32 = 64;

/// Enters the loop, for a program with a scheduler of its own; `dm_run` does it by itself. Never blocks.
///
/// # Errors
/// `-EBUSY` if the thread is in one; `-ENOTSUP` on a host of WASI 0.2 in a program for 0.3.
#[unsafe(no_mangle)]
pub extern "C" fn dm_begin() -> c_int {
    call::status(|| state::enter(Mode::Own))
}

/// Leaves the loop of `dm_begin`. **Blocks** up to five seconds for what was written and is still on its way. Sockets that are
/// open stay open; timers and waiters are forgotten.
///
/// # Errors
/// `-EPERM` without a `dm_begin`; `-EBUSY` in a callback.
#[unsafe(no_mangle)]
pub extern "C" fn dm_end() -> c_int {
    call::status(|| {
        match state::with(|state| state.mode) {
            Some(Mode::Own) => state::leave(),
            Some(Mode::Polling) => return Err(Error::Misuse(libc::EBUSY, "dm_end was called in a callback")),
            Some(Mode::Run) | None => return Err(NO_LOOP),
        }
        Ok(())
    })
}

/// The one waiting call, for the idle path of a scheduler: **blocks**, with the whole program, until a waiter is due, or until the
/// clock of `dm_now` says `until`: `DM_NOW` only looks, `DM_FOREVER` waits for as long as it takes.
/// Reports up to `count` tokens in `events`, in the order in which they became due, and returns how many; what there is no room for is for the
/// next call. Callbacks are called meanwhile, and if there was one it returns as well, perhaps with 0.
///
/// # Errors
/// `-EDEADLK` if `until` is `DM_FOREVER` and there is no waiter: the wait would not end. `-EPERM` without a `dm_begin`, `-EBUSY` in a
/// callback, `-EFAULT` if `events` is null and `count` not 0, and what the host says if it cannot wait.
///
/// # Safety
/// `events` points to `count` of them; it may be null if `count` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_poll(events: *mut dm_event, count: usize, until: u64) -> c_int {
    call::number(|| {
        if events.is_null() && count > 0 {
            return Err(crate::error::NULL);
        }
        state::with(|state| match state.mode {
            Some(Mode::Own) => {
                state.mode = Some(Mode::Polling);
                Ok(())
            }
            Some(Mode::Polling | Mode::Run) => {
                Err(Error::Misuse(libc::EBUSY, "dm_poll was called in a callback: return, and the loop goes on"))
            }
            None => Err(NO_LOOP),
        })?;
        let polled = Polled;
        wait(until)?;
        drop(polled);
        Ok(state::with(|state| {
            let fits = state.events.len().min(count).min(c_int::MAX as usize);
            for (at, event) in std::iter::from_fn(|| state.events.pop()).take(fits).enumerate() {
                // SAFETY: there are `count` of them, as the caller promises.
                unsafe { events.add(at).write(event) }
            }
            fits as c_int
        }))
    })
}

/// Out of `dm_poll` again, also by a panic.
struct Polled;

impl Drop for Polled {
    fn drop(&mut self) {
        state::with(|state| state.mode = state.mode.map(|_| Mode::Own));
    }
}

/// Waits until there is something to report, a callback was called, or it is time.
fn wait(until: u64) -> Result<()> {
    let mut looked = false;
    loop {
        state::with(State::see_to_fired);
        let called = run_batch(UNLIMITED) > 0;
        state::with(State::see_to_fired);
        if called || state::with(|state| !state.events.is_empty()) {
            return look_now_and_then();
        }
        match until {
            DM_NOW if looked => return Ok(()),
            DM_NOW => state::turn(|host| host.look())?,
            DM_FOREVER => state::turn(|host| host.wait(None))?,
            _ if looked && Instant::now() >= Instant::from_nanos(until) => return Ok(()),
            _ => state::turn(|host| host.wait(Some(Instant::from_nanos(until))))?,
        }
        looked = true;
        state::with(|state| state.polls = 0);
    }
}

/// A program that always has something to do must not keep the host from its turn.
fn look_now_and_then() -> Result<()> {
    let due = state::with(|state| {
        state.polls += 1;
        state.polls >= POLLS_PER_LOOK
    });
    if due {
        state::turn(|host| host.look())?;
        state::with(|state| {
            state.polls = 0;
            state.see_to_fired();
        });
    }
    Ok(())
}
