//! Closing: one slow client never stops the others, and nothing is left behind.

use dormouse::io;
use dormouse::net::TcpListener;
use futures_lite::AsyncWriteExt;

use super::{listen, serve_echo};

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

/// Writes more than the host holds, and ends: the client still gets all of it.
pub async fn written_then_ended() {
    let listener: TcpListener = listen().await;
    let (mut conn, _) = listener.accept().await.unwrap();
    conn.write_all(&vec![7; 3 << 20]).await.unwrap();
    println!("written");
}
