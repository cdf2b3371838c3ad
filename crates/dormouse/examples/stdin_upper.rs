//! Prints each line of standard input in upper case, and ticks five times a second while it waits for the next one:
//! `tick 1`, `tick 2` … It ends when standard input does.

use std::time::Duration;

use dormouse::{io, time};
use futures_lite::io::BufReader;
use futures_lite::{AsyncBufReadExt, AsyncWriteExt, StreamExt};

#[dormouse::main]
async fn main() -> io::Result<()> {
    dormouse::spawn(async {
        let fifth = Duration::from_millis(200);
        let mut beat = time::interval_at(time::Instant::now() + fifth, fifth);
        for n in 1.. {
            beat.tick().await;
            say(format!("tick {n}\n")).await?;
        }
        io::Result::Ok(())
    });

    let mut lines = BufReader::new(io::stdin()).lines();
    while let Some(line) = lines.next().await {
        say(line?.to_uppercase() + "\n").await?;
    }
    Ok(())
}

/// Prints without stopping the other tasks, even if the output is not read.
async fn say(line: String) -> io::Result<()> {
    io::stdout().write_all(line.as_bytes()).await
}
