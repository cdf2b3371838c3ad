//! Fairness: tasks do not starve I/O and timers, I/O does not starve tasks.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use dormouse::task::yield_now;
use dormouse::time::{Instant, interval, sleep, sleep_until, timeout};
use dormouse::{io, spawn};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::place::{listen, listen_inside, pair};
use super::serve_echo;

/// Two tasks that always yield, beside an echo server and a timer.
pub async fn busy_task_and_io() {
    for _ in 0..2 {
        spawn(async {
            loop {
                yield_now().await;
            }
        });
    }
    spawn(async {
        sleep(Duration::from_millis(10)).await;
        println!("slept beside busy tasks");
    });
    serve_echo(listen().await).await
}

/// An echo server with a beat of 10 ms that says how late its latest tick has been since the last time it said so.
pub async fn ticker_under_load() {
    spawn(async {
        let mut beat = interval(Duration::from_millis(10));
        loop {
            let mut latest = Duration::ZERO;
            for _ in 0..100 {
                let due = beat.tick().await;
                latest = latest.max(Instant::now() - due);
            }
            println!("late {}", latest.as_micros());
        }
    });
    let listener = listen().await;
    loop {
        let (conn, _) = listener.accept().await.expect("accept");
        spawn(async move { io::copy(&conn, &conn).await });
    }
}

/// A task that always sleeps until a time that has passed, beside two ends of a connection.
pub async fn sleeps_that_are_over() {
    let (mut near, far) = pair().await;
    let echo = spawn(async move { io::copy(&far, &far).await });
    let past = Instant::now();
    let sleeper = spawn(async move {
        loop {
            sleep_until(past).await;
        }
    });
    for round in 0..100 {
        near.write_all(&[round; 3]).await.unwrap();
        let mut back = [0; 3];
        near.read_exact(&mut back).await.unwrap();
        assert_eq!(back, [round; 3]);
    }
    sleeper.abort();
    near.close().unwrap();
    assert_eq!(echo.await.unwrap().unwrap(), 300);
}

/// A stream that always has something to read must not keep its task running for ever.
pub async fn always_ready_io() {
    let (listener, place) = listen_inside().await;
    let done = Rc::new(Cell::new(false));
    spawn({
        let done = Rc::clone(&done);
        async move {
            let (mut conn, _) = listener.accept().await.unwrap();
            let block = vec![1; 64 * 1024];
            while !done.get() {
                conn.write_all(&block).await.unwrap();
            }
        }
    });
    let reads = Rc::new(Cell::new(0_u64));
    let reader = spawn({
        let (reads, done) = (Rc::clone(&reads), Rc::clone(&done));
        async move {
            let mut conn = place.connect().await.unwrap();
            let mut byte = [0];
            // A byte at a time: the next one is always there.
            while !done.get() {
                conn.read_exact(&mut byte).await.unwrap();
                reads.set(reads.get() + 1);
            }
        }
    });
    while reads.get() < 1000 {
        yield_now().await;
    }
    // The reader is now in a row of reads that all succeed, and this task still runs, and so do timers.
    sleep(Duration::from_millis(5)).await;
    // Nor must an output that always takes more.
    let printer = spawn(async {
        let mut err = io::stderr();
        loop {
            err.write_all(b"\n").await.unwrap();
        }
    });
    sleep(Duration::from_millis(5)).await;
    printer.abort();
    done.set(true);
    reader.await.unwrap();
    println!("others ran");
}

/// A direction of a two-way copy that is always ready leaves room for the other one.
pub async fn copy_both_ways() {
    let (listener, place) = listen_inside().await;
    let mut left = place.connect().await.unwrap();
    let (mut left_inner, _) = listener.accept().await.unwrap();
    let mut right = place.connect().await.unwrap();
    let (mut right_inner, _) = listener.accept().await.unwrap();
    let proxy = spawn(async move { io::copy_bidirectional(&mut left_inner, &mut right_inner).await });
    let (mut right_reader, mut right_writer) = {
        right.write_all(b"?").await.unwrap();
        let mut byte = [0];
        left.read_exact(&mut byte).await.unwrap();
        right.into_split()
    };
    let (mut left_reader, mut left_writer) = left.into_split();
    let flood = spawn(async move {
        let block = vec![1; 64 * 1024];
        while left_writer.write_all(&block).await.is_ok() {}
    });
    let drain = spawn(async move { io::copy(&mut right_reader, futures_lite::io::sink()).await });
    for _ in 0..100 {
        right_writer.write_all(b"!").await.unwrap();
        let mut byte = [0];
        left_reader.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"!");
    }
    flood.abort();
    let _ = flood.await;
    right_writer.close().await.unwrap();
    let (there, back) = proxy.await.unwrap().unwrap();
    assert_eq!(drain.await.unwrap().unwrap(), there);
    assert_eq!(back, 101);
}

/// Two connections are forwarded to each other, one that has been read from already, and one to itself: byte-exact, to the end
/// of each direction.
pub async fn forwarded() {
    for read_before in [false, true] {
        let ((mut left, left_inner), (right, right_inner)) = (pair().await, pair().await);
        if read_before {
            left.write_all(b"?").await.unwrap();
            let mut byte = [0];
            (&left_inner).read_exact(&mut byte).await.unwrap();
        }
        let proxy = spawn(async move {
            let both = (left_inner.forward(&right_inner), right_inner.forward(&left_inner));
            let (there, back) = futures_lite::future::zip(both.0, both.1).await;
            there.and(back)
        });
        let sent: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let expected = sent.clone();
        let echo = spawn(async move {
            io::copy(&right, &right).await.unwrap();
            right.close().unwrap();
        });
        let (reader, mut writer) = left.split();
        let mut back = Vec::new();
        let sending = async {
            writer.write_all(&sent).await.unwrap();
            writer.close().await.unwrap();
        };
        let mut reader = reader;
        let receiving = async { reader.read_to_end(&mut back).await.unwrap() };
        futures_lite::future::zip(sending, receiving).await;
        assert!(back == expected, "{} bytes came back changed", back.len());
        echo.await.unwrap();
        proxy.await.unwrap().unwrap();
    }

    let (mut near, far) = pair().await;
    let mirror = spawn(async move { far.forward(&far).await });
    near.write_all(b"there and back").await.unwrap();
    let mut back = [0; 14];
    near.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"there and back");
    AsyncWriteExt::close(&mut near).await.unwrap();
    assert_eq!(near.read(&mut back).await.unwrap(), 0, "the end comes back, too");
    mirror.await.unwrap().unwrap();
}

/// A forward that was given up before anything came is gone on with by the next one.
pub async fn forwarded_again() {
    let ((mut left, left_inner), (mut right, right_inner)) = (pair().await, pair().await);
    assert!(timeout(Duration::from_millis(5), left_inner.forward(&right_inner)).await.is_err());
    let ended = Rc::new(Cell::new(false));
    let again = spawn({
        let ended = Rc::clone(&ended);
        async move {
            left_inner.forward(&right_inner).await.unwrap();
            ended.set(true);
        }
    });
    for letter in b"again" {
        left.write_all(&[*letter]).await.unwrap();
        let mut byte = [0];
        right.read_exact(&mut byte).await.unwrap();
        assert_eq!(byte, [*letter]);
        assert!(!ended.get(), "there is more to come");
    }
    AsyncWriteExt::close(&mut left).await.unwrap();
    assert_eq!(right.read(&mut [0]).await.unwrap(), 0);
    again.await.unwrap();
}

/// A forward that is dropped moves nothing more. What comes afterwards the next one moves, or it is lost with the connection.
pub async fn forward_stopped() {
    let ((mut left, left_inner), (mut right, right_inner)) = (pair().await, pair().await);
    let inner = Rc::new((left_inner, right_inner));
    for word in [b"moved", b"later"] {
        // The second time it is there before the forward is.
        left.write_all(word).await.unwrap();
        let forward = spawn({
            let inner = Rc::clone(&inner);
            async move { inner.0.forward(&inner.1).await }
        });
        let mut moved = [0; 5];
        right.read_exact(&mut moved).await.unwrap();
        assert_eq!(&moved, word);
        forward.abort();
        let _ = forward.await;
    }
    left.write_all(b"too late").await.unwrap();
    assert_eq!(Rc::strong_count(&inner), 1);
    drop(inner);
    // An end or a reset, as the system likes.
    let came = right.read(&mut [0; 8]).await.unwrap_or(0);
    println!("a dropped forward {}", if came == 0 { "stops" } else { "goes on" });
}
