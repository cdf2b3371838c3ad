//! Waiters: a callback or a token that waits, once, on one side of a handle.
//!
//! ```text
//!            dm_when, dm_watch               ready, opened, deadline passed, closed
//!   none ───────────────────────▶ waiting ──────────────────────────────────────────▶ due: called, or reported
//!                                    │ dm_forget                                        │ dm_forget
//!                                    └───────────────▶ none ◀───────────────────────────┘
//! ```
//!
//! A waiter is told exactly once, unless it is forgotten first.

use std::ffi::{c_int, c_void};

use dormouse::foreign::Side;

use crate::error::{Error, KIND, NO_LOOP, NULL, Result};
use crate::state::{self, Mode, Object, State, bit};
use crate::{DM_READ, DM_WRITE, call, dm_call, dm_handle};

/// A callback with its argument.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    call: unsafe extern "C" fn(*mut c_void),
    arg: *mut c_void,
}

impl Call {
    pub(crate) fn new(call: dm_call, arg: *mut c_void) -> Result<Call> {
        Ok(Call { call: call.ok_or(NULL)?, arg })
    }

    /// Calls it. Nothing of ours is borrowed meanwhile.
    pub(crate) fn make(self) {
        // SAFETY: the caller of `dm_when` has promised that it may be called with this argument, on this thread.
        unsafe { (self.call)(self.arg) }
    }
}

/// What a waiter is told by.
pub(crate) enum Waiting {
    Call(Call),
    Token(u64),
}

/// The one side that is meant.
fn one(side: u32) -> Result<Side> {
    match side {
        DM_READ => Ok(Side::Read),
        DM_WRITE => Ok(Side::Write),
        _ => Err(Error::Misuse(libc::EINVAL, "a side is DM_READ or DM_WRITE")),
    }
}

/// Each side that is meant, at least one.
pub(crate) fn each(sides: u32) -> Result<impl Iterator<Item = Side> + Clone> {
    if sides == 0 || sides & !(DM_READ | DM_WRITE) != 0 {
        return Err(Error::Misuse(libc::EINVAL, "sides are DM_READ, DM_WRITE, or both of them"));
    }
    Ok([Side::Read, Side::Write].into_iter().filter(move |&side| sides & bit(side) != 0))
}

impl State {
    fn wait(&mut self, handle: dm_handle, side: Side, waiting: Waiting) -> Result<()> {
        let entry = self.table.get(handle)?;
        if entry.is_timer() {
            return Err(KIND);
        }
        // Refused: the next try says why.
        let parked = entry.park(handle, side).is_ok();
        entry.sides[side as usize].list.push(waiting);
        self.pending += usize::from(matches!(entry.sides[side as usize].list.last(), Some(Waiting::Call(_))));
        if !parked {
            self.fire(handle, side);
        }
        Ok(())
    }
}

/// Has `call(arg)` called, once, when it is worth trying on this side of `handle` again: something has come or there is room, it
/// has been opened or that has failed, the deadline has passed, or it was closed. That is a hint: the next try may say `-EAGAIN` once more.
/// Any number may wait. Is called by `dm_run` or `dm_poll`, never by this function. Never blocks.
///
/// `arg` stays the caller's; it must be there until it is called, or until `dm_forget`.
///
/// # Errors
/// `-EBADF`; `-ENOTSOCK` for a timer; `-EINVAL` unless `side` is `DM_READ` or `DM_WRITE`; `-EFAULT` if `call` is null; `-EPERM` inside no
/// loop.
///
/// # Safety
/// `call` may be called with `arg` on this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_when(handle: dm_handle, side: u32, call: dm_call, arg: *mut c_void) -> c_int {
    call::status(|| {
        let (side, call) = (one(side)?, Call::new(call, arg)?);
        state::with(|state| match state.mode {
            Some(_) => state.wait(handle, side, Waiting::Call(call)),
            None => Err(NO_LOOP),
        })
    })
}

/// Has `dm_poll` report `token`, once, when it is worth trying on this side of `handle` again: as `dm_when`. Never blocks.
///
/// # Errors
/// As `dm_when`; `-EPERM` in `dm_run`, which reports no tokens.
#[unsafe(no_mangle)]
pub extern "C" fn dm_watch(handle: dm_handle, side: u32, token: u64) -> c_int {
    call::status(|| {
        let side = one(side)?;
        state::with(|state| match state.mode {
            Some(Mode::Own | Mode::Polling) => state.wait(handle, side, Waiting::Token(token)),
            _ => Err(Error::Misuse(libc::EPERM, "tokens are reported by dm_poll: call it between dm_begin and dm_end")),
        })
    })
}

/// Forgets all waiters of these sides of `handle`, those that are due as well: after this none of them is called or reported. Never
/// blocks.
///
/// # Errors
/// `-EBADF`; `-ENOTSOCK` for a timer, which `dm_close` stops; `-EINVAL` unless `sides` are of `DM_READ | DM_WRITE`.
#[unsafe(no_mangle)]
pub extern "C" fn dm_forget(handle: dm_handle, sides: u32) -> c_int {
    call::status(|| {
        let each = each(sides)?;
        state::with(|state| {
            let entry = state.table.get(handle)?;
            if let Object::Timer(..) = entry.object {
                return Err(KIND);
            }
            for side in each {
                entry.unpark(side);
                let queue = &mut entry.sides[side as usize];
                state.pending -= queue.list.iter().filter(|waiting| matches!(waiting, Waiting::Call(_))).count();
                queue.list.clear();
                state.calls.forget(&mut queue.calls);
                state.events.forget(&mut queue.events);
            }
            Ok(())
        })
    })
}
