//! `poll_oneoff`: what is told, and when.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::io::AsyncRead;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::cli::{IsTerminal, StdinStream};

use crate::guest::*;
use crate::sockets::reset;

#[test]
fn only_what_is_ready_is_told() {
    let (mut guest, addr) = Guest::listening();
    let subs = [Sub::Read(3), NEVER];
    let mut peer = None;
    assert_eq!(guest.poll_waits(&subs, || peer = Some(TcpStream::connect(addr).unwrap())), fired(&[0]));
    let (fd, peer) = (guest.accept(3, NONBLOCK).unwrap(), peer.unwrap());
    assert_eq!(guest.accept(3, NONBLOCK), Err(AGAIN));
    let subs = [Sub::Read(3), Sub::Read(fd), NEVER];
    assert_eq!(guest.poll_waits(&subs, || say(&peer, b"x")), fired(&[1]));
    assert_eq!(guest.poll(&[Sub::Read(3), Sub::Read(fd), NOW]), fired(&[1, 2]));
}

#[test]
fn a_poll_that_waits_is_not_woken_for_nothing() {
    let (mut guest, peer) = Guest::connected();
    guest.poll_waits_for_ever(&[Sub::Read(3), NEVER]);
    // What was given up has left nothing behind.
    assert_eq!(guest.poll(&[Sub::Read(3), NOW]), fired(&[1]));
    // Nor by a side that nobody asks for.
    let subs = [Sub::Write(3), NEVER];
    let args = guest.subscribe(&subs);
    assert_eq!(guest.call("poll_oneoff", &args), 0);
    say(&peer, b"x");
    guest.fill(3);
    guest.poll_waits_for_ever(&subs);
}

#[test]
fn both_sides_of_one_socket_are_told_apart() {
    let (mut guest, peer) = Guest::connected();
    let both = [Sub::Read(3), Sub::Write(3), NEVER];
    assert_eq!(guest.poll(&both), fired(&[1]));
    say(&peer, b"x");
    assert_eq!(guest.poll(&[Sub::Read(3)]), fired(&[0]));
    assert_eq!(guest.poll(&both), fired(&[0, 1]));
    guest.fill(3);
    assert_eq!(guest.poll(&both), fired(&[0]));
    assert_eq!(guest.recv(3, 9).unwrap(), b"x");
    guest.poll_waits_for_ever(&both);
}

#[test]
fn one_socket_subscribed_twice_is_told_twice() {
    let (mut guest, peer) = Guest::connected();
    let subs = [Sub::Read(3), NEVER, Sub::Read(3)];
    assert_eq!(guest.poll_waits(&subs, || say(&peer, b"x")), fired(&[0, 2]));
}

#[test]
fn a_full_socket_is_writable_once_the_peer_has_read() {
    let (mut guest, mut peer) = Guest::connected();
    let sent = guest.fill(3);
    assert_eq!(guest.poll(&[Sub::Write(3), NOW]), fired(&[1]));
    guest.poll_waits_for_ever(&[Sub::Write(3)]);
    let told = guest.poll_waits(&[Sub::Write(3), NEVER], || {
        let mut left = sent;
        let mut buf = vec![0; 1 << 20];
        while left > 0 {
            left -= peer.read(&mut buf).unwrap();
        }
    });
    assert_eq!(told, fired(&[0]));
    assert_eq!(guest.send(3, b"more"), Ok(4));
}

#[test]
fn a_long_list_gives_others_their_turn() {
    const MANY: usize = 100_000;
    let (mut guest, peer) = Guest::connected();
    let mut list = vec![Sub::Read(3); MANY];
    list.push(NOW);
    let args = guest.subscribe(&list);
    // One turn in each pass, and the one that each poll gives.
    assert_eq!(guest.call_while("poll_oneoff", &args, None), (0, 1 + 3));
    // What comes for the first of them while the last are looked at is seen.
    *list.last_mut().unwrap() = NEVER;
    let told = guest.poll_waits(&list, || say(&peer, b"x"));
    assert_eq!(told.unwrap().len(), MANY);
}

#[test]
fn a_listener_is_never_writable() {
    let (mut guest, addr) = Guest::listening();
    let _peer = TcpStream::connect(addr).unwrap();
    guest.poll_waits_for_ever(&[Sub::Write(3)]);
    assert_eq!(guest.poll(&[Sub::Write(3), Sub::Read(3)]), fired(&[1]));
    guest.poll_waits_for_ever(&[Sub::Write(3), NEVER]);
}

#[test]
fn a_peer_that_leaves_is_hung_up() {
    let (mut guest, peer) = Guest::connected();
    let hung_up = Ok(vec![(0, 0, HANGUP)]);
    say(&peer, b"bye");
    assert_eq!(guest.poll(&[Sub::Read(3)]), fired(&[0]));
    assert_eq!(guest.recv(3, 9).unwrap(), b"bye");
    assert_eq!(guest.poll_waits(&[Sub::Read(3)], || peer.shutdown(Shutdown::Write).unwrap()), hung_up);
    assert_eq!(guest.recv(3, 9).unwrap(), b"");
    assert_eq!(guest.poll(&[Sub::Read(3), NEVER]), hung_up, "it stays so");
    assert_eq!(guest.poll(&[Sub::Write(3)]), fired(&[0]), "the other side is as it was");
}

#[test]
fn a_reset_is_told_to_both_sides() {
    let (mut guest, peer) = Guest::connected();
    reset(&mut guest, peer);
    let told = Ok(vec![(0, 0, HANGUP), (1, 0, HANGUP)]);
    assert_eq!(guest.poll(&[Sub::Read(3), Sub::Write(3)]), told);
    assert_eq!(guest.recv(3, 9), Err(CONNRESET));
    assert_eq!(guest.poll(&[Sub::Read(3), Sub::Write(3)]), told);
    assert_eq!(guest.recv(3, 9).unwrap(), b"");
    assert_eq!(guest.send(3, b"x"), Err(PIPE));
}

#[test]
fn a_reset_wakes_who_waits_to_write() {
    let (mut guest, peer) = Guest::connected();
    guest.fill(3);
    assert_eq!(guest.poll_waits(&[Sub::Write(3), NEVER], || drop(peer)), Ok(vec![(0, 0, HANGUP)]));
    assert_eq!(guest.send(3, b"x"), Err(CONNRESET));
}

#[test]
fn a_bad_subscription_is_an_event_and_the_others_are_told_too() {
    let (mut guest, peer) = Guest::connected();
    say(&peer, b"x");
    for fd in [4, 99, 1 << 20, u32::MAX] {
        let subs = [Sub::Read(fd), Sub::Read(3), Sub::Write(fd), NOW, NEVER];
        let told = Ok(vec![(0, BADF, 0), (1, 0, 0), (2, BADF, 0), (3, 0, 0)]);
        assert_eq!(guest.poll(&subs), told, "{fd}");
        assert_eq!(guest.poll(&[NEVER, Sub::Read(fd)]), Ok(vec![(1, BADF, 0)]), "{fd}");
    }
    let subs = [Sub::Tag(3), Sub::Read(3), Sub::Tag(255)];
    assert_eq!(guest.poll(&subs), Ok(vec![(0, INVAL, 0), (1, 0, 0), (2, INVAL, 0)]));
    let subs = [Sub::After(2, 0), Sub::Read(3), Sub::At(99, 0)];
    assert_eq!(guest.poll(&subs), Ok(vec![(0, INVAL, 0), (1, 0, 0), (2, INVAL, 0)]));
}

#[test]
fn an_array_that_is_not_there_is_refused() {
    let (mut guest, _peer) = Guest::connected();
    assert_eq!(guest.poll(&[]), Err(INVAL));
    let [asked, out, _, _] = guest.subscribe(&[NEVER, NEVER]);
    let nowhere = i64::from(NOWHERE);
    for args in
        [[nowhere, out, 1, 0], [asked, nowhere, 1, 0], [asked, out, 1, nowhere], [asked, out, 1, (192 << 16) - 3]]
    {
        assert_eq!(guest.call("poll_oneoff", &args), FAULT, "{args:?}");
    }
    // 2³¹, 2³² / 48 and 2³² / 32 subscriptions, and so many that the product wraps round to little.
    for count in [1 << 31, 89_478_486, 134_217_728, 0xffff_ffff, (1i64 << 32) / 16] {
        assert_eq!(guest.call("poll_oneoff", &[asked, out, count, 0]), FAULT, "{count}");
    }
    let due = guest.subscribe(&[NOW, NOW])[0];
    for out in [due + 96, due - 64] {
        assert_eq!(guest.call("poll_oneoff", &[due, out, 2, 0]), 0, "side by side");
    }
}

#[test]
fn events_may_lie_over_the_subscriptions() {
    let (mut guest, _peer) = Guest::connected();
    let asked = [Sub::Write(3), Sub::Tag(9), NOW, Sub::Read(99), Sub::Write(3)];
    let len = 48 * asked.len() as i64;
    for distance in (-200..len + 8).step_by(8).chain([-1, 1, 31, 33, 47]) {
        let [at, _, count, _] = guest.subscribe(&asked);
        let out = at + distance;
        assert_eq!(guest.call("poll_oneoff", &[at, out, count, 0]), 0, "{distance}");
        assert_eq!(guest.word(0), 5, "{distance}");
        let events = guest.read(out as i32, 32 * 5);
        let told: Vec<_> = events.chunks(32).map(|event| (event[0], i32::from(event[8]), event[10])).collect();
        assert_eq!(told, [(0, 0, 2), (1, INVAL, 9), (2, 0, 0), (3, BADF, 1), (4, 0, 2)], "{distance}");
    }
    // The number of events may lie over both.
    let [at, _, count, _] = guest.subscribe(&asked);
    assert_eq!(guest.call("poll_oneoff", &[at, at, count, at]), 0);
    assert_eq!(guest.word(at as i32), 5);
}

#[test]
fn many_clocks_are_due_in_one_call() {
    let (mut guest, _peer) = Guest::connected();
    let mut asked = vec![Sub::After(MONOTONIC, u64::MAX); 100_000];
    asked.extend([Sub::At(MONOTONIC, 1), Sub::At(REALTIME, 0), Sub::At(MONOTONIC, u64::MAX)]);
    assert_eq!(guest.poll(&asked), fired(&[100_000, 100_001]));
    // wasmtime-wasi takes copies, so there are no more than 65 536 of its descriptors.
    let asked = vec![Sub::Write(1); (1 << 16) + 1];
    assert_eq!(guest.poll(&asked), Err(NOMEM));
}

#[test]
fn a_descriptor_that_is_asked_for_twice_is_told_twice() {
    let (mut guest, peer) = Guest::connected();
    say(&peer, b"x");
    let asked = [Sub::Read(3), Sub::Read(3), Sub::Write(3), Sub::Read(4), Sub::Write(u32::MAX)];
    assert_eq!(guest.poll(&asked), Ok(vec![(0, 0, 0), (1, 0, 0), (2, 0, 0), (3, BADF, 0), (4, BADF, 0)]));
    assert_eq!(guest.close(3), 0);
    assert_eq!(guest.poll(&[Sub::Read(3), Sub::Write(3)]), Ok(vec![(0, BADF, 0), (1, BADF, 0)]));
}

#[test]
fn what_is_read_in_part_is_told_again() {
    let (mut guest, peer) = Guest::connected();
    let subs = [Sub::Read(3), NOW];
    assert_eq!(guest.poll(&subs), fired(&[1]));
    say(&peer, b"abcdef");
    for part in [b"ab", b"cd"] {
        assert_eq!(guest.poll(&[Sub::Read(3)]), fired(&[0]));
        assert_eq!(guest.poll(&[Sub::Read(3)]), fired(&[0]), "and again, unread");
        assert_eq!(guest.recv(3, 2).unwrap(), part);
    }
    // This takes exactly what is left: that nothing is left is not known before the next call, which says so.
    assert_eq!(guest.recv(3, 2).unwrap(), b"ef");
    assert_eq!(guest.recv(3, 2), Err(AGAIN));
    assert_eq!(guest.poll(&subs), fired(&[1]));
    assert_eq!(guest.poll_waits(&[Sub::Read(3)], || say(&peer, b"g")), fired(&[0]));
    assert_eq!(guest.recv(3, 1).unwrap(), b"g");
    say(&peer, b"h");
    assert_eq!(guest.poll(&[Sub::Read(3)]), fired(&[0]));
    assert_eq!(guest.recv(3, 2).unwrap(), b"h");
    assert_eq!(guest.poll(&subs), fired(&[1]));
}

#[test]
fn what_comes_between_a_short_read_and_the_next_poll_is_told() {
    let (mut guest, peer) = Guest::connected();
    for n in 0..50 {
        say(&peer, b"abc");
        if n % 2 == 0 {
            assert_eq!(guest.poll(&[Sub::Read(3), NEVER]), fired(&[0]));
        }
        assert_eq!(guest.recv(3, 9).unwrap(), b"abc");
        say(&peer, b"de");
        if n % 3 == 0 {
            assert_eq!(guest.recv(3, 1).unwrap(), b"d");
            assert_eq!(guest.poll(&[Sub::Read(3), NEVER]), fired(&[0]));
            assert_eq!(guest.recv(3, 9).unwrap(), b"e");
        } else {
            assert_eq!(guest.poll(&[Sub::Read(3), NEVER]), fired(&[0]));
            assert_eq!(guest.recv(3, 2).unwrap(), b"de");
        }
    }
    say(&peer, b"last");
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(guest.recv(3, 9).unwrap(), b"last");
    assert_eq!(guest.poll(&[Sub::Read(3), NEVER]), Ok(vec![(0, 0, HANGUP)]), "the end comes with the last bytes");
}

#[test]
fn a_connection_in_the_backlog_is_told_until_it_is_accepted() {
    let (mut guest, addr) = Guest::listening();
    let _peers = [TcpStream::connect(addr).unwrap(), TcpStream::connect(addr).unwrap()];
    for _ in 0..2 {
        assert_eq!(guest.poll(&[Sub::Read(3)]), fired(&[0]));
        assert_eq!(guest.poll(&[Sub::Read(3)]), fired(&[0]));
        guest.accept(3, NONBLOCK).unwrap();
    }
    assert_eq!(guest.accept(3, NONBLOCK), Err(AGAIN));
    assert_eq!(guest.poll(&[Sub::Read(3), NOW]), fired(&[1]));
    let _peer = TcpStream::connect(addr).unwrap();
    assert_eq!(guest.poll(&[Sub::Read(3), NEVER]), fired(&[0]));
}

#[test]
fn of_a_blocking_descriptor_nothing_is_told_that_would_block() {
    let (mut guest, addr) = Guest::listening();
    assert_eq!(guest.set_flags(3, 0), 0);
    let peer = TcpStream::connect(addr).unwrap();
    assert_eq!(guest.poll(&[Sub::Read(3), NEVER]), fired(&[0]));
    let fd = guest.accept(3, 0).unwrap();
    assert_eq!(guest.poll(&[Sub::Read(3), NOW]), fired(&[1]), "there was one connection");
    guest.poll_waits_for_ever(&[Sub::Read(3), NEVER]);

    say(&peer, b"abc");
    assert_eq!(guest.poll(&[Sub::Read(fd), NEVER]), fired(&[0]));
    assert_eq!(guest.recv(fd, 3).unwrap(), b"abc");
    assert_eq!(guest.poll(&[Sub::Read(fd), NOW]), fired(&[1]), "there were three bytes");
    assert_eq!(guest.poll_waits(&[Sub::Read(fd), NEVER], || say(&peer, b"d")), fired(&[0]));
    assert_eq!(guest.recv(fd, 1).unwrap(), b"d");
    assert_eq!(guest.poll(&[Sub::Write(fd), NEVER]), fired(&[0]));
    assert_eq!(guest.poll_waits(&[Sub::Read(fd), NEVER], || drop(peer)), Ok(vec![(0, 0, HANGUP)]));
}

#[test]
fn a_clock_is_never_early() {
    let (mut guest, _) = Guest::listening();
    for nanoseconds in [1, 999_999, 1_000_000, 1_000_001, 3_141_592] {
        let started = Instant::now();
        assert_eq!(guest.poll(&[Sub::After(MONOTONIC, nanoseconds)]), fired(&[0]));
        assert!(started.elapsed().as_nanos() >= nanoseconds.into());

        let at = guest.clock(MONOTONIC) + nanoseconds;
        assert_eq!(guest.poll(&[Sub::Read(3), Sub::At(MONOTONIC, at)]), fired(&[1]));
        assert!(guest.clock(MONOTONIC) >= at);

        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 + nanoseconds;
        assert_eq!(guest.poll(&[Sub::At(REALTIME, at)]), fired(&[0]));
        assert!(guest.clock(REALTIME) >= at);
    }
}

#[test]
fn of_several_clocks_those_that_are_due_are_told() {
    let (mut guest, _) = Guest::listening();
    let past = Sub::At(MONOTONIC, 0);
    assert_eq!(guest.poll(&[NEVER, past, Sub::After(REALTIME, 0), Sub::At(REALTIME, 1), NOW]), fired(&[1, 2, 3, 4]));
    assert_eq!(guest.poll(&[NEVER, Sub::After(REALTIME, 2_000_000), Sub::Read(3)]), fired(&[1]));
    let forever = [Sub::After(MONOTONIC, u64::MAX), Sub::At(MONOTONIC, u64::MAX), Sub::At(REALTIME, u64::MAX)];
    guest.poll_waits_for_ever(&forever);
}

#[test]
fn a_clock_that_is_due_at_once_takes_no_time() {
    // If each of them waited for a tick of the reactor's clock, this would be a second.
    let (mut guest, _) = Guest::listening();
    let fastest = (0..5).map(|_| {
        let started = Instant::now();
        (0..1000).for_each(|_| assert_eq!(guest.poll(&[NOW, Sub::Read(3)]), fired(&[0])));
        started.elapsed()
    });
    let fastest = fastest.min().unwrap();
    assert!(fastest.as_millis() < 500, "{fastest:?}");
}

#[test]
fn what_is_always_ready_hides_no_socket() {
    let (mut guest, addr) = Guest::listening();
    let subs = [Sub::Write(1), Sub::Read(3)];
    assert_eq!(guest.poll(&subs), fired(&[0]));
    let peer = TcpStream::connect(addr).unwrap();
    assert_eq!(guest.poll(&subs), fired(&[0, 1]));
    let fd = guest.accept(3, NONBLOCK).unwrap();
    let subs = [Sub::Write(fd), Sub::Read(fd)];
    assert_eq!(guest.poll(&subs), fired(&[0]));
    say(&peer, b"x");
    assert_eq!(guest.poll(&subs), fired(&[0, 1]));
}

#[test]
fn many_subscriptions_are_told_in_order_and_more_than_can_be_copied_are_refused() {
    let (mut guest, _peer) = Guest::connected();
    let many: Vec<u64> = (0..10_000).collect();
    assert_eq!(guest.poll(&vec![Sub::Write(1); 10_000]), fired(&many));
    assert_eq!(guest.poll(&vec![Sub::Write(3); 10_000]), fired(&many));
    assert_eq!(guest.poll(&vec![Sub::Write(1); (1 << 16) + 1]), Err(NOMEM));
    let all: Vec<u64> = (0..1 << 17).collect();
    assert_eq!(guest.poll(&vec![Sub::Write(3); 1 << 17]), fired(&all), "those of sockets are not copied");
}

/// Standard input that the test speaks on.
struct Stdin(UnixStream);

impl IsTerminal for Stdin {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Stdin {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(tokio::net::UnixStream::from_std(self.0.try_clone().unwrap()).unwrap())
    }
}

#[test]
fn sockets_clocks_and_standard_input_are_waited_for_together() {
    let (ours, mut typist) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (stream, peer) = pair();
    let mut guest = Guest::new(WasiCtxBuilder::new().stdin(Stdin(ours)), |p1| {
        p1.listener(listener).unwrap();
        p1.stream(stream).unwrap();
    });
    let subs = [Sub::Read(3), Sub::Read(0), NEVER, Sub::Read(4)];
    let mut connected = None;
    // Each wait is one that the others have been cancelled in before.
    for _ in 0..3 {
        assert_eq!(guest.poll_waits(&subs, || say(&peer, b"x")), fired(&[3]));
        assert_eq!(guest.recv(4, 9).unwrap(), b"x");
        assert_eq!(guest.poll_waits(&subs, || typist.write_all(b"line\n").unwrap()), fired(&[1]));
        assert_eq!(guest.poll(&subs), fired(&[1]), "and again, unread");
        guest.buffers(&[9]);
        assert_eq!(guest.call("fd_read", &[0, 256, 1, 0]), 0);
        assert_eq!(guest.received(), b"line\n");
        assert_eq!(guest.poll_waits(&subs, || connected = Some(TcpStream::connect(addr).unwrap())), fired(&[0]));
        let fd = guest.accept(3, NONBLOCK).unwrap();
        assert_eq!((guest.close(fd), guest.accept(3, NONBLOCK)), (0, Err(AGAIN)));
        let [at, out, ..] = guest.subscribe(&[Sub::Read(0), Sub::Read(3), Sub::After(MONOTONIC, 1_000_000)]);
        assert_eq!(guest.call("poll_oneoff", &[at, out, 3, 0]), 0);
        assert_eq!((guest.word(0), guest.word(out as i32)), (1, 2));
    }
    guest.poll_waits_for_ever(&subs);
    // A socket that is always ready does not hide the others, nor does a bad one.
    typist.write_all(b"x").unwrap();
    say(&peer, b"x");
    assert_eq!(guest.poll(&[Sub::Write(4), Sub::Read(0), Sub::Read(4)]), fired(&[0, 1, 2]));
    assert_eq!(guest.poll(&[Sub::Read(77), Sub::Read(0), NEVER]), Ok(vec![(0, BADF, 0), (1, 0, 0)]));
    // What nothing can be read from.
    assert_eq!(guest.poll(&[Sub::Read(1), Sub::Write(0)]), Ok(vec![(0, BADF, 0), (1, BADF, 0)]));
    assert_eq!(guest.poll(&[Sub::Write(1), Sub::Write(2), NEVER]), fired(&[0, 1]));
    drop(typist);
    guest.call("fd_read", &[0, 256, 1, 0]);
    assert_eq!(guest.poll(&[Sub::Read(0), NEVER]), fired(&[0]), "its end is something to read");
}
