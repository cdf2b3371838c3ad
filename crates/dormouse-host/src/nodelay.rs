//! No delay. WASI has no TCP_NODELAY, so the runner sets it on every TCP socket that a component opens, and tells the program so
//! (`facts.rs`). What a listener accepts inherits it on Linux, as a test asserts; elsewhere that is not known, and there nothing is set
//! and nothing told.
//!
//! wasmtime-wasi keeps its descriptors to itself (48.0.8, p2/tcp.rs), so ours is looked for: first where the system puts the
//! next one, then everywhere, since another thread may have opened or closed one at that moment. It is known by an option that
//! WASI does have. The keepalive interval is set through wasmtime-wasi to a number that no other search has, and then back: the
//! descriptor that shows both is the one.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};

/// Whether what is accepted is known to inherit TCP_NODELAY from the listener.
const INHERITED: bool = cfg!(target_os = "linux");

/// Whether every TCP socket can have TCP_NODELAY here: tried with one. What plays Linux may not have all of its options, and then
/// no descriptor would be found.
pub(crate) fn works() -> bool {
    INHERITED && opened(|| ()).is_ok_and(|(_, found)| found)
}

/// A socket of ours, opened as one of wasmtime-wasi's is, after something else.
fn opened(before: impl FnOnce()) -> io::Result<(Socket, bool)> {
    create(
        &mut (),
        |()| {
            before();
            Socket::new(Domain::IPV4, Type::STREAM, None)
        },
        |(), socket, interval| socket.set_tcp_keepalive(&TcpKeepalive::new().with_interval(interval)).is_ok(),
    )
}

/// Has `create` open a TCP socket, and sets TCP_NODELAY on it; false if it was not found. `set_interval` sets the keepalive
/// interval of the socket.
pub(crate) fn create<C, T, E>(
    context: &mut C,
    create: impl FnOnce(&mut C) -> Result<T, E>,
    mut set_interval: impl FnMut(&mut C, &T, Duration) -> bool,
) -> Result<(T, bool), E> {
    // If the system has no more sockets `create` says so.
    let Ok((next, default)) = next() else { return Ok((create(context)?, false)) };
    let socket = create(context)?;
    let mark = mark(default);
    let mut is_it = |fd: BorrowedFd| {
        let mut shows = |interval| set_interval(context, &socket, interval) && interval_of(fd) == Some(interval);
        shows(mark) && shows(default)
    };
    let found = look_at(next, &mut is_it).or_else(|| open().find_map(|fd| look_at(fd, &mut is_it)));
    Ok((socket, found.unwrap_or(false)))
}

/// Sets TCP_NODELAY on a descriptor if it is the one; whether that worked.
fn look_at(fd: RawFd, is_it: impl FnOnce(BorrowedFd) -> bool) -> Option<bool> {
    // SAFETY: a number from the system, not -1. It may be closed by another thread while it is borrowed, or be another's by then.
    // Until it is found to be the one, its options are asked for and no more: the system says EBADF, or the other's options. The
    // one itself is open for as long as the caller holds the socket.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    is_it(fd).then(|| SockRef::from(&fd).set_tcp_nodelay(true).is_ok())
}

/// The descriptor that the system gives out next, and the keepalive interval that a new socket has.
fn next() -> io::Result<(RawFd, Duration)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    Ok((socket.as_raw_fd(), socket.tcp_keepalive_interval()?))
}

/// A keepalive interval that no search of other threads has at this moment. The system counts in seconds and takes 1 to 32767.
fn mark(default: Duration) -> Duration {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let mark = Duration::from_secs(u64::from(NEXT.fetch_add(1, Ordering::Relaxed) % 32767 + 1));
        if mark != default {
            return mark;
        }
    }
}

/// `None` if it is no TCP socket, or closed.
fn interval_of(fd: BorrowedFd) -> Option<Duration> {
    SockRef::from(&fd).tcp_keepalive_interval().ok()
}

/// The descriptors of this process.
fn open() -> impl Iterator<Item = RawFd> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    #[test]
    fn a_socket_has_no_delay_and_else_the_options_of_a_new_one() {
        let new = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let (socket, found) = opened(|| ()).unwrap();
        assert!(found && socket.tcp_nodelay().unwrap() && !new.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), new.tcp_keepalive_interval().unwrap());
    }

    #[test]
    fn a_socket_is_found_though_its_descriptor_is_not_the_next() {
        // Of sockets that look like it.
        let mut others = Vec::new();
        let (socket, found) =
            opened(|| others.extend((0..3).map(|_| Socket::new(Domain::IPV4, Type::STREAM, None)))).unwrap();
        assert!(found && socket.tcp_nodelay().unwrap());
        assert!(others.into_iter().all(|other| !other.unwrap().tcp_nodelay().unwrap()));
    }

    #[test]
    fn threads_that_open_sockets_at_once_find_each_its_own() {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            // One that only gets in the way.
            let disturbs = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let both = [(); 2].map(|()| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap());
                    assert!(both.iter().all(|socket| !socket.tcp_nodelay().unwrap()));
                }
            });
            let opens: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..500 {
                            let (socket, found) = opened(|| ()).unwrap();
                            assert!(found && socket.tcp_nodelay().unwrap());
                        }
                    })
                })
                .collect();
            opens.into_iter().for_each(|thread| thread.join().unwrap());
            done.store(true, Ordering::Relaxed);
            disturbs.join().unwrap();
        });
    }

    #[test]
    fn what_is_accepted_inherits_it_where_we_say_so() {
        let (listener, _) = opened(|| ()).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(1).unwrap();
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.connect(&listener.local_addr().unwrap()).unwrap();
        assert!(listener.accept().unwrap().0.tcp_nodelay().unwrap() || !INHERITED);
    }

    #[test]
    fn who_cannot_open_a_socket_hears_why() {
        let failed = create(&mut (), |()| Err::<(), _>("no more"), |(), (), _| panic!("there is no socket"));
        assert_eq!(failed, Err("no more"));
        let other = create(&mut (), |()| Ok::<_, ()>(()), |(), (), _| false);
        assert_eq!(other, Ok(((), false)));
    }
}
