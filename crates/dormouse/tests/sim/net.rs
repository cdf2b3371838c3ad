//! The simulated network: TCP as Linux has it.

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::time::Duration;

use dormouse::net::{Shutdown, SocketAddr, TcpListener, TcpSocket, TcpStream};
use dormouse::sim::{self, Faults, Sim};
use dormouse::time::{Instant, sleep, timeout};
use futures_lite::future::{poll_once, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::{ADDR, echo, pair};

/// Runs it with and without a latency, and nothing may be left.
fn world<F: Future<Output = ()>>(program: impl Fn() -> F) {
    for seed in 0..20 {
        let latency = Duration::from_millis(if seed == 0 { 0 } else { 20 });
        let run = Sim::seeded(seed).faults(Faults { latency, ..Faults::none() }).run(program());
        assert!(run.leaks.is_empty(), "{:?}", run.leaks);
        run.unwrap();
    }
}

#[test]
fn bytes_come_back_in_order_through_a_small_buffer() {
    for buffer in [1, 1000, 64 * 1024] {
        let len = 3 * buffer + 1;
        let echoed = Sim::seeded(1).buffer(buffer).run(echo(len)).unwrap().unwrap();
        assert!(echoed.iter().copied().eq((0..len).map(|n| n as u8)), "{buffer}");
    }
}

#[test]
fn bytes_stay_in_order_though_each_takes_its_own_time() {
    world(|| async {
        let (near, mut far) = pair().await;
        for n in 0..50 {
            near.write(&[n]).await.unwrap();
        }
        drop(near);
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        assert!(read.iter().copied().eq(0..50), "{read:?}");
    });
}

#[test]
fn a_half_close_ends_one_direction() {
    world(|| async {
        let (mut near, mut far) = pair().await;
        near.write_all(b"question").await.unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        assert_eq!(near.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut read = String::new();
        far.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "question");
        far.write_all(b"answer").await.unwrap();
        drop(far);
        read.clear();
        near.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "answer");
        assert_eq!(near.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!(near.shutdown(Shutdown::Write).unwrap_err().kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn reading_can_be_shut_down() {
    world(|| async {
        let (near, far) = pair().await;
        far.write(b"hi").await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(near.peek(&mut buf).await.unwrap(), 2);
        near.shutdown(Shutdown::Read).unwrap();
        assert_eq!(near.read(&mut buf).await.unwrap(), 2, "what has come is read still");
        assert_eq!(near.read(&mut buf).await.unwrap(), 0);
        near.write(b"x").await.unwrap();
        assert_eq!(far.read(&mut buf).await.unwrap(), 1);
    });
}

#[test]
fn data_for_who_has_shut_both_ways_down_resets_the_connection() {
    world(|| async {
        let (near, far) = pair().await;
        let mut buf = [0; 8];
        far.write(b"early").await.unwrap();
        assert_eq!(near.peek(&mut buf).await.unwrap(), 5);
        near.shutdown(Shutdown::Both).unwrap();
        assert_eq!(far.read(&mut buf).await.unwrap(), 0);
        assert_eq!(far.write(b"late").await.unwrap(), 4);
        // It arrives, and so does the answer.
        sleep(Duration::from_secs(1)).await;
        assert_eq!(near.read(&mut buf).await.unwrap(), 5, "what came before the reset is read");
        assert_eq!(near.read(&mut buf).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(near.read(&mut buf).await.unwrap(), 0);
        assert_eq!(far.read(&mut buf).await.unwrap(), 0, "the end stays the end");
        assert_eq!(far.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(near.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn several_buffers_are_read_and_written_as_one() {
    world(|| async {
        let (near, far) = pair().await;
        assert_eq!(
            near.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")]).await.unwrap(),
            5
        );
        let (mut first, mut second) = ([0; 1], [0; 8]);
        let mut bufs = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(far.read_vectored(&mut bufs).await.unwrap(), 5);
        assert_eq!((&first, &second[..4]), (b"a", &b"bcde"[..]));
        assert_eq!(far.read(&mut []).await.unwrap(), 0);
        assert_eq!(far.write(&[]).await.unwrap(), 0);
    });
}

#[test]
fn a_full_buffer_lets_the_writer_wait() {
    let run = Sim::seeded(0).buffer(10).run(async {
        let (near, far) = pair().await;
        assert_eq!(near.write(&[1; 30]).await.unwrap(), 10);
        assert!(poll_once(near.write(b"x")).await.is_none());
        assert!(timeout(Duration::from_secs(1), near.write(&[2; 5])).await.is_err());
        assert_eq!(far.read(&mut [0; 4]).await.unwrap(), 4);
        assert_eq!(near.write(&[2; 5]).await.unwrap(), 4);
    });
    assert_eq!(run.elapsed, Duration::from_secs(1));
    run.unwrap();
}

#[test]
fn nobody_listens() {
    world(|| async {
        let error = TcpStream::connect(ADDR).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(error.to_string().starts_with("connect 10.0.0.1:80: "), "{error}");
        // Nor for the other family.
        let _v6 = TcpListener::bind("[::]:80").await.unwrap();
        assert_eq!(TcpStream::connect(ADDR).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn an_address_is_given_once() {
    world(|| async {
        let in_use = async |addr: &str| TcpListener::bind(addr).await.map(drop).map_err(|error| error.kind());
        let listener = TcpListener::bind(ADDR).await.unwrap();
        assert_eq!(in_use(ADDR).await, Err(ErrorKind::AddrInUse));
        assert_eq!(in_use("0.0.0.0:80").await, Err(ErrorKind::AddrInUse));
        assert_eq!(in_use("10.0.0.2:80").await, Ok(()));
        assert_eq!(in_use("[::]:80").await, Ok(()));
        assert_eq!(in_use("224.0.0.1:80").await, Err(ErrorKind::AddrNotAvailable));
        // A connection does not hold the port that it came in by.
        let (_near, _far) = zip(TcpStream::connect(ADDR), listener.accept()).await;
        drop(listener);
        assert_eq!(in_use(ADDR).await, Ok(()));
        let v4 = TcpSocket::new_v4().unwrap();
        assert_eq!(v4.bind("[::1]:1".parse().unwrap()).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn port_zero_gives_ports_in_order() {
    let ports = |seed| {
        let ports = async {
            let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let _taken = TcpListener::bind("10.0.0.1:49154").await.unwrap();
            let third = TcpListener::bind("127.0.0.1:0").await.unwrap();
            [first, second, third].map(|listener| listener.local_addr().unwrap().port())
        };
        Sim::seeded(seed).run(ports).unwrap()
    };
    assert_eq!(ports(1), [49152, 49153, 49155]);
    assert_eq!(ports(2), [49152, 49153, 49155]);
}

#[test]
fn an_address_for_all_interfaces_is_found_under_each() {
    world(|| async {
        let all = TcpListener::bind("0.0.0.0:80").await.unwrap();
        let on = async |addr: &str| {
            let (near, far) = zip(TcpStream::connect(addr), all.accept()).await;
            (near.unwrap().local_addr().unwrap().ip().to_string(), far.unwrap().0.local_addr().unwrap().to_string())
        };
        assert_eq!(on(ADDR).await, ("10.0.0.1".into(), ADDR.into()));
        assert_eq!(on("0.0.0.0:80").await, ("127.0.0.1".into(), "127.0.0.1:80".into()));
        let six = TcpListener::bind("[::1]:80").await.unwrap();
        let (near, far) = zip(TcpStream::connect("[::1]:80"), six.accept()).await;
        assert_eq!(near.unwrap().local_addr().unwrap(), far.unwrap().1);
    });
}

#[test]
fn a_client_may_say_where_it_calls_from() {
    world(|| async {
        let listener = TcpListener::bind(ADDR).await.unwrap();
        let from: SocketAddr = "10.9.9.9:999".parse().unwrap();
        let client = TcpSocket::new_v4().unwrap();
        client.bind(from).await.unwrap();
        let (near, far) = zip(client.connect(ADDR.parse().unwrap()), listener.accept()).await;
        let _near = near.unwrap();
        assert_eq!(far.unwrap().1, from);
        // One connection from there to there, and one attempt.
        let again = TcpSocket::new_v4().unwrap();
        again.bind(from).await.unwrap();
        assert_eq!(again.connect(ADDR.parse().unwrap()).await.unwrap_err().kind(), ErrorKind::AddrNotAvailable);
    });
}

#[test]
fn a_listener_that_closes_resets_who_waits_in_its_queue() {
    world(|| async {
        let listener = TcpListener::bind(ADDR).await.unwrap();
        let near = TcpStream::connect(ADDR).await.unwrap();
        drop(listener);
        assert_eq!(near.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0, "a reset is told once");
        assert_eq!(near.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_full_backlog_is_asked_again_after_a_second_and_in_the_end_no_more() {
    let run = Sim::seeded(0).run(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(ADDR.parse().unwrap()).await.unwrap();
        let listener = socket.listen(0).await.unwrap();
        let first = TcpStream::connect(ADDR).await.unwrap();
        let second = dormouse::spawn(TcpStream::connect(ADDR));
        sleep(Duration::from_millis(500)).await;
        assert!(!second.is_finished());
        listener.accept().await.unwrap();
        let start = Instant::now();
        let second = second.await.unwrap().unwrap();
        assert_eq!(start.elapsed(), Duration::from_millis(500));
        let error = TcpStream::connect(ADDR).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop((first, second));
    });
    assert_eq!(run.elapsed, Duration::from_secs(1 + 63));
    run.unwrap();
}

#[test]
fn closing_with_something_unread_resets_the_peer() {
    world(|| async {
        let (near, far) = pair().await;
        far.write(b"abc").await.unwrap();
        near.write(b"unread").await.unwrap();
        assert_eq!(far.peek(&mut [0; 1]).await.unwrap(), 1);
        drop(far);
        let mut buf = [0; 8];
        assert_eq!(near.read(&mut buf).await.unwrap(), 3, "what came before the reset is read");
        assert_eq!(near.read(&mut buf).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(near.read(&mut buf).await.unwrap(), 0);
        assert_eq!(near.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(near.shutdown(Shutdown::Write).unwrap_err().kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn the_first_write_to_a_peer_that_has_closed_succeeds() {
    world(|| async {
        let (near, far) = pair().await;
        drop(far);
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(near.write(b"x").await.unwrap(), 1);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(near.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

#[test]
fn a_connection_attempt_can_be_given_up() {
    let latency = Duration::from_millis(20);
    for seed in 0..50 {
        let run = Sim::seeded(seed).faults(Faults { latency, ..Faults::none() }).run(async {
            let listener = TcpListener::bind(ADDR).await.unwrap();
            let connected = timeout(Duration::from_millis(15), TcpStream::connect(ADDR)).await;
            if let Ok(stream) = &connected {
                stream.as_ref().unwrap();
            }
            let given_up = connected.is_err();
            let accepted = timeout(Duration::from_secs(1), listener.accept()).await;
            drop(connected);
            if let Ok(Ok((far, _))) = accepted {
                let read = far.read(&mut [0; 1]).await;
                assert_eq!(
                    read.map_err(|error| error.kind()),
                    if given_up { Err(ErrorKind::ConnectionReset) } else { Ok(0) }
                );
            }
        });
        assert!(run.leaks.is_empty());
        run.unwrap();
    }
}

#[test]
fn a_test_can_break_a_connection_off() {
    world(|| async {
        let (near, far) = pair().await;
        near.write(b"lost").await.unwrap();
        sim::reset(&far).unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(near.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let mut buf = [0; 8];
        // Whether it had arrived is up to the latency.
        while far.read(&mut buf).await.is_ok_and(|n| n > 0) {}
        assert_eq!(far.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(sim::reset(&far).unwrap_err().kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn a_connection_can_break_off_before_who_asked_for_it_knows() {
    for seed in 0..20 {
        let faults = Faults { latency: Duration::from_secs(1), ..Faults::none() };
        let run = Sim::seeded(seed).faults(faults).run(async {
            let listener = TcpListener::bind(ADDR).await.unwrap();
            let client = dormouse::spawn(TcpStream::connect(ADDR));
            let (far, _) = listener.accept().await.unwrap();
            sim::reset(&far).unwrap();
            client.await.unwrap().map(drop).map_err(|error| error.kind())
        });
        assert_eq!(run.unwrap(), Err(ErrorKind::ConnectionReset));
    }
}

#[test]
fn a_test_can_make_the_network_silent() {
    world(|| async {
        let (near, far) = pair().await;
        sim::pause(&far).unwrap();
        near.write(b"a").await.unwrap();
        near.write(b"b").await.unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        assert!(timeout(Duration::from_secs(60), far.read(&mut [0; 8])).await.is_err());
        // The other direction is not changed.
        far.write(b"c").await.unwrap();
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 1);
        sim::resume(&far).unwrap();
        let mut read = String::new();
        (&far).read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "ab");
    });
}

#[test]
fn what_is_on_its_way_takes_room_too() {
    world(|| async {
        let (near, far) = pair().await;
        let mut sent = 0;
        while let Some(written) = poll_once(near.write(&[0; 1000])).await {
            sent += written.unwrap();
        }
        assert_eq!(sent, 64 * 1024);
        assert!(far.read(&mut [0; 1]).await.is_ok());
        assert_eq!(near.write(&[0; 1000]).await.unwrap(), 1);
    });
}

#[test]
fn what_was_held_back_finds_nobody_there() {
    world(|| async {
        let (near, far) = pair().await;
        sim::pause(&far).unwrap();
        near.write(b"a").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        drop(far);
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(near.write(b"b").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_port_cannot_call_twice_at_once() {
    let faults = Faults { latency: Duration::from_secs(1), ..Faults::none() };
    Sim::seeded(1)
        .faults(faults)
        .run(async {
            let _listener = TcpListener::bind(ADDR).await.unwrap();
            let call = async || {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind("10.9.9.9:999".parse().unwrap()).await.unwrap();
                socket.connect(ADDR.parse().unwrap()).await
            };
            let (first, second) = zip(call(), call()).await;
            assert!(first.is_ok());
            assert_eq!(second.unwrap_err().kind(), ErrorKind::AddrNotAvailable);
        })
        .unwrap();
}

#[test]
fn latency_is_what_passes() {
    let faults = Faults { latency: Duration::from_millis(20), ..Faults::none() };
    let mut elapsed: Vec<Duration> =
        (0..200).map(|seed| Sim::seeded(seed).faults(faults.clone()).run(echo(1)).elapsed).collect();
    elapsed.sort();
    // Asking, being answered, there, back and the end: at most five ways of 20 ms one after another.
    assert!(elapsed[0] < Duration::from_millis(40) && elapsed[199] > Duration::from_millis(60), "{elapsed:?}");
    assert!(elapsed[199] <= Duration::from_millis(120), "{elapsed:?}");
}

#[test]
fn accepting_is_pending_until_somebody_connects() {
    world(|| async {
        let listener = TcpListener::bind(ADDR).await.unwrap();
        assert!(poll_once(listener.accept()).await.is_none());
    });
}
