//! TCP. What is done with a TCP socket, whichever WASI asks for it: nothing here blocks, and each error is the system's.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::{Buffer, spare_capacity};
use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, ioctl};
use rustix::net::{self, AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType, sockopt};

use super::socket::{Side, Socket};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// Each send has it: that the peer has gone is an error, EPIPE, and no SIGPIPE, which ends a process that has not said what is to be done
/// about it. Rust's own `main` ignores that signal, but a program in another language that embeds the runner may not. write(2) and
/// writev(2) have no such flag.
#[cfg(not(target_vendor = "apple"))]
pub(crate) const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
/// There the socket has an option instead (`Socket::new`).
#[cfg(target_vendor = "apple")]
pub(crate) const NO_SIGNAL: SendFlags = SendFlags::empty();

/// What is moved in one call at the most, in bytes: Linux moves 2 GiB less a page (read(2), NOTES), and a call that was cut short by that
/// has not taken all there was.
const MOST: usize = 1 << 30;

// ---- from a descriptor to a connection ----

/// A socket that is not bound, does not block and has TCP_NODELAY. One of IPv6 is of IPv6 alone.
pub(crate) fn create(family: Family) -> io::Result<OwnedFd> {
    let fd = open(family, SocketType::STREAM)?;
    set_nodelay(&fd)?;
    Ok(fd)
}

/// A socket of either kind that does not block. One of IPv6 is of IPv6 alone.
pub(super) fn open(family: Family, kind: SocketType) -> io::Result<OwnedFd> {
    let domain = match family {
        Family::V4 => AddressFamily::INET,
        Family::V6 => AddressFamily::INET6,
    };
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    let fd = net::socket_with(domain, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let fd = unblocked(net::socket(domain, kind, None)?)?;
    if family == Family::V6 {
        sockopt::set_ipv6_v6only(&fd, true)?;
    }
    Ok(fd)
}

/// What `open` and `accept` do in one call elsewhere.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn unblocked(fd: OwnedFd) -> io::Result<OwnedFd> {
    rustix::io::ioctl_fioclex(&fd)?;
    rustix::io::ioctl_fionbio(&fd, true)?;
    Ok(fd)
}

/// Whether what is accepted has TCP_NODELAY if the listener has it.
const INHERITS_NODELAY: bool = cfg!(target_os = "linux");

/// WASI has no call for it, and with Nagle's algorithm an answer that is sent in parts may wait for a client that delays its
/// acknowledgements, 40 ms.
pub(crate) fn set_nodelay(socket: impl AsFd) -> io::Result<()> {
    Ok(sockopt::set_tcp_nodelay(socket, true)?)
}

/// Binds a socket. A recently closed one of the same address does not keep it from that.
pub(crate) fn bind_alone(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    if addr.port() == 0 {
        socket.set_any_port();
    }
    sockopt::set_socket_reuseaddr(socket, true)?;
    Ok(net::bind(socket, &addr)?)
}

/// Makes a bound socket a listener, or changes the backlog of one.
pub(crate) fn listen_alone(socket: &Socket, backlog: u32) -> io::Result<()> {
    net::listen(socket, i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_listens();
    Ok(())
}

/// Starts to connect. When the socket is ready for writing, [`finish_connect`] tells what has come of it.
pub(crate) fn start_connect(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    match net::connect(socket, &addr) {
        // Linux goes on when it was interrupted, as POSIX has it.
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Tells whether the socket is connected, once it is ready for writing.
pub(crate) fn finish_connect(socket: &Socket) -> io::Result<()> {
    sockopt::socket_error(socket)??;
    socket.meter().opened();
    socket.set_connected();
    Ok(())
}

/// Accepts a connection, which does not block either.
///
/// An error of the network that the new connection has had, which Linux reports here (accept(2)), is told as `ECONNABORTED`, as
/// wasmtime does: WASI has no numbers for some of them.
pub(crate) fn accept(listener: &Socket) -> io::Result<OwnedFd> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    let accept = |fd: BorrowedFd<'_>| net::accept_with(fd, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK);
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let accept = |fd: BorrowedFd<'_>| net::accept(fd);
    let accepted = listener.on(Side::Read, |fd| accept(fd).map_err(of_the_connection), |_| false)?;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let accepted = unblocked(accepted)?;
    if !INHERITS_NODELAY {
        // Should it fail, that is all.
        let _ = set_nodelay(&accepted);
    }
    listener.has_accepted();
    Ok(accepted)
}

fn of_the_connection(errno: Errno) -> io::Error {
    match errno {
        #[cfg(target_os = "linux")]
        Errno::NETDOWN
        | Errno::PROTO
        | Errno::NOPROTOOPT
        | Errno::HOSTDOWN
        | Errno::NONET
        | Errno::HOSTUNREACH
        | Errno::OPNOTSUPP
        | Errno::NETUNREACH => Errno::CONNABORTED.into(),
        errno => errno.into(),
    }
}

// ---- a connection ----

/// Receives into `buf`; 0 is the end, unless `buf` is empty.
pub(crate) fn receive(socket: &Socket, buf: &mut [u8]) -> io::Result<usize> {
    let room = buf.len().min(MOST);
    received(socket, room, |fd| receive_some(fd, room, &mut buf[..room]))
}

/// Receives up to `room` bytes behind what `buf` has, which is not cleared before; 0 is the end, unless `room` is 0.
pub(crate) fn receive_into(socket: &Socket, buf: &mut Vec<u8>, room: usize) -> io::Result<usize> {
    let room = room.min(MOST);
    let len = buf.len();
    buf.reserve_exact(room);
    if buf.capacity() - len == room {
        return received(socket, room, |fd| receive_some(fd, room, spare_capacity(buf)));
    }
    // There is more room than was asked for.
    buf.resize(len + room, 0);
    let result = receive(socket, &mut buf[len..]);
    buf.truncate(len + result.as_ref().map_or(0, |&n| n));
    result
}

/// One call of the system. `recv` and `send` are its shortest way to a socket: `read` and `write` look first at what every file may have.
fn receive_some<B: Buffer<u8>>(fd: BorrowedFd<'_>, room: usize, buf: B) -> rustix::io::Result<B::Output> {
    match room {
        // A `recv` of nothing waits for something.
        0 => rustix::io::read(fd, buf),
        _ => net::recv(fd, buf, RecvFlags::empty()).map(|(received, _)| received),
    }
}

fn received(
    socket: &Socket,
    room: usize,
    read: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<usize>,
) -> io::Result<usize> {
    can_carry(socket)?;
    // A read also ends at the mark of urgent data, and there may be more behind it (tcp(7), sockatmark(3)).
    let took_all = |&n: &usize| 0 < n && n < room && !socket.is_at_mark(ask_for_mark);
    let n = socket.on(Side::Read, |fd| Ok(read(fd)?), took_all)?;
    socket.meter().received(n);
    Ok(n)
}

/// Receives without taking.
pub(crate) fn peek(socket: &Socket, buf: &mut [u8]) -> io::Result<usize> {
    can_carry(socket)?;
    let room = buf.len().min(MOST);
    let peek = |fd: BorrowedFd<'_>| Ok(net::recv(fd, &mut buf[..room], RecvFlags::PEEK)?.0);
    socket.on(Side::Read, peek, |_| false)
}

/// Sends what the system takes at once.
pub(crate) fn send(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    sent(socket, bytes.len(), |fd| send_some(fd, bytes))
}

/// The same for a socket whose readiness another part of the host waits for: nothing of what is known of it changes.
pub(crate) fn send_aside(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    let n = send_some(socket.as_fd(), bytes)?;
    socket.meter().sent(n);
    Ok(n)
}

/// Sends what the system takes at once, of several buffers.
pub(crate) fn send_vectored(socket: &Socket, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let len = bufs.iter().map(|buf| buf.len()).sum();
    sent(socket, len, |fd| match bufs {
        [bytes] => send_some(fd, bytes),
        // The system looks at a list that is empty in all, and not at the socket.
        _ if len == 0 => send_some(fd, &[]),
        _ => net::sendmsg(fd, bufs, &mut SendAncillaryBuffer::default(), NO_SIGNAL),
    })
}

/// One call of the system, which tells of a peer that has gone by its error alone.
fn send_some(fd: BorrowedFd<'_>, bytes: &[u8]) -> rustix::io::Result<usize> {
    net::send(fd, bytes, NO_SIGNAL)
}

fn sent(
    socket: &Socket,
    len: usize,
    write: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<usize>,
) -> io::Result<usize> {
    can_carry(socket)?;
    let n = socket.on(Side::Write, |fd| Ok(write(fd)?), |&n| n < len.min(MOST))?;
    socket.meter().sent(n);
    Ok(n)
}

/// Ends one half of a connection, or both.
pub(crate) fn shutdown(socket: &Socket, how: Shutdown) -> io::Result<()> {
    can_carry(socket)?;
    let how = match how {
        Shutdown::Read => net::Shutdown::Read,
        Shutdown::Write => net::Shutdown::Write,
        Shutdown::Both => net::Shutdown::Both,
    };
    Ok(net::shutdown(socket, how)?)
}

/// Has the next close reset the connection: the peer is not to take what it has for all there was.
pub(crate) fn reset_at_close(socket: &Socket) {
    // Should it fail, the connection is no more.
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

/// A listener is no connection, whatever a system says of it.
fn can_carry(socket: &Socket) -> io::Result<()> {
    match socket.listens() {
        true => Err(Errno::NOTCONN.into()),
        false => Ok(()),
    }
}

/// Whether a connection stands at the mark of urgent data. If the system does not say, it may: that costs the program a read that finds nothing.
fn ask_for_mark(socket: BorrowedFd<'_>) -> bool {
    /// SIOCATMARK.
    #[cfg(all(
        any(target_os = "linux", target_os = "android"),
        not(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc", target_arch = "sparc64"))
    ))]
    const AT_MARK: Opcode = 0x8905;
    #[cfg(not(all(
        any(target_os = "linux", target_os = "android"),
        not(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc", target_arch = "sparc64"))
    )))]
    const AT_MARK: Opcode = rustix::ioctl::opcode::read::<i32>(b's', 7);
    // SAFETY: the request writes one int, for which there is room, and keeps no pointer.
    let asked = unsafe { ioctl(socket, Getter::<AT_MARK, i32>::new()) };
    asked != Ok(0)
}

// ---- addresses and options ----

/// The address that the socket is bound to; port 0 if to none.
pub(crate) fn local_addr(socket: &Socket) -> io::Result<SocketAddr> {
    Ok(SocketAddr::try_from(net::getsockname(socket)?)?)
}

pub(crate) fn peer_addr(socket: &Socket) -> io::Result<SocketAddr> {
    let addr = net::getpeername(socket)?.ok_or(Errno::NOTCONN)?;
    Ok(SocketAddr::try_from(addr)?)
}

/// An option of 0, where WASI has none.
fn not_zero<T: PartialEq + Default>(value: T) -> io::Result<T> {
    match value == T::default() {
        true => Err(Errno::INVAL.into()),
        false => Ok(value),
    }
}

pub(crate) fn keep_alive(socket: &Socket) -> io::Result<bool> {
    Ok(sockopt::socket_keepalive(socket)?)
}

pub(crate) fn set_keep_alive(socket: &Socket, on: bool) -> io::Result<()> {
    Ok(sockopt::set_socket_keepalive(socket, on)?)
}

/// Linux's least and most of the two times, and of the count of probes: other systems take these as well.
const TIMES: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(i16::MAX as u64);
const PROBES: u32 = i8::MAX as u32;

pub(crate) fn keep_alive_idle(socket: &Socket) -> io::Result<Duration> {
    Ok(sockopt::tcp_keepidle(socket)?)
}

/// Sets it to a time near `idle` that the system has.
pub(crate) fn set_keep_alive_idle(socket: &Socket, idle: Duration) -> io::Result<()> {
    Ok(sockopt::set_tcp_keepidle(socket, not_zero(idle)?.clamp(*TIMES.start(), *TIMES.end()))?)
}

pub(crate) fn keep_alive_interval(socket: &Socket) -> io::Result<Duration> {
    Ok(sockopt::tcp_keepintvl(socket)?)
}

/// Sets it to a time near `interval` that the system has.
pub(crate) fn set_keep_alive_interval(socket: &Socket, interval: Duration) -> io::Result<()> {
    Ok(sockopt::set_tcp_keepintvl(socket, not_zero(interval)?.clamp(*TIMES.start(), *TIMES.end()))?)
}

pub(crate) fn keep_alive_count(socket: &Socket) -> io::Result<u32> {
    Ok(sockopt::tcp_keepcnt(socket)?)
}

/// Sets it to a number near `count` that the system has.
pub(crate) fn set_keep_alive_count(socket: &Socket, count: u32) -> io::Result<()> {
    Ok(sockopt::set_tcp_keepcnt(socket, not_zero(count)?.min(PROBES))?)
}

pub(crate) fn hop_limit(socket: &Socket, family: Family) -> io::Result<u8> {
    match family {
        Family::V4 => u8::try_from(sockopt::ip_ttl(socket)?).map_err(|_| Errno::OPNOTSUPP.into()),
        Family::V6 => Ok(sockopt::ipv6_unicast_hops(socket)?),
    }
}

pub(crate) fn set_hop_limit(socket: &Socket, family: Family, hops: u8) -> io::Result<()> {
    let hops = not_zero(hops)?;
    match family {
        Family::V4 => sockopt::set_ip_ttl(socket, hops.into())?,
        Family::V6 => sockopt::set_ipv6_unicast_hops(socket, Some(hops))?,
    }
    Ok(())
}

/// Linux doubles a buffer's size for its own bookkeeping, and tells the double (socket(7)).
const TOLD: usize = if cfg!(target_os = "linux") { 2 } else { 1 };

pub(crate) fn receive_buffer(socket: &Socket) -> io::Result<u64> {
    Ok((sockopt::socket_recv_buffer_size(socket)? / TOLD) as u64)
}

/// Sets it to a size near `bytes` that the system has.
pub(crate) fn set_receive_buffer(socket: &Socket, bytes: u64) -> io::Result<()> {
    a_hint(sockopt::set_socket_recv_buffer_size(socket, buffer(bytes)?))
}

pub(crate) fn send_buffer(socket: &Socket) -> io::Result<u64> {
    Ok((sockopt::socket_send_buffer_size(socket)? / TOLD) as u64)
}

/// Sets it to a size near `bytes` that the system has.
pub(crate) fn set_send_buffer(socket: &Socket, bytes: u64) -> io::Result<()> {
    a_hint(sockopt::set_socket_send_buffer_size(socket, buffer(bytes)?))
}

fn buffer(bytes: u64) -> io::Result<usize> {
    Ok(usize::try_from(not_zero(bytes)?).unwrap_or(usize::MAX).min(i32::MAX as usize))
}

/// A size of a buffer is a hint: BSD refuses one that is too large, where others take what they have.
fn a_hint(set: rustix::io::Result<()>) -> io::Result<()> {
    match set {
        Err(Errno::NOBUFS) => Ok(()),
        set => Ok(set?),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};

    use super::*;
    use crate::net::meter::Meter;
    use crate::net::socket::Hub;

    /// A socket of ours that is connected, and its peer.
    fn pair(hub: &Arc<Hub>) -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = listener.accept().unwrap().0;
        stream.set_nonblocking(true).unwrap();
        (Socket::new(stream.into(), hub, &Meter::new()), peer)
    }

    fn within_a_runtime(body: impl AsyncFnOnce()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(tokio::task::unconstrained(body()));
    }

    #[test]
    fn a_side_is_ready_from_its_mark_to_the_call_that_takes_all() {
        within_a_runtime(async || {
            let hub = Arc::<Hub>::default();
            let (socket, mut peer) = pair(&hub);
            assert!(!socket.is_ready(Side::Read).unwrap());
            peer.write_all(b"abc").unwrap();
            // The mark wakes who waits at the hub.
            std::future::poll_fn(|cx| {
                hub.wait(cx);
                if socket.is_ready(Side::Read).unwrap() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            let mut buf = [0; 2];
            assert_eq!(receive(&socket, &mut buf).unwrap(), 2);
            assert!(socket.is_ready(Side::Read).unwrap(), "there may be more");
            assert_eq!(receive(&socket, &mut buf).unwrap(), 1);
            assert!(!socket.is_ready(Side::Read).unwrap(), "a short read took all");
            assert!(!socket.confirm(Side::Read).unwrap());
            drop(peer);
            std::future::poll_fn(|cx| socket.poll_wait(Side::Read, cx)).await.unwrap();
            assert!(socket.is_ready(Side::Read).unwrap() && socket.is_hung_up(Side::Read));
            assert_eq!(receive(&socket, &mut buf).unwrap(), 0);
        });
    }

    #[test]
    fn the_hub_wakes_what_waits_once() {
        struct Count(std::sync::atomic::AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
        let hub = Hub::default();
        let count = Arc::new(Count(0.into()));
        hub.wake();
        hub.wait(&Context::from_waker(&Waker::from(count.clone())));
        hub.wake();
        hub.wake();
        assert_eq!(count.0.load(std::sync::atomic::Ordering::SeqCst), 1);
    }

    #[test]
    fn what_is_received_goes_behind_what_is_there_and_is_no_more_than_was_asked_for() {
        within_a_runtime(async || {
            let (socket, mut peer) = pair(&Arc::default());
            peer.write_all(b"abcdef").unwrap();
            socket.confirm(Side::Read).unwrap();
            let mut roomy = Vec::with_capacity(100);
            roomy.push(b'_');
            assert_eq!(receive_into(&socket, &mut roomy, 2).unwrap(), 2);
            let mut exact = Vec::new();
            assert_eq!(receive_into(&socket, &mut exact, 3).unwrap(), 3);
            assert_eq!((&roomy[..], &exact[..]), (&b"_ab"[..], &b"cde"[..]));
            let mut buf = [0; 4];
            assert_eq!((peek(&socket, &mut buf).unwrap(), receive(&socket, &mut buf).unwrap()), (1, 1));
            assert_eq!(receive_into(&socket, &mut roomy, 2).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            assert_eq!(roomy, b"_ab");
            assert_eq!(socket.meter().traffic().received, 6);
        });
    }

    #[test]
    fn a_connection_is_made_accepted_and_counted() {
        within_a_runtime(async || {
            let (hub, meter) = (Arc::<Hub>::default(), Meter::new());
            let socket = |fd| Socket::new(fd, &hub, &meter);
            let listener = socket(create(Family::V4).unwrap());
            bind_alone(&listener, "127.0.0.1:0".parse().unwrap()).unwrap();
            listen_alone(&listener, 8).unwrap();
            assert_eq!(accept(&listener).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            assert_eq!(receive(&listener, &mut [0]).unwrap_err().kind(), io::ErrorKind::NotConnected);
            let client = socket(create(Family::V4).unwrap());
            start_connect(&client, local_addr(&listener).unwrap()).unwrap();
            std::future::poll_fn(|cx| client.poll_wait(Side::Write, cx)).await.unwrap();
            finish_connect(&client).unwrap();
            std::future::poll_fn(|cx| listener.poll_wait(Side::Read, cx)).await.unwrap();
            let accepted = accept(&listener).unwrap();
            assert_eq!(sockopt::tcp_nodelay(&accepted).unwrap(), INHERITS_NODELAY);
            let mut accepted = TcpStream::from(accepted);
            send(&client, b"hello").unwrap();
            shutdown(&client, Shutdown::Write).unwrap();
            accepted.set_nonblocking(false).unwrap();
            let mut got = String::new();
            accepted.read_to_string(&mut got).unwrap();
            assert_eq!(got, "hello");
            let traffic = meter.traffic();
            assert_eq!((traffic.opened, traffic.accepted, traffic.sent), (1, 1, 5));
        });
    }
}
