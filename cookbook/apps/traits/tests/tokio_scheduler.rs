//! tokio's own scheduler, unmodified, on Dormouse's one wait: `dormouse::tokio::block_on`.

use std::time::Duration;

use dormouse::time::sleep;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet, yield_now};

// `cargo test` on WASI 0.3 needs the export, which attributes make elsewhere.
dormouse::export_main!();

#[test]
fn tasks_of_tokios_wait_for_timers_of_ours() {
    let order = dormouse::tokio::block_on(LocalSet::new().run_until(async {
        let mut tasks = JoinSet::new();
        for n in [3, 1, 2] {
            tasks.spawn_local(async move {
                sleep(Duration::from_millis(30 * n)).await;
                n
            });
        }
        let mut order = Vec::new();
        while let Some(n) = tasks.join_next().await {
            order.push(n.unwrap());
        }
        order
    }));
    assert_eq!(order, [1, 2, 3]);
}

#[test]
fn tasks_of_both_talk() {
    let sum = dormouse::tokio::block_on(async {
        let (send, mut receive) = mpsc::channel(1);
        let of_tokio = send.clone();
        let spawned = tokio::spawn(async move {
            for n in 0..10 {
                of_tokio.send(n).await.unwrap();
                yield_now().await;
            }
        });
        let of_ours = dormouse::spawn(async move {
            for n in 0..10 {
                send.send(100 * n).await.unwrap();
                sleep(Duration::from_millis(1)).await;
            }
        });
        let mut sum = 0;
        while let Some(n) = receive.recv().await {
            sum += n;
        }
        spawned.await.unwrap();
        of_ours.await.unwrap();
        sum
    });
    assert_eq!(sum, 4545);
}

/// wasip1 has no call to bind or to connect.
#[cfg(not(all(target_os = "wasi", target_env = "p1")))]
#[test]
fn tasks_of_tokios_wait_for_sockets_of_ours() {
    use dormouse::net::{TcpListener, TcpStream};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::spawn_local;

    let echoes = dormouse::tokio::block_on(LocalSet::new().run_until(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = spawn_local(async move {
            loop {
                let (conn, _) = listener.accept().await.unwrap();
                spawn_local(async move { dormouse::io::copy(&conn, &conn).await });
            }
        });
        let mut clients = JoinSet::new();
        for n in 0..20_u8 {
            clients.spawn_local(async move {
                let mut conn = TcpStream::connect(addr).await.unwrap();
                for _ in 0..10 {
                    conn.write_all(&[n; 100]).await.unwrap();
                    let mut echo = [0; 100];
                    conn.read_exact(&mut echo).await.unwrap();
                    assert_eq!(echo, [n; 100]);
                }
            });
        }
        let ended = clients.join_all().await.len();
        server.abort();
        ended
    }));
    assert_eq!(echoes, 20);
}
