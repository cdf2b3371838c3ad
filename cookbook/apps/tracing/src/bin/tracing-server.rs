//! A server whose log tells which connection and which request a line is about: `tracing-server [ADDR] [std]`.
//!
//! A request is a line of words; each word is turned round by a task of its own. `quit` ends the server. With `std`, the log goes
//! through std's standard error, for comparison.

use std::time::Duration;

use cookbook_tracing::Log;
use dormouse::io;
use dormouse::net::{TcpListener, TcpStream};
use dormouse::time::sleep;
use futures_lite::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::Notify;
use tracing::{Instrument, info, info_span, instrument, warn};

static QUIT: Notify = Notify::const_new();

#[dormouse::main]
async fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let listener = TcpListener::bind_or_preopened(args.first().map_or("127.0.0.1:0", String::as_str)).await?;
    let log = match args.get(1).map(String::as_str) {
        Some("std") => {
            tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).without_time().init();
            None
        }
        _ => Some(Log::start()),
    };
    println!("listening on {listener}");
    let serving = dormouse::spawn(async move {
        for n in 0u64.. {
            let (conn, _) = listener.accept_with_backoff().await?;
            // The span goes with the future: it is entered whenever this task runs, and left whenever another one does.
            dormouse::spawn(serve(conn).instrument(info_span!("connection", n)));
        }
        io::Result::Ok(())
    });
    QUIT.notified().await;
    serving.abort();
    info!("good night");
    match log {
        Some(log) => log.end().await,
        None => Ok(()),
    }
}

async fn serve(conn: TcpStream) {
    if let Err(error) = answer(&conn).await {
        warn!(%error, "it broke");
    }
}

async fn answer(mut conn: &TcpStream) -> io::Result<()> {
    info!("it begins");
    let mut lines = BufReader::new(conn);
    let mut line = String::new();
    while lines.read_line(&mut line).await? > 0 {
        if line.trim_end() == "quit" {
            QUIT.notify_one();
            return Ok(());
        }
        let answer = turn_words(line.trim_end()).await?;
        conn.write_all(answer.as_bytes()).await?;
        line.clear();
    }
    info!("it ends");
    Ok(())
}

/// `#[instrument]` makes the span, and puts it around the body, awaits and all.
#[instrument(skip(line), fields(words = line.split(' ').count()))]
async fn turn_words(line: &str) -> io::Result<String> {
    // A task that is spawned has no span of its own accord: `in_current_span` gives it this one.
    let words: Vec<_> = line.split(' ').map(|word| dormouse::spawn(turn(word.to_owned()).in_current_span())).collect();
    let mut turned = Vec::new();
    for word in words {
        turned.push(word.await?);
    }
    info!("turned");
    Ok(turned.join(" ") + "\n")
}

async fn turn(word: String) -> String {
    sleep(Duration::from_millis(1)).await;
    info!(%word);
    word.chars().rev().collect()
}
