//! A bit of everything, to see what all of it weighs: `everything NAME:PORT FILE` asks the name, sends the file there by TCP and its
//! length by UDP, and prints what comes back, until Ctrl-C or the end of standard input.

use std::time::Duration;

use dormouse::io::{self, AsyncWrite};
use dormouse::net::{Shutdown, TcpListener, TcpStream, UdpSocket, lookup_host};
use dormouse::time::{Instant, interval, sleep, timeout};
use dormouse::{fs::File, signal, spawn, task::yield_now};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};

#[dormouse::main]
async fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(place), Some(path)) = (args.next(), args.next()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: everything NAME:PORT FILE"));
    };
    for addr in lookup_host(&*place).await? {
        say(&format!("{addr}\n")).await?;
    }
    let mut file = File::open(path).await?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).await?;

    let mirror = TcpListener::bind("127.0.0.1:0").await?;
    let here = mirror.local_addr()?;
    let echo = spawn(async move {
        while let Ok((conn, _)) = mirror.accept_with_backoff().await {
            spawn(async move { io::copy(&conn, &conn).await });
            yield_now().await;
        }
    });
    for place in [here.to_string(), place.clone()] {
        let stream = timeout(Duration::from_secs(5), TcpStream::connect(&*place)).await??;
        stream.set_ttl(64)?;
        stream.set_read_deadline(Some(Instant::now() + Duration::from_secs(5)))?;
        let (mut read, mut write) = stream.into_split();
        let send = async {
            write.write_all(&bytes).await?;
            write.close().await
        };
        let (sent, copied) = future::zip(send, io::copy(&mut read, &mut io::stdout())).await;
        sent?;
        say(&format!("\n{} bytes from {place}\n", copied?)).await?;
    }

    let (mut one, mut other) = (TcpStream::connect(here).await?, TcpStream::connect(here).await?);
    one.shutdown(Shutdown::Write)?;
    other.shutdown(Shutdown::Write)?;
    io::copy_bidirectional(&mut one, &mut other).await?;
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    socket.connect(&*place).await?;
    socket.send(bytes.len().to_string().as_bytes()).await?;

    let beat = spawn(async {
        let mut beat = interval(Duration::from_secs(1));
        while say("tick\n").await.is_ok() {
            beat.tick().await;
        }
    });
    let end_of_input = async { io::copy(&mut io::stdin(), &mut io::stderr()).await.map(drop) };
    future::or(end_of_input, async { signal::ctrl_c().await.or(future::pending().await) }).await?;
    beat.abort();
    echo.abort();
    sleep(Duration::from_millis(10)).await;
    close(io::stdout()).await
}

async fn say(line: &str) -> io::Result<()> {
    io::stdout().write_all(line.as_bytes()).await
}

async fn close(mut stream: impl AsyncWrite + Unpin) -> io::Result<()> {
    stream.close().await
}
