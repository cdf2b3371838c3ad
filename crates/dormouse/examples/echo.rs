//! A TCP echo server: `echo [ADDR]`, by default on a port that the host chooses.

use dormouse::{io, net::TcpListener};

#[dormouse::main]
async fn main() -> io::Result<()> {
    let addr = std::env::args_os().nth(1).and_then(|arg| arg.into_string().ok());
    let listener = TcpListener::bind(addr.as_deref().unwrap_or("127.0.0.1:0")).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (conn, _) = listener.accept().await?;
        dormouse::spawn(async move { io::copy(&conn, &conn).await });
    }
}
