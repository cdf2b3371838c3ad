//! Much at once, in one program: Go's `TestTCPStress`, `TestTCPBig` and `TestConcurrentSetDeadline` (BSD-3-Clause;
//! written from the names).

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use dormouse::net::is_closed;
use dormouse::task::yield_now;
use dormouse::time::{Instant, sleep};
use dormouse::{JoinHandle, io, spawn};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::deadlines::{SHORT, timed_out};
use super::moving::in_an_hour;
use super::net::pattern;
use super::place::{listen_inside, pair};

/// Ten clients and ten servers, each of which passes five connections with fifty messages, all of them under deadlines.
pub async fn many_connections_at_once() {
    const LEN: usize = 511;
    let in_a_minute = || Some(Instant::now() + Duration::from_secs(60));
    let (listener, place) = listen_inside().await;
    let listener = Rc::new(listener);
    let mut tasks = Vec::new();
    for _ in 0..10 {
        let listener = Rc::clone(&listener);
        tasks.push(spawn(async move {
            for _ in 0..5 {
                let (mut conn, _) = listener.accept().await.unwrap();
                let mut buf = [0; LEN];
                for _ in 0..50 {
                    conn.set_deadline(in_a_minute()).unwrap();
                    conn.read_exact(&mut buf).await.unwrap();
                    conn.write_all(&buf).await.unwrap();
                }
                assert_eq!(conn.read(&mut buf).await.unwrap(), 0);
            }
        }));
    }
    for client in 0..10 {
        tasks.push(spawn(async move {
            for nth in 0..5 {
                let mut conn = place.connect().await.unwrap();
                let mut buf = [0; LEN];
                for message in 0..50 {
                    // No other client sends this.
                    let sent = &pattern(LEN + 250 * client + 50 * nth + message)[250 * client + 50 * nth + message..];
                    conn.set_deadline(in_a_minute()).unwrap();
                    conn.write_all(sent).await.unwrap();
                    conn.read_exact(&mut buf).await.unwrap();
                    assert!(buf == sent, "somebody else's message");
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// Sixteen mebibytes in one write, read as they come.
pub async fn a_big_write() {
    let sent = Rc::new(pattern(16 << 20));
    let (mut near, far) = pair().await;
    let writing = spawn({
        let sent = Rc::clone(&sent);
        async move { near.write_all(&sent).await.unwrap() }
    });
    let (mut buf, mut got) = (vec![0; 100_000], 0);
    loop {
        match far.read(&mut buf).await.unwrap() {
            0 => break,
            n => {
                assert!(buf[..n] == sent[got..got + n], "other bytes came than were sent, from {got} on");
                got += n;
            }
        }
    }
    assert_eq!(got, sent.len());
    writing.await.unwrap();
}

/// Ten tasks set the deadlines of each of ten connections, in any order: the last word counts, and nothing is left of
/// those before.
pub async fn set_by_many() {
    let mut conns = Vec::new();
    for _ in 0..10 {
        let (near, far) = pair().await;
        conns.push((Rc::new(near), far));
    }
    let mut setting = Vec::new();
    for n in 0..100_u32 {
        let conn = Rc::clone(&conns[n as usize % 10].0);
        setting.push(spawn(async move {
            for i in 0..50_u32 {
                let when = Instant::now() + Duration::from_micros(u64::from(n * 31 + i * 97) % 2000);
                match (n + i) % 4 {
                    0 => conn.set_deadline(Some(when)).unwrap(),
                    1 => conn.set_read_deadline(Some(when)).unwrap(),
                    2 => conn.set_write_deadline(Some(when)).unwrap(),
                    _ => conn.set_read_deadline(None).unwrap(),
                }
                yield_now().await;
            }
        }));
    }
    // A task is parked meanwhile, for as long as the present deadline allows; once all are set, for good.
    let settled = Rc::new(Cell::new(false));
    let reading: Vec<JoinHandle<io::Result<()>>> = conns
        .iter()
        .map(|(conn, _)| {
            let (conn, settled) = (Rc::clone(conn), Rc::clone(&settled));
            spawn(async move {
                loop {
                    match conn.read(&mut [0]).await {
                        Ok(_) => return Ok(()),
                        Err(error) if is_closed(&error) => return Err(error),
                        Err(error) => timed_out(error),
                    }
                    assert!(!settled.get(), "a deadline that is no longer set has passed");
                }
            })
        })
        .collect();
    for task in setting {
        task.await.unwrap();
    }
    for (conn, _) in &conns {
        conn.set_deadline(in_an_hour()).unwrap();
    }
    settled.set(true);
    sleep(SHORT).await;
    for (conn, far) in &conns {
        conn.write(b"x").await.unwrap();
        far.write(b"x").await.unwrap();
    }
    for read in reading {
        read.await.unwrap().unwrap();
    }
}
