//! Readiness.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use crate::tcp::pair;

const ROUNDS: usize = 100;

/// How often a future is polled.
async fn counted<F: Future>(polls: &Cell<usize>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        polls.set(polls.get() + 1);
        future.as_mut().poll(cx)
    })
    .await
}

/// Reads by readiness; each byte is answered before the next one comes.
async fn reads(stream: &TcpStream) -> io::Result<usize> {
    let (mut tries, mut buf) = (0, [0; 16]);
    loop {
        stream.readable().await?;
        tries += 1;
        match stream.try_read(&mut buf) {
            Ok(0) => return Ok(tries),
            Ok(n) => assert_eq!(stream.try_write(&buf[..n])?, n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn asks(mut peer: TcpStream) -> io::Result<()> {
    for _ in 0..ROUNDS {
        peer.write_all(b"x").await?;
        peer.read_exact(&mut [0]).await?;
    }
    Ok(())
}

/// For the test to count the host's calls.
pub async fn rounds() -> io::Result<()> {
    let (stream, peer) = pair().await?;
    let (tries, asked) = tokio::join!(reads(&stream), asks(peer));
    asked?;
    assert!(tries? <= 2 * ROUNDS + 2);
    Ok(())
}

pub async fn a_waiter_does_not_spin() -> io::Result<()> {
    let (stream, peer) = pair().await?;
    let polls = Cell::new(0);
    let asking = tokio::spawn(asks(peer));
    let tries = counted(&polls, reads(&stream)).await?;
    asking.await??;
    assert!(tries <= 2 * ROUNDS + 2, "{tries} tries for {ROUNDS} bytes");
    assert!(polls.get() <= 3 * ROUNDS, "{} polls for {ROUNDS} bytes", polls.get());
    Ok(())
}

pub async fn several_tasks_wait_for_one_socket() -> io::Result<()> {
    let (stream, mut peer) = pair().await?;
    let stream = Arc::new(stream);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let stream = Arc::clone(&stream);
            tokio::spawn(async move { stream.readable().await })
        })
        .collect();
    tokio::task::yield_now().await;
    peer.write_all(b"x").await?;
    for waiter in waiting {
        waiter.await??;
    }
    Ok(())
}

fn is_pending<F: Future>(future: F) -> bool {
    pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

pub async fn what_was_read_is_not_ready_again() -> io::Result<()> {
    let (mut stream, mut peer) = pair().await?;
    for _ in 0..3 {
        peer.write_all(b"abc").await?;
        stream.readable().await?;
        // It stays ready until it is read.
        assert!(!is_pending(stream.readable()));
        assert_eq!(stream.read(&mut [0; 16]).await?, 3);
        assert!(is_pending(stream.readable()));
    }
    drop(peer);
    assert!(stream.ready(Interest::READABLE).await?.is_readable());
    assert_eq!(stream.try_read(&mut [0])?, 0);
    Ok(())
}

pub async fn writable_waits_for_room() -> io::Result<()> {
    let (stream, mut peer) = pair().await?;
    let (mut sent, chunk) = (0, vec![1; 64 * 1024]);
    // Until it would block twice in a row: the system moves what is on its way.
    let mut blocked = 0;
    while blocked < 2 {
        match stream.try_write(&chunk) {
            Ok(n) => (sent, blocked) = (sent + n, 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                blocked += 1;
                tokio::task::yield_now().await;
            }
            Err(error) => return Err(error),
        }
    }
    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.map(|_| all.len())
    });
    stream.writable().await?;
    loop {
        match stream.try_write(b"x") {
            Ok(n) => break sent += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    drop(stream);
    assert_eq!(reading.await??, sent);
    Ok(())
}

pub async fn try_io_and_async_io_go_by_what_the_operation_says() -> io::Result<()> {
    let (stream, mut peer) = pair().await?;
    let nothing = stream.try_io(Interest::READABLE, || stream.try_read(&mut [0; 8]));
    assert_eq!(nothing.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let (tries, mut buf) = (Cell::new(0), [0; 8]);
    let (read, written) = tokio::join!(
        stream.async_io(Interest::READABLE, || {
            tries.set(tries.get() + 1);
            stream.try_read(&mut buf)
        }),
        peer.write_all(b"hello"),
    );
    written?;
    assert_eq!((read?, &buf[..5]), (5, &b"hello"[..]));
    assert!(tries.get() <= 2, "{} tries", tries.get());
    assert_eq!(stream.try_io(Interest::WRITABLE, || stream.try_write(b"x"))?, 1);
    Ok(())
}

pub async fn poll_ready_keeps_one_waker() -> io::Result<()> {
    let (stream, mut peer) = pair().await?;
    let mut cx = Context::from_waker(Waker::noop());
    assert!(stream.poll_read_ready(&mut cx).is_pending());
    peer.write_all(b"x").await?;
    poll_fn(|cx| stream.poll_read_ready(cx)).await?;
    poll_fn(|cx| stream.poll_write_ready(cx)).await?;
    assert_eq!(stream.try_read(&mut [0; 8])?, 1);
    assert!(stream.poll_read_ready(&mut cx).is_pending());
    Ok(())
}

pub async fn a_waiter_that_is_dropped_leaves_nothing_behind() -> io::Result<()> {
    let (stream, mut peer) = pair().await?;
    for _ in 0..3 {
        let mut waiting: Pin<Box<dyn Future<Output = io::Result<()>>>> = Box::pin(stream.readable());
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(waiting);
        assert!(is_pending(stream.readable()));
    }
    let (mut stream, polls) = (stream, Cell::new(0));
    let mut buf = [0];
    let read = counted(&polls, stream.read(&mut buf));
    let (read, written) = tokio::join!(read, peer.write_all(b"x"));
    written?;
    assert_eq!(read?, 1);
    assert!(polls.get() <= 3, "{} polls", polls.get());
    Ok(())
}

#[allow(dead_code)]
fn _is_send(stream: &TcpStream) -> impl Future<Output = io::Result<()>> + Send + '_ {
    async move {
        stream.readable().await?;
        let _ = Poll::Ready(());
        Ok(())
    }
}
