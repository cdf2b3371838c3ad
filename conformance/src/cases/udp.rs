//! Datagrams: each whole or not at all, in order on this machine, and errors are what std would say.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use dormouse::net::{Datagram, SocketAddr, TcpListener, UdpSocket, is_closed};
use dormouse::time::{Instant, sleep, timeout};
use dormouse::{io, spawn, task::yield_now};
use futures_lite::future::zip;

use super::net::pattern;

/// A socket of this program, or `None`, and the outside is told, on a host without datagrams.
async fn bind() -> Option<UdpSocket> {
    match UdpSocket::bind("127.0.0.1:0").await {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            println!("unsupported");
            None
        }
        bound => Some(bound.expect("bind a free port")),
    }
}

async fn two() -> Option<(UdpSocket, UdpSocket, SocketAddr)> {
    let (near, far) = (bind().await?, bind().await?);
    let addr = far.local_addr().unwrap();
    Some((near, far, addr))
}

/// An echo server for clients outside, in batches.
pub async fn udp_echo() {
    let Some(socket) = bind().await else { return };
    println!("listening {}", socket.local_addr().unwrap());
    let mut datagrams = Vec::new();
    loop {
        datagrams.clear();
        socket.recv_many(&mut datagrams, 32).await.unwrap();
        let mut rest = &datagrams[..];
        while !rest.is_empty() {
            let sent = socket.send_many(rest).await.unwrap();
            rest = &rest[sent..];
        }
    }
}

/// Each arrives whole, with the address it came from; of one that is longer than the buffer the rest is lost.
pub async fn datagrams_are_whole() {
    let Some((near, far, addr)) = two().await else { return };
    let from = near.local_addr().unwrap();
    let mut buf = vec![0; 70_000];
    for len in [0, 1, 1_000, 1_472, 1_473, 9_000, 60_000] {
        assert_eq!(near.send_to(&pattern(len), addr).await.unwrap(), len);
        assert_eq!(far.recv_from(&mut buf).await.unwrap(), (len, from));
        assert!(buf[..len] == pattern(len), "{len} bytes have changed");
    }
    near.send_to(b"too long", addr).await.unwrap();
    near.send_to(b"next", addr).await.unwrap();
    assert_eq!(far.recv_from(&mut buf[..3]).await.unwrap(), (3, from));
    assert_eq!(&buf[..3], b"too");
    assert_eq!(far.peek_from(&mut buf).await.unwrap(), (4, from));
    assert_eq!(far.recv(&mut buf).await.unwrap(), 4);
    assert_eq!(&buf[..4], b"next");
}

/// A socket that names its peer receives from no other, also if it names another peer later.
pub async fn datagrams_of_a_peer() {
    let Some((near, far, addr)) = two().await else { return };
    let Some(stranger) = bind().await else { return };
    let here = near.local_addr().unwrap();
    assert_eq!(near.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
    assert!(near.send(b"to whom?").await.is_err());
    near.connect(addr).await.unwrap();
    assert_eq!(near.peer_addr().unwrap(), addr);
    stranger.send_to(b"not for you", here).await.unwrap();
    far.send_to(b"for you", here).await.unwrap();
    let mut buf = [0; 32];
    assert_eq!(near.recv(&mut buf).await.unwrap(), 7);
    assert_eq!(&buf[..7], b"for you");
    assert_eq!(near.send(b"back").await.unwrap(), 4);
    assert_eq!(far.recv_from(&mut buf).await.unwrap(), (4, here));

    // While a task waits for the old peer.
    let near = Rc::new(near);
    let waiting = spawn({
        let near = Rc::clone(&near);
        async move {
            let mut buf = [0; 32];
            near.recv(&mut buf).await.map(|n| buf[..n].to_vec())
        }
    });
    yield_now().await;
    near.connect(stranger.local_addr().unwrap()).await.unwrap();
    stranger.send_to(b"now you", here).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), b"now you");

    // What comes when no task waits any more, and before its sender becomes the peer.
    let Some((near, far, addr)) = two().await else { return };
    let a_moment = Duration::from_millis(5);
    assert!(timeout(a_moment, near.recv_from(&mut buf)).await.is_err());
    far.send_to(b"early", near.local_addr().unwrap()).await.unwrap();
    sleep(a_moment).await;
    near.connect(addr).await.unwrap();
    assert_eq!(near.recv(&mut buf).await.unwrap(), 5);
    assert_eq!(&buf[..5], b"early");
}

/// Many go with one call and come with one, in order.
pub async fn datagrams_in_batches() {
    let Some((near, far, addr)) = two().await else { return };
    let many: Vec<Datagram> =
        (0..100_u8).map(|n| Datagram { data: vec![n; 1 + usize::from(n)], addr: Some(addr) }).collect();
    let send = async {
        let mut rest = &many[..];
        while !rest.is_empty() {
            let sent = near.send_many(rest).await.unwrap();
            assert!(sent > 0);
            rest = &rest[sent..];
        }
    };
    let receive = async {
        let mut received = Vec::new();
        while received.len() < many.len() {
            assert!(far.recv_many(&mut received, 64).await.unwrap() <= 64);
        }
        received
    };
    let ((), received) = zip(send, receive).await;
    let data = |datagrams: &[Datagram]| datagrams.iter().map(|it| it.data.clone()).collect::<Vec<_>>();
    assert_eq!(data(&received), data(&many));
    let from: HashSet<_> = received.iter().map(|it| it.addr).collect();
    assert_eq!(from, HashSet::from([Some(near.local_addr().unwrap())]));
    assert_eq!(far.recv_many(&mut Vec::new(), 0).await.unwrap(), 0);
    assert_eq!(near.send_many(&[]).await.unwrap(), 0);
}

/// What is too long is not sent in part, and a peer that is not there is told of by a later call.
pub async fn datagrams_that_fail() {
    let Some((near, far, addr)) = two().await else { return };
    let error = near.send_to(&vec![0; 70_000], addr).await.unwrap_err();
    // EMSGSIZE has no kind of its own.
    assert_eq!(error.kind(), io::Error::from_raw_os_error(emsgsize()).kind(), "{error}");
    assert_eq!(near.send_to(b"fits", addr).await.unwrap(), 4);
    near.connect(addr).await.unwrap();
    drop(far);
    // The network says so after the first; how soon is its affair.
    let refused = timeout(Duration::from_secs(20), async {
        loop {
            if let Err(error) = near.send(b"anybody?").await {
                return error;
            }
            near.set_read_deadline(Some(Instant::now() + Duration::from_millis(10))).unwrap();
            match near.recv(&mut [0; 8]).await {
                Err(error) if error.kind() != ErrorKind::TimedOut => return error,
                result => assert!(result.is_err(), "nobody can have answered"),
            }
        }
    });
    assert_eq!(refused.await.expect("the refusal is told").kind(), ErrorKind::ConnectionRefused);
}

/// One socket that talks to itself: a send that is refused leaves nothing behind that keeps the next datagram from being received,
/// whether the receive begins before the send, after it, or while the send is on its way.
pub async fn datagrams_to_oneself() {
    let Some(socket) = bind().await else { return };
    let addr = socket.local_addr().unwrap();
    let too_long = vec![0; 70_000];
    let mut buf = [0; 16];
    for refused in [0, 1, 2, 3] {
        for _ in 0..refused {
            socket.send_to(&too_long, addr).await.unwrap_err();
        }
        assert_eq!(socket.send_to(b"eleven more", addr).await.unwrap(), 11);
        assert_eq!(socket.recv_from(&mut buf).await.unwrap(), (11, addr), "after {refused} that were refused");
    }
    // A receive that is parked meanwhile.
    let receive = async {
        let mut buf = [0; 16];
        socket.recv_from(&mut buf).await.unwrap()
    };
    let send = async {
        yield_now().await;
        socket.send_to(&too_long, addr).await.unwrap_err();
        socket.send_to(&too_long, addr).await.unwrap_err();
        socket.send_to(b"three", addr).await.unwrap()
    };
    assert_eq!(zip(receive, send).await, ((5, addr), 5));
    // One that is given up, and its datagram comes later.
    assert!(timeout(Duration::from_millis(1), socket.recv_from(&mut buf)).await.is_err());
    socket.send_to(&too_long, addr).await.unwrap_err();
    socket.send_to(b"four", addr).await.unwrap();
    assert_eq!(socket.recv_from(&mut buf).await.unwrap(), (4, addr));
    // Several sends, the later ones while the earlier are on their way.
    for n in 0..8 {
        assert_eq!(socket.send_to(&[n], addr).await.unwrap(), 1);
        if n % 3 == 0 {
            socket.send_to(&too_long, addr).await.unwrap_err();
        }
    }
    for n in 0..8 {
        assert_eq!(socket.peek_from(&mut buf).await.unwrap(), (1, addr));
        assert_eq!(socket.recv_from(&mut buf).await.unwrap(), (1, addr));
        assert_eq!(buf[0], n);
    }
}

/// The address of no socket: nothing listens there.
const NOBODY: &str = "127.0.0.1:1";

/// A batch to a peer that is not there is told so, as one datagram is, and goes on with another peer.
pub async fn datagrams_that_fail_in_batches() {
    let Some((near, far, addr)) = two().await else { return };
    let batch: Vec<_> = (0..8).map(|n| Datagram { data: vec![n], addr: None }).collect();
    assert_eq!(near.send_many(&batch).await.unwrap_err().kind(), ErrorKind::NotConnected);
    for by_receiving in [false, true] {
        near.connect(NOBODY).await.unwrap();
        let refused = timeout(Duration::from_secs(20), async {
            loop {
                match near.send_many(&batch).await {
                    Ok(sent) => assert!(sent > 0),
                    Err(error) => return error,
                }
                if by_receiving {
                    return near.recv_many(&mut Vec::new(), 8).await.unwrap_err();
                }
                yield_now().await;
            }
        });
        assert_eq!(refused.await.expect("the refusal is told").kind(), ErrorKind::ConnectionRefused);
        near.connect(addr).await.unwrap();
        // Each datagram to the closed port was refused, and the last refusal may be told only now.
        while near.send(b"?").await.is_err() {}
        let mut received = Vec::new();
        while received.is_empty() {
            match far.recv_many(&mut received, 1).await {
                Ok(n) => assert_eq!(n, 1),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(received[0].data, b"?");
    }
    // What is wrong with a datagram in the middle is said when it is the first.
    near.connect(addr).await.unwrap();
    let mixed = [vec![1], vec![0; 70_000], vec![3]].map(|data| Datagram { data, addr: None });
    assert_eq!(near.send_many(&mixed).await.unwrap(), 1);
    let mut buf = [0; 8];
    assert_eq!(far.recv(&mut buf).await.unwrap(), 1);
    let error = near.send_many(&mixed[1..]).await.unwrap_err();
    assert_eq!(error.kind(), io::Error::from_raw_os_error(emsgsize()).kind(), "{error}");
    assert_eq!(near.send_many(&mixed[2..]).await.unwrap(), 1);
    assert_eq!(far.recv(&mut buf).await.unwrap(), 1);
    assert_eq!(buf[0], 3);
}

/// Names one peer after the other while a receive is parked and others keep the host busy: what each peer sends then is heard,
/// and nothing of the others.
pub async fn datagrams_beside_connects() {
    const ROUNDS: u8 = 50;
    let Some((near, far, addr)) = two().await else { return };
    let Some(other) = bind().await else { return };
    let (here, there) = (near.local_addr().unwrap(), other.local_addr().unwrap());
    let busy: Vec<_> = (0..2)
        .map(|_| {
            spawn(async {
                let (one, two, addr) = two().await.unwrap();
                loop {
                    one.send_to(b"busy", addr).await.unwrap();
                    two.recv(&mut [0; 8]).await.unwrap();
                    yield_now().await;
                }
            })
        })
        .collect();
    let near = Rc::new(near);
    let clone = near.try_clone().unwrap();
    for round in 0..ROUNDS {
        let parked = spawn({
            let near = Rc::clone(&near);
            async move { near.recv(&mut [0; 8]).await.map(|n| n as u8) }
        });
        if round % 3 > 0 {
            sleep(Duration::ZERO).await;
        }
        yield_now().await;
        let (peer, peers, stranger) = if round % 2 == 0 { (&far, addr, &other) } else { (&other, there, &far) };
        // One that fails leaves all as it was, the parked receive as well.
        assert!(clone.connect("127.0.0.1:0").await.is_err());
        assert!(clone.connect("192.0.2.1:9").await.is_err());
        clone.connect(peers).await.unwrap();
        assert_eq!((near.local_addr().unwrap(), near.peer_addr().unwrap()), (here, peers));
        stranger.send_to(&[0; 1], here).await.unwrap();
        peer.send_to(&[0; 2], here).await.unwrap();
        assert_eq!(timeout(Duration::from_secs(20), parked).await.unwrap().unwrap().unwrap(), 2, "round {round}");
    }
    busy.iter().for_each(|busy| busy.abort());
}

/// What else can be given as the address of a peer: prints in what hosts differ.
pub async fn addresses_of_peers() {
    let Some((near, far, addr)) = two().await else { return };
    let mut buf = [0; 8];
    let kind = |result: io::Result<usize>| result.map_err(|error| error.kind());

    // The wildcard is this machine.
    let wildcard = SocketAddr::from(([0, 0, 0, 0], addr.port()));
    assert_eq!(near.send_to(b"a", wildcard).await.unwrap(), 1);
    assert_eq!(far.recv(&mut buf).await.unwrap(), 1);
    let batch = [Datagram { data: b"bc".into(), addr: Some(wildcard) }];
    assert_eq!(near.send_many(&batch).await.unwrap(), 1);
    assert_eq!(far.recv(&mut buf).await.unwrap(), 2);

    // No port, and the other family.
    for nowhere in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:9"] {
        assert_eq!(kind(near.send_to(b"x", nowhere).await), Err(ErrorKind::InvalidInput), "{nowhere}");
        assert_eq!(near.connect(nowhere).await.unwrap_err().kind(), ErrorKind::InvalidInput, "{nowhere}");
        assert_eq!(near.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
    }
    assert_eq!(kind(near.send(b"to whom?").await), Err(ErrorKind::NotConnected));

    near.connect(wildcard).await.unwrap();
    assert_eq!(near.peer_addr().unwrap(), addr);
    assert_eq!(near.send(b"def").await.unwrap(), 3);
    assert_eq!(far.recv(&mut buf).await.unwrap(), 3);

    // Its peer may be named again. Whether another may, is the host's affair.
    assert_eq!(near.send_to(b"ghij", addr).await.unwrap(), 4);
    assert_eq!(far.recv(&mut buf).await.unwrap(), 4);
    let Some(other) = bind().await else { return };
    match near.send_to(b"klmno", other.local_addr().unwrap()).await {
        Ok(n) => {
            assert_eq!((n, other.recv(&mut buf).await.unwrap()), (5, 5));
            println!("sends to others");
        }
        Err(error) => println!("sends to others: {:?}", error.kind()),
    }
    assert_eq!(near.peer_addr().unwrap(), addr);

    // IPv4 within IPv6.
    let Ok(six) = UdpSocket::bind("[::]:0").await else { return println!("no ipv6 here") };
    let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", addr.port()).parse().unwrap();
    match six.send_to(b"pqrstu", mapped).await {
        Ok(n) => {
            assert_eq!((n, far.recv(&mut buf).await.unwrap()), (6, 6));
            println!("sends to IPv4 within IPv6");
        }
        Err(error) => println!("sends to IPv4 within IPv6: {:?}", error.kind()),
    }
}

fn emsgsize() -> i32 {
    if cfg!(target_os = "wasi") { 35 } else { 90 }
}

/// A socket of IPv6, or `None`, and the outside is told why.
async fn bind_v6(addr: &str) -> Option<UdpSocket> {
    match UdpSocket::bind(addr).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => println!("unsupported"),
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => println!("no ipv6 here"),
        bound => return Some(bound.expect("bind a free port")),
    }
    None
}

/// As over IPv4.
pub async fn datagrams_over_ipv6() {
    let Some(near) = bind_v6("[::1]:0").await else { return };
    let far = bind_v6("[::1]:0").await.expect("as the other one");
    let (here, there) = (near.local_addr().unwrap(), far.local_addr().unwrap());
    assert!(here.is_ipv6() && there.is_ipv6());
    let mut buf = vec![0; 70_000];
    for len in [0, 1, 1_452, 1_453, 60_000] {
        assert_eq!(near.send_to(&pattern(len), there).await.unwrap(), len);
        assert_eq!(far.recv_from(&mut buf).await.unwrap(), (len, here));
        assert!(buf[..len] == pattern(len), "{len} bytes have changed");
    }
    near.connect(there).await.unwrap();
    assert_eq!(near.peer_addr().unwrap(), there);
    assert_eq!(near.send(b"six").await.unwrap(), 3);
    assert_eq!(far.recv_from(&mut buf).await.unwrap(), (3, here));
    far.send_to(b"back", here).await.unwrap();
    assert_eq!(near.recv(&mut buf).await.unwrap(), 4);
    // A socket has one family.
    assert!(far.send_to(b"four?", "127.0.0.1:9").await.is_err());
    println!("ipv6 works");
}

/// Whether `[::]` is IPv4 as well. It is not on WASI, which says so; natively the system decides.
pub async fn both_families() {
    let Some(mut six) = bind_v6("[::]:0").await else { return };
    let mut four = UdpSocket::bind(("0.0.0.0", six.local_addr().unwrap().port())).await;
    // Another program may have that port of IPv4.
    for _ in 0..5 {
        if four.is_err() {
            six = UdpSocket::bind("[::]:0").await.unwrap();
            four = UdpSocket::bind(("0.0.0.0", six.local_addr().unwrap().port())).await;
        }
    }
    let alone = four.is_ok();
    let receiver = match &four {
        Ok(four) => four,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
            &six
        }
    };
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    sender.send_to(b"four", ("127.0.0.1", six.local_addr().unwrap().port())).await.unwrap();
    let mut buf = [0; 8];
    let (n, from) = receiver.recv_from(&mut buf).await.unwrap();
    assert_eq!(&buf[..n], b"four");
    assert_eq!((from.is_ipv4(), from.ip().to_canonical()), (alone, sender.local_addr().unwrap().ip()));

    // And so it is with listeners.
    let mut listens_alone = false;
    for _ in 0..5 {
        let six = TcpListener::bind("[::]:0").await.unwrap();
        match TcpListener::bind(("0.0.0.0", six.local_addr().unwrap().port())).await {
            Ok(_) => listens_alone = true,
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}"),
        }
    }
    assert_eq!(listens_alone, alone);
    println!("{}", if alone { "ipv6 alone" } else { "both families" });
}

/// Deadlines and closing are as with streams.
pub async fn datagrams_deadlines_and_closing() {
    let Some((near, far, addr)) = two().await else { return };
    let far = Rc::new(far);
    let mut buf = [0; 8];
    far.set_deadline(Some(Instant::now() + Duration::from_millis(10))).unwrap();
    assert_eq!(far.recv(&mut buf).await.unwrap_err().kind(), ErrorKind::TimedOut);
    near.send_to(b"x", addr).await.unwrap();
    assert_eq!(far.recv(&mut buf).await.unwrap_err().kind(), ErrorKind::TimedOut, "it has passed");
    far.set_deadline(None).unwrap();
    assert_eq!(far.recv(&mut buf).await.unwrap(), 1, "and nothing was lost");

    let waiting = spawn({
        let far = Rc::clone(&far);
        async move { far.recv(&mut [0; 8]).await }
    });
    yield_now().await;
    let clone = far.try_clone().unwrap();
    clone.close().unwrap();
    assert!(is_closed(&waiting.await.unwrap().unwrap_err()));
    for error in [
        far.recv(&mut buf).await.unwrap_err(),
        far.send_to(b"x", addr).await.unwrap_err(),
        far.connect(addr).await.unwrap_err(),
        far.local_addr().unwrap_err(),
        far.close().unwrap_err(),
    ] {
        assert!(error.to_string().contains("closed"), "{error}");
    }
    // Its port is free again.
    UdpSocket::bind(addr).await.unwrap();
}

/// Opens sockets until there are no descriptors, and again when one has been closed.
pub async fn datagrams_until_exhausted() {
    let mut sockets = Vec::new();
    let error = loop {
        match UdpSocket::bind("127.0.0.1:0").await {
            Ok(socket) => sockets.push(socket),
            Err(error) => break error,
        }
    };
    println!("{:?}: {error}", error.kind());
    assert!(sockets.pop().is_some());
    bind().await.unwrap();
    println!("opened again");
}
