//! One of several instances.

use std::env;

use dormouse::net::{TcpListener, TcpStream};
use dormouse::signal::stop_requested;
use dormouse::{io, spawn};
use futures_lite::AsyncWriteExt as _;
use futures_lite::future::or;

use super::place::listen_outside;

/// An echo server that tells each client which instance it is, fails at `!`, computes for ever at `~`, and ends in good order when it is asked to.
pub async fn one_of_several() {
    let number = env::var("DORMOUSE_INSTANCE").unwrap_or_else(|_| "alone".to_owned());
    let listener = match env::var("LISTEN_AT") {
        Ok(addr) => TcpListener::bind_or_preopened(addr).await.expect("a listener"),
        Err(_) => listen_outside().await,
    };
    println!("listening {listener}");
    let mut clients = Vec::new();
    let accept = async {
        loop {
            let (conn, _) = listener.accept_with_backoff().await?;
            clients.push(spawn(serve(conn, number.clone())));
        }
    };
    or(accept, stop_requested()).await.unwrap();
    drop(listener);
    for client in clients {
        let _ = client.await;
    }
    println!("instance {number} has ended");
}

async fn serve(conn: TcpStream, number: String) -> io::Result<()> {
    (&conn).write_all(format!("{number}\n").as_bytes()).await?;
    let mut buf = [0; 1024];
    loop {
        let read = or(conn.read(&mut buf), async { stop_requested().await.map(|()| 0) }).await?;
        if read == 0 {
            return Ok(());
        }
        assert!(!buf[..read].contains(&b'!'), "a client wants it to fail");
        while buf[..read].contains(&b'~') {
            std::hint::spin_loop();
        }
        (&conn).write_all(&buf[..read]).await?;
    }
}
