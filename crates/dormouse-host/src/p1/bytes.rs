//! The calls that move bytes: those of a socket are made here, the others are wasmtime-wasi's.
//!
//! What a server of sockets asks for most is one buffer, of a socket that does not block. A call that may wait is a future, which wasmtime
//! allocates for each call, with room for all that it may have to keep. So the usual call is a function (`…_at_once`), and what the others need is
//! in a box of its own.

use std::future::poll_fn;
use std::io::{self, IoSlice};

use wasmtime_wasi::p1::wasi_snapshot_preview1 as wasi;
use wiggle::GuestMemory;

use super::errno::Errno;
use super::link::{NONBLOCK, number, stream, theirs};
use super::memory::{self, BUFFERS};
use super::socket::{Side, Socket};
use super::table::Kind;
use super::{Wasip1, stdio};

const PEEK: u32 = 1 << 0;
const WAITALL: u32 = 1 << 1;

/// Receives into one buffer of a socket that does not block; `None` if something else is asked for, and then nothing is done.
pub(super) fn receive_at_once(
    memory: &mut [u8],
    p1: &mut Wasip1,
    fd: u32,
    bufs: u32,
    count: u32,
    flags: u32,
    results: &[(u32, usize)],
) -> Option<Result<u32, Errno>> {
    let socket = p1.table.socket(fd).ok().filter(|socket| socket.nonblocking)?;
    let buffer = memory::one_buffer(memory, bufs, count)?;
    let is_told = results.iter().all(|&(at, len)| memory::range(memory, at, len).is_ok());
    if !is_told || flags & WAITALL != 0 {
        return None;
    }
    loop {
        match socket.receive(&mut memory[buffer.clone()], flags & PEEK != 0) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            received => return Some(received.map(|n| n as u32).map_err(Errno::from)),
        }
    }
}

/// Sends one buffer to a socket that does not block, as [`receive_at_once`] receives.
pub(super) fn send_at_once(
    memory: &mut [u8],
    p1: &mut Wasip1,
    fd: u32,
    bufs: u32,
    count: u32,
    out: u32,
) -> Option<Result<(), Errno>> {
    let socket = p1.table.socket(fd).ok().filter(|socket| socket.nonblocking)?;
    let buffer = memory::one_buffer(memory, bufs, count)?;
    memory::range(memory, out, 4).ok()?;
    let sent = loop {
        match socket.send(&[IoSlice::new(&memory[buffer.clone()])]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => break sent,
        }
    };
    Some(sent.map_err(Errno::from).and_then(|n| memory::write(memory, out, (n as u32).to_le_bytes())))
}

pub(super) async fn fd_read(
    memory: &mut [u8],
    p1: &mut Wasip1,
    fd: i32,
    bufs: i32,
    count: i32,
    out: i32,
) -> wasmtime::Result<i32> {
    if let Some(theirs) = stream(p1, fd, Kind::Input) {
        let errno = stdio::read(memory, p1, theirs, bufs as u32, count as u32, out as u32).await?;
        if let Some(result) = errno {
            return Ok(number(result));
        }
    }
    match theirs(p1, fd) {
        Some(fd) => {
            let memory = &mut GuestMemory::Unshared(memory);
            wasi::fd_read(&mut p1.wasi, memory, fd, bufs, count, out).await
        }
        None => {
            let results = [(out as u32, 4)];
            let received = receive(memory, p1, fd as u32, bufs as u32, count as u32, 0, &results).await;
            Ok(number(received.and_then(|n| memory::write(memory, out as u32, n.to_le_bytes()))))
        }
    }
}

pub(super) async fn fd_write(
    memory: &mut [u8],
    p1: &mut Wasip1,
    fd: i32,
    bufs: i32,
    count: i32,
    out: i32,
) -> wasmtime::Result<i32> {
    if let Some(theirs) = stream(p1, fd, Kind::Output)
        && u32::from(theirs.flags) & NONBLOCK != 0
    {
        return Ok(number(stdio::write(memory, p1, theirs, bufs as u32, count as u32, out as u32).await?));
    }
    match theirs(p1, fd) {
        Some(fd) => {
            let memory = &mut GuestMemory::Unshared(memory);
            wasi::fd_write(&mut p1.wasi, memory, fd, bufs, count, out).await
        }
        None => Ok(number(send(memory, p1, fd as u32, bufs as u32, count as u32, out as u32).await)),
    }
}

/// `results` are where the results go, and how long they are.
pub(super) async fn receive(
    memory: &mut [u8],
    p1: &mut Wasip1,
    fd: u32,
    bufs: u32,
    count: u32,
    flags: u32,
    results: &[(u32, usize)],
) -> Result<u32, Errno> {
    let socket = p1.table.socket(fd)?;
    for &(at, len) in results {
        memory::range(memory, at, len)?;
    }
    let mut received: u32 = 0;
    for buffer in memory::buffers(memory, bufs, count)? {
        let mut buf = &mut memory[buffer];
        while !buf.is_empty() {
            match socket.receive(buf, flags & PEEK != 0) {
                Ok(0) => return Ok(received),
                Ok(n) => {
                    received += n as u32;
                    let full = n == buf.len();
                    buf = &mut buf[n..];
                    // What was peeked at would be seen again.
                    if flags & PEEK != 0 || (!full && flags & WAITALL == 0) {
                        return Ok(received);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Who waits for all waits on; otherwise what has come is enough.
                    let waits = received == 0 || flags & WAITALL != 0;
                    match (waits, socket.nonblocking) {
                        (true, false) => poll_fn(|cx| socket.poll_wait(Side::Read, cx)).await?,
                        _ if received > 0 => return Ok(received),
                        _ => return Err(Errno::AGAIN),
                    }
                }
                Err(error) if received > 0 => {
                    socket.fail_next(error);
                    return Ok(received);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(received)
}

pub(super) async fn send(
    memory: &mut [u8],
    p1: &mut Wasip1,
    fd: u32,
    bufs: u32,
    count: u32,
    out: u32,
) -> Result<(), Errno> {
    let socket = p1.table.socket(fd)?;
    memory::range(memory, out, 4)?;
    let sent = gather(memory, socket, bufs, count).await?;
    memory::write(memory, out, sent.to_le_bytes())
}

async fn gather(memory: &[u8], socket: &Socket, bufs: u32, count: u32) -> Result<u32, Errno> {
    let mut slices = [IoSlice::new(&[]); BUFFERS];
    let mut used = 0;
    for (slice, buffer) in slices.iter_mut().zip(memory::buffers(memory, bufs, count)?) {
        *slice = IoSlice::new(&memory[buffer]);
        used += 1;
    }
    loop {
        match socket.send(&slices[..used]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !socket.nonblocking => {
                poll_fn(|cx| socket.poll_wait(Side::Write, cx)).await?;
            }
            sent => return Ok(sent? as u32),
        }
    }
}
