//! Standard streams that the program has made non-blocking (`fd_fdstat_set_flags`). wasmtime-wasi knows no such streams, so
//! each call on one asks its `poll_oneoff` first. The host's descriptor stays as it is: O_NONBLOCK is of the open file, which
//! other processes share.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wasmtime_wasi::p1::types::Errno as Told;
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1 as _;
use wiggle::{GuestMemory, GuestPtr};

use super::Wasip1;
use super::errno::Errno;
use super::link::NONBLOCK;
use super::memory;
use super::others::{self, READ, WRITE};
use super::table::Theirs;

/// How much is written at a time: what a stream takes that is ready, which is a pipe's PIPE_BUF.
const PIECE: usize = 4096;
/// Where the bytes are in the memory of a call, behind the one `ciovec`.
const BYTES: usize = 8;

/// Reads from standard input; `None` if the call may block, and is wasmtime-wasi's.
pub(super) async fn read(
    memory: &mut [u8],
    p1: &mut Wasip1,
    stdin: Theirs,
    bufs: u32,
    count: u32,
    out: u32,
) -> wasmtime::Result<Option<Result<(), Errno>>> {
    let room = match memory::range(memory, out, 4).and_then(|_| memory::buffers(memory, bufs, count)) {
        Ok(mut buffers) => buffers.next(),
        Err(errno) => return Ok(Some(Err(errno))),
    };
    if room.is_none() {
        // wasmtime-wasi would wait for something to read, and say EINTR.
        return Ok(Some(memory::write(memory, out, [0; 4])));
    }
    if u32::from(stdin.flags) & NONBLOCK == 0 || others::is_ready(&mut p1.wasi, stdin.number, READ).await? {
        return Ok(None);
    }
    // wasmtime-wasi reads in another thread, which has only begun. What is there already, it has in a moment.
    match p1.own_stdin && is_own_stdin_readable() {
        true => Ok(None),
        false => Ok(Some(Err(Errno::AGAIN))),
    }
}

fn is_own_stdin_readable() -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let stdin = std::io::stdin();
    poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&now)).is_ok_and(|n| n > 0)
}

/// Writes to standard output or standard error what it takes at once.
pub(super) async fn write(
    memory: &mut [u8],
    p1: &mut Wasip1,
    stream: Theirs,
    bufs: u32,
    count: u32,
    out: u32,
) -> wasmtime::Result<Result<(), Errno>> {
    let buffers = memory::range(memory, out, 4).and_then(|_| memory::buffers(memory, bufs, count));
    let buffer = match buffers {
        Ok(mut buffers) => buffers.next().unwrap_or(0..0),
        Err(errno) => return Ok(Err(errno)),
    };
    if buffer.is_empty() {
        return Ok(memory::write(memory, out, [0; 4]));
    }
    if !others::is_ready(&mut p1.wasi, stream.number, WRITE).await? {
        return Ok(Err(Errno::AGAIN));
    }
    let bytes = &memory[buffer];
    let bytes = &bytes[..bytes.len().min(PIECE)];
    let mut call = [0; BYTES + PIECE];
    call[..4].copy_from_slice(&(BYTES as u32).to_le_bytes());
    call[4..8].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
    call[BYTES..BYTES + bytes.len()].copy_from_slice(bytes);
    let list = GuestPtr::new((0, 1));
    let written = p1.wasi.fd_write(&mut GuestMemory::Unshared(&mut call), stream.number.into(), list).await;
    match written {
        Ok(written) => Ok(memory::write(memory, out, written.to_le_bytes())),
        Err(error) => error.downcast().map(|errno: Told| Err(Errno(errno as u16))),
    }
}
