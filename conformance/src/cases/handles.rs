//! Handles that several tasks use at once: closing, clones, and which task gets what.

use std::cell::RefCell;
use std::io::{Error, ErrorKind, IoSlice, IoSliceMut};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use dormouse::net::{Shutdown, TcpStream, is_closed};
use dormouse::task::yield_now;
use dormouse::time::{Instant, timeout};
use dormouse::{io, spawn};
use futures_lite::future::{poll_once, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};

use super::place::{ADDRESSES, listen_inside, pair, peer};

#[track_caller]
fn closed<T>(result: io::Result<T>) {
    match result {
        Ok(_) => panic!("a closed handle works"),
        Err(error) => assert!(is_closed(&error), "{error}"),
    }
}

/// Writes until there is an error.
async fn write_on(stream: Rc<TcpStream>) -> io::Result<()> {
    loop {
        stream.write(&[7; 1024]).await?;
    }
}

/// Writes until a write has to wait; how much that was.
pub(super) async fn fill(stream: &TcpStream) -> usize {
    let block = [7; 16 * 1024];
    let mut written = 0;
    while let Ok(n) = timeout(Duration::from_millis(50), stream.write(&block)).await {
        written += n.unwrap();
    }
    written
}

/// Closing a stream ends every read and every write on it, in whatever way they wait.
pub async fn close_wakes_all_on_a_stream() {
    let (near, _far) = pair().await;
    fill(&near).await;
    let clone = near.try_clone().unwrap();
    let (mut reader, mut writer) = near.try_clone().unwrap().into_split();
    let mut split = near.try_clone().unwrap();
    let near = Rc::new(near);
    let mut tasks = vec![
        spawn(async move { reader.read(&mut [0]).await.map(drop) }),
        spawn(async move {
            while writer.write(&[7; 1024]).await? > 0 {}
            Ok(())
        }),
        spawn(async move { clone.read(&mut [0]).await.map(drop) }),
        spawn(async move {
            let (mut reader, mut writer) = split.split();
            let mut buf = [0];
            let write = async { while writer.write(&[7; 1024]).await.is_ok_and(|n| n > 0) {} };
            zip(reader.read(&mut buf), write).await.0.map(drop)
        }),
    ];
    for _ in 0..2 {
        let (a, b, c) = (Rc::clone(&near), Rc::clone(&near), Rc::clone(&near));
        tasks.push(spawn(async move { a.read(&mut [0]).await.map(drop) }));
        tasks.push(spawn(async move { AsyncReadExt::read(&mut &*b, &mut [0]).await.map(drop) }));
        tasks.push(spawn(write_on(c)));
    }
    yield_now().await;
    assert!(tasks.iter().all(|task| !task.is_finished()));
    near.close().unwrap();
    for task in tasks {
        closed(task.await.unwrap());
    }
}

/// Closing a listener ends every accept, and its port is free.
pub async fn close_wakes_all_on_a_listener() {
    let (listener, place) = listen_inside().await;
    let listener = Rc::new(listener);
    let clone = listener.try_clone().unwrap();
    let mut tasks = vec![spawn(async move { clone.accept().await.map(drop) })];
    for _ in 0..2 {
        let (a, b) = (Rc::clone(&listener), Rc::clone(&listener));
        tasks.push(spawn(async move { a.accept().await.map(drop) }));
        tasks.push(spawn(async move { b.incoming().next().await.expect("it says so").map(drop) }));
    }
    yield_now().await;
    assert!(tasks.iter().all(|task| !task.is_finished()));
    listener.close().unwrap();
    for task in tasks {
        closed(task.await.unwrap());
    }
    assert!(is_closed(&listener.local_addr().unwrap_err()));
    match ADDRESSES {
        true => drop(place.listen_again().await.unwrap()),
        false => assert_eq!(place.connect().await.unwrap_err().kind(), ErrorKind::ConnectionRefused),
    }
}

/// After closing, everything says so, a second close as well.
pub async fn closed_is_closed() {
    let (near, far) = pair().await;
    near.close().unwrap();
    let error = near.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    assert_eq!(error.to_string(), "use of a closed socket");
    let in_a_minute = Some(Instant::now() + Duration::from_secs(60));
    closed(near.close());
    closed(near.read(&mut [0]).await);
    closed(near.peek(&mut [0]).await);
    closed(near.write(b"x").await);
    closed(near.read_vectored(&mut [IoSliceMut::new(&mut [0])]).await);
    closed(near.write_vectored(&[IoSlice::new(b"x")]).await);
    closed(AsyncReadExt::read(&mut &near, &mut [0]).await);
    closed(AsyncWriteExt::write(&mut &near, b"x").await);
    closed(AsyncWriteExt::close(&mut &near).await);
    closed(near.shutdown(Shutdown::Both));
    closed(near.set_deadline(in_a_minute));
    closed(near.set_read_deadline(None));
    closed(near.set_write_deadline(in_a_minute));
    closed(near.try_clone());
    closed(near.local_addr());
    closed(near.peer_addr());
    // The peer sees the end, and no error of this kind reaches another handle.
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    assert!(!is_closed(&Error::from(ErrorKind::NotConnected)));
    let (mut reader, mut writer) = near.into_split();
    closed(reader.read(&mut [0]).await);
    closed(writer.write(b"x").await);

    let (listener, _) = listen_inside().await;
    listener.close().unwrap();
    closed(listener.close());
    closed(listener.accept().await);
    let mut incoming = listener.incoming();
    closed(incoming.next().await.expect("it says so, once"));
    assert!(incoming.next().await.is_none());
    closed(listener.set_deadline(None));
    closed(listener.try_clone());
}

/// Closing wins over a deadline that has passed, and over what is ready.
pub async fn closed_wins() {
    let (near, far) = pair().await;
    let near = Rc::new(near);
    far.write(b"ready").await.unwrap();
    assert_eq!(near.read(&mut [0]).await.unwrap(), 1);
    near.set_deadline(Some(Instant::now())).unwrap();
    near.close().unwrap();
    closed(near.read(&mut [0]).await);
    closed(near.write(b"x").await);

    let (near, _far) = pair().await;
    let near = Rc::new(near);
    let reading = spawn({
        let near = Rc::clone(&near);
        async move { near.read(&mut [0]).await }
    });
    yield_now().await;
    // Woken by the deadline, and closed before it runs.
    near.set_deadline(Some(Instant::now())).unwrap();
    near.close().unwrap();
    closed(reading.await.unwrap());
}

/// What was written before is sent, though the peer reads it only later.
pub async fn close_sends_what_was_written() {
    let (near, far) = pair().await;
    let written = fill(&near).await;
    near.close().unwrap();
    assert_eq!(io::copy(&far, futures_lite::io::sink()).await.unwrap(), written as u64);
}

/// The connection lives as long as a clone does, unless one closes it for all.
pub async fn clones() {
    let (near, far) = pair().await;
    let clone = near.try_clone().unwrap();
    assert_eq!(peer(&clone), peer(&near));
    drop(near);
    clone.write(b"alive").await.unwrap();
    let mut buf = [0; 5];
    (&far).read_exact(&mut buf).await.unwrap();
    // A clone that was parked through its trait and is gone wakes no task and keeps nothing.
    let mut gone = clone.try_clone().unwrap();
    assert!(poll_once(AsyncReadExt::read(&mut gone, &mut [0])).await.is_none());
    drop(gone);
    far.write(b"y").await.unwrap();
    assert_eq!(clone.read(&mut buf).await.unwrap(), 1);
    let other = clone.try_clone().unwrap();
    other.close().unwrap();
    closed(clone.write(b"x").await);
    drop(other);
    closed(clone.close());
    assert_eq!(far.read(&mut buf).await.unwrap(), 0);

    let (listener, place) = listen_inside().await;
    let clone = listener.try_clone().unwrap();
    drop(listener);
    let client = spawn(place.connect());
    clone.accept().await.unwrap();
    client.await.unwrap().unwrap();
}

/// Of two parked reads one is dropped, before and after the byte has come: the other one gets it.
pub async fn dropped_beside_another() {
    for drop_first in [true, false] {
        for woken in [false, true] {
            let (near, far) = pair().await;
            let near = Rc::new(near);
            let (mut one, mut two) = ([0], [0]);
            let mut first = Box::pin(near.read(&mut one));
            let mut second = Box::pin(near.read(&mut two));
            assert!(poll_once(&mut first).await.is_none());
            assert!(poll_once(&mut second).await.is_none());
            let sending = async {
                far.write(b"x").await.unwrap();
                if woken {
                    // Long enough for both to have been woken.
                    let _ = timeout(Duration::from_millis(20), far.read(&mut [0])).await;
                }
            };
            sending.await;
            let left = if drop_first {
                drop(first);
                pin!(second).await
            } else {
                drop(second);
                pin!(first).await
            };
            assert_eq!(left.unwrap(), 1);
        }
    }
}

/// Ten tasks accept a hundred connections: each goes to one of them.
pub async fn many_accept() {
    let (listener, place) = listen_inside().await;
    let listener = Rc::new(listener);
    let accepted = Rc::new(RefCell::new(Vec::new()));
    let acceptors: Vec<_> = (0..10)
        .map(|_| {
            let (listener, accepted) = (Rc::clone(&listener), Rc::clone(&accepted));
            spawn(async move {
                loop {
                    match listener.accept().await {
                        Ok((_, from)) => accepted.borrow_mut().push(from),
                        Err(error) => return error,
                    }
                }
            })
        })
        .collect();
    let mut connected = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..10 {
        let clients: Vec<_> = (0..10).map(|_| spawn(place.connect())).collect();
        for client in clients {
            let stream = client.await.unwrap().unwrap();
            connected.push(peer(&stream));
            streams.push(stream);
        }
    }
    while accepted.borrow().len() < 100 {
        yield_now().await;
    }
    listener.close().unwrap();
    for acceptor in acceptors {
        assert!(is_closed(&acceptor.await.unwrap()));
    }
    connected.sort();
    accepted.borrow_mut().sort();
    assert_eq!(*accepted.borrow(), connected);
}
