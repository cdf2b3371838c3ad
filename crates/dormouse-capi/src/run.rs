//! The loop of callbacks: `dm_run`.

use std::ffi::{c_int, c_void};

use dormouse::time::{Duration, Instant, sleep, sleep_until};

use crate::due::Last;
use crate::error::{Error, NO_LOOP, Result};
use crate::state::{self, DueCall, Mode};
use crate::wait::Call;
use crate::{DM_FOREVER, call, dm_call, dm_handle};

/// Operations that a callback may do until it is told `-EAGAIN`, so that others get their turn. 2 KiB that are moved count as one.
const OPERATIONS_PER_CALL: u32 = 128;
/// After so much work the host has its turn, even if there is more to call. A call is one piece of it, and so are eight
/// operations.
const WORK_PER_LOOK: u32 = 64;
const OPERATIONS_PER_WORK: u32 = 8;
/// And after so much within a batch. Most batches end before that, and a wait comes then anyway.
const WORK_PER_LOOK_IN_BATCH: u32 = 8 * WORK_PER_LOOK;

/// Calls `call(arg)`, and then whatever is due, and sleeps in between in one host call, until nothing is left that could be
/// called, or until `dm_stop`. **Blocks** for as long as that takes, and at its end up to five seconds for what was written and is still
/// on its way. Returns 0, or what `dm_stop` was given.
///
/// A callback may do 128 operations, and each 2 KiB that an operation moves count as one more. From then on each operation says `-EAGAIN`,
/// and `dm_when` calls it again at once: so a busy connection does not starve the others.
///
/// Sockets that are open at the end stay open, and can be used in another `dm_run`. Timers and waiters are forgotten.
///
/// # Errors
/// `-EBUSY` inside another `dm_run`, or between `dm_begin` and `dm_end`; `-EFAULT` if `call` is null; `-EDEADLK` if all that is left is
/// a timer that never ends; `-ENOTSUP` on a host of WASI 0.2 in a program for 0.3.
///
/// # Safety
/// `call` may be called with `arg`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_run(call: dm_call, arg: *mut c_void) -> c_int {
    call::number(|| {
        let call = Call::new(call, arg)?;
        state::enter(Mode::Run)?;
        let left = Left;
        state::with(|state| state.calls.push(DueCall { call, of: 0, side: 0 }, &mut Last::default()));
        let code = run();
        drop(left);
        code
    })
}

/// Leaves the loop, also by a panic.
pub(crate) struct Left;

impl Drop for Left {
    fn drop(&mut self) {
        state::leave();
    }
}

fn run() -> Result<c_int> {
    let mut work = 0;
    loop {
        state::with(|state| state.see_to_fired());
        work += run_batch(OPERATIONS_PER_CALL);
        let (stopped, idle, ended) = state::with(|state| {
            // What they have fired themselves is due as well, and lets the host have its turn as all others do.
            state.see_to_fired();
            let idle = state.calls.is_empty() && !state::has_fired();
            (state.stopped, idle, idle && state.pending == 0)
        });
        if let Some(code) = stopped {
            return Ok(code);
        }
        if ended {
            return Ok(0);
        }
        if idle {
            state::turn(|host| host.wait(None))?;
            work = 0;
        } else if work >= WORK_PER_LOOK {
            state::turn(|host| host.look())?;
            work = 0;
        }
    }
}

/// Makes the calls that are due now, or the first of them if they do so much that the host is to have its turn; tells how much
/// work that was. Those that they make due wait for the next batch.
pub(crate) fn run_batch(budget: u32) -> u32 {
    let mut work = 0;
    for _ in 0..state::with(|state| state.calls.len()) {
        let due = state::with(|state| {
            let due = state.calls.pop()?;
            if due.side == 0 {
                // The end of a timer. Only now, so that it could be stopped until now.
                let _ = state.table.remove(due.of);
            }
            (state.budget, state.overspent) = (budget, 0);
            Some(due)
        });
        // Fewer than there were: forgotten by one of the others.
        let Some(due) = due else { break };
        due.call.make();
        let (used, stopped) =
            state::with(|state| ((budget - state.budget).saturating_add(state.overspent), state.stopped.is_some()));
        work += 1 + used / OPERATIONS_PER_WORK;
        if stopped || work >= WORK_PER_LOOK_IN_BATCH {
            break;
        }
    }
    work
}

/// Ends `dm_run`, which returns `code` when the callback that called this has returned; nothing more is called. Never blocks.
///
/// # Errors
/// `-EINVAL` if `code` is negative; `-EPERM` outside of `dm_run`.
#[unsafe(no_mangle)]
pub extern "C" fn dm_stop(code: c_int) -> c_int {
    call::status(|| {
        if code < 0 {
            return Err(Error::Misuse(libc::EINVAL, "the code of dm_stop must not be negative"));
        }
        state::with(|state| match state.mode {
            Some(Mode::Run) => {
                state.stopped = Some(code);
                Ok(())
            }
            _ => Err(Error::Misuse(libc::EPERM, "dm_stop ends dm_run, and that does not run")),
        })
    })
}

/// Has `call(arg)` called soon, by `dm_run` or `dm_poll`, after those that are due already. Never blocks.
///
/// # Errors
/// `-EFAULT` if `call` is null; `-EPERM` inside no loop.
///
/// # Safety
/// `call` may be called with `arg` on this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_spawn(call: dm_call, arg: *mut c_void) -> c_int {
    call::status(|| {
        let call = Call::new(call, arg)?;
        state::with(|state| {
            state.mode.ok_or(NO_LOOP)?;
            state.calls.push(DueCall { call, of: 0, side: 0 }, &mut Last::default());
            Ok(())
        })
    })
}

/// Has `call(arg)` called, once, after `nanoseconds`, and not earlier. Never blocks; it reads the clock.
///
/// `timer`, which may be null, gets a handle that is gone once the call is made: until then `dm_close` stops it, and if that
/// returns 0 it is not called any more.
///
/// # Errors
/// As `dm_spawn`.
///
/// # Safety
/// As `dm_spawn`; `timer` is null or points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_sleep(nanoseconds: u64, call: dm_call, arg: *mut c_void, timer: *mut dm_handle) -> c_int {
    // SAFETY: as the caller promises.
    call::status(|| unsafe { start(call, arg, timer, || sleep(Duration::from_nanos(nanoseconds))) })
}

/// Has `call(arg)` called, once, when the clock of `dm_now` says `until`, as `dm_sleep`; makes no host call.
///
/// # Errors
/// As `dm_spawn`.
///
/// # Safety
/// As `dm_sleep`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_sleep_until(until: u64, call: dm_call, arg: *mut c_void, timer: *mut dm_handle) -> c_int {
    // SAFETY: as the caller promises.
    call::status(|| unsafe { start(call, arg, timer, || sleep_until(Instant::from_nanos(until))) })
}

unsafe fn start(
    call: dm_call,
    arg: *mut c_void,
    timer: *mut dm_handle,
    sleep: impl FnOnce() -> dormouse::time::Sleep,
) -> Result<()> {
    let call = Call::new(call, arg)?;
    state::with(|state| {
        state.mode.ok_or(NO_LOOP)?;
        let started = state.sleep(sleep(), call)?;
        if !timer.is_null() {
            // SAFETY: as the callers' callers promise.
            unsafe { timer.write(started) }
        }
        Ok(())
    })
}

/// The clock, in nanoseconds from whenever the host begins to count; it never goes back. One host call; never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn dm_now() -> u64 {
    Instant::now().as_nanos().min(DM_FOREVER - 1)
}
