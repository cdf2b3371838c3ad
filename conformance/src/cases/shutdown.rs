//! Ending one direction while a task waits in it, and closing a listener under its clients: Go's `TestCloseRead`,
//! `TestCloseWrite` and `TestListenerClose` (BSD-3-Clause; written from the names).

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::rc::Rc;

use dormouse::io;
use dormouse::net::{Shutdown, TcpStream, is_closed};
use dormouse::spawn;
use dormouse::task::yield_now;
use dormouse::time::timeout;
use futures_lite::future::poll_once;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::deadlines::SHORT;
use super::handles;
use super::net::pattern;
use super::place::{ADDRESSES, listen_inside, pair, peer};

/// Ending reading gives the end to all parked reads, and leaves writing alone. What had come by then is read first.
pub async fn reading_is_shut_down() {
    for how in [Shutdown::Read, Shutdown::Both] {
        reading_ends(how).await;
    }
}

async fn reading_ends(how: Shutdown) {
    let (near, far) = pair().await;
    let near = Rc::new(near);
    let reads: Vec<_> = (0..3)
        .map(|_| {
            let near = Rc::clone(&near);
            spawn(async move { near.read(&mut [0]).await })
        })
        .collect();
    yield_now().await;
    near.shutdown(how).unwrap();
    for read in reads {
        assert_eq!(read.await.unwrap().unwrap(), 0);
    }
    if how == Shutdown::Read {
        near.write(b"x").await.unwrap();
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 1);
    }

    // Little, and more than is read at once.
    for len in [6, 20_000] {
        let (near, far) = pair().await;
        (&far).write_all(&pattern(len)).await.unwrap();
        // It has arrived.
        assert_eq!(near.read(&mut [0]).await.unwrap(), 1);
        near.shutdown(how).unwrap();
        let mut rest = Vec::new();
        (&near).read_to_end(&mut rest).await.unwrap();
        assert!(rest == pattern(len)[1..], "what had come is read: {} of {len} bytes", 1 + rest.len());
        assert_eq!(near.read(&mut [0]).await.unwrap(), 0, "and then it is the end");
        if how == Shutdown::Both {
            // It is not listened to any more, and hears so.
            while far.write(b"x").await.is_ok() {
                yield_now().await;
            }
        }
    }
    let (near, _far) = pair().await;
    near.shutdown(how).unwrap();
    let mut buf = [0; 8];
    assert_eq!(near.read(&mut buf).await.unwrap(), 0);
    // Closing is not shutting down: it says so.
    near.close().unwrap();
    assert!(is_closed(&near.read(&mut buf).await.unwrap_err()));
}

/// Ending writing while writes wait for room: those fail at once. What was written before arrives, and then the end.
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
    // Before anything is read.
    let (more, error) = write.await.unwrap();
    let arrived = io::copy(&far, futures_lite::io::sink()).await.unwrap();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
    written += more;
    assert_eq!(arrived, written as u64);
    // The other direction has nothing to do with it.
    far.write(b"x").await.unwrap();
    assert_eq!(near.read(&mut [0]).await.unwrap(), 1);
}

/// A listener that is closed refuses new connections and resets those in the backlog; those that it has accepted stay.
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

/// What must be so at the first poll.
async fn at_once<T>(operation: impl Future<Output = T>) -> T {
    poll_once(operation).await.expect("it does not wait")
}

/// Every way to write nothing.
async fn writes_of_nothing(stream: &TcpStream) -> [io::Result<usize>; 4] {
    let nothing = IoSlice::new(&[]);
    [
        at_once(stream.write(&[])).await,
        at_once(stream.write_vectored(&[])).await,
        at_once(stream.write_vectored(&[nothing])).await,
        at_once(stream.write_vectored(&[nothing, nothing])).await,
    ]
}

/// Reads of no bytes are through at once, whatever the stream is. Writes of none are, too, and fail if others would.
pub async fn nothing_is_moved() {
    let (near, far) = pair().await;
    reads_of_nothing(&near).await;
    assert!(writes_of_nothing(&near).await.into_iter().all(|written| written.unwrap() == 0));
    // Nor does a full buffer stop them.
    handles::fill(&near).await;
    assert!(writes_of_nothing(&near).await.into_iter().all(|written| written.unwrap() == 0));

    let (near, _far) = pair().await;
    near.shutdown(Shutdown::Write).unwrap();
    near.shutdown(Shutdown::Write).expect("it may be said twice");
    for written in writes_of_nothing(&near).await.into_iter().chain([at_once(near.write(b"x")).await]) {
        assert_eq!(written.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
    reads_of_nothing(&near).await;
    near.shutdown(Shutdown::Read).unwrap();
    near.shutdown(Shutdown::Both).unwrap();
    reads_of_nothing(&near).await;

    // The end has come.
    drop(far);
    let (near, far) = pair().await;
    drop(far);
    assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
    reads_of_nothing(&near).await;

    near.close().unwrap();
    assert!(is_closed(&at_once(near.read(&mut [])).await.unwrap_err()));
    assert!(writes_of_nothing(&near).await.into_iter().all(|written| is_closed(&written.unwrap_err())));
}

async fn reads_of_nothing(stream: &TcpStream) {
    assert_eq!(at_once(stream.read(&mut [])).await.unwrap(), 0);
    assert_eq!(at_once(stream.read_vectored(&mut [])).await.unwrap(), 0);
    assert_eq!(at_once(stream.read_vectored(&mut [IoSliceMut::new(&mut [])])).await.unwrap(), 0);
    match at_once(stream.peek(&mut [])).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => {}
        peeked => assert_eq!(peeked.unwrap(), 0),
    }
}

/// A stream that both have ended is not connected any more, however it is shut down.
pub async fn the_peer_has_gone() {
    let (near, far) = pair().await;
    near.shutdown(Shutdown::Write).unwrap();
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    // Only the other direction is open, and that may be shut down.
    far.shutdown(Shutdown::Read).unwrap();
    drop(far);
    assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
    for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        assert_eq!(near.shutdown(how).unwrap_err().kind(), ErrorKind::NotConnected, "{how:?}");
    }
    // What closes through `AsyncWrite` has what it wants.
    AsyncWriteExt::close(&mut &near).await.unwrap();
}
