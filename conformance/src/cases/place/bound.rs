//! A place is an address.

use std::net::SocketAddr;

use dormouse::io;
use dormouse::net::{TcpListener, TcpStream};

/// Whether programs have addresses: bind them, connect to them and learn them.
pub const ADDRESSES: bool = true;

/// Where a listener inside of this program can be connected to.
#[derive(Clone, Copy)]
pub struct Place {
    addr: SocketAddr,
}

/// Listens for clients inside of this program.
pub async fn listen_inside() -> (TcpListener, Place) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind a free port");
    let addr = listener.local_addr().expect("a bound listener has an address");
    (listener, Place { addr })
}

impl Place {
    pub async fn connect(self) -> io::Result<TcpStream> {
        TcpStream::connect(self.addr).await
    }

    /// Listens there again.
    pub async fn listen_again(self) -> io::Result<TcpListener> {
        TcpListener::bind(self.addr).await
    }

    /// For cases that are about addresses.
    pub fn addr(self) -> SocketAddr {
        self.addr
    }
}

/// The address that accepting gives for this end.
pub fn peer(client: &TcpStream) -> SocketAddr {
    client.local_addr().expect("a connected stream has an address")
}
