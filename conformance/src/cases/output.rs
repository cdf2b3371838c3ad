//! Standard output that is read late, or never.

use std::process;

use dormouse::{io, spawn};
use futures_lite::AsyncWriteExt;

use super::place::listen_outside;

/// Prints far more than a pipe holds, through our own standard output, beside an echo server.
pub async fn unread_stdout() {
    let listener = listen_outside().await;
    // Standard error, since the driver does not read standard output.
    eprintln!("listening {listener}");
    spawn(async {
        let mut out = io::stdout();
        for n in 0_u32.. {
            out.write_all(format!("line {n} of a program that prints a lot\n").as_bytes()).await.unwrap();
        }
    });
    loop {
        let (conn, _) = listener.accept().await.expect("accept");
        spawn(async move { io::copy(&conn, &conn).await });
    }
}

/// Ends before the last of what it has printed is read.
pub async fn late_reader() {
    print_blocks().await;
}

/// The same, and what is after the flush would lose whatever still waits.
pub async fn late_reader_and_exit() {
    print_blocks().await;
    io::stdout().flush().await.unwrap();
    process::exit(0);
}

/// Prints blocks of which a whole number fills a pipe, and a rest without a newline.
async fn print_blocks() {
    print(40).await;
    io::stdout().write_all(&[b'y'; 1000]).await.unwrap();
}

async fn print(blocks: usize) {
    for _ in 0..blocks {
        io::stdout().write_all(&[b'x'; 8192]).await.unwrap();
    }
}

/// Prints what a pipe holds, and not a byte more: that is out without a reader.
pub async fn full_pipe() {
    print(8).await;
    io::stdout().flush().await.unwrap();
}

/// Is asked to stop, twice, and does not.
pub async fn stays_when_asked() {
    use dormouse::signal::{ctrl_c, stop_requested, terminate};
    let mut early = std::pin::pin!(futures_lite::future::or(ctrl_c(), terminate()));
    assert!(futures_lite::future::poll_once(&mut early).await.is_none());
    println!("waiting");
    let late = dormouse::spawn(stop_requested());
    early.await.unwrap();
    late.await.unwrap().unwrap();
    // It has come, and stays so.
    stop_requested().await.unwrap();
    println!("asked");
    dormouse::time::sleep(std::time::Duration::from_secs(3600)).await;
}

/// Ends with a rest in the buffer that the host will not take.
pub async fn refused() {
    io::stdout().write_all(b"lost").await.unwrap();
}

/// The same, and the host has had it.
pub async fn refused_line() {
    io::stdout().write_all(b"lost\n").await.unwrap();
}

/// What has been told is not told again.
pub async fn refused_and_told() {
    io::stdout().write_all(b"lost\n").await.unwrap();
    let error = io::stdout().flush().await.unwrap_err();
    eprintln!("told: {error}");
}
