//! The simulated host: what its network, its clock, its faults and its choices promise.

mod accept;
mod choices;
mod faults;
mod net;
#[cfg(panic = "unwind")]
mod panics;
mod run;

use dormouse::net::{TcpListener, TcpStream};
use futures_lite::future::zip;

const ADDR: &str = "10.0.0.1:80";

/// Both ends of a connection, the client's first.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(ADDR).await.unwrap();
    let (near, far) = zip(TcpStream::connect(ADDR), listener.accept()).await;
    let (near, (far, peer)) = (near.unwrap(), far.unwrap());
    assert_eq!(near.local_addr().unwrap(), peer);
    assert_eq!(near.peer_addr().unwrap(), far.local_addr().unwrap());
    (near, far)
}

/// An echo over one connection, and what came back.
async fn echo(len: usize) -> std::io::Result<Vec<u8>> {
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind(ADDR).await?;
    let server = dormouse::spawn(async move {
        let (conn, _) = listener.accept_with_backoff().await?;
        dormouse::io::copy(&conn, &conn).await
    });
    let (mut reader, mut writer) = TcpStream::connect(ADDR).await?.into_split();
    let writes = async move {
        let sent: Vec<u8> = (0..len).map(|n| n as u8).collect();
        writer.write_all(&sent).await?;
        writer.close().await
    };
    let mut echoed = Vec::new();
    let (written, read) = zip(writes, reader.read_to_end(&mut echoed)).await;
    server.abort();
    written?;
    read?;
    Ok(echoed)
}
