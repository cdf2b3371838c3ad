//! UDP: datagrams, each whole or not at all.

use std::ffi::c_int;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use dormouse::net::UdpSocket;

use crate::addr::{self, dm_addr};
use crate::error::Result;
use crate::socket::opens;
use crate::state::{self, Object};
use crate::{call, dm_handle};

/// Opens a socket with this address of its own; port 0 lets the host choose one, which `dm_local_addr` tells. Never blocks, as
/// `dm_tcp_listen`.
///
/// # Errors
/// As `dm_tcp_listen`.
///
/// # Safety
/// `addr` is null or points to an address, and `socket` to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_udp_bind(addr: *const dm_addr, socket: *mut dm_handle) -> c_int {
    call::status(|| {
        // SAFETY: as the caller promises.
        let addr = unsafe { addr::read(addr) }?;
        // SAFETY: as the caller promises.
        unsafe { opens(socket, |state| state.open(async move { Ok(Object::Udp(UdpSocket::bind(addr).await?)) })) }
    })
}

fn udp<T>(handle: dm_handle, operation: impl FnOnce(&UdpSocket) -> io::Result<T>) -> Result<T> {
    state::with(|state| {
        state.operate(handle, |object| match object {
            Object::Udp(socket) => Some(operation(socket)),
            _ => None,
        })
    })
}

/// Names the one peer: `dm_send` sends to it, and only what comes from it is received. Another call names another peer. Never blocks, but
/// on wasip2 it waits for the host to let go of a receive that was waited for; what arrives in that moment is lost.
///
/// # Errors
/// The socket keeps the peer that it had before. `-EINVAL` for port 0 and for an address of the other family; `-EACCES` if the host's
/// policy refuses the address, `-EBADF`, `-ENOTSOCK`, `-EFAULT`, `-EAFNOSUPPORT`, `-EAGAIN` while it is being opened, and what the host
/// says.
///
/// # Safety
/// `addr` is null or points to an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_udp_connect(handle: dm_handle, addr: *const dm_addr) -> c_int {
    call::status(|| {
        // SAFETY: as the caller promises.
        let addr = unsafe { addr::read(addr) }?;
        udp(handle, |socket| {
            // An address needs no lookup, so there is nothing to wait for.
            match pin!(socket.connect(addr)).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(connected) => connected,
                Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            }
        })
    })
}

/// Sends a datagram to the peer of `dm_udp_connect`, and returns its length. `buf` is the caller's, and is not kept. Never blocks.
///
/// # Errors
/// `-EAGAIN` if there is no room; `-EMSGSIZE` if it is too large; `-ECONNREFUSED` if an earlier one was refused; `-ETIMEDOUT` after the
/// deadline; `-ENOTCONN` if there is no peer; `-EBADF`; `-ENOTSOCK`; `-EFAULT`; and what else the host says.
///
/// # Safety
/// `buf` points to `len` bytes; it may be null if `len` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_send(handle: dm_handle, buf: *const u8, len: usize) -> i64 {
    call::length(|| {
        // SAFETY: as the caller promises.
        let buf = unsafe { call::bytes(buf, len) }?;
        udp(handle, |socket| socket.try_send(buf))
    })
}

/// Sends a datagram to this address, as `dm_send`.
///
/// # Errors
/// As `dm_send`; `-EACCES` if the host's policy refuses the address, `-EAFNOSUPPORT`; `-EINVAL` for port 0, for an address of the other
/// family, and on WASI for another address than the peer's.
///
/// # Safety
/// As `dm_send`; `to` is null or points to an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_send_to(handle: dm_handle, buf: *const u8, len: usize, to: *const dm_addr) -> i64 {
    call::length(|| {
        // SAFETY: as the caller promises.
        let (buf, to) = unsafe { (call::bytes(buf, len)?, addr::read(to)?) };
        udp(handle, |socket| socket.try_send_to(buf, to))
    })
}

/// Receives a datagram, and returns its length; what there is no room for is lost. `from`, which may be null, gets its sender. `buf` is the
/// caller's, and is not kept. Never blocks.
///
/// # Errors
/// `-EAGAIN` if none has come; `-ETIMEDOUT` after the deadline; `-ECONNREFUSED` if what was sent was refused; `-EBADF`; `-ENOTSOCK`;
/// `-EFAULT`; `-EINVAL` for a `len` above PTRDIFF_MAX.
///
/// # Safety
/// `buf` points to `len` bytes, it may be null if `len` is 0; `from` is null or points to an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dm_recv_from(handle: dm_handle, buf: *mut u8, len: usize, from: *mut dm_addr) -> i64 {
    call::length(|| {
        // SAFETY: as the caller promises.
        let (buf, out) = unsafe { (call::bytes_mut(buf, len)?, call::out(from).ok()) };
        let (received, sender) = udp(handle, |socket| socket.try_recv_from(buf))?;
        if let Some(out) = out {
            out.put(sender.into());
        }
        Ok(received)
    })
}
