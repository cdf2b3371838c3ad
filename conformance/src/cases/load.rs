//! Much at once, in one program: Go's `TestTCPStress` and `TestTCPBig` (BSD-3-Clause; written from the names).

use std::rc::Rc;
use std::time::Duration;

use dormouse::net::{TcpListener, TcpStream};
use dormouse::spawn;
use dormouse::time::Instant;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::net::pattern;
use super::pair;

/// Ten clients and ten servers, each of which passes five connections with fifty messages, all of them under deadlines.
pub async fn many_connections_at_once() {
    const LEN: usize = 511;
    let in_a_minute = || Some(Instant::now() + Duration::from_secs(60));
    let listener = Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let addr = listener.local_addr().unwrap();
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
                let mut conn = TcpStream::connect(addr).await.unwrap();
                let mut buf = [0; LEN];
                for message in 0..50 {
                    // Nobody else sends this.
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
