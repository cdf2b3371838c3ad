//! wasip1: sockets that the host has opened.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The test is the peer: it sends a line, which it gets back.
pub async fn a_listener_of_std_is_the_one_that_the_host_has_opened() -> io::Result<()> {
    // SAFETY: the runner has opened it, and nothing else has taken it.
    let listener = unsafe { std::net::TcpListener::from_raw_fd(3) };
    let listener = TcpListener::from_std(listener)?;
    assert_eq!(listener.as_raw_fd(), 3);
    let (stream, _) = listener.accept().await?;
    let mut line = [0; 6];
    stream.readable().await?;
    assert_eq!(stream.peek(&mut line).await?, 6);
    assert_eq!(stream.into_std().unwrap_err().kind(), io::ErrorKind::Unsupported);
    let (stream, _) = listener.accept().await?;
    let (mut read, mut write) = stream.into_split();
    read.read_exact(&mut line).await?;
    write.write_all(&line).await
}
