//! A TCP echo server that ticks each second, whatever its clients do: `ticker_echo [ADDR]`, by default on a port that
//! the host chooses. Prints `listening on ADDR`, then `tick 1`, `tick 2` …

use std::time::Duration;

use dormouse::{io, net::TcpListener, time};
use futures_lite::AsyncWriteExt;

#[dormouse::main]
async fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:0".into());
    let listener = TcpListener::bind_or_preopened(addr).await?;
    say(format!("listening on {listener}\n")).await?;

    dormouse::spawn(async {
        let second = Duration::from_secs(1);
        let mut beat = time::interval_at(time::Instant::now() + second, second);
        for n in 1.. {
            beat.tick().await;
            say(format!("tick {n}\n")).await?;
        }
        io::Result::Ok(())
    });

    loop {
        let (conn, _) = listener.accept_with_backoff().await?;
        dormouse::spawn(async move { io::copy(&conn, &conn).await });
    }
}

/// Prints without stopping the other tasks, even if the output is not read.
async fn say(line: String) -> io::Result<()> {
    io::stdout().write_all(line.as_bytes()).await
}
