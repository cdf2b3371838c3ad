//! TCP: listen, dial, accept, read, write.

use std::ffi::{c_char, c_int};
use std::io;

use dormouse::net::{Shutdown, TcpListener, TcpStream};

use crate::addr::{self, dm_addr};
use crate::error::Result;
use crate::socket::opens;
use crate::state::{self, Object};
use crate::wait::each;
use crate::{DM_READ, DM_WRITE, call, dm_handle};

/// Begins to listen on an address; port 0 lets the host choose one, which `dm_local_addr` tells. Never blocks: where the host takes
/// time, operations say `-EAGAIN` until it is through, and `dm_opened` whether it is.
///
/// # Errors
/// `-EADDRINUSE`, `-EADDRNOTAVAIL`, `-EACCES` if the host's policy refuses the address, `-ENOTSUP` on wasip1, `-EFAULT`, `-EAFNOSUPPORT`,
/// `-EPERM` inside no loop, `-ENFILE`. What the host says later, operations on the handle say.
///
/// # Safety
/// `addr` is null or points to an address, and `listener` to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_tcp_listen(addr: *const dm_addr, listener: *mut dm_handle) -> c_int {
    call::status(|| {
        // SAFETY: as the caller promises.
        let addr = unsafe { addr::read(addr) }?;
        // SAFETY: as the caller promises.
        unsafe {
            opens(listener, |state| state.open(async move { Ok(Object::Listener(TcpListener::bind(addr).await?)) }))
        }
    })
}

/// Takes the next listener that the host opened before the program began, if there is one, and else does `dm_tcp_listen`: so one
/// program serves on every host. On wasip1 `dormouse run --listen ADDR` opens it, and `addr` is not looked at; natively it is systemd's
/// socket activation.
///
/// # Errors
/// As `dm_tcp_listen`; on wasip1 `-ENOTSUP` if there is none.
///
/// # Safety
/// As `dm_tcp_listen`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_tcp_listen_or_preopened(addr: *const dm_addr, listener: *mut dm_handle) -> c_int {
    call::status(|| {
        // SAFETY: as the caller promises.
        let addr = unsafe { addr::read(addr) }?;
        // SAFETY: as the caller promises.
        unsafe {
            opens(listener, |state| {
                state.open(async move { Ok(Object::Listener(TcpListener::bind_or_preopened(addr).await?)) })
            })
        }
    })
}

/// Gives the listener that the host opened as this descriptor: wasip1 only. The descriptor is Dormouse's from now on; a call that
/// asks for it again shares it, and it is closed with the last handle. Never blocks.
///
/// # Errors
/// `-ENOENT` if there is no such descriptor, `-EINVAL` if it is no stream socket or one that was accepted, `-ENOTSUP` on other targets,
/// `-EFAULT`, `-EPERM` inside no loop. One that does not listen says so in `dm_accept`.
///
/// # Safety
/// `listener` is null or points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_tcp_listener_from_fd(fd: u32, listener: *mut dm_handle) -> c_int {
    // SAFETY: as the caller promises.
    call::status(|| unsafe { opens(listener, |state| state.insert(Object::Listener(TcpListener::from_fd(fd)?))) })
}

/// Gives the connection that the host opened as this descriptor, as `dm_tcp_listener_from_fd`.
///
/// # Errors
/// As `dm_tcp_listener_from_fd`.
///
/// # Safety
/// `stream` is null or points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_tcp_from_fd(fd: u32, stream: *mut dm_handle) -> c_int {
    // SAFETY: as the caller promises.
    call::status(|| unsafe { opens(stream, |state| state.insert(Object::Stream(TcpStream::from_fd(fd)?))) })
}

/// Begins to connect to an address. Never blocks: operations say `-EAGAIN` until it is connected, and `dm_opened` whether it is. To give
/// it up, close it.
///
/// # Errors
/// `-EACCES` if the host's policy refuses the address, `-ENOTSUP` on wasip1, `-EFAULT`, `-EAFNOSUPPORT`, `-EPERM` inside no loop,
/// `-ENFILE`. `-ECONNREFUSED`, `-ETIMEDOUT`, `-EHOSTUNREACH` and the like may come at once, or be what operations on the handle say.
///
/// # Safety
/// `addr` is null or points to an address, and `stream` to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_tcp_dial(addr: *const dm_addr, stream: *mut dm_handle) -> c_int {
    call::status(|| {
        // SAFETY: as the caller promises.
        let addr = unsafe { addr::read(addr) }?;
        // SAFETY: as the caller promises.
        unsafe { opens(stream, |state| state.open(async move { Ok(Object::Stream(TcpStream::connect(addr).await?)) })) }
    })
}

/// Begins to connect to `localhost:80`, or to an address as text. A name is looked up, and if it has several addresses they are
/// raced (Happy Eyeballs, RFC 8305). Never blocks.
///
/// # Errors
/// As `dm_tcp_dial` and `dm_lookup`.
///
/// # Safety
/// `name` is null or ends with a 0, and is not kept; `stream` is null or points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_tcp_dial_name(name: *const c_char, stream: *mut dm_handle) -> c_int {
    call::status(|| {
        // SAFETY: as the caller promises.
        let name = unsafe { call::text(name) }?.to_owned();
        // SAFETY: as the caller promises.
        unsafe { opens(stream, |state| state.open(async move { Ok(Object::Stream(TcpStream::connect(name).await?)) })) }
    })
}

/// Takes a connection. `stream` gets its handle, and `peer`, which may be null, where it comes from: `0.0.0.0:0` on wasip1,
/// where it is not known. Never blocks.
///
/// # Errors
/// `-EAGAIN` if there is none; `-ETIMEDOUT` after the deadline; `-EBADF`; `-ENOTSOCK`; `-EFAULT`; `-ENFILE`; and what the host says.
/// Some errors pass, as `dm_is_transient` tells. `-ECONNABORTED` is of one connection. After `-EMFILE`, no more descriptors, and `-ENOMEM`
/// the listener pauses: it says `-EAGAIN` and wakes no waiter until a handle has been closed, or for a time, which is 5 ms and is doubled
/// at each failure up to a second. So wait with `dm_when` or `dm_watch` as after `-EAGAIN`.
///
/// # Safety
/// `stream` is null or points to a handle, and `peer` to an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_accept(listener: dm_handle, stream: *mut dm_handle, peer: *mut dm_addr) -> c_int {
    call::status(|| {
        // SAFETY: as the caller promises.
        let (stream, peer) = unsafe { (call::out(stream)?, call::out(peer).ok()) };
        let (accepted, from) = state::with(|state| -> Result<_> {
            let (accepted, from) = state.operate(listener, |object| match object {
                Object::Listener(listener) => Some(listener.try_accept()),
                _ => None,
            })?;
            Ok((state.insert(Object::Stream(accepted))?, from))
        })?;
        stream.put(accepted);
        if let Some(peer) = peer {
            peer.put(from.into());
        }
        Ok(())
    })
}

/// Whether an accept that returned `code` failed for a reason that passes, so that the listener is as good as before: 1 or 0. After
/// all other errors give up. `-EAGAIN` is no error, and gives 0. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn dm_is_transient(code: c_int) -> c_int {
    const CODES: [c_int; 3] = [-libc::ECONNABORTED, -libc::EMFILE, -libc::ENOMEM];
    call::number(|| Ok(CODES.contains(&code).into()))
}

/// Reads or writes, and tells how many bytes.
fn stream(handle: dm_handle, operation: impl FnOnce(&TcpStream) -> io::Result<usize>) -> Result<usize> {
    state::with(|state| {
        let bytes = state.operate(handle, |object| match object {
            Object::Stream(stream) => Some(operation(stream)),
            _ => None,
        })?;
        state.spend_bytes(bytes);
        Ok(bytes)
    })
}

/// Reads what has come, up to `len` bytes, and returns how many; 0 is the end of the stream (or a `len` of 0). `buf` is the
/// caller's, and is not kept. Never blocks. After a read of less than `len` the next may say `-EAGAIN` once without asking the host.
///
/// # Errors
/// `-EAGAIN` if nothing has come; `-ETIMEDOUT` after the deadline; `-EBADF`; `-ENOTSOCK`; `-EFAULT`; `-EINVAL` for a `len` above PTRDIFF_MAX;
/// `-ECONNRESET` and what else the host says.
///
/// # Safety
/// `buf` points to `len` bytes; it may be null if `len` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_read(handle: dm_handle, buf: *mut u8, len: usize) -> i64 {
    call::length(|| {
        // SAFETY: as the caller promises.
        let buf = unsafe { call::bytes_mut(buf, len) }?;
        stream(handle, |stream| stream.try_read(buf))
    })
}

/// Writes some of `len` bytes, and returns how many. `buf` is the caller's, and is not kept. Never blocks.
///
/// # Errors
/// `-EAGAIN` if there is no room; `-EPIPE` or `-ECONNRESET` when the peer has gone; and as `dm_read`.
///
/// # Safety
/// `buf` points to `len` bytes; it may be null if `len` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_write(handle: dm_handle, buf: *const u8, len: usize) -> i64 {
    call::length(|| {
        // SAFETY: as the caller promises.
        let buf = unsafe { call::bytes(buf, len) }?;
        stream(handle, |stream| stream.try_write(buf))
    })
}

/// Ends reading, writing (a half close: the peer reads to the end and may still send) or both. What was written before is still sent. Never
/// blocks.
///
/// # Errors
/// `-ENOTCONN` if the peer has gone; `-EAGAIN` while it is being opened; `-EBADF`; `-ENOTSOCK`; `-EINVAL` unless `sides` are of
/// `DM_READ | DM_WRITE`.
#[unsafe(no_mangle)]
pub extern "C" fn dm_shutdown(handle: dm_handle, sides: u32) -> c_int {
    call::status(|| {
        let _ = each(sides)?;
        let how = match sides {
            DM_READ => Shutdown::Read,
            DM_WRITE => Shutdown::Write,
            _ => Shutdown::Both,
        };
        state::with(|state| {
            state.ask(handle, |object| match object {
                Object::Stream(stream) => Some(stream.shutdown(how)),
                _ => None,
            })
        })
    })
}
