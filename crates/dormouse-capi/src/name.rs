//! Names: looked up by the host.

use std::ffi::{c_char, c_int};

use dormouse::net::lookup_host;

use crate::addr::dm_addr;
use crate::error::{Error, KIND};
use crate::socket::opens;
use crate::state::{self, Object, again};
use crate::{call, dm_handle};

/// Begins to look up `localhost:80`. `lookup` gets a handle, of which `dm_lookup_next` takes the addresses; wait for it on `DM_READ`, and
/// close it. Never blocks; natively a thread of its own waits.
///
/// # Errors
/// `-ENOENT` if there is no such name, `-EACCES` if the host refuses lookups (`dormouse run --allow-dns`), `-ENOTSUP` on wasip1, `-EINVAL`
/// for what is neither name nor address, at once or as what `dm_lookup_next` says; `-EFAULT`, `-EPERM` inside no loop, `-ENFILE`.
///
/// # Safety
/// `name` is null or ends with a 0, and is not kept; `lookup` is null or points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_lookup(name: *const c_char, lookup: *mut dm_handle) -> c_int {
    call::status(|| {
        // SAFETY: as the caller promises.
        let name = unsafe { call::text(name) }?.to_owned();
        // SAFETY: as the caller promises.
        unsafe {
            opens(lookup, |state| {
                let looked_up =
                    async move { Ok(Object::Names(lookup_host(name).await?.collect::<Vec<_>>().into_iter())) };
                state.open(looked_up)
            })
        }
    })
}

/// Gives the next address of a lookup, in the order in which the host would try them: returns 1 and sets `addr`, or returns 0 if there
/// are no more. Never blocks.
///
/// # Errors
/// `-EAGAIN` while it is being looked up, and what went wrong with that; `-EBADF`, `-ENOTSOCK`, `-EFAULT`.
///
/// # Safety
/// `addr` is null or points to an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_lookup_next(lookup: dm_handle, addr: *mut dm_addr) -> c_int {
    call::number(|| {
        // SAFETY: as the caller promises.
        let out = unsafe { call::out(addr) }?;
        let next = state::with(|state| match &mut state.table.get(lookup)?.object {
            Object::Names(names) => Ok(names.next()),
            Object::Opening(_) => Err(Error::Again),
            Object::Failed(error) => Err(again(error).into()),
            _ => Err(KIND),
        })?;
        Ok(match next {
            Some(next) => {
                out.put(next.into());
                1
            }
            None => 0,
        })
    })
}
