//! Options of sockets: what was set is what is told, on hosts that have them.

use std::io::ErrorKind;
use std::time::Duration;

use dormouse::net::{Keepalive, TcpListener, TcpSocket, TcpStream, UdpSocket};
use futures_lite::future::zip;

use super::place::pair;

/// On streams, and on sockets before they are one.
pub async fn options_of_streams() {
    let (near, _far) = pair().await;
    if let Err(error) = near.ttl() {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().starts_with("ttl: "), "{error}");
        let refused = [
            near.set_ttl(9).unwrap_err(),
            near.set_keepalive(None).unwrap_err(),
            near.set_recv_buffer_size(1 << 16).unwrap_err(),
            near.set_nodelay(true).unwrap_err(),
        ];
        assert!(refused.iter().all(|error| error.kind() == ErrorKind::Unsupported), "{refused:?}");
        println!("unsupported");
        return;
    }
    near.set_ttl(9).unwrap();
    assert_eq!(near.ttl().unwrap(), 9);
    for hops in [0, 256] {
        assert_eq!(near.set_ttl(hops).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    assert_eq!(near.keepalive().unwrap(), None);
    let every =
        Keepalive { idle: Some(Duration::from_secs(60)), interval: Some(Duration::from_secs(10)), count: Some(3) };
    near.set_keepalive(Some(&every)).unwrap();
    assert_eq!(near.keepalive().unwrap(), Some(every));
    // What is not given stays, and hosts that count in seconds take no less than one.
    near.set_keepalive(Some(&Keepalive { idle: Some(Duration::from_millis(1)), ..Keepalive::default() })).unwrap();
    assert_eq!(near.keepalive().unwrap(), Some(Keepalive { idle: Some(Duration::from_secs(1)), ..every }));
    near.set_keepalive(None).unwrap();
    assert_eq!(near.keepalive().unwrap(), None);

    near.set_recv_buffer_size(100_000).unwrap();
    near.set_send_buffer_size(100_000).unwrap();
    // The host may round, or double.
    for told in [near.recv_buffer_size().unwrap(), near.send_buffer_size().unwrap()] {
        assert!((100_000..=400_000).contains(&told), "{told}");
    }
    // Never a fake yes: the outside has a look.
    match (near.set_nodelay(true), near.set_nodelay(false)) {
        (Ok(()), Ok(())) => {
            assert!(!near.nodelay().unwrap());
            near.set_nodelay(true).unwrap();
            assert!(near.nodelay().unwrap());
            println!("nodelay");
        }
        (Ok(()), Err(error)) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert_eq!(error.to_string(), "nodelay: the runner's sockets always send at once");
            assert!(near.nodelay().unwrap());
            println!("always nodelay");
        }
        (Err(error), other) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.to_string().starts_with("nodelay: WASI"), "{error}");
            for error in [other.unwrap_err(), near.nodelay().unwrap_err()] {
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            }
            println!("no nodelay");
        }
    }
    near.close().unwrap();
    for error in [near.ttl().unwrap_err(), near.nodelay().unwrap_err()] {
        assert!(dormouse::net::is_closed(&error));
    }
}

/// A listener hands its options on.
pub async fn options_of_listeners() {
    let socket = match TcpSocket::new_v4().and_then(|socket| socket.set_ttl(7).map(|()| socket)) {
        Ok(socket) => socket,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            println!("unsupported");
            return;
        }
    };
    socket.set_recv_buffer_size(100_000).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let listener: TcpListener = socket.listen(16).await.unwrap();
    assert_eq!(listener.ttl().unwrap(), 7);
    let every = Keepalive { idle: Some(Duration::from_secs(30)), ..Keepalive::default() };
    listener.set_keepalive(Some(&every)).unwrap();
    let (near, far) = zip(TcpStream::connect(listener.local_addr().unwrap()), listener.accept()).await;
    let (_near, (far, _)) = (near.unwrap(), far.unwrap());
    assert_eq!(far.ttl().unwrap(), 7);
    assert_eq!(far.keepalive().unwrap().expect("it is on").idle, every.idle);
    assert!((100_000..=400_000).contains(&far.recv_buffer_size().unwrap()));

    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    udp.set_ttl(5).unwrap();
    assert_eq!(udp.ttl().unwrap(), 5);
    udp.set_recv_buffer_size(100_000).unwrap();
    assert!((100_000..=400_000).contains(&udp.recv_buffer_size().unwrap()));
}
