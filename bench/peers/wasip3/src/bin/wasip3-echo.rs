//! An echo server by hand with the wasip3 crate, on wit-bindgen's executor.
#![no_main]

use wasip3::exports::cli::run::Guest;
use wasip3::sockets::types::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket};
use wasip3::wit_bindgen::{self, StreamResult};
use wasip3::wit_stream;

struct Echo;

wasip3::cli::command::export!(Echo);

impl Guest for Echo {
    async fn run() -> Result<(), ()> {
        let socket = TcpSocket::create(IpAddressFamily::Ipv4).map_err(drop)?;
        let addr = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address: (127, 0, 0, 1) });
        socket.bind(addr).map_err(drop)?;
        let mut incoming = socket.listen().map_err(drop)?;
        let Ok(IpSocketAddress::Ipv4(addr)) = socket.get_local_address() else { return Err(()) };
        println!("listening on 127.0.0.1:{}", addr.port);
        while let Some(conn) = incoming.next().await {
            wit_bindgen::spawn_local(echo(conn));
        }
        Ok(())
    }
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
        // What it gives back is what could not be written: it has kept the memory.
        buf.reserve(8 << 10);
    }
}
