//! Closing: one slow client never stops the others, and nothing is left behind.

use std::time::Duration;

use dormouse::io;
use dormouse::net::Shutdown;
use dormouse::time::timeout;
use futures_lite::AsyncReadExt;

use super::place::listen;
use super::serve_echo;

/// An echo server; the outside has a client that sends 4 MiB, shuts down and never reads.
pub async fn stalled_client() {
    serve_echo(listen().await).await
}

/// An echo server that says nothing, for thousands of connections.
pub async fn connect_close() {
    let listener = listen().await;
    loop {
        let (conn, _) = listener.accept().await.expect("accept");
        dormouse::spawn(async move { io::copy(&conn, &conn).await });
    }
}

/// Writes until a write has to wait, and ends. The last write that succeeded is still on its way, and arrives.
pub async fn written_then_ended() {
    let listener = listen().await;
    let (conn, _) = listener.accept().await.unwrap();
    let block = vec![7; 256 * 1024];
    let mut written = 0;
    while let Ok(n) = timeout(Duration::from_millis(100), conn.write(&block)).await {
        written += n.unwrap();
    }
    println!("written {written}");
}

/// Ends each connection in the way that its first byte says; what follows it is not read. The last ways end the program as well.
pub async fn ends() {
    let listener = listen().await;
    loop {
        let (conn, _) = listener.accept().await.unwrap();
        let mut way = [0];
        assert_eq!(conn.read(&mut way).await.unwrap(), 1);
        conn.write(b"heard").await.unwrap();
        match way[0] {
            b'd' => drop(conn),
            b'c' => conn.close().unwrap(),
            b'h' => {
                conn.shutdown(Shutdown::Write).unwrap();
                let mut rest = Vec::new();
                (&conn).read_to_end(&mut rest).await.unwrap();
                println!("after it {}", String::from_utf8(rest).unwrap());
            }
            b'r' => {
                // It is open when the program has ended.
                std::mem::forget(conn);
                return;
            }
            b'e' => std::process::exit(0),
            b'p' => panic!("on purpose"),
            b'a' => std::process::abort(),
            way => panic!("no such way: {way}"),
        }
    }
}
