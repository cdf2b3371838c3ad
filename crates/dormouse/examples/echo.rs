//! A TCP echo server on a port that the host chooses.

use dormouse::{io, net::TcpListener};

#[dormouse::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind_or_preopened(([127, 0, 0, 1], 0)).await?;
    println!("listening on {listener}");
    loop {
        let (conn, _) = listener.accept_with_backoff().await?;
        dormouse::spawn(async move { io::copy(&conn, &conn).await });
    }
}
