//! What else is measured: `timer` is the echo with a timer that does not fire, `sink` reads and tells how much, `page` answers
//! with what it was sent or with a large page, `compute` computes before it answers, `timers N` sleeps in N tasks, `spawn N` spawns and joins N.

use std::time::Duration;

use dormouse::net::{TcpListener, TcpStream};
use dormouse::{io, time};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

#[dormouse::main]
async fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let count = args.get(1).and_then(|count| count.parse().ok()).unwrap_or(0_u32);
    match args.first().map(String::as_str) {
        Some("timer") => {
            dormouse::spawn(time::sleep(Duration::from_secs(3600)));
            serve(|conn| async move { io::copy(&conn, &conn).await.map(drop) }).await
        }
        Some("sink") => serve(sink).await,
        Some("page") => serve(page).await,
        Some("compute") => serve(compute).await,
        Some("timers") => work(timers(count)).await,
        Some("spawn") => work(spawn(count)).await,
        _ => Err(io::Error::other("usage: timer | sink | page | compute | timers N | spawn N")),
    }
}

async fn serve<F: Future<Output = io::Result<()>> + 'static>(each: impl Fn(TcpStream) -> F) -> io::Result<()> {
    let listener = TcpListener::bind_or_preopened(([127, 0, 0, 1], 0)).await?;
    println!("listening on {listener}");
    loop {
        let (conn, _) = listener.accept_with_backoff().await?;
        dormouse::spawn(each(conn));
    }
}

/// How many bytes have come, and each 4096th of them.
async fn sink(mut conn: TcpStream) -> io::Result<()> {
    let (mut buf, mut count, mut sample) = (vec![0; 64 << 10], 0_usize, 0);
    loop {
        match conn.read(&mut buf).await? {
            0 => break,
            n => {
                sample = buf[..n].iter().skip(count.wrapping_neg() % 4096).step_by(4096).fold(sample, |a, b| a ^ b);
                count += n;
            }
        }
    }
    let mut answer = (count as u64).to_le_bytes().to_vec();
    answer.push(sample);
    conn.write_all(&answer).await
}

/// Answers each 64 bytes with the same, or with 100 MB if they begin with an `L`.
async fn page(mut conn: TcpStream) -> io::Result<()> {
    let (mut request, block) = ([0; 64], vec![7; 64 << 10]);
    while conn.read_exact(&mut request).await.is_ok() {
        if request[0] != b'L' {
            conn.write_all(&request).await?;
            continue;
        }
        for _ in 0..100_000_000 / block.len() {
            conn.write_all(&block).await?;
        }
    }
    Ok(())
}

/// Answers each 64 bytes with the same, when it has computed for some hundred microseconds.
async fn compute(mut conn: TcpStream) -> io::Result<()> {
    let mut request = [0; 64];
    while conn.read_exact(&mut request).await.is_ok() {
        let sum =
            (0..200_000_u64).fold(u64::from(request[0]), |sum, n| (sum ^ n).wrapping_mul(6_364_136_223_846_793_005));
        std::hint::black_box(sum);
        conn.write_all(&request).await?;
    }
    Ok(())
}

/// Says when it begins and when it is done, and waits to be ended, so that what it has used can be looked at.
async fn work(of: impl Future<Output = ()>) -> io::Result<()> {
    println!("begins");
    let start = time::Instant::now();
    of.await;
    println!("done in {} ns", start.elapsed().as_nanos());
    time::sleep(Duration::from_secs(3600)).await;
    Ok(())
}

async fn timers(count: u32) {
    let sleeps = (0..count).map(|n| {
        let after = Duration::from_micros(u64::from(n.wrapping_mul(2_654_435_761) % 1_000_000));
        dormouse::spawn(time::sleep(after))
    });
    for sleep in sleeps.collect::<Vec<_>>() {
        sleep.await.expect("is not cancelled");
    }
}

async fn spawn(count: u32) {
    let mut sum = 0;
    for from in (0..count).step_by(1000) {
        let tasks: Vec<_> = (from..count.min(from + 1000)).map(|n| dormouse::spawn(async move { n })).collect();
        for task in tasks {
            sum += u64::from(task.await.expect("is not cancelled"));
        }
    }
    assert_eq!(sum, (0..u64::from(count)).sum());
}
