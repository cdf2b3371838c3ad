//! What a program asks the allocator for.

use std::time::Duration;

use dormouse::spawn;
use dormouse::time::{Instant, sleep};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::place::pair;
use crate::counting::allocations;

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
