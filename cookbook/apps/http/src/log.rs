//! A log that blocks no task, and is bounded.
//!
//! `eprintln!` waits until the reader of standard error has room, and with it waits every connection: under a client that makes the server
//! complain, and a reader that has fallen behind, for ever. [`dormouse::io::stderr`] keeps up to 64 KiB that wait for the reader. A line for
//! which there is no room then is left out and counted.

use std::cell::Cell;
use std::fmt::Display;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use dormouse::io::{AsyncWrite, stderr};

thread_local! {
    static LOST: Cell<usize> = const { Cell::new(0) };
}

/// Writes a line to standard error, unless that would have to wait.
pub fn log(line: impl Display) {
    let lost = LOST.take();
    let text = match lost {
        0 => format!("{line}\n"),
        _ => format!("{lost} lines were lost\n{line}\n"),
    };
    // Nothing is to be woken when there is room again.
    let mut cx = Context::from_waker(Waker::noop());
    if let Poll::Pending | Poll::Ready(Err(_)) = Pin::new(&mut stderr()).poll_write(&mut cx, text.as_bytes()) {
        LOST.set(lost + 1);
    }
}
