//! Sockets: bytes arrive as they were sent, and errors are what std would say.

use std::future::{Future, poll_fn};
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::pin::pin;
use std::time::Duration;

use dormouse::net::{
    Shutdown, SocketAddr, TcpListener, TcpSocket, TcpStream, UdpSocket, is_transient, lookup_host, preopened_listeners,
};
use dormouse::spawn;
use dormouse::time::timeout;
use dormouse::{fs, io};
use futures_lite::future::{poll_once, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};

use super::place::{ADDRESSES, listen, listen_inside, pair, unsupported};
use super::serve_echo;

/// Bytes that do not repeat with any block size.
pub(super) fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// An echo server for the clients outside.
pub async fn echo() {
    serve_echo(listen().await).await
}

/// The same for one client, in a task that is parked on a quiet connection as well and looks at both each time.
pub async fn echo_beside_a_parked_read() {
    let (conn, _) = listen().await.accept().await.unwrap();
    let (quiet, _far) = pair().await;
    let mut buf = [0];
    let (mut parked, mut echo) = (pin!(quiet.read(&mut buf)), pin!(io::copy(&conn, &conn)));
    poll_fn(|cx| {
        assert!(parked.as_mut().poll(cx).is_pending());
        echo.as_mut().poll(cx)
    })
    .await
    .unwrap();
}

/// Server and client in one program, so that both sides park.
pub async fn echo_inside() {
    let (listener, place) = listen_inside().await;
    let server = dormouse::spawn(serve_echo(listener));
    for len in [1, 63, 64, 65, 4095, 4096, 65_535, 65_536, 65_537, 1 << 20] {
        let stream = place.connect().await.unwrap();
        let sent = pattern(len);
        let (mut reader, mut writer) = stream.into_split();
        let write = async {
            writer.write_all(&sent).await.unwrap();
            writer.close().await.unwrap();
        };
        let mut echoed = Vec::new();
        let (_, read) = zip(write, reader.read_to_end(&mut echoed)).await;
        assert_eq!(read.unwrap(), len);
        assert!(echoed == sent, "{len} bytes came back changed");
    }
    server.abort();
}

pub async fn connect_refused() {
    if !ADDRESSES {
        return unsupported(TcpStream::connect("127.0.0.1:9").await);
    }
    let (listener, place) = listen_inside().await;
    let addr = place.addr();
    drop(listener);
    let error = TcpStream::connect(addr).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(error.to_string().starts_with(&format!("connect {addr}: ")), "{error}");
}

pub async fn address_in_use() {
    if !ADDRESSES {
        return unsupported(TcpListener::bind("127.0.0.1:0").await);
    }
    let (listener, place) = listen_inside().await;
    let addr = place.addr();
    let socket = TcpSocket::new_v4().unwrap();
    let error = match socket.bind(addr).await {
        Err(error) => error,
        Ok(()) => socket.listen(1).await.unwrap_err(),
    };
    assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
    let error = TcpListener::bind(addr).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
    // Free again as soon as it is dropped.
    drop(listener);
    TcpListener::bind(addr).await.unwrap();
}

/// Prints what the host's policy allows; the outside knows what to expect.
pub async fn refused_by_policy() {
    match TcpListener::bind("127.0.0.1:0").await {
        Ok(_) => println!("bind: allowed"),
        Err(error) => println!("bind: {:?}", error.kind()),
    }
    // Port 9 is discard: if connecting is allowed, nothing answers.
    match TcpStream::connect("127.0.0.1:9").await {
        Ok(_) => println!("connect: allowed"),
        Err(error) => println!("connect: {:?}", error.kind()),
    }
}

/// Says what a policy with names in it permits: the lookups of these names, and what they give. The outside knows what to expect.
pub async fn permitted_by_name() {
    let say = |what: &str, done: std::io::Result<()>| match done {
        Ok(()) => println!("{what}: allowed"),
        Err(error) => println!("{what}: {:?}", error.kind()),
    };
    let listener = TcpListener::bind(("localhost", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut addr = SocketAddr::from(([127, 0, 0, 1], port));
    // The lookup that came before was of the name to listen on, which is another thing to permit.
    println!("{}", if listener.local_addr().unwrap().is_ipv4() { "v4" } else { "v6" });
    if listener.local_addr().unwrap().is_ipv6() {
        addr = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
    }
    say("another name", lookup_host(("other.invalid", port)).await.map(|_| ()));
    say("connect", zip(TcpStream::connect(("localhost", port)), listener.accept()).await.0.map(|_| ()));
    say("its address", zip(TcpStream::connect(addr), listener.accept()).await.0.map(|_| ()));
    say("another address", TcpStream::connect(("192.0.2.1", port)).await.map(|_| ()));
    let datagrams = async {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.send_to(b"x", socket.local_addr()?).await?;
        socket.recv_from(&mut [0; 8]).await.map(|_| ())
    };
    say("datagrams", datagrams.await);
    let elsewhere = async { UdpSocket::bind("127.0.0.1:0").await?.send_to(b"x", "192.0.2.1:9").await.map(|_| ()) };
    say("datagrams elsewhere", elsewhere.await);
}

/// Reads, and then writes, until the connection says that the peer has reset it; twice, so that the program outlives it.
pub async fn peer_resets() {
    let listener = listen().await;
    for _ in 0..2 {
        let (stream, _) = listener.accept().await.unwrap();
        let mut buf = [0; 64];
        assert_eq!(stream.read(&mut buf).await.unwrap(), 1);
        println!("read one byte");
        let error = stream.read(&mut buf).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        let error = loop {
            match stream.write(&buf).await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
        println!("reset");
    }
}

/// Each side ends its sending, and still receives.
pub async fn half_close_inside() {
    for shutdown in [true, false] {
        let (mut near, mut far) = pair().await;
        near.write_all(b"question").await.unwrap();
        match shutdown {
            true => near.shutdown(Shutdown::Write).unwrap(),
            false => AsyncWriteExt::close(&mut near).await.unwrap(),
        }
        let mut heard = String::new();
        far.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "question");
        assert_eq!(far.read(&mut [0; 1]).await.unwrap(), 0, "the end stays the end");
        assert_eq!(near.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        far.write_all(b"answer").await.unwrap();
        drop(far);
        heard.clear();
        near.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "answer");
    }
}

/// The same with a client outside: it ends first, then this side.
pub async fn half_close_outside() {
    let listener = listen().await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.unwrap();
    stream.write_all(format!("heard {heard}").as_bytes()).await.unwrap();
    AsyncWriteExt::close(&mut stream).await.unwrap();
    println!("closed");
    // The other way round: this side ends first and still hears.
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(b"speak").await.unwrap();
    AsyncWriteExt::close(&mut stream).await.unwrap();
    heard.clear();
    stream.read_to_string(&mut heard).await.unwrap();
    println!("heard {heard}");
}

pub async fn ipv6() {
    let listener = match TcpListener::bind("[::1]:0").await {
        Ok(listener) => listener,
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => return println!("no ipv6 here"),
        refused if !ADDRESSES => return unsupported(refused),
        Err(error) => panic!("{error}"),
    };
    let addr = listener.local_addr().unwrap();
    assert!(addr.is_ipv6());
    let (near, far) = zip(TcpStream::connect(addr), listener.accept()).await;
    let (mut near, (mut far, peer)) = (near.unwrap(), far.unwrap());
    assert!(peer.is_ipv6());
    near.write_all(b"six").await.unwrap();
    let mut buf = [0; 3];
    far.read_exact(&mut buf).await.unwrap();
    assert_eq!(&buf, b"six");
    println!("ipv6 works");
}

pub async fn split_halves() {
    let (mut near, mut far) = pair().await;
    {
        let (mut reader, mut writer) = near.split();
        writer.write_all(b"borrowed").await.unwrap();
        far.write_all(b"halves").await.unwrap();
        let mut buf = [0; 6];
        reader.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"halves");
    }
    let (reader, writer) = near.into_split();
    let (other_reader, other_writer) = pair().await.0.into_split();
    let error = reader.reunite(other_writer).unwrap_err();
    let near = error.0.reunite(writer).unwrap();
    drop((error.1, other_reader));
    let (mut reader, writer) = near.into_split();
    let mut buf = [0; 8];
    far.read_exact(&mut buf).await.unwrap();
    assert_eq!(&buf, b"borrowed");
    // Dropping the half that writes is a half close.
    drop(writer);
    assert_eq!(far.read(&mut buf).await.unwrap(), 0);
    far.write_all(b"!").await.unwrap();
    drop(far);
    let mut heard = Vec::new();
    reader.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"!");
}

pub async fn vectored() {
    let (near, far) = pair().await;
    assert_eq!(far.read(&mut []).await.unwrap(), 0, "nothing is asked for, and nothing waited for");
    assert_eq!(near.write(&[]).await.unwrap(), 0);
    // Also when the last read took all there was, and the next one would wait.
    near.write(b"x").await.unwrap();
    assert_eq!(far.read(&mut [0; 2]).await.unwrap(), 1);
    assert_eq!(far.read(&mut []).await.unwrap(), 0);
    assert_eq!(far.read_vectored(&mut [IoSliceMut::new(&mut [])]).await.unwrap(), 0);
    let long = pattern(40_000);
    let bufs = [IoSlice::new(b""), IoSlice::new(b"ab"), IoSlice::new(b"cde"), IoSlice::new(&long)];
    let mut sent = 0;
    let n = near.write_vectored(&bufs).await.unwrap();
    assert!(n >= 5, "small buffers go together: {n}");
    sent += n;
    let whole = [b"abcde", &long[..]].concat();
    while sent < whole.len() {
        sent += near.write(&whole[sent..]).await.unwrap();
    }
    drop(near);
    let mut heard = Vec::new();
    loop {
        let (mut first, mut second) = ([0; 3], [0; 5000]);
        let mut bufs = [IoSliceMut::new(&mut []), IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        let n = far.read_vectored(&mut bufs).await.unwrap();
        if n == 0 {
            break;
        }
        heard.extend_from_slice(&first[..n.min(3)]);
        heard.extend_from_slice(&second[..n.saturating_sub(3)]);
    }
    assert!(heard == whole);
}

/// Works, or says that it cannot.
pub async fn peek() {
    let (near, far) = pair().await;
    near.write(b"peek").await.unwrap();
    let mut buf = [0; 4];
    match far.peek(&mut buf).await {
        Ok(n) => {
            assert_eq!(&buf[..n], &b"peek"[..n]);
            assert_eq!(far.read(&mut buf).await.unwrap(), 4, "peeking takes nothing");
            println!("peek: supported");
        }
        Err(error) => println!("peek: {:?}", error.kind()),
    }
}

/// The number of an accepted connection opens neither it nor the next one that gets that number.
pub async fn by_number() {
    /// Where our runner's numbers of accepted connections begin.
    const ACCEPTED: u32 = 1 << 20;
    let expected = |of_ours| match ADDRESSES {
        true => ErrorKind::Unsupported,
        false => of_ours,
    };
    let (near, far) = pair().await;
    for (fd, kind) in [(ACCEPTED, ErrorKind::InvalidInput), (ACCEPTED + 1, ErrorKind::NotFound)] {
        assert_eq!(TcpStream::from_fd(fd).unwrap_err().kind(), expected(kind), "{fd}");
        assert_eq!(TcpListener::from_fd(fd).unwrap_err().kind(), expected(kind), "{fd}");
    }
    drop(far);
    assert_eq!(near.read(&mut [0; 1]).await.unwrap(), 0, "it was closed, once");
    assert_eq!(TcpStream::from_fd(ACCEPTED).unwrap_err().kind(), expected(ErrorKind::NotFound));
    let (mut near, far) = pair().await;
    // Our runner gives no number again at once.
    for (fd, kind) in [(ACCEPTED, ErrorKind::NotFound), (ACCEPTED + 1, ErrorKind::InvalidInput)] {
        assert_eq!(TcpStream::from_fd(fd).unwrap_err().kind(), expected(kind), "{fd}");
    }
    far.write(b"its own").await.unwrap();
    let mut heard = [0; 7];
    near.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"its own");
}

/// Reads what is sent around the mark of urgent data, which ends a read that has not taken all there is.
pub async fn urgent() {
    let listener = listen().await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let (mut control, _) = listener.accept().await.unwrap();
    let mut buf = [0; 64];
    for peeks in [false, true] {
        // Parked once, so that the host waits for this stream from now on.
        assert_eq!(stream.read(&mut buf).await.unwrap(), 1);
        println!("parked");
        // All has come before this: the host has heard of it when the read below begins.
        assert_eq!(control.read(&mut buf).await.unwrap(), 1);
        if peeks && let Err(error) = stream.peek(&mut buf).await {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        }
        let mut heard = [0; 6];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"abcdef");
        println!("heard");
    }
    // An urgent byte alone does not wake the reader, or once.
    let mut polls = 0;
    let mut read = pin!(stream.read(&mut buf));
    let mut read = poll_fn(|cx| {
        polls += 1;
        read.as_mut().poll(cx)
    });
    let rounds = async move {
        for _ in 0..50 {
            let mut byte = [0];
            control.read_exact(&mut byte).await.unwrap();
            control.write_all(&byte).await.unwrap();
        }
    };
    let rounds = dormouse::spawn(rounds);
    assert_eq!((&mut read).await.unwrap(), 1);
    rounds.await.unwrap();
    assert!(polls < 10, "{polls} polls of a read for which nothing had come");
}

/// Slices longer than any host takes at once are read into and written in parts.
pub async fn long_slices() {
    const LONG: usize = 1 << 28;
    let (near, far) = pair().await;
    let mut long = vec![b'x'; LONG + 1];
    let sent = near.write(&long).await.unwrap();
    assert!((1..LONG).contains(&sent), "{sent}");
    let mut received = 0;
    while received < sent {
        let n = far.read(&mut long).await.unwrap();
        assert!(0 < n && n <= sent - received, "{n} of {sent}");
        assert!(long[..n].iter().all(|&byte| byte == b'x'));
        received += n;
    }
    let sent = near.write_vectored(&[IoSlice::new(&long), IoSlice::new(&long)]).await.unwrap();
    assert!((1..LONG).contains(&sent), "{sent}");
    drop(near);
    let mut received = 0;
    loop {
        match far.read_vectored(&mut [IoSliceMut::new(&mut long)]).await.unwrap() {
            0 => break,
            n => received += n,
        }
    }
    assert_eq!(received, sent);
    // A simulation has no UDP yet, nor has wasip1.
    if let Ok(socket) = UdpSocket::bind("127.0.0.1:0").await {
        let to = socket.local_addr().unwrap();
        for len in [65_536, LONG] {
            assert!(socket.send_to(&long[..len], to).await.is_err(), "a datagram of {len} bytes");
        }
        assert_eq!(socket.send_to(b"it lives on", to).await.unwrap(), 11);
        assert_eq!(socket.recv_from(&mut long[..16]).await.unwrap(), (11, to));
        long.fill(b'a');
        let name = String::from_utf8(long).unwrap();
        assert!(lookup_host((&name[..LONG], 80)).await.is_err());
    }
}

/// More empty slices than a host takes at once are no end of a stream.
pub async fn empty_slices() {
    let (near, mut far) = pair().await;
    let mut slices = vec![IoSlice::new(&[]); 2000];
    slices.push(IoSlice::new(b"behind them"));
    assert_eq!(near.write_vectored(&slices).await.unwrap(), 11);
    let mut behind = [0; 64];
    let mut slices: Vec<_> = std::iter::repeat_with(|| IoSliceMut::new(&mut [])).take(2000).collect();
    slices.push(IoSliceMut::new(&mut behind));
    assert_eq!(far.read_vectored(&mut slices).await.unwrap(), 11);
    assert_eq!(&behind[..11], b"behind them");
    // Many that are filled are no short read.
    let sent = pattern(3000);
    let slices: Vec<_> = sent.chunks(1).map(IoSlice::new).collect();
    let mut written = 0;
    while written < sent.len() {
        written += near.write_vectored(&slices[written..]).await.unwrap();
    }
    let mut received = vec![0; 3000];
    let mut slices: Vec<_> = received.chunks_mut(1).map(IoSliceMut::new).collect();
    let mut n = far.read_vectored(&mut slices).await.unwrap();
    drop(slices);
    assert!(n > 0);
    far.read_exact(&mut received[n..]).await.unwrap();
    n = received.len();
    assert!(received == sent[..n]);
}

pub async fn nonsense() {
    for addr in ["nonsense", "127.0.0.1:100000", "a b:80", ":80"] {
        assert_eq!(TcpStream::connect(addr).await.unwrap_err().kind(), ErrorKind::InvalidInput, "connect {addr}");
        assert_eq!(TcpListener::bind(addr).await.unwrap_err().kind(), ErrorKind::InvalidInput, "bind {addr}");
    }
    assert_eq!(TcpStream::connect(&[][..]).await.unwrap_err().kind(), ErrorKind::InvalidInput);
}

/// A text that is neither name nor path never reaches the host, whatever is done with it.
pub async fn texts_that_are_no_names() {
    let long = "a".repeat(10_000);
    for name in ["", "a\0b", "\0", "a\nb", "a\x1b[31mb", "a\u{85}b", "a b", "%6cocalhost", "a\\b", &long] {
        let text = format!("{name}:80");
        let results = [
            lookup_host(&text).await.map(|_| ()),
            lookup_host((name, 80)).await.map(|_| ()),
            TcpStream::connect(&text).await.map(|_| ()),
            TcpStream::connect((name, 80)).await.map(|_| ()),
            TcpListener::bind(&text).await.map(|_| ()),
            UdpSocket::bind(&text).await.map(|_| ()),
        ];
        for result in results {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name:?}: {error:?}");
            let text = error.to_string();
            assert!(text.len() < 1000 && !text.contains(char::is_control), "{text:?}");
        }
    }
    for path in ["a\0b", "\0"] {
        let results = [
            fs::read(path).await.map(|_| ()),
            fs::write(path, "x").await,
            fs::create_dir(path).await,
            fs::create_dir_all(path).await,
            fs::remove_file(path).await,
            fs::remove_dir(path).await,
            fs::rename(path, "other").await,
            fs::read_dir(path).await.map(|_| ()),
            fs::metadata(path).await.map(|_| ()),
            fs::File::open(path).await.map(|_| ()),
            fs::File::create(path).await.map(|_| ()),
        ];
        for (n, result) in results.into_iter().enumerate() {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{n} {path:?}: {error:?}");
        }
    }
    for name in ["", "a\0b", "a\nb", &long] {
        assert_eq!(TcpListener::from_env(name).unwrap_err().kind(), ErrorKind::NotFound, "{name:?}");
    }
}

/// The zone of an address is a number everywhere, and natively the name of an interface as well.
pub async fn zones() {
    let numbered = |zone| SocketAddr::V6(std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 0, zone));
    for text in ["[fe80::1%3]:80", "fe80::1%3:80"] {
        assert_eq!(lookup_host(text).await.unwrap().collect::<Vec<_>>(), [numbered(3)], "{text}");
    }
    assert_eq!(lookup_host(("fe80::1%3", 80)).await.unwrap().collect::<Vec<_>>(), [numbered(3)]);
    for text in ["[fe80::1%lo]:80", "fe80::1%lo:80"] {
        match lookup_host(text).await {
            Ok(mut found) => {
                let scope = match found.next() {
                    Some(SocketAddr::V6(addr)) => addr.scope_id(),
                    other => panic!("{other:?}"),
                };
                println!("{}", if scope == 0 { "dropped" } else { "found" });
            }
            Err(error) => println!("{:?}", error.kind()),
        }
    }
}

/// A program can connect to the address that it listens on, also if that is the wildcard.
pub async fn the_wildcard_is_this_machine() {
    for wildcard in ["0.0.0.0:0", "[::]:0"] {
        let listener = match TcpListener::bind(wildcard).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => return println!("unsupported"),
            // There may be no IPv6 here.
            Err(error) if wildcard == "[::]:0" && error.kind() != ErrorKind::InvalidInput => continue,
            listener => listener.unwrap(),
        };
        let addr = listener.local_addr().unwrap();
        assert!(addr.ip().is_unspecified());
        let by_text = addr.to_string();
        for n in 0..2 {
            let near = async {
                match n {
                    0 => TcpStream::connect(addr).await,
                    _ => TcpStream::connect(&by_text[..]).await,
                }
            };
            let (near, far) = zip(near, listener.accept()).await;
            let (near, (_far, from)) = (near.unwrap(), far.unwrap());
            let peer = near.peer_addr().unwrap();
            assert!(peer.ip().is_loopback() && peer.port() == addr.port(), "{peer}");
            assert_eq!(from, near.local_addr().unwrap());
        }
    }
}

/// The listener that the driver has named, and all that there are.
pub async fn named_listeners() {
    match TcpListener::from_env("outside") {
        Ok(listener) => {
            println!("{listener}");
            // It is taken, and the others are not.
            let others = preopened_listeners().unwrap();
            assert!(others.iter().all(|other| other.to_string() != listener.to_string()), "{others:?}");
            assert!(!others.is_empty());
            assert!(preopened_listeners().unwrap().is_empty());
        }
        Err(error) => {
            assert!(error.to_string().contains("\"outside\""), "{error}");
            println!("{:?}", error.kind());
        }
    }
}

/// Names are looked up while others run, and connecting tries the addresses that come of it.
pub async fn names() {
    let addrs: Vec<_> = match lookup_host("localhost:80").await {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            assert_eq!(TcpStream::connect("localhost:80").await.unwrap_err().kind(), ErrorKind::Unsupported);
            println!("unsupported");
            return;
        }
        addrs => addrs.unwrap().collect(),
    };
    assert!(!addrs.is_empty() && addrs.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 80), "{addrs:?}");

    let listener = TcpListener::bind(("localhost", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (near, far) = zip(TcpStream::connect(("localhost", port)), listener.accept()).await;
    near.unwrap().write(b"x").await.unwrap();
    assert_eq!(far.unwrap().0.read(&mut [0; 8]).await.unwrap(), 1);

    let error = lookup_host("no.such.name.invalid:80").await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.to_string().starts_with("look up no.such.name.invalid: "), "{error}");
    // One that is given up leaves nothing behind, and many may go on at once.
    let _ = poll_once(pin!(lookup_host("localhost:80"))).await;
    let lookups: Vec<_> = (0..8).map(|_| spawn(async { lookup_host("localhost:80").await.unwrap().count() })).collect();
    for lookup in lookups {
        assert_eq!(lookup.await.unwrap(), addrs.len());
    }
}

/// Accepts one of those that the outside has reset, or the one behind them, and tells how often that accept was polled.
pub async fn accepts_behind_resets() {
    let listener = listen().await;
    let (mut control, _) = listener.accept().await.unwrap();
    control.read_exact(&mut [0]).await.unwrap();
    let (mut accept, mut polls) = (pin!(listener.accept()), 0);
    let (mut conn, _) = poll_fn(|cx| {
        polls += 1;
        accept.as_mut().poll(cx)
    })
    .await
    .unwrap();
    let mut word = [0; 4];
    println!("{polls} {:?}", conn.read_exact(&mut word).await.map(|()| word == *b"good").map_err(|error| error.kind()));
}

/// A read, a write and an accept that are dropped while they are parked have taken nothing.
pub async fn dropped_operations_lose_nothing() {
    let (listener, place) = listen_inside().await;
    assert!(poll_once(pin!(listener.accept())).await.is_none());
    let mut incoming = listener.incoming();
    let near = place.connect().await.unwrap();
    let far = incoming.next().await.unwrap().unwrap();

    let mut buf = [0; 8];
    assert!(timeout(Duration::from_millis(1), far.read(&mut buf)).await.is_err());
    {
        let mut two = (pin!(far.read(&mut buf)), [0; 8]);
        let mut other = pin!(far.read(&mut two.1));
        assert!(poll_once(&mut two.0).await.is_none());
        assert!(poll_once(&mut other).await.is_none());
    }
    near.write(b"kept").await.unwrap();
    assert_eq!(far.read(&mut buf).await.unwrap(), 4);
    assert_eq!(&buf[..4], b"kept");

    // Fill the connection until a write parks, drop that write, and count what arrives.
    let block = pattern(64 * 1024);
    let mut sent = 0;
    while let Ok(n) = timeout(Duration::from_millis(50), near.write(&block)).await {
        sent += n.unwrap();
    }
    near.shutdown(Shutdown::Write).unwrap();
    let received = io::copy(&far, futures_lite::io::sink()).await.unwrap();
    assert_eq!(received as usize, sent);
}

/// Accepts until that fails, says how, closes what it has and goes on.
pub async fn accepts_until_exhausted() {
    let listener = listen().await;
    let mut accepted = Vec::new();
    let error = loop {
        match listener.accept().await {
            Ok((conn, _)) => accepted.push(conn),
            Err(error) => break error,
        }
    };
    println!("{:?}, {}: {error}", error.kind(), if is_transient(&error) { "transient" } else { "for good" });
    drop(accepted);
    listener.accept_with_backoff().await.unwrap();
    println!("accepted again");
}
