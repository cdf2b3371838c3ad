//! The outside of cases in which backends differ: each says by name what its host does.

use crate::drivers::Backend;

pub fn ipv6_works_like_ipv4(on: Backend) {
    let here = on == Backend::Sim || std::net::TcpListener::bind("[::1]:0").is_ok();
    let expected = if here { "ipv6 works" } else { "no ipv6 here" };
    assert_eq!(on.start("ipv6").ends_well(), [expected]);
}

pub fn peek_works_or_says_unsupported(on: Backend) -> &'static str {
    let (expected, cell) = match on {
        Backend::Native | Backend::Sim => ("peek: supported", "✓"),
        Backend::P2 | Backend::StingyP2 => ("peek: Unsupported", "says `Unsupported`"),
    };
    assert_eq!(on.start("peek").ends_well(), [expected]);
    cell
}

pub fn shutting_reading_down_ends_every_read_and_no_write(on: Backend) -> &'static str {
    let (expected, cell) = match on {
        Backend::Native | Backend::Sim => ("what had come is read", "✓"),
        // Nothing is read any more once it is shut down (wasmtime-wasi 48.0.8, p2/tcp.rs, `ReadState`).
        Backend::P2 | Backend::StingyP2 => ("what had come is lost", "✓, what had come is lost"),
    };
    assert_eq!(on.start("reading_is_shut_down").ends_well(), [expected]);
    cell
}

pub fn a_parked_write_fails_when_writing_is_shut_down(on: Backend) -> &'static str {
    let (expected, cell) = match on {
        Backend::Native | Backend::Sim => ("a waiting write fails", "✓"),
        Backend::P2 | Backend::StingyP2 => ("a waiting write waits on", "✓ when the peer has read"),
    };
    assert_eq!(on.start("writing_is_shut_down").ends_well(), [expected]);
    cell
}
