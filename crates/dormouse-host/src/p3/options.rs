//! Options of sockets, of TCP and UDP alike. A value out of range is the nearest one in range, but 0 is an error.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt;
use wasmtime_wasi::p3::bindings::sockets::types::ErrorCode;

use super::error;

type Result<T> = std::result::Result<T, ErrorCode>;

/// What Linux takes at the most for the times of keepalive, in seconds (tcp(7)): the lowest maximum of the systems that we know.
const MAX_SECONDS: u64 = i16::MAX as u64;
/// Likewise for the number of probes.
const MAX_PROBES: u32 = i8::MAX as u32;

fn of(errno: Errno) -> ErrorCode {
    error::code(&errno.into())
}

fn not_zero<T: PartialEq + From<u8>>(value: T) -> Result<T> {
    if value == T::from(0) { Err(ErrorCode::InvalidArgument) } else { Ok(value) }
}

pub(super) fn hop_limit(fd: impl AsFd, v6: bool) -> Result<u8> {
    match v6 {
        true => sockopt::ipv6_unicast_hops(fd).map_err(of),
        false => sockopt::ip_ttl(fd).map_err(of)?.try_into().map_err(|_| ErrorCode::NotSupported),
    }
}

pub(super) fn set_hop_limit(fd: impl AsFd, v6: bool, hops: u8) -> Result<()> {
    let hops = not_zero(hops)?;
    match v6 {
        true => sockopt::set_ipv6_unicast_hops(fd, Some(hops)),
        false => sockopt::set_ip_ttl(fd, hops.into()),
    }
    .map_err(of)
}

/// In bytes. Linux gives and takes twice of what it is asked for, for its own bookkeeping (socket(7), SO_RCVBUF).
fn asked_for(bytes: usize) -> u64 {
    (if cfg!(target_os = "linux") { bytes / 2 } else { bytes }) as u64
}

fn to_ask_for(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX).clamp(1, i32::MAX as usize)
}

/// A size is a hint: a system that finds it too large says so, and keeps its own.
fn hint(set: std::result::Result<(), Errno>) -> Result<()> {
    match set {
        Err(Errno::NOBUFS) => Ok(()),
        set => set.map_err(of),
    }
}

pub(super) fn receive_buffer_size(fd: impl AsFd) -> Result<u64> {
    sockopt::socket_recv_buffer_size(fd).map(asked_for).map_err(of)
}

pub(super) fn set_receive_buffer_size(fd: impl AsFd, bytes: u64) -> Result<()> {
    hint(sockopt::set_socket_recv_buffer_size(fd, to_ask_for(not_zero(bytes)?)))
}

pub(super) fn send_buffer_size(fd: impl AsFd) -> Result<u64> {
    sockopt::socket_send_buffer_size(fd).map(asked_for).map_err(of)
}

pub(super) fn set_send_buffer_size(fd: impl AsFd, bytes: u64) -> Result<()> {
    hint(sockopt::set_socket_send_buffer_size(fd, to_ask_for(not_zero(bytes)?)))
}

pub(super) fn keep_alive_enabled(fd: impl AsFd) -> Result<bool> {
    sockopt::socket_keepalive(fd).map_err(of)
}

pub(super) fn set_keep_alive_enabled(fd: impl AsFd, on: bool) -> Result<()> {
    sockopt::set_socket_keepalive(fd, on).map_err(of)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn keep_alive_time(nanoseconds: u64) -> Result<Duration> {
    let time = Duration::from_nanos(not_zero(nanoseconds)?);
    Ok(time.clamp(Duration::from_secs(1), Duration::from_secs(MAX_SECONDS)))
}

pub(super) fn keep_alive_idle_time(fd: impl AsFd) -> Result<u64> {
    sockopt::tcp_keepidle(fd).map(nanoseconds).map_err(of)
}

pub(super) fn set_keep_alive_idle_time(fd: impl AsFd, nanoseconds: u64) -> Result<()> {
    sockopt::set_tcp_keepidle(fd, keep_alive_time(nanoseconds)?).map_err(of)
}

pub(super) fn keep_alive_interval(fd: impl AsFd) -> Result<u64> {
    sockopt::tcp_keepintvl(fd).map(nanoseconds).map_err(of)
}

pub(super) fn set_keep_alive_interval(fd: impl AsFd, nanoseconds: u64) -> Result<()> {
    sockopt::set_tcp_keepintvl(fd, keep_alive_time(nanoseconds)?).map_err(of)
}

pub(super) fn keep_alive_count(fd: impl AsFd) -> Result<u32> {
    sockopt::tcp_keepcnt(fd).map_err(of)
}

pub(super) fn set_keep_alive_count(fd: impl AsFd, probes: u32) -> Result<()> {
    sockopt::set_tcp_keepcnt(fd, not_zero(probes)?.min(MAX_PROBES)).map_err(of)
}
