//! An echo server by hand on `wasi:io/poll`: pollables are kept, and a stream is read until it is empty, which saves a poll.

use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, OutputStream};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

/// In the order in which they must be dropped.
struct Conn {
    readable: Pollable,
    writable: Pollable,
    input: InputStream,
    output: OutputStream,
    left: Vec<u8>,
    _socket: TcpSocket,
}

fn main() {
    let network = instance_network();
    let socket = create_tcp_socket(IpAddressFamily::Ipv4).expect("a socket");
    let addr = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address: (127, 0, 0, 1) });
    let ready = socket.subscribe();
    socket.start_bind(&network, addr).expect("may bind");
    ready.block();
    socket.finish_bind().expect("is bound");
    socket.start_listen().expect("may listen");
    ready.block();
    socket.finish_listen().expect("listens");
    let Ok(IpSocketAddress::Ipv4(addr)) = socket.local_address() else { panic!("has an address") };
    println!("listening on 127.0.0.1:{}", addr.port);
    // The first of all places is the listener's.
    let mut conns: Vec<Conn> = Vec::new();
    // The handles are those of pollables that live in `conns`; no other may be used after its connection has gone.
    loop {
        let list: Vec<&Pollable> = std::iter::once(&ready)
            .chain(conns.iter().map(|conn| if conn.left.is_empty() { &conn.readable } else { &conn.writable }))
            .collect();
        let mut events = poll(&list);
        // From the last on: removing an entry moves none that is still to be served.
        events.sort_unstable_by(|a, b| b.cmp(a));
        for at in events {
            if at == 0 {
                while let Ok((socket, input, output)) = socket.accept() {
                    let (readable, writable) = (input.subscribe(), output.subscribe());
                    conns.push(Conn { readable, writable, input, output, left: Vec::new(), _socket: socket });
                }
            } else if !conns[at as usize - 1].goes_on() {
                conns.swap_remove(at as usize - 1);
            }
        }
    }
}

impl Conn {
    fn goes_on(&mut self) -> bool {
        loop {
            if !self.left.is_empty() {
                match self.output.check_write() {
                    Ok(0) => return true,
                    Ok(permit) => {
                        let n = self.left.len().min(permit as usize);
                        if self.output.write(&self.left[..n]).is_err() {
                            return false;
                        }
                        self.left.drain(..n);
                        continue;
                    }
                    Err(_) => return false,
                }
            }
            match self.input.read(8 << 10) {
                Ok(read) if read.is_empty() => return true,
                Ok(read) => self.left = read,
                Err(_) => return false,
            }
        }
    }
}
