//! What `ours-more` does, with the wasip3 crate; tasks cannot be joined there.
#![no_main]

use std::time::Instant;

use futures::future::join_all;
use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::exports::cli::run::Guest;
use wasip3::sockets::types::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket};
use wasip3::wit_bindgen::{self, StreamResult};
use wasip3::wit_stream;

const HOUR: u64 = 3_600_000_000_000;

struct More;

wasip3::cli::command::export!(More);

impl Guest for More {
    async fn run() -> Result<(), ()> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let count = args.get(1).and_then(|count| count.parse().ok()).unwrap_or(0_u32);
        match args.first().map(String::as_str) {
            Some("timer") => {
                wit_bindgen::spawn_local(wait_for(HOUR));
                serve(echo).await
            }
            Some("sink") => serve(sink).await,
            Some("timers") => {
                println!("begins");
                let start = Instant::now();
                timers(count).await;
                println!("done in {} ns", start.elapsed().as_nanos());
                wait_for(HOUR).await;
                Ok(())
            }
            _ => Err(()),
        }
    }
}

async fn serve<F: Future<Output = ()> + 'static>(each: impl Fn(TcpSocket) -> F) -> Result<(), ()> {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4).map_err(drop)?;
    let addr = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address: (127, 0, 0, 1) });
    socket.bind(addr).map_err(drop)?;
    let mut incoming = socket.listen().map_err(drop)?;
    let Ok(IpSocketAddress::Ipv4(addr)) = socket.get_local_address() else { return Err(()) };
    println!("listening on 127.0.0.1:{}", addr.port);
    while let Some(conn) = incoming.next().await {
        wit_bindgen::spawn_local(each(conn));
    }
    Ok(())
}

async fn echo(conn: TcpSocket) {
    let (mut input, _received) = conn.receive();
    let (mut output, data) = wit_stream::new();
    let _sent = conn.send(data);
    let mut buf = Vec::with_capacity(8 << 10);
    loop {
        let (result, read) = input.read(buf).await;
        buf = output.write_all(read).await;
        if !buf.is_empty() || !matches!(result, StreamResult::Complete(_)) {
            return;
        }
        buf.reserve(8 << 10);
    }
}

async fn sink(conn: TcpSocket) {
    let (mut input, _received) = conn.receive();
    let (mut output, data) = wit_stream::new();
    let _sent = conn.send(data);
    let (mut buf, mut count, mut sample) = (Vec::with_capacity(64 << 10), 0_usize, 0);
    loop {
        let result;
        (result, buf) = input.read(buf).await;
        sample = buf.iter().skip(count.wrapping_neg() % 4096).step_by(4096).fold(sample, |a, b| a ^ b);
        count += buf.len();
        buf.clear();
        if !matches!(result, StreamResult::Complete(_)) {
            break;
        }
    }
    let mut answer = (count as u64).to_le_bytes().to_vec();
    answer.push(sample);
    output.write_all(answer).await;
}

/// As futures of one task: with the host's one subtask each, as `wait_for` is.
async fn timers(count: u32) {
    join_all((0..count).map(|n| wait_for(u64::from(n.wrapping_mul(2_654_435_761) % 1_000_000) * 1000))).await;
}
