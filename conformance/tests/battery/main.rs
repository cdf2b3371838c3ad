//! The outside of the battery: real clients, and what they must see, on every backend.

#![cfg(not(target_family = "wasm"))]

mod calls;
mod cases;
mod clients;
mod differences;
mod drivers;
mod exhausted;
mod hosts;
mod nodelay;
mod report;
mod service;

use std::io::{Read, Write};
use std::net::TcpStream;

/// Bytes that do not repeat with any block size.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Sends `bytes` and expects them back.
#[track_caller]
fn echo(stream: &mut TcpStream, bytes: &[u8]) {
    let mut writer = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(bytes).expect("send"));
        let mut back = vec![0; bytes.len()];
        stream.read_exact(&mut back).expect("the echo comes back");
        assert!(back == bytes, "{} bytes came back changed", bytes.len());
    });
}
