//! What is so on wasip1 alone: sockets that the host opened, and calls that it does not have, of which each says in a
//! sentence what to do. cargo's runner, as `.cargo/config.toml` has it, opens one listener.
#![cfg(all(target_os = "wasi", target_env = "p1"))]

use std::io::ErrorKind;
use std::time::Duration;

use dormouse::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, preopened_listeners};
use dormouse::time::timeout;

#[dormouse::test]
async fn connecting_says_what_to_do() {
    let error = TcpStream::connect("127.0.0.1:9").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(
        error.to_string(),
        "connect 127.0.0.1:9: wasm32-wasip1 has no call for it; build for wasm32-wasip2, or have the host open the \
         connection and use TcpStream::from_fd"
    );
}

#[dormouse::test]
async fn binding_says_what_to_do() {
    let sentence = "wasm32-wasip1 has no call for it; have the host open the listener (`dormouse run --listen ADDR`) \
        and use TcpListener::bind_or_preopened, or build for wasm32-wasip2";
    let socket = TcpSocket::new_v4().unwrap();
    for error in [
        TcpListener::bind("127.0.0.1:9").await.unwrap_err(),
        socket.bind("127.0.0.1:9".parse().unwrap()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.to_string(), format!("bind 127.0.0.1:9: {sentence}"));
    }
    assert_eq!(socket.listen(1).await.unwrap_err().to_string(), sentence);
}

#[dormouse::test]
async fn datagrams_and_names_say_what_to_do() {
    let error = UdpSocket::bind("127.0.0.1:9").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.to_string(), "bind 127.0.0.1:9: wasm32-wasip1 has no call for UDP; build for wasm32-wasip2");
    let error = TcpStream::connect("localhost:9").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(
        error.to_string(),
        "look up localhost: wasm32-wasip1 has no call that looks up a name; give an IP address, or build for wasm32-wasip2"
    );
}

#[test]
fn a_descriptor_that_is_no_socket_says_what_it_is() {
    for fd in [0, 1, 2] {
        let error = TcpListener::from_fd(fd).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().ends_with(", not a stream socket"), "{error}");
    }
    let error = TcpStream::from_fd(99).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.to_string(),
        "FD 99: the host has opened no such descriptor; `dormouse run --listen ADDR` opens FD 3"
    );
}

/// In one test, because a descriptor that is closed is closed for all.
#[dormouse::test]
async fn a_preopened_listener_is_taken_once_and_closed_once() {
    let error = TcpListener::from_env("no such name").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.to_string(),
        "the host has opened no listener \"no such name\"; `dormouse run --listen ADDR=no such name` opens one on wasip1"
    );

    let listener = TcpListener::bind_or_preopened("127.0.0.1:9").await.unwrap();
    assert_eq!(listener.to_string(), "FD 3");
    assert_eq!(listener.local_addr().unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(preopened_listeners().unwrap().is_empty(), "it has been taken");
    let error = TcpListener::bind_or_preopened("127.0.0.1:9").await.unwrap_err();
    assert!(error.to_string().starts_with("bind 127.0.0.1:9: wasm32-wasip1 has no call for it;"), "{error}");

    // A handle that is asked for by number shares it, and it stays open until the last of them has gone, in either order.
    let same = TcpListener::from_fd(3).unwrap();
    drop(listener);
    let listener = TcpListener::from_fd(3).unwrap();
    drop(same);
    assert!(timeout(Duration::from_millis(1), listener.accept()).await.is_err(), "it listens, and nobody comes");
    drop(listener);
    assert_eq!(TcpListener::from_fd(3).unwrap_err().kind(), ErrorKind::NotFound);
}
