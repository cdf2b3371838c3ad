//! What `ours-more` does, on wstd.

use wstd::io::{self, AsyncRead, AsyncWrite};
use wstd::iter::AsyncIterator;
use wstd::net::{TcpListener, TcpStream};
use wstd::runtime;
use wstd::task::sleep;
use wstd::time::{Duration, Instant};

#[wstd::main]
async fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let count = args.get(1).and_then(|count| count.parse().ok()).unwrap_or(0_u32);
    match args.first().map(String::as_str) {
        Some("timer") => {
            runtime::spawn(sleep(Duration::from_secs(3600))).detach();
            serve(|conn| async move { io::copy(&conn, &conn).await.map(drop) }).await
        }
        Some("sink") => serve(sink).await,
        Some("timers") => work(timers(count)).await,
        Some("spawn") => work(spawn(count)).await,
        _ => Err(io::Error::other("usage: timer | sink | timers N | spawn N")),
    }
}

async fn serve<F: Future<Output = io::Result<()>> + 'static>(each: impl Fn(TcpStream) -> F) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    let mut incoming = listener.incoming();
    while let Some(stream) = incoming.next().await {
        let each = each(stream?);
        runtime::spawn(async move { drop(each.await) }).detach();
    }
    Ok(())
}

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

async fn work(of: impl Future<Output = ()>) -> io::Result<()> {
    println!("begins");
    let start = Instant::now();
    of.await;
    println!("done in {} ns", std::time::Duration::from(start.elapsed()).as_nanos());
    sleep(Duration::from_secs(3600)).await;
    Ok(())
}

async fn timers(count: u32) {
    let sleeps = (0..count).map(|n| {
        let after = Duration::from_micros(u64::from(n.wrapping_mul(2_654_435_761) % 1_000_000));
        runtime::spawn(sleep(after))
    });
    for sleep in sleeps.collect::<Vec<_>>() {
        sleep.await;
    }
}

async fn spawn(count: u32) {
    let mut sum = 0;
    for from in (0..count).step_by(1000) {
        let tasks: Vec<_> = (from..count.min(from + 1000)).map(|n| runtime::spawn(async move { n })).collect();
        for task in tasks {
            sum += u64::from(task.await);
        }
    }
    assert_eq!(sum, (0..u64::from(count)).sum::<u64>());
}
