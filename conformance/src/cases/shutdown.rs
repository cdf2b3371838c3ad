//! Ending one direction while somebody waits in it, and closing a listener under its clients: Go's `TestCloseRead`,
//! `TestCloseWrite` and `TestListenerClose` (BSD-3-Clause; written from the names).

use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use dormouse::io;
use dormouse::net::{Shutdown, is_closed};
use dormouse::spawn;
use dormouse::task::yield_now;
use dormouse::time::timeout;

use super::deadlines::SHORT;
use super::handles;
use super::place::{ADDRESSES, listen_inside, pair, peer};

/// Ending reading gives the end to all who are parked in a read, and leaves writing alone. Says what becomes of bytes that
/// had come by then.
pub async fn reading_is_shut_down() {
    let (near, far) = pair().await;
    let near = Rc::new(near);
    let reads: Vec<_> = (0..3)
        .map(|_| {
            let near = Rc::clone(&near);
            spawn(async move { near.read(&mut [0]).await })
        })
        .collect();
    yield_now().await;
    near.shutdown(Shutdown::Read).unwrap();
    for read in reads {
        assert_eq!(read.await.unwrap().unwrap(), 0);
    }
    near.write(b"x").await.unwrap();
    assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 1);

    let (near, far) = pair().await;
    far.write(b"unread").await.unwrap();
    // It has arrived, as one.
    assert_eq!(near.read(&mut [0]).await.unwrap(), 1);
    near.shutdown(Shutdown::Read).unwrap();
    let mut buf = [0; 8];
    match near.read(&mut buf).await.unwrap() {
        0 => println!("what had come is lost"),
        n => {
            assert_eq!(&buf[..n], b"nread");
            println!("what had come is read");
        }
    }
    assert_eq!(near.read(&mut buf).await.unwrap(), 0, "and then it is the end");
    // Closing is not shutting down: it says so.
    near.close().unwrap();
    assert!(is_closed(&near.read(&mut buf).await.unwrap_err()));
}

/// Ending writing while writes wait for room: what was written before arrives, and then the end. Says whether the waiting
/// writes fail at once, or wait for room first. They fail in the end.
pub async fn writing_is_shut_down() {
    let (near, far) = pair().await;
    let mut written = handles::fill(&near).await;
    // More may have found room since: this one is parked.
    let near = Rc::new(near);
    let mut write = spawn({
        let near = Rc::clone(&near);
        async move {
            let mut more = 0;
            loop {
                match near.write(&[7; 1024]).await {
                    Ok(n) => more += n,
                    Err(error) => return (more, error),
                }
            }
        }
    });
    assert!(timeout(SHORT, &mut write).await.is_err(), "it waits for room");
    near.shutdown(Shutdown::Write).unwrap();
    // Long, since a machine that stands still for a while must not look like a write that waits.
    let failed = timeout(Duration::from_millis(500), &mut write).await;
    println!("a waiting write {}", if failed.is_ok() { "fails" } else { "waits on" });
    let arrived = io::copy(&far, futures_lite::io::sink()).await.unwrap();
    let (more, error) = match failed {
        Ok(failed) => failed.unwrap(),
        Err(_) => write.await.unwrap(),
    };
    assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
    written += more;
    assert_eq!(arrived, written as u64);
    // The other direction has nothing to do with it.
    far.write(b"x").await.unwrap();
    assert_eq!(near.read(&mut [0]).await.unwrap(), 1);
}

/// A listener that is closed refuses who comes, and turns away who was waiting; whom it has accepted stays.
pub async fn a_listener_is_closed_under_its_clients() {
    let (listener, place) = listen_inside().await;
    let served = place.connect().await.unwrap();
    let (serving, _) = listener.accept().await.unwrap();
    let waiting = place.connect().await.unwrap();
    listener.close().unwrap();
    assert_eq!(place.connect().await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(waiting.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    served.write(b"x").await.unwrap();
    assert_eq!(serving.read(&mut [0]).await.unwrap(), 1);
    // The next one on this address has nothing of the first. A descriptor is gone for good.
    let next = match place.listen_again().await {
        Err(error) if !ADDRESSES => return assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
        next => next.unwrap(),
    };
    assert!(timeout(SHORT, next.accept()).await.is_err(), "a connection of the first");
    let client = place.connect().await.unwrap();
    assert_eq!(next.accept().await.unwrap().1, peer(&client));
}
