//! Where a case listens and how it is connected to: the one thing that differs between hosts on which a program binds and
//! connects ([`bound`]) and those that hand it sockets ([`preopened`]).

use std::fmt::Debug;
use std::io::ErrorKind;

use dormouse::io;
use dormouse::net::{TcpListener, TcpStream};
use futures_lite::future::zip;

cfg_select! {
    all(target_os = "wasi", target_env = "p1") => {
        mod preopened;
        pub use preopened::{ADDRESSES, listen_inside, peer};
    }
    _ => {
        mod bound;
        pub use bound::{ADDRESSES, listen_inside, peer};
    }
}

/// Listens for clients outside.
pub async fn listen_outside() -> TcpListener {
    TcpListener::bind_or_preopened("127.0.0.1:0").await.expect("a listener")
}

/// Listens for clients outside and tells them where. A driver that has opened a descriptor knows where that is.
pub async fn listen() -> TcpListener {
    let listener = listen_outside().await;
    println!("listening {listener}");
    listener
}

/// Both ends of a connection inside of this program.
pub async fn pair() -> (TcpStream, TcpStream) {
    let (listener, place) = listen_inside().await;
    let (near, far) = zip(place.connect(), listener.accept()).await;
    let (near, (far, from)) = (near.unwrap(), far.unwrap());
    assert_eq!(from, peer(&near));
    if ADDRESSES {
        assert_eq!(far.local_addr().unwrap(), near.peer_addr().unwrap());
    }
    (near, far)
}

/// What a host without addresses says to a program that uses one; the outside hears it, too.
#[track_caller]
pub fn unsupported(result: io::Result<impl Debug>) {
    let error = result.expect_err("a host without addresses took one");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    println!("unsupported");
}
