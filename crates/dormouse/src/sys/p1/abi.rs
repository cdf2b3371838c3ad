//! The calls of `wasi_snapshot_preview1`, with slices for pointers and `io::Error` for numbers.
#![allow(unsafe_code)]

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

pub(super) use wasip1::{Errno, Event, Subscription};
use wasip1::{Ciovec, Iovec, SubscriptionClock, SubscriptionFdReadwrite, SubscriptionU, SubscriptionUU};

use crate::sys::Side;

/// A number by which the host knows a descriptor.
pub(super) type RawFd = wasip1::Fd;

/// Buffers of one vectored call; POSIX promises that many, and who has more calls again.
pub(super) const BUFFERS: usize = 16;

/// When a clock's subscription is due, in nanoseconds.
#[derive(Clone, Copy)]
pub(super) enum Due {
    /// At this reading of the clock.
    At(u64),
    /// That long after the call.
    After(u64),
}

/// What tells the alarm of the next review from other clocks, in what comes back with their event.
pub(super) const ALARM: u64 = 1;

/// A clock that rings at this reading of it, and is told from others.
pub(super) fn alarm(when: u64) -> Subscription {
    Subscription { userdata: ALARM, ..clock(Due::At(when)) }
}

/// What tells the clock that shows that the host asks the program to stop. The rest is whose it is, as of a descriptor.
pub(super) const STOP: u64 = 1 << 40;

/// A clock that shows its last instant, which is when the host asks the program to stop.
pub(super) fn stop(userdata: u64) -> Subscription {
    Subscription { userdata, ..clock(Due::At(u64::MAX)) }
}

pub(super) fn clock(due: Due) -> Subscription {
    let (timeout, flags) = match due {
        Due::At(when) => (when, wasip1::SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME),
        Due::After(duration) => (duration, 0),
    };
    let clock = SubscriptionClock { id: wasip1::CLOCKID_MONOTONIC, timeout, precision: 0, flags };
    Subscription {
        userdata: 0,
        u: SubscriptionU { tag: wasip1::EVENTTYPE_CLOCK.raw(), u: SubscriptionUU { clock } },
    }
}

pub(super) fn readiness(fd: RawFd, side: Side, userdata: u64) -> Subscription {
    let of = SubscriptionFdReadwrite { file_descriptor: fd };
    let (tag, u) = match side {
        Side::Read => (wasip1::EVENTTYPE_FD_READ, SubscriptionUU { fd_read: of }),
        Side::Write => (wasip1::EVENTTYPE_FD_WRITE, SubscriptionUU { fd_write: of }),
    };
    Subscription { userdata, u: SubscriptionU { tag: tag.raw(), u } }
}

/// Whose readiness this is; `None` for a clock.
pub(super) fn descriptor_of(subscription: &Subscription) -> Option<RawFd> {
    if subscription.u.tag == wasip1::EVENTTYPE_CLOCK.raw() {
        return None;
    }
    // SAFETY: only `clock` and `readiness` make subscriptions, and with another tag than a clock's it is one of the other
    // two variants, which are of the same type.
    Some(unsafe { subscription.u.u.fd_read.file_descriptor })
}

/// `poll_oneoff`: waits until one of the subscriptions, of which there is at least one, comes true, and says which.
/// `events` is overwritten.
pub(super) fn poll(subscriptions: &[Subscription], events: &mut Vec<Event>) -> Result<(), Errno> {
    events.clear();
    events.reserve(subscriptions.len());
    let room: &mut [MaybeUninit<Event>] = events.spare_capacity_mut();
    // SAFETY: the host reads `subscriptions`, and writes at most as many events, for which there is room.
    let n = unsafe { wasip1::poll_oneoff(subscriptions.as_ptr(), room.as_mut_ptr().cast(), subscriptions.len())? };
    // SAFETY: the host has written n events; of one that says more than it may, no more is believed.
    unsafe { events.set_len(n.min(subscriptions.len())) };
    Ok(())
}

pub(super) fn monotonic_now() -> u64 {
    // SAFETY: the call takes no pointer but that of its own result. A host without this clock says 0, for ever.
    unsafe { wasip1::clock_time_get(wasip1::CLOCKID_MONOTONIC, 0) }.unwrap_or(0)
}

/// What kind of descriptor it is, and its flags.
pub(super) fn stat(fd: RawFd) -> io::Result<(u8, wasip1::Fdflags)> {
    // SAFETY: the call takes no pointer but that of its own result.
    let stat = unsafe { wasip1::fd_fdstat_get(fd) }.map_err(error)?;
    Ok((stat.fs_filetype.raw(), stat.fs_flags))
}

pub(super) fn set_flags(fd: RawFd, flags: wasip1::Fdflags) -> io::Result<()> {
    // SAFETY: the call takes no pointer.
    unsafe { wasip1::fd_fdstat_set_flags(fd, flags) }.map_err(error)
}

pub(super) fn close(fd: RawFd) {
    // SAFETY: the call takes no pointer, and its caller owns the descriptor. What is closed cannot be closed again, so
    // there is nothing to do about an error.
    let _ = unsafe { wasip1::fd_close(fd) };
}

pub(super) fn accept(fd: RawFd) -> io::Result<RawFd> {
    // SAFETY: the call takes no pointer but that of its own result.
    unsafe { wasip1::sock_accept(fd, wasip1::FDFLAGS_NONBLOCK) }.map_err(error)
}

pub(super) fn receive(fd: RawFd, buf: &mut [u8], flags: wasip1::Riflags) -> io::Result<usize> {
    receive_into(fd, &[Iovec { buf: buf.as_mut_ptr(), buf_len: buf.len() }], flags)
}

pub(super) fn receive_vectored(fd: RawFd, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let mut list = [Iovec { buf: std::ptr::null_mut(), buf_len: 0 }; BUFFERS];
    for (entry, buf) in list.iter_mut().zip(bufs.iter_mut()) {
        *entry = Iovec { buf: buf.as_mut_ptr(), buf_len: buf.len() };
    }
    receive_into(fd, &list[..bufs.len().min(BUFFERS)], 0)
}

fn receive_into(fd: RawFd, into: &[Iovec], flags: wasip1::Riflags) -> io::Result<usize> {
    // SAFETY: the entries are of buffers that the two callers above borrow exclusively, with their lengths.
    unsafe { wasip1::sock_recv(fd, into, flags) }.map(|(n, _)| n).map_err(error)
}

pub(super) fn send(fd: RawFd, buf: &[u8]) -> io::Result<usize> {
    send_from(fd, &[Ciovec { buf: buf.as_ptr(), buf_len: buf.len() }])
}

pub(super) fn send_vectored(fd: RawFd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut list = [Ciovec { buf: std::ptr::null(), buf_len: 0 }; BUFFERS];
    for (entry, buf) in list.iter_mut().zip(bufs) {
        *entry = Ciovec { buf: buf.as_ptr(), buf_len: buf.len() };
    }
    send_from(fd, &list[..bufs.len().min(BUFFERS)])
}

fn send_from(fd: RawFd, from: &[Ciovec]) -> io::Result<usize> {
    // SAFETY: the entries are of buffers that the two callers above borrow, with their lengths.
    unsafe { wasip1::sock_send(fd, from, 0) }.map_err(error)
}

pub(super) fn shutdown(fd: RawFd, how: wasip1::Sdflags) -> io::Result<()> {
    // SAFETY: the call takes no pointer.
    unsafe { wasip1::sock_shutdown(fd, how) }.map_err(error)
}

pub(super) fn read(fd: RawFd, buf: &mut [u8]) -> io::Result<usize> {
    let into = Iovec { buf: buf.as_mut_ptr(), buf_len: buf.len() };
    // SAFETY: the entry is of a buffer that is borrowed exclusively, with its length.
    unsafe { wasip1::fd_read(fd, &[into]) }.map_err(error)
}

pub(super) fn write(fd: RawFd, buf: &[u8]) -> io::Result<usize> {
    let from = Ciovec { buf: buf.as_ptr(), buf_len: buf.len() };
    // SAFETY: the entry is of a buffer that is borrowed, with its length.
    unsafe { wasip1::fd_write(fd, &[from]) }.map_err(error)
}

/// std knows the numbers of WASI, their kinds and their words.
pub(super) fn error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.raw().into())
}
