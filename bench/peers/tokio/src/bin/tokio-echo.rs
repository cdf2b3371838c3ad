//! An echo server on tokio, natively and on wasip2.

use std::io;
use std::net::Ipv4Addr;

use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (mut conn, _) = listener.accept().await?;
        // Nothing on WASI, which has no such option.
        conn.set_nodelay(true)?;
        tokio::spawn(async move {
            let (mut read, mut write) = conn.split();
            tokio::io::copy(&mut read, &mut write).await
        });
    }
}
