//! The calls, on the program's memory: who has the descriptor decides who answers.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;

use wasmtime::{AsContextMut as _, Caller, Extern, Linker};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as wasi, WasiSnapshotPreview1 as _};
use wiggle::GuestMemory;

use super::errno::Errno;
use super::socket::Side;
use super::table::{Kind, Owner, Table, Theirs};
use super::{Wasip1, bytes, memory, poll};

const MODULE: &str = "wasi_snapshot_preview1";
pub(super) const NONBLOCK: u32 = 1 << 2;
/// DSYNC, RSYNC and SYNC.
pub(super) const SYNC: u32 = 1 << 1 | 1 << 3 | 1 << 4;
const ALL_FLAGS: u32 = 0b1_1111;
/// How many random bytes are made at a time.
const RANDOM: usize = 1 << 16;
/// Longer paths are ENAMETOOLONG; Linux has 4096 bytes.
const PATH: u32 = 1 << 16;
const SOCKET_STREAM: u8 = 6;

/// Adds `wasi_snapshot_preview1` to a linker, sockets included. It takes the place of functions that are there already, and
/// leaves the linker one that allows no more shadowing.
///
/// # Errors
/// None that is known: wasmtime's linker has the type.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut Wasip1 + Copy + Send + Sync + 'static,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    wasi::add_to_linker(linker, move |state| &mut get(state).wasi)?;
    ours(linker, get)?;
    shifted(linker, get)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The program's memory, and what the store holds.
fn parts<'a, T>(
    caller: &'a mut Caller<'_, T>,
    get: impl Fn(&mut T) -> &mut Wasip1,
) -> wasmtime::Result<(&'a mut [u8], &'a mut Wasip1)> {
    // What one call of wasmtime-wasi may allocate.
    let fuel = caller.as_context_mut().hostcall_fuel();
    let known = get(caller.data_mut()).memory.map(Extern::Memory);
    match known.or_else(|| caller.get_export("memory")) {
        Some(Extern::Memory(memory)) => {
            let (memory, state) = memory.data_and_store_mut(caller);
            let p1 = get(state);
            p1.wasi.set_hostcall_fuel(fuel);
            if !p1.table.has_begun() {
                p1.begin()?;
            }
            Ok((memory, p1))
        }
        _ => wasmtime::bail!("the program exports no memory of its own by the name `memory`"),
    }
}

pub(super) fn number(result: Result<(), Errno>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(errno) => errno.0.into(),
    }
}

/// Calls that a socket answers.
macro_rules! calls {
    ($linker:ident, $get:ident: $(fn $name:ident($memory:ident, $p1:ident $(, $arg:ident)*) $body:block)*) => {
        $($linker.func_wrap_async(MODULE, stringify!($name), move |mut caller: Caller<'_, T>, ($($arg,)*): ($(calls!(@type $arg),)*)| {
            Box::new(async move {
                let ($memory, $p1) = parts(&mut caller, $get)?;
                wasmtime::Result::<i32>::Ok($body)
            })
        })?;)*
    };
    (@type $arg:ident) => { i32 };
}

/// Whether wasmtime-wasi has the descriptor, and under which number.
pub(super) fn theirs(p1: &mut Wasip1, fd: i32) -> Option<i32> {
    match p1.table.owner(fd as u32) {
        Owner::Wasi(fd) => Some(fd as i32),
        _ => None,
    }
}

fn ours<T: Send + 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut Wasip1 + Copy + Send + Sync + 'static,
) -> wasmtime::Result<()> {
    calls! { linker, get:
        fn sock_accept(memory, p1, fd, flags, out) {
            number(accept(memory, p1, fd as u32, flags as u32, out as u32).await)
        }

        fn sock_recv(memory, p1, fd, bufs, count, flags, out, out_flags) {
            let results = [(out as u32, 4), (out_flags as u32, 2)];
            let (fd, bufs, count, flags) = (fd as u32, bufs as u32, count as u32, flags as u32);
            let received = match bytes::receive_at_once(memory, p1, fd, bufs, count, flags, &results) {
                Some(received) => received,
                None => Box::pin(bytes::receive(memory, p1, fd, bufs, count, flags, &results)).await,
            };
            number(received.and_then(|n| {
                memory::write(memory, out as u32, n.to_le_bytes())?;
                memory::write(memory, out_flags as u32, [0, 0])
            }))
        }

        fn sock_send(memory, p1, fd, bufs, count, _flags, out) {
            let (fd, bufs, count, out) = (fd as u32, bufs as u32, count as u32, out as u32);
            match bytes::send_at_once(memory, p1, fd, bufs, count, out) {
                Some(sent) => number(sent),
                None => number(Box::pin(bytes::send(memory, p1, fd, bufs, count, out)).await),
            }
        }

        fn sock_shutdown(_memory, p1, fd, how) {
            let how = match how {
                1 => Ok(Shutdown::Read),
                2 => Ok(Shutdown::Write),
                3 => Ok(Shutdown::Both),
                _ => Err(Errno::INVAL),
            };
            let socket = p1.table.socket(fd as u32);
            number(socket.and_then(|socket| socket.shutdown(how?).map_err(Errno::from)))
        }

        fn poll_oneoff(memory, p1, subscriptions, events, count, out) {
            // Before it waits, as with every result below: what is done is not to be lost for want of a place to tell it.
            match memory::range(memory, out as u32, 4) {
                Err(errno) => number(Err(errno)),
                Ok(_) => {
                    let polled = poll::poll_oneoff(p1, memory, subscriptions as u32, events as u32, count as u32).await?;
                    number(polled.and_then(|n| memory::write(memory, out as u32, n.to_le_bytes())))
                }
            }
        }

        fn fd_read(memory, p1, fd, bufs, count, out) {
            match bytes::receive_at_once(memory, p1, fd as u32, bufs as u32, count as u32, 0, &[(out as u32, 4)]) {
                Some(received) => number(received.and_then(|n| memory::write(memory, out as u32, n.to_le_bytes()))),
                None => Box::pin(bytes::fd_read(memory, p1, fd, bufs, count, out)).await?,
            }
        }

        fn fd_write(memory, p1, fd, bufs, count, out) {
            match bytes::send_at_once(memory, p1, fd as u32, bufs as u32, count as u32, out as u32) {
                Some(sent) => number(sent),
                None => Box::pin(bytes::fd_write(memory, p1, fd, bufs, count, out)).await?,
            }
        }

        fn fd_close(memory, p1, fd) {
            match theirs(p1, fd) {
                Some(theirs) => {
                    let errno = wasi::fd_close(&mut p1.wasi, &mut GuestMemory::Unshared(memory), theirs).await?;
                    number(match errno {
                        0 => p1.table.close(fd as u32),
                        errno => Err(Errno(errno as u16)),
                    })
                }
                None => number(p1.table.close(fd as u32)),
            }
        }

        fn fd_fdstat_get(memory, p1, fd, out) {
            match theirs(p1, fd) {
                Some(theirs) => {
                    let errno =
                        wasi::fd_fdstat_get(&mut p1.wasi, &mut GuestMemory::Unshared(memory), theirs, out).await?;
                    match (errno, p1.table.theirs(fd as u32)) {
                        (0, Some(&mut Theirs { flags, .. })) if flags != 0 => {
                            // A standard stream, of which wasmtime-wasi says that it has none.
                            number(memory::write(memory, (out as u32).saturating_add(2), flags.to_le_bytes()))
                        }
                        (errno, _) => errno,
                    }
                }
                None => number(stat(&mut p1.table, fd as u32).and_then(|stat| memory::write(memory, out as u32, stat))),
            }
        }

        fn fd_fdstat_set_flags(memory, p1, fd, flags) {
            let flags = flags as u32;
            if flags & !ALL_FLAGS != 0 {
                return Ok(number(p1.table.check_open(fd as u32).and(Err(Errno::INVAL))));
            }
            match p1.table.theirs(fd as u32) {
                Some(theirs) if theirs.kind != Kind::Opened && theirs.kind != Kind::Directory => {
                    // Not the host's descriptor: O_NONBLOCK is of the open file, which other processes share. APPEND means nothing to a
                    // stream. That each write is on the disk before it returns, nothing here can promise.
                    let set = match flags & SYNC {
                        0 => {
                            theirs.flags = flags as u16;
                            Ok(())
                        }
                        _ => Err(Errno::INVAL),
                    };
                    number(set)
                }
                Some(&mut Theirs { number: theirs, .. }) => {
                    // As fcntl(2) has it, these do not change; wasmtime-wasi refuses also those that the file has.
                    let has = match flags & SYNC {
                        0 => 0,
                        _ => p1.sync_flags(theirs).await?,
                    };
                    let flags = if flags & SYNC == has { flags & !SYNC } else { flags } as i32;
                    wasi::fd_fdstat_set_flags(&mut p1.wasi, &mut GuestMemory::Unshared(memory), theirs as i32, flags)?
                }
                None => {
                    number(p1.table.socket(fd as u32).and_then(|socket| match flags & SYNC {
                        0 => {
                            socket.nonblocking = flags & NONBLOCK != 0;
                            Ok(())
                        }
                        _ => Err(Errno::INVAL),
                    }))
                }
            }
        }

        fn fd_filestat_get(memory, p1, fd, out) {
            match theirs(p1, fd) {
                Some(fd) => wasi::fd_filestat_get(&mut p1.wasi, &mut GuestMemory::Unshared(memory), fd, out).await?,
                None => number(p1.table.socket(fd as u32).map(|_| ()).and_then(|()| {
                    let mut stat = [0; 64];
                    stat[16] = SOCKET_STREAM;
                    stat[24] = 1; // one link
                    memory::write(memory, out as u32, stat)
                })),
            }
        }

        fn fd_prestat_get(memory, p1, fd, out) {
            match theirs(p1, fd) {
                Some(fd) => wasi::fd_prestat_get(&mut p1.wasi, &mut GuestMemory::Unshared(memory), fd, out)?,
                // wasi-libc asks from 3 on until EBADF, and passes over what is no directory only if the call succeeds
                // (libc-bottom-half/sources/preopens.c); so does Go's runtime.
                // One that was closed does not end the walk either.
                None if p1.table.is_preopened(fd as u32) && p1.table.has_directories() => {
                    number(memory::write(memory, out as u32, [1, 0, 0, 0, 0, 0, 0, 0]))
                }
                None => Errno::BADF.0.into(),
            }
        }

        // The number alone moves: what has it stays where it is, here or with wasmtime-wasi.
        fn fd_renumber(_memory, p1, from, to) {
            let (from, to) = (from as u32, to as u32);
            let open = p1.table.check_open(from).and_then(|()| p1.table.check_open(to));
            match open {
                Err(errno) => number(Err(errno)),
                Ok(()) if from == to => 0,
                Ok(()) => {
                    let closed = p1.table.theirs(to).copied();
                    p1.table.renumber(from, to);
                    match closed {
                        Some(theirs) => number(p1.close_theirs(theirs.number).await?),
                        None => 0,
                    }
                }
            }
        }

        fn random_get(memory, p1, buf, len) {
            match memory::range(memory, buf as u32, len as u32 as usize) {
                Err(errno) => number(Err(errno)),
                Ok(range) => {
                    // wasmtime-wasi makes all of it before it copies any, and traps beyond 64 MiB.
                    for piece in memory[range].chunks_mut(RANDOM) {
                        p1.fill_random(piece)?;
                        if piece.len() == RANDOM {
                            tokio::task::yield_now().await; // That the run can be stopped.
                        }
                    }
                    0
                }
            }
        }

        fn path_unlink_file(memory, p1, fd, path, len) {
            match theirs(p1, fd) {
                // The one path that wasmtime-wasi 48.0.8 copies whatever its length (p1.rs).
                Some(_) if len as u32 > PATH => number(Err(Errno::NAMETOOLONG)),
                Some(fd) => {
                    let memory = &mut GuestMemory::Unshared(memory);
                    wasi::path_unlink_file(&mut p1.wasi, memory, fd, path, len).await?
                }
                None => refused(p1, fd, Errno::NOTDIR),
            }
        }
    }

    // wasmtime-wasi traps on 126 and more, where a process may end with any of 0 to 255.
    linker.func_wrap(MODULE, "proc_exit", |code: i32| -> wasmtime::Result<()> { Err(I32Exit(code).into()) })?;
    Ok(())
}

/// The standard stream of this kind that has this number.
pub(super) fn stream(p1: &mut Wasip1, fd: i32, kind: Kind) -> Option<Theirs> {
    p1.table.theirs(fd as u32).copied().filter(|theirs| theirs.kind == kind)
}

/// The numbers that wasmtime-wasi has for two descriptors; `errno` if one of them is an open socket's.
fn both(p1: &mut Wasip1, one: i32, other: i32, errno: Errno) -> Result<(i32, i32), Errno> {
    let numbers = [one, other].map(|fd| match p1.table.owner(fd as u32) {
        Owner::Wasi(fd) => Ok(fd as i32),
        Owner::Socket(_) => Err(errno),
        Owner::Closed => Err(Errno::BADF),
    });
    if let [Ok(one), Ok(other)] = numbers {
        return Ok((one, other));
    }
    match numbers.contains(&Err(Errno::BADF)) {
        true => Err(Errno::BADF),
        false => Err(errno),
    }
}

/// Calls on a descriptor that no socket answers: what a socket says, and otherwise wasmtime-wasi, by its number.
fn shifted<T: Send + 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut Wasip1 + Copy + Send + Sync + 'static,
) -> wasmtime::Result<()> {
    macro_rules! shift {
        ($(fn $name:ident($fd:ident $(, $arg:ident: $kind:ty)*) $(.$await:tt)? or $errno:ident;)*) => {
            $(linker.func_wrap_async(
                MODULE,
                stringify!($name),
                move |mut caller: Caller<'_, T>, ($fd, $($arg,)*): (i32, $($kind,)*)| Box::new(async move {
                    let (memory, p1) = parts(&mut caller, get)?;
                    Ok(match theirs(p1, $fd) {
                        Some(fd) => {
                            let memory = &mut GuestMemory::Unshared(memory);
                            wasi::$name(&mut p1.wasi, memory, fd $(, $arg)*)$(.$await)??
                        }
                        None => refused(p1, $fd, Errno::$errno),
                    })
                }),
            )?;)*
        };
    }
    shift! {
        fn fd_advise(fd, offset: i64, len: i64, advice: i32).await or SPIPE;
        fn fd_allocate(fd, offset: i64, len: i64) or SPIPE;
        fn fd_datasync(fd).await or INVAL;
        fn fd_fdstat_set_rights(fd, base: i64, inheriting: i64) or NOTSUP;
        fn fd_filestat_set_size(fd, size: i64).await or INVAL;
        fn fd_filestat_set_times(fd, accessed: i64, modified: i64, flags: i32).await or NOTSUP;
        fn fd_pread(fd, bufs: i32, count: i32, offset: i64, out: i32).await or SPIPE;
        fn fd_prestat_dir_name(fd, path: i32, len: i32) or NOTDIR;
        fn fd_pwrite(fd, bufs: i32, count: i32, offset: i64, out: i32).await or SPIPE;
        fn fd_readdir(fd, buf: i32, len: i32, cookie: i64, out: i32).await or NOTDIR;
        fn fd_seek(fd, offset: i64, whence: i32, out: i32).await or SPIPE;
        fn fd_sync(fd).await or INVAL;
        fn fd_tell(fd, out: i32) or SPIPE;
        fn path_create_directory(fd, path: i32, len: i32).await or NOTDIR;
        fn path_filestat_get(fd, flags: i32, path: i32, len: i32, out: i32).await or NOTDIR;
        fn path_filestat_set_times(fd, lookup: i32, path: i32, len: i32, accessed: i64, modified: i64, flags: i32).await
            or NOTDIR;
        fn path_readlink(fd, path: i32, path_len: i32, buf: i32, len: i32, out: i32).await or NOTDIR;
        fn path_remove_directory(fd, path: i32, len: i32).await or NOTDIR;
    }

    // These name a second descriptor, or write one.
    type OfLink = (i32, i32, i32, i32, i32, i32, i32);
    linker.func_wrap_async(MODULE, "path_link", move |mut caller: Caller<'_, T>, args: OfLink| {
        Box::new(async move {
            let (memory, p1) = parts(&mut caller, get)?;
            let (old, flags, path, len, new, new_path, new_len) = args;
            let (old, new) = match both(p1, old, new, Errno::NOTDIR) {
                Ok(both) => both,
                Err(errno) => return Ok(number(Err(errno))),
            };
            let memory = &mut GuestMemory::Unshared(memory);
            wasi::path_link(&mut p1.wasi, memory, old, flags, path, len, new, new_path, new_len).await
        })
    })?;
    type OfRename = (i32, i32, i32, i32, i32, i32);
    linker.func_wrap_async(MODULE, "path_rename", move |mut caller: Caller<'_, T>, args: OfRename| {
        Box::new(async move {
            let (memory, p1) = parts(&mut caller, get)?;
            let (old, path, len, new, new_path, new_len) = args;
            let (old, new) = match both(p1, old, new, Errno::NOTDIR) {
                Ok(both) => both,
                Err(errno) => return Ok(number(Err(errno))),
            };
            let memory = &mut GuestMemory::Unshared(memory);
            wasi::path_rename(&mut p1.wasi, memory, old, path, len, new, new_path, new_len).await
        })
    })?;
    type OfSymlink = (i32, i32, i32, i32, i32);
    linker.func_wrap_async(MODULE, "path_symlink", move |mut caller: Caller<'_, T>, args: OfSymlink| {
        Box::new(async move {
            let (memory, p1) = parts(&mut caller, get)?;
            let (target, target_len, fd, path, len) = args;
            let Some(fd) = theirs(p1, fd) else { return Ok(refused(p1, fd, Errno::NOTDIR)) };
            let memory = &mut GuestMemory::Unshared(memory);
            wasi::path_symlink(&mut p1.wasi, memory, target, target_len, fd, path, len).await
        })
    })?;
    type OfOpen = (i32, i32, i32, i32, i32, i64, i64, i32, i32);
    linker.func_wrap_async(MODULE, "path_open", move |mut caller: Caller<'_, T>, args: OfOpen| {
        Box::new(async move {
            let (memory, p1) = parts(&mut caller, get)?;
            let (fd, lookup, path, len, open, base, inheriting, flags, out) = args;
            let Some(fd) = theirs(p1, fd) else { return Ok(refused(p1, fd, Errno::NOTDIR)) };
            // Before it is opened, so that no file is open that has no number.
            if let Err(errno) = memory::range(memory, out as u32, 4).and_then(|_| p1.table.check_file_room()) {
                return Ok(number(Err(errno)));
            }
            let guest = &mut GuestMemory::Unshared(memory);
            let errno =
                wasi::path_open(&mut p1.wasi, guest, fd, lookup, path, len, open, base, inheriting, flags, out).await?;
            if errno != 0 {
                return Ok(errno);
            }
            let opened = memory::read(memory, out as u32).map(u32::from_le_bytes);
            Ok(number(opened.and_then(|fd| memory::write(memory, out as u32, p1.table.opened(fd).to_le_bytes()))))
        })
    })?;
    Ok(())
}

/// What a socket answers to a call that is not for sockets, if it is open.
fn refused(p1: &mut Wasip1, fd: i32, errno: Errno) -> i32 {
    number(p1.table.socket(fd as u32).and(Err(errno)))
}

async fn accept(memory: &mut [u8], p1: &mut Wasip1, fd: u32, flags: u32, out: u32) -> Result<(), Errno> {
    memory::range(memory, out, 4)?;
    p1.table.socket(fd)?;
    // Before the system is asked, so that no connection is taken and lost.
    if let Err(full) = p1.table.check_room() {
        if let Some(net) = &p1.net {
            net.say_full();
        }
        return Err(full);
    }
    let stream = loop {
        let listener = p1.table.socket(fd)?;
        match listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !listener.nonblocking => {
                poll_fn(|cx| listener.poll_wait(Side::Read, cx)).await?;
            }
            accepted => break accepted?,
        }
    };
    let accepted = p1.table.accept(stream, flags & NONBLOCK != 0)?;
    memory::write(memory, out, accepted.to_le_bytes())
}

/// `fdstat`: a stream socket, with the rights to read, to write and to wait, as wasi-common told them.
fn stat(table: &mut Table, fd: u32) -> Result<[u8; 24], Errno> {
    const READ_WRITE_POLL: u64 = 1 << 1 | 1 << 6 | 1 << 27;
    let socket = table.socket(fd)?;
    let mut stat = [0; 24];
    stat[0] = SOCKET_STREAM;
    stat[2] = if socket.nonblocking { NONBLOCK as u8 } else { 0 };
    stat[8..16].copy_from_slice(&READ_WRITE_POLL.to_le_bytes());
    Ok(stat)
}
