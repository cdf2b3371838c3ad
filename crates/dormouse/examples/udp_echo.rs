//! A UDP echo server: `udp_echo [ADDR]`, by default on a port that the host chooses. Try it with `nc -u`.

use dormouse::{io, net::UdpSocket};

#[dormouse::main]
async fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:0".into());
    let socket = UdpSocket::bind(addr).await?;
    println!("listening on {}", socket.local_addr()?);
    let mut datagrams = Vec::new();
    loop {
        datagrams.clear();
        // As many as have come, with one call of the host.
        socket.recv_many(&mut datagrams, 64).await?;
        let mut rest = &datagrams[..];
        while !rest.is_empty() {
            let sent = socket.send_many(rest).await?;
            rest = &rest[sent..];
        }
    }
}
