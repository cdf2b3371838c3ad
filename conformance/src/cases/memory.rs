//! What a program asks the allocator for.

use std::io::ErrorKind;
use std::pin::pin;
use std::time::Duration;

use dormouse::net::UdpSocket;
use dormouse::spawn;
use dormouse::time::{Instant, sleep};
use futures_lite::future::poll_once;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::place::pair;
use crate::counting::{allocations, largest_since_the_last_call};

/// A thousand echoes, each with a deadline of its own, beside a timer and a connection on which nothing happens: how many
/// allocations they take once everything has grown to its size.
pub async fn allocations_of_a_thousand_echoes() {
    let (mut near, mut far) = pair().await;
    let (idle, _idle_peer) = pair().await;
    spawn(async move { idle.read(&mut [0; 1]).await }).detach();
    spawn(sleep(Duration::from_secs(3600))).detach();
    spawn(async move {
        let mut buf = [0; 1024];
        while let Ok(n @ 1..) = far.read(&mut buf).await {
            far.write_all(&buf[..n]).await.unwrap();
        }
    })
    .detach();
    let mut before = 0;
    for round in 0..1_100 {
        if round == 100 {
            before = allocations();
        }
        near.set_deadline(Some(Instant::now() + Duration::from_secs(60))).unwrap();
        near.write_all(&[7; 64]).await.unwrap();
        near.read_exact(&mut [0; 64]).await.unwrap();
    }
    println!("{}", allocations() - before);
}

/// Waiting for datagrams allocates nothing before there is one. Of the first that wait on a socket, what the poller needs is
/// not counted, but is less than a datagram may be long.
pub async fn allocations_of_waiting_for_datagrams() {
    let socket = match UdpSocket::bind("127.0.0.1:0").await {
        Err(error) if error.kind() == ErrorKind::Unsupported => return println!("unsupported"),
        socket => socket.unwrap(),
    };
    let mut into = Vec::new();
    let mut before = 0;
    largest_since_the_last_call();
    for round in 0..100 {
        if round == 10 {
            before = allocations();
        }
        assert!(poll_once(pin!(socket.recv_many(&mut into, 64))).await.is_none());
    }
    assert_eq!(allocations() - before, 0, "in 90 waits");
    let largest = largest_since_the_last_call();
    assert!(largest < 8 * 1024, "{largest} bytes at once, for nothing");
    println!("none");
}
