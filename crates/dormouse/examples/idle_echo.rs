//! A TCP echo server that hangs up on a client that is silent for a second, and ends when a client says "quit".

use std::rc::Rc;
use std::time::Duration;

use dormouse::net::{TcpListener, TcpStream, is_closed};
use dormouse::{io, time::Instant};
use futures_lite::AsyncWriteExt;

#[dormouse::main]
async fn main() -> io::Result<()> {
    let listener = Rc::new(TcpListener::bind_or_preopened(([127, 0, 0, 1], 0)).await?);
    println!("listening on {listener}");
    loop {
        match listener.accept_with_backoff().await {
            Ok((conn, _)) => dormouse::spawn(serve(conn, Rc::clone(&listener))).detach(),
            Err(error) if is_closed(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

async fn serve(conn: TcpStream, listener: Rc<TcpListener>) -> io::Result<()> {
    let mut buf = [0; 1024];
    loop {
        // Anew for each message; only reading the clock is a call of the host.
        conn.set_deadline(Some(Instant::now() + Duration::from_secs(1)))?;
        match conn.read(&mut buf).await? {
            0 => return Ok(()),
            n if buf[..n].starts_with(b"quit") => return listener.close(),
            n => (&conn).write_all(&buf[..n]).await?,
        }
    }
}
