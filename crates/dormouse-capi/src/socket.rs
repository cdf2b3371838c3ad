//! What every handle can do: be asked whether it is open, have a deadline, tell its addresses, be closed.

use std::ffi::{c_char, c_int};

use dormouse::foreign::Side;
use dormouse::time::Instant;

use crate::addr::dm_addr;
use crate::error::Result;
use crate::state::{self, Object, State};
use crate::wait::each;
use crate::{DM_FOREVER, call, dm_handle};

/// Whether a handle is open: 0, `-EAGAIN` while it is being opened, or what went wrong, which every operation on it says as well. Never
/// blocks.
///
/// # Errors
/// `-EBADF`.
#[unsafe(no_mangle)]
pub extern "C" fn dm_opened(handle: dm_handle) -> c_int {
    call::status(|| state::with(|state| state.ask(handle, |_| Some(Ok(())))))
}

/// Closes a handle of any kind; it is `-EBADF` from now on. Its waiters are due, and get that. What was written is still
/// sent: the loop sees to that, and this **never blocks**. A timer is stopped: it is not called any more.
///
/// # Errors
/// `-EBADF`, also the second time, and for a timer that has been called.
#[unsafe(no_mangle)]
pub extern "C" fn dm_close(handle: dm_handle) -> c_int {
    call::status(|| state::with(|state| state.close(handle)))
}

impl State {
    fn close(&mut self, handle: dm_handle) -> Result<()> {
        let State { table, calls, events, pending, .. } = self;
        let mut entry = table.remove(handle)?;
        let [readers, writers] = &mut entry.sides;
        match &entry.object {
            // It is due.
            Object::Timer(sleep, _) if sleep.is_elapsed() => drop(calls.forget(&mut readers.calls)),
            Object::Timer(..) => *pending -= 1,
            _ => {}
        }
        readers.fire(handle, Side::Read, calls, events, pending);
        writers.fire(handle, Side::Write, calls, events, pending);
        Ok(())
    }
}

/// Sets the deadline of operations on these sides of a socket, on the clock of `dm_now`: when it has passed they say `-ETIMEDOUT`, and all
/// waiters are due. `DM_FOREVER` is no deadline, as at first; `DM_NOW` has passed. A listener has only the one of `DM_READ`. Never
/// blocks; makes no host call.
///
/// # Errors
/// `-EBADF`; `-ENOTSOCK` for a lookup or a timer; `-EAGAIN` while it is being opened; `-EINVAL` unless `sides` are of `DM_READ | DM_WRITE`.
#[unsafe(no_mangle)]
pub extern "C" fn dm_deadline(handle: dm_handle, sides: u32, until: u64) -> c_int {
    call::status(|| {
        let sides = each(sides)?;
        let until = (until != DM_FOREVER).then(|| Instant::from_nanos(until));
        state::with(|state| {
            for side in sides {
                state.ask(handle, |object| match (object, side) {
                    (Object::Listener(listener), Side::Read) => Some(listener.set_deadline(until)),
                    (Object::Listener(_), Side::Write) => Some(Ok(())),
                    (Object::Stream(stream), Side::Read) => Some(stream.set_read_deadline(until)),
                    (Object::Stream(stream), Side::Write) => Some(stream.set_write_deadline(until)),
                    (Object::Udp(socket), Side::Read) => Some(socket.set_read_deadline(until)),
                    (Object::Udp(socket), Side::Write) => Some(socket.set_write_deadline(until)),
                    _ => None,
                })?;
            }
            Ok(())
        })
    })
}

/// Gives this end's address. Never blocks.
///
/// # Errors
/// `-ENOTSUP` on wasip1, which has no call for it (`dm_describe` says what is known); `-EBADF`, `-ENOTSOCK`, `-EFAULT`, `-EAGAIN` while it
/// is being opened, and what the host says.
///
/// # Safety
/// `addr` is null or points to an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_local_addr(handle: dm_handle, addr: *mut dm_addr) -> c_int {
    call::status(|| {
        // SAFETY: as the caller promises.
        let out = unsafe { call::out(addr) }?;
        let local = state::with(|state| {
            state.ask(handle, |object| match object {
                Object::Listener(listener) => Some(listener.local_addr()),
                Object::Stream(stream) => Some(stream.local_addr()),
                Object::Udp(socket) => Some(socket.local_addr()),
                _ => None,
            })
        });
        out.put(local?.into());
        Ok(())
    })
}

/// Gives the other end's address, of a connection or of a UDP socket that is connected. Never blocks.
///
/// # Errors
/// As `dm_local_addr`; `-ENOTCONN` if there is none, or none any more.
///
/// # Safety
/// `addr` is null or points to an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_peer_addr(handle: dm_handle, addr: *mut dm_addr) -> c_int {
    call::status(|| {
        // SAFETY: as the caller promises.
        let out = unsafe { call::out(addr) }?;
        let peer = state::with(|state| {
            state.ask(handle, |object| match object {
                Object::Stream(stream) => Some(stream.peer_addr()),
                Object::Udp(socket) => Some(socket.peer_addr()),
                _ => None,
            })
        });
        out.put(peer?.into());
        Ok(())
    })
}

/// Writes what a listener listens on, as text: its address, or `FD 3` where no address is known. As `dm_addr_format`; 60 bytes are
/// enough. Never blocks.
///
/// # Errors
/// `-EBADF`, `-ENOTSOCK` for all but listeners, `-EAGAIN` while it is being opened, `-EFAULT`.
///
/// # Safety
/// `buf` points to `len` bytes; it may be null if `len` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_describe(handle: dm_handle, buf: *mut c_char, len: usize) -> i64 {
    call::length(|| {
        let text = state::with(|state| {
            state.ask(handle, |object| match object {
                Object::Listener(listener) => Some(Ok(listener.to_string())),
                _ => None,
            })
        });
        // SAFETY: as the caller promises.
        unsafe { call::put_text(&text?, buf, len) }
    })
}

/// Sets whether small writes to a connection are sent at once (TCP_NODELAY). Never blocks.
///
/// # Errors
/// `-ENOTSUP` under WASI, which has no such option, but for `on` where the runner has set it already; `-EBADF`, `-ENOTSOCK`, `-EAGAIN`
/// while it is being opened, `-EINVAL` unless `on` is 0 or 1.
#[unsafe(no_mangle)]
pub extern "C" fn dm_nodelay(handle: dm_handle, on: c_int) -> c_int {
    call::status(|| {
        if !matches!(on, 0 | 1) {
            return Err(crate::error::Error::Misuse(libc::EINVAL, "dm_nodelay is 0 or 1"));
        }
        state::with(|state| {
            state.ask(handle, |object| match object {
                Object::Stream(stream) => Some(stream.set_nodelay(on == 1)),
                _ => None,
            })
        })
    })
}

/// For calls that open: a handle goes where C wants it, if it could be opened.
///
/// # Safety
/// `handle` is null or points to a handle.
pub(crate) unsafe fn opens(handle: *mut dm_handle, open: impl FnOnce(&mut State) -> Result<dm_handle>) -> Result<()> {
    // SAFETY: as the caller promises.
    let out = unsafe { call::out(handle) }?;
    let opened = state::with(|state| {
        state.mode.ok_or(crate::error::NO_LOOP)?;
        open(state)
    });
    out.put(opened?);
    Ok(())
}
