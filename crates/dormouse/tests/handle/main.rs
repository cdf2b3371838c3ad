//! A handle that several tasks use at once: deadlines, closing and cancelling, in simulated time. In small scopes every
//! order of events is tried (`orders.rs`); in large ones random programs are (`programs.rs`). What holds in every step,
//! Dormouse itself asserts in a simulation (`reactor/check.rs`, `sys/sim/poller.rs`).

mod cases;
mod orders;
mod program;
mod programs;

use dormouse::net::{TcpListener, TcpStream};
use futures_lite::future::zip;

/// Both ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("10.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (near, far) = zip(TcpStream::connect(addr), listener.accept()).await;
    (near.unwrap(), far.unwrap().0)
}
