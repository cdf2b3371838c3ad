//! Sends each argument as a datagram to a server and prints what comes back: `udp_client ADDR [TEXT...]`.

use std::time::Duration;

use dormouse::net::{UdpSocket, lookup_host};
use dormouse::{io, time::timeout};

#[dormouse::main]
async fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let Some(addr) = args.next() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: udp_client ADDR [TEXT...]"));
    };
    let server = lookup_host(addr).await?.next().ok_or(io::ErrorKind::NotFound)?;
    let socket = UdpSocket::bind(if server.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" }).await?;
    // From now on it receives from this peer only.
    socket.connect(server).await?;
    let mut answer = [0; 1500];
    for text in args {
        socket.send(text.as_bytes()).await?;
        // Either of the two may be lost on the way.
        let len = timeout(Duration::from_secs(5), socket.recv(&mut answer)).await??;
        println!("{}", String::from_utf8_lossy(&answer[..len]));
    }
    Ok(())
}
