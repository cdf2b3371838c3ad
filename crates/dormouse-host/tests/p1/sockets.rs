//! Sockets, one at a time.

use std::io::Read as _;
use std::net::{Shutdown, TcpListener, TcpStream};

use wasmtime_wasi::WasiCtxBuilder;

use crate::guest::*;

#[test]
fn a_connection_is_accepted_read_written_and_closed() {
    let (mut guest, addr) = Guest::listening();
    assert_eq!(guest.accept(3, NONBLOCK), Err(AGAIN));
    let mut peer = TcpStream::connect(addr).unwrap();
    let fd = guest.accept(3, NONBLOCK).unwrap();
    assert_eq!(guest.recv(fd, 10), Err(AGAIN));
    say(&peer, b"hello");
    assert_eq!(guest.recv(fd, 10).unwrap(), b"hello");
    assert_eq!(guest.send(fd, b"world"), Ok(5));
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(guest.recv(fd, 10).unwrap(), b"");
    assert_eq!(guest.send(fd, b"!"), Ok(1), "the other half is open");
    assert_eq!(guest.close(fd), 0);
    let mut all = String::new();
    peer.read_to_string(&mut all).unwrap();
    assert_eq!(all, "world!");
}

#[test]
fn a_half_is_shut_down_for_the_peer_to_see() {
    let (mut guest, mut peer) = Guest::connected();
    assert_eq!(guest.call("sock_shutdown", &[3, 2]), 0);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    assert_eq!(guest.send(3, b"x"), Err(PIPE));
    say(&peer, b"still");
    assert_eq!(guest.recv(3, 10).unwrap(), b"still");
    assert_eq!(guest.call("sock_shutdown", &[3, 1]), 0);
    assert_eq!(guest.recv(3, 10).unwrap(), b"");
    for how in [0, 4, 7, -1] {
        assert_eq!(guest.call("sock_shutdown", &[3, how]), INVAL);
    }
}

#[test]
fn a_reset_is_an_error() {
    let (mut guest, peer) = Guest::connected();
    reset(&mut guest, peer);
    assert_eq!(guest.recv(3, 1), Err(CONNRESET));
}

#[test]
fn a_reset_after_some_bytes_is_told_by_the_next_call() {
    for flags in [0, WAITALL] {
        let (mut guest, peer) = Guest::connected();
        assert_eq!(guest.set_flags(3, if flags == 0 { NONBLOCK } else { 0 }), 0);
        say(&peer, b"abcd");
        reset(&mut guest, peer);
        assert_eq!(guest.recv_as(3, &[4, 4], flags).unwrap(), b"abcd");
        assert_eq!(guest.poll(&[Sub::Read(3), NEVER]), Ok(vec![(0, 0, HANGUP)]));
        assert_eq!(guest.recv(3, 4), Err(CONNRESET), "this is no good end");
        assert_eq!(guest.recv(3, 4).unwrap(), b"");
    }
}

/// Makes the peer reset the connection: it closes with something left unread.
pub fn reset(guest: &mut Guest, peer: TcpStream) {
    assert_eq!(guest.send(3, b"unread"), Ok(6));
    peer.peek(&mut [0]).unwrap();
    drop(peer);
}

#[test]
fn flags_are_told_and_set() {
    let (mut guest, addr) = Guest::listening();
    assert_eq!(guest.flags(3), NONBLOCK, "of what is opened for it");
    let _peers = [TcpStream::connect(addr).unwrap(), TcpStream::connect(addr).unwrap()];
    let (one, other) = (guest.accept(3, 0).unwrap(), guest.accept(3, NONBLOCK).unwrap());
    assert_eq!((guest.flags(one), guest.flags(other)), (0, NONBLOCK));
    assert_eq!((guest.set_flags(one, NONBLOCK), guest.set_flags(other, 0)), (0, 0));
    assert_eq!((guest.flags(one), guest.flags(other)), (NONBLOCK, 0));
    assert_eq!(guest.recv(one, 1), Err(AGAIN));
    assert_eq!(guest.read(0, 1), [6], "a stream socket");
    assert_eq!(guest.call("fd_filestat_get", &[one.into(), 64]), 0);
    assert_eq!(guest.read(64 + 16, 1), [6]);
}

#[test]
fn a_blocking_descriptor_waits() {
    let (mut guest, addr) = Guest::listening();
    assert_eq!(guest.set_flags(3, 0), 0);
    let mut peer = None;
    assert_eq!(guest.waits("sock_accept", &[3, 0, 0], || peer = Some(TcpStream::connect(addr).unwrap())), 0);
    let (fd, peer) = (guest.word(0), peer.unwrap());
    for name in ["sock_recv", "fd_read"] {
        guest.buffers(&[10]);
        let args = [fd.into(), 256, 1, 0, 0, 4];
        let args = if name == "fd_read" { &[fd.into(), 256, 1, 0][..] } else { &args };
        assert_eq!(guest.waits(name, args, || say(&peer, b"hello")), 0);
        assert_eq!(guest.received(), b"hello");
    }
    assert_eq!(guest.waits("sock_recv", &[fd.into(), 256, 1, 0, 0, 4], || drop(peer)), 0);
    assert_eq!(guest.received(), b"");
}

#[test]
fn a_blocking_send_waits_for_the_peer_to_read() {
    let (mut guest, mut peer) = Guest::connected();
    let sent = guest.fill(3);
    assert_eq!(guest.set_flags(3, 0), 0);
    let mut rest = sent;
    assert_eq!(
        guest.waits("sock_send", &[3, 256, 1, 0, 0], || {
            let mut buf = vec![0; 1 << 16];
            while rest > 0 {
                let n = peer.read(&mut buf).unwrap();
                rest -= n.min(rest);
            }
        }),
        0
    );
    assert!(guest.word(0) > 0);
}

#[test]
fn several_buffers_are_one_stream() {
    let (mut guest, mut peer) = Guest::connected();
    guest.write(BUFFER, b"hello world");
    guest.buffers(&[5, 0, 6]);
    assert_eq!(guest.call("sock_send", &[3, 256, 3, 0, 0]), 0);
    assert_eq!(guest.word(0), 11);
    assert_eq!(guest.call("fd_write", &[3, 256, 1, 0]), 0);
    let mut heard = [0; 16];
    peer.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello worldhello");

    say(&peer, b"0123456789");
    assert_eq!(guest.recv_as(3, &[3, 0, 4], 0).unwrap(), b"0123456");
    assert_eq!(guest.recv_as(3, &[0, 2, 8], 0).unwrap(), b"789");
    assert_eq!(guest.recv_as(3, &[2, 2], 0), Err(AGAIN));
    // More than are looked at in one call are still all valid, and what is beyond them is for the next.
    say(&peer, &[b'x'; 300]);
    assert_eq!(guest.recv_as(3, &[1; 200], 0).unwrap().len(), 64);
    assert_eq!(guest.recv_as(3, &[400], 0).unwrap().len(), 236);
}

#[test]
fn no_room_is_nothing_received_and_nothing_sent() {
    let (mut guest, peer) = Guest::connected();
    assert_eq!(guest.recv_as(3, &[], 0).unwrap(), b"");
    assert_eq!(guest.recv_as(3, &[0, 0], 0).unwrap(), b"");
    assert_eq!(guest.send(3, b""), Ok(0));
    say(&peer, b"x");
    assert_eq!(guest.recv(3, 0).unwrap(), b"");
    assert_eq!(guest.recv(3, 9).unwrap(), b"x");
}

#[test]
fn what_is_peeked_at_stays() {
    let (mut guest, peer) = Guest::connected();
    assert_eq!(guest.recv_as(3, &[4], PEEK), Err(AGAIN));
    say(&peer, b"abc");
    assert_eq!(guest.recv_as(3, &[4], PEEK).unwrap(), b"abc");
    assert_eq!(guest.recv_as(3, &[2], PEEK).unwrap(), b"ab");
    assert_eq!(guest.poll(&[Sub::Read(3)]), fired(&[0]));
    assert_eq!(guest.recv(3, 4).unwrap(), b"abc");
}

#[test]
fn who_waits_for_all_gets_all_or_what_came_before_the_end() {
    let (mut guest, peer) = Guest::connected();
    say(&peer, b"ab");
    assert_eq!(guest.recv_as(3, &[4], WAITALL).unwrap(), b"ab", "a call that returns at once returns what there is");
    assert_eq!(guest.set_flags(3, 0), 0);
    say(&peer, b"ab");
    guest.buffers(&[3, 2]);
    let args = [3, 256, 2, WAITALL.into(), 0, 4];
    assert_eq!(guest.waits("sock_recv", &args, || say(&peer, b"cde")), 0);
    assert_eq!(guest.received(), b"abcde");
    say(&peer, b"xy");
    assert_eq!(guest.waits("sock_recv", &args, || drop(peer)), 0);
    assert_eq!(guest.received(), b"xy");
}

#[test]
fn a_pointer_to_nowhere_is_a_fault_and_nothing_is_lost() {
    let (mut guest, addr) = Guest::listening();
    let peer = TcpStream::connect(addr).unwrap();
    let nowhere = i64::from(NOWHERE);
    assert_eq!(guest.call("sock_accept", &[3, 4, nowhere]), FAULT);
    let fd = guest.accept(3, NONBLOCK).expect("the connection waits on");
    let of = i64::from(fd);

    say(&peer, b"abc");
    guest.buffers(&[10]);
    for args in
        [[of, nowhere, 1, 0, 0, 4], [of, 256, 1, 0, nowhere, 4], [of, 256, 1, 0, 0, nowhere], [of, 256, -1, 0, 0, 4]]
    {
        assert_eq!(guest.call("sock_recv", &args), FAULT, "{args:?}");
    }
    for args in [[of, nowhere, 1, 0], [of, 256, 1, nowhere]] {
        assert_eq!(guest.call("fd_read", &args), FAULT, "{args:?}");
        assert_eq!(guest.call("fd_write", &args), FAULT, "{args:?}");
        assert_eq!(guest.call("sock_send", &[args[0], args[1], args[2], 0, args[3]]), FAULT, "{args:?}");
    }
    let mut buffer = [0; 8];
    for (at, len) in [(NOWHERE, 1), (0, -1), (BUFFER, i32::MAX)] {
        buffer[..4].copy_from_slice(&at.to_le_bytes());
        buffer[4..].copy_from_slice(&len.to_le_bytes());
        guest.write(256, &buffer);
        assert_eq!(guest.call("sock_recv", &[of, 256, 1, 0, 0, 4]), FAULT);
        assert_eq!(guest.call("sock_send", &[of, 256, 1, 0, 0]), FAULT);
    }
    assert_eq!(guest.recv(fd, 10).unwrap(), b"abc");
    peer.set_nonblocking(true).unwrap();
    assert!(peer.peek(&mut [0]).is_err(), "nothing was sent");
    for name in ["fd_fdstat_get", "fd_filestat_get"] {
        assert_eq!(guest.call(name, &[of, nowhere]), FAULT);
    }
}

#[test]
fn buffers_may_lie_over_each_other() {
    let (mut guest, peer) = Guest::connected();
    let mut buffer = [0; 8];
    buffer[..4].copy_from_slice(&BUFFER.to_le_bytes());
    buffer[4..].copy_from_slice(&4i32.to_le_bytes());
    guest.write(256, &buffer.repeat(3));
    say(&peer, b"0123abcdxy");
    assert_eq!(guest.call("sock_recv", &[3, 256, 3, 0, 0, 4]), 0);
    assert_eq!((guest.word(0), guest.read(BUFFER, 4)), (10, b"xycd".to_vec()));
}

#[test]
fn a_number_is_not_given_again_at_once() {
    let (mut guest, addr) = Guest::listening();
    let mut peers: Vec<_> = (0..3).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let fds: Vec<u32> = (0..3).map(|_| guest.accept(3, NONBLOCK).unwrap()).collect();
    assert!(fds[0] != fds[1] && fds[1] != fds[2]);
    assert_eq!(guest.poll(&[Sub::Read(fds[1]), NOW]), fired(&[1]));
    assert_eq!((guest.close(fds[1]), guest.close(fds[1])), (0, BADF));
    assert_eq!(guest.recv(fds[1], 1), Err(BADF));
    peers.push(TcpStream::connect(addr).unwrap());
    let new = guest.accept(3, NONBLOCK).unwrap();
    assert!(!fds.contains(&new));
    say(&peers[3], b"new");
    assert_eq!(guest.recv(fds[1], 9), Err(BADF));
    assert_eq!(guest.poll(&[Sub::Read(new)]), fired(&[0]));
    assert_eq!(guest.recv(new, 9).unwrap(), b"new");
}

#[test]
fn what_was_opened_for_it_can_be_closed_and_stays_closed() {
    let (mut guest, addr) = Guest::listening();
    assert_eq!((guest.close(3), guest.close(3)), (0, BADF));
    assert_eq!(guest.accept(3, 0), Err(BADF));
    assert_eq!(guest.set_flags(3, 0), BADF);
    assert_eq!(guest.call("fd_fdstat_get", &[3, 0]), BADF);
    assert_eq!(guest.poll(&[Sub::Read(3)]), Ok(vec![(0, BADF, 0)]));
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn beyond_max_sockets_accepting_fails_and_no_connection_is_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let mut guest = Guest::new(&mut WasiCtxBuilder::new(), |p1| {
        p1.listener(listener).unwrap();
        p1.max_sockets(2);
    });
    let first = TcpStream::connect(addr).unwrap();
    let fd = guest.accept(3, NONBLOCK).unwrap();
    let second = TcpStream::connect(addr).unwrap();
    say(&second, b"patient");
    assert_eq!(guest.accept(3, NONBLOCK), Err(NFILE));
    // A program that polls would turn in circles.
    let subs = [Sub::Read(3), NEVER];
    guest.poll_waits_for_ever(&subs);
    assert_eq!(guest.poll(&[Sub::Read(3), Sub::Write(fd)]), fired(&[1]), "others are as they were");
    assert_eq!(guest.accept(3, NONBLOCK), Err(NFILE));
    drop(first);
    assert_eq!(guest.close(fd), 0);
    assert_eq!(guest.poll(&subs), fired(&[0]), "it is still there");
    let fd = guest.accept(3, NONBLOCK).unwrap();
    assert_eq!(guest.recv(fd, 9).unwrap(), b"patient");
}

#[test]
fn calls_for_something_else_say_what_a_socket_says() {
    let (mut guest, _peer) = Guest::connected();
    assert_eq!(guest.call("fd_seek", &[3, 0, 0, 0]), SPIPE);
    assert_eq!(guest.call("fd_readdir", &[3, 0, 64, 0, 0]), NOTDIR);
    assert_eq!(guest.call("fd_sync", &[3]), INVAL);
    assert_eq!(guest.call("path_open", &[3, 0, 256, 1, 0, 0, 0, 0, 0]), NOTDIR);
    assert_eq!(guest.call("fd_renumber", &[3, 3]), 0);
    for (from, to) in [(3, 4), (4, 3), (4, 4), (3, 1 << 20)] {
        assert_eq!(guest.call("fd_renumber", &[from, to]), BADF);
    }
    assert_eq!(guest.accept(3, 0), Err(INVAL), "a connection accepts nothing");
    // And the other way round.
    for fd in [0, 1] {
        assert_eq!(guest.accept(fd, 0), Err(NOTSOCK));
        assert_eq!(guest.recv(fd, 1), Err(NOTSOCK));
        assert_eq!(guest.send(fd, b"x"), Err(NOTSOCK));
        assert_eq!(guest.call("sock_shutdown", &[fd.into(), 3]), NOTSOCK);
    }
    let (mut guest, _) = Guest::listening();
    assert_eq!(guest.recv(3, 1), Err(NOTCONN));
    assert_eq!(guest.send(3, b"x"), Err(NOTCONN));
    assert_eq!(guest.call("sock_shutdown", &[3, 3]), NOTCONN);
}

#[test]
fn a_number_that_nobody_has_is_ebadf() {
    let (mut guest, _) = Guest::listening();
    for fd in [4, 77, (1 << 20) - 1, 1 << 20, 1 << 21, i32::MAX as u32, u32::MAX] {
        assert_eq!(guest.accept(fd, 0), Err(BADF), "{fd}");
        assert_eq!(guest.recv(fd, 1), Err(BADF), "{fd}");
        assert_eq!(guest.send(fd, b"x"), Err(BADF), "{fd}");
        assert_eq!(guest.call("sock_shutdown", &[fd.into(), 3]), BADF, "{fd}");
        for name in ["fd_close", "fd_sync"] {
            assert_eq!(guest.call(name, &[fd.into()]), BADF, "{name} {fd}");
        }
        for name in ["fd_fdstat_get", "fd_fdstat_set_flags", "fd_filestat_get", "fd_prestat_get", "fd_renumber"] {
            assert_eq!(guest.call(name, &[fd.into(), 0]), BADF, "{name} {fd}");
        }
        guest.buffers(&[1]);
        assert_eq!(guest.call("fd_read", &[fd.into(), 256, 1, 0]), BADF);
        assert_eq!(guest.call("fd_write", &[fd.into(), 256, 1, 0]), BADF);
        assert_eq!(guest.poll(&[Sub::Read(fd), Sub::Write(fd)]), Ok(vec![(0, BADF, 0), (1, BADF, 0)]));
        assert_eq!(guest.call("path_rename", &[fd.into(), 256, 1, fd.into(), 256, 1]), BADF, "{fd}");
        assert_eq!(guest.call("path_symlink", &[256, 1, fd.into(), 256, 1]), BADF, "{fd}");
    }
}

#[test]
fn many_sockets_are_served() {
    let (mut guest, addr) = Guest::listening();
    let mut peers = Vec::new();
    let mut fds = Vec::new();
    for _ in 0..200 {
        peers.push(TcpStream::connect(addr).unwrap());
        fds.push(guest.accept(3, NONBLOCK).unwrap());
    }
    let mut subs: Vec<Sub> = fds.iter().map(|&fd| Sub::Read(fd)).collect();
    subs.push(NOW);
    assert_eq!(guest.poll(&subs), fired(&[200]));
    // Whoever speaks is heard, and nobody else.
    for turn in 0..3 {
        let speakers: Vec<u64> = (0..200).filter(|n| n % 7 == turn).collect();
        speakers.iter().for_each(|&n| say(&peers[n as usize], b"x"));
        subs[200] = NEVER;
        let mut heard = Vec::new();
        while heard.len() < speakers.len() {
            for (n, ..) in guest.poll(&subs).unwrap() {
                assert_eq!(guest.recv(fds[n as usize], 9).unwrap(), b"x");
                heard.push(n);
            }
        }
        heard.sort_unstable();
        assert_eq!(heard, speakers);
    }
    fds.iter().for_each(|&fd| assert_eq!(guest.close(fd), 0));
}
