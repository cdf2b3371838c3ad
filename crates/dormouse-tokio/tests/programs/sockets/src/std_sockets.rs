//! Sockets that go to std and socket2, and come back.

use std::io;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

use crate::tcp::{ANY, pair};

const IDLE: Duration = Duration::from_secs(77);

/// What the socket of the host has, told by a stand-in that is new.
fn idle(stream: TcpStream) -> io::Result<(TcpStream, Duration)> {
    let stream = TcpStream::from_std(stream.into_std()?)?;
    let options = SockRef::from(&stream);
    assert!(options.keepalive()?);
    let idle = options.tcp_keepalive_time()?;
    Ok((stream, idle))
}

pub async fn a_stream_goes_to_std_and_back() -> io::Result<()> {
    let (mut stream, mut peer) = pair().await?;
    // What was peeked at goes along.
    peer.write_all(b"x").await?;
    assert_eq!(stream.peek(&mut [0]).await?, 1);
    let options = Socket::from(stream.into_std()?);
    options.set_tcp_keepalive(&TcpKeepalive::new().with_time(IDLE))?;
    options.set_tcp_nodelay(true)?;
    options.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream = TcpStream::from_std(options.into())?;
    assert!(stream.nodelay()?);
    let (mut stream, idle) = idle(stream)?;
    assert_eq!(idle, IDLE);
    assert_eq!(stream.read_u8().await?, b'x');
    stream.write_all(b"hello").await?;
    drop(stream);
    let mut all = String::new();
    peer.read_to_string(&mut all).await?;
    assert_eq!(all, "hello");
    Ok(())
}

pub async fn options_set_on_the_descriptor_are_the_sockets() -> io::Result<()> {
    let (mut stream, _peer) = pair().await?;
    stream.set_ttl(33)?;
    assert_eq!(SockRef::from(&stream).ttl_v4()?, 33);
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(IDLE))?;
    SockRef::from(&stream).set_ttl_v4(44)?;
    stream.write_all(b"x").await?;
    assert_eq!(stream.ttl()?, 44);
    assert_eq!(idle(stream)?.1, IDLE);

    let socket = TcpSocket::new_v4()?;
    SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(IDLE))?;
    assert!(socket.keepalive()?);
    let listener = TcpListener::bind(ANY).await?;
    let stream = socket.connect(listener.local_addr()?).await?;
    assert_eq!(idle(stream)?.1, IDLE);
    Ok(())
}

pub async fn a_connection_whose_stand_in_is_dropped_is_closed() -> io::Result<()> {
    let (stream, mut peer) = pair().await?;
    let (kept, mut other) = pair().await?;
    let (of_std, kept) = (stream.into_std()?, kept.into_std()?);
    drop(of_std);
    // Its descriptor is that of another socket now.
    let another = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let connected = TcpStream::connect(TcpListener::bind(ANY).await?.local_addr()?).await?;
    drop((another, connected));
    assert_eq!(peer.read(&mut [0]).await?, 0);
    let mut kept = TcpStream::from_std(kept)?;
    kept.write_all(b"x").await?;
    assert_eq!(other.read_u8().await?, b'x');
    Ok(())
}

pub async fn a_listener_of_std_listens_on_its_address() -> io::Result<()> {
    let of_std = std::net::TcpListener::bind(ANY)?;
    of_std.set_nonblocking(true)?;
    let addr = of_std.local_addr()?;
    let listener = TcpListener::from_std(of_std)?;
    assert_eq!(listener.local_addr()?, addr);
    let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(addr));
    assert_eq!(accepted?.1, connected?.local_addr()?);
    Ok(())
}

pub async fn a_listener_goes_to_std_and_back() -> io::Result<()> {
    let listener = TcpListener::bind(ANY).await?;
    let addr = listener.local_addr()?;
    let listener = TcpListener::from_std(listener.into_std()?)?;
    let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(addr));
    assert_eq!(accepted?.1, connected?.local_addr()?);
    Ok(())
}

/// As hyper-util's client does.
pub async fn a_socket_of_socket2_connects() -> io::Result<()> {
    let listener = TcpListener::bind(ANY).await?;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(IDLE))?;
    socket.bind(&ANY.into())?;
    let from = socket.local_addr()?.as_socket().unwrap();
    let socket = TcpSocket::from_std_stream(socket.into());
    assert_eq!(socket.local_addr()?, from);
    let (accepted, connected) = tokio::join!(listener.accept(), socket.connect(listener.local_addr()?));
    assert_eq!(accepted?.1, from);
    assert_eq!(idle(connected?)?.1, IDLE);
    Ok(())
}

pub async fn what_cannot_be_handed_over_says_so() -> io::Result<()> {
    let listener = TcpListener::bind(ANY).await?;
    let of_std = || std::net::TcpStream::connect(listener.local_addr()?);
    let error = TcpStream::from_std(of_std()?).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{error}");
    let error = TcpSocket::from_std_stream(of_std()?).connect(ANY).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{error}");
    let error = UdpSocket::from_std(Socket::from(listener.into_std()?).into()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    let (stream, _peer) = pair().await?;
    assert_eq!(stream.set_linger(Some(IDLE)).unwrap_err().kind(), io::ErrorKind::Unsupported);
    let mut of_std = stream.into_std()?;
    assert_eq!(io::Write::write(&mut of_std, b"x").unwrap_err().kind(), io::ErrorKind::NotConnected);
    Ok(())
}
