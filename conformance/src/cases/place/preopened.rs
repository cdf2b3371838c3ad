//! A place is a descriptor. On wasip1 a program has the sockets that its host opened, and no call to bind, to connect or
//! to learn an address. Yet all semantics here are those of sockets that the program itself connects: the test which runs
//! it pre-opens sockets that are *not connected*, and connects one when it is told to. Nothing is in between afterwards.
//!
//! What is opened, by descriptor number (`tests/battery/drivers/p1.rs` does it). The first is the listener for clients
//! outside, the others are named by variables:
//!
//! | variable | what |
//! |---|---|
//! | `BATTERY_LISTENERS=4..16` | listeners for use inside |
//! | `BATTERY_CONTROL=16` | a stream: `connect SOCKET LISTENER` is answered with `ok`, or the kind of the error |
//! | `BATTERY_SOCKETS=17..33` | sockets that are not connected |
//!
//! A host that is not ours has no such service: there the last two are missing, and cases with connections inside are
//! not run.

use std::cell::{Cell, OnceCell};
use std::env;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::ops::Range;

use dormouse::io;
use dormouse::net::{TcpListener, TcpStream};
use dormouse::task::yield_now;
use futures_lite::AsyncWriteExt;

/// Whether programs have addresses: bind them, connect to them and learn them.
pub const ADDRESSES: bool = false;

/// Where a listener inside of this program can be connected to.
#[derive(Clone, Copy)]
pub struct Place {
    fd: u32,
}

/// Listens for clients inside of this program.
pub async fn listen_inside() -> (TcpListener, Place) {
    thread_local!(static TAKEN: Cell<u32> = const { Cell::new(0) });
    let fd = next("BATTERY_LISTENERS", &TAKEN).expect("the host opens listeners");
    let listener = TcpListener::from_fd(fd).expect("it is a listener");
    assert_eq!(listener.to_string(), format!("FD {fd}"));
    (listener, Place { fd })
}

impl Place {
    pub async fn connect(self) -> io::Result<TcpStream> {
        thread_local!(static TAKEN: Cell<u32> = const { Cell::new(0) });
        let socket = next("BATTERY_SOCKETS", &TAKEN).expect("this host connects nobody inside");
        connect(socket, self.fd).await?;
        TcpStream::from_fd(socket)
    }

    /// Listens there again.
    pub async fn listen_again(self) -> io::Result<TcpListener> {
        TcpListener::from_fd(self.fd)
    }

    /// For cases that are about addresses.
    pub fn addr(self) -> SocketAddr {
        unreachable!("cases that are about addresses ask for ADDRESSES first");
    }
}

/// The address that accepting gives for this end: none.
pub fn peer(client: &TcpStream) -> SocketAddr {
    for told in [client.local_addr(), client.peer_addr()] {
        assert_eq!(told.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0).into()
}

/// The next descriptor of a range that is not taken; `None` on a host that opens none of the kind.
fn next(range: &str, taken: &'static std::thread::LocalKey<Cell<u32>>) -> Option<u32> {
    let Range { start, end } = {
        let said = env::var(range).ok()?;
        let (start, end) = said.split_once("..").unwrap_or_else(|| panic!("{range}={said}"));
        start.parse::<u32>().unwrap()..end.parse::<u32>().unwrap()
    };
    let fd = start + taken.replace(taken.get() + 1);
    assert!(fd < end, "{range} are not enough for this case: have the driver open more");
    Some(fd)
}

/// Has the host connect a socket to a listener. One at a time: the answers are on one stream.
async fn connect(socket: u32, listener: u32) -> io::Result<()> {
    thread_local! {
        static CONTROL: OnceCell<&'static TcpStream> = const { OnceCell::new() };
        static BUSY: Cell<bool> = const { Cell::new(false) };
    }
    while BUSY.replace(true) {
        yield_now().await;
    }
    // For good: the host closes it when the program has ended.
    let mut control = CONTROL.with(|control| *control.get_or_init(|| Box::leak(Box::new(open_control()))));
    control.write_all(format!("connect {socket} {listener}\n").as_bytes()).await?;
    let mut answer = Vec::new();
    while answer.last() != Some(&b'\n') {
        let mut byte = [0];
        assert_eq!(control.read(&mut byte).await?, 1, "the host has hung up");
        answer.push(byte[0]);
    }
    BUSY.set(false);
    match answer.trim_ascii() {
        b"ok" => Ok(()),
        b"ConnectionRefused" => Err(ErrorKind::ConnectionRefused.into()),
        other => panic!("connect FD {socket} to FD {listener}: {}", String::from_utf8_lossy(other)),
    }
}

fn open_control() -> TcpStream {
    let fd = env::var("BATTERY_CONTROL").ok().and_then(|fd| fd.parse().ok()).expect("who opens sockets connects them");
    TcpStream::from_fd(fd).expect("it is a stream")
}
