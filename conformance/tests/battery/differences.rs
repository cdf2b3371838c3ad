//! The outside of cases in which backends differ: each says by name what its host does.

use crate::drivers::Backend;

/// Runs a case about addresses. A program that has none says that it is `Unsupported`.
fn with_addresses(on: Backend, case: &str, otherwise: &[&str]) -> &'static str {
    let (expected, cell) = match on.has_addresses() {
        true => (otherwise, "✓"),
        false => (&["unsupported"][..], "says `Unsupported`"),
    };
    assert_eq!(on.start(case).ends_well(), expected);
    cell
}

pub fn connect_to_a_closed_port_is_refused(on: Backend) -> &'static str {
    with_addresses(on, "connect_refused", &[])
}

pub fn a_second_listener_on_an_address_is_refused(on: Backend) -> &'static str {
    with_addresses(on, "address_in_use", &[])
}

pub fn a_connection_attempt_is_bounded_by_a_timeout(on: Backend) -> &'static str {
    with_addresses(on, "of_connections", &[])
}

pub fn ipv6_works_like_ipv4(on: Backend) -> &'static str {
    let here = on == Backend::Sim || std::net::TcpListener::bind("[::1]:0").is_ok();
    with_addresses(on, "ipv6", &[if here { "ipv6 works" } else { "no ipv6 here" }])
}

pub fn peek_works_or_says_unsupported(on: Backend) -> &'static str {
    let (expected, cell) = match on {
        Backend::P2 | Backend::StingyP2 => ("peek: Unsupported", "says `Unsupported`"),
        _ => ("peek: supported", "✓"),
    };
    assert_eq!(on.start("peek").ends_well(), [expected]);
    cell
}

pub fn shutting_reading_down_ends_every_read_and_no_write(on: Backend) -> &'static str {
    let (expected, cell) = match on {
        // Nothing is read any more once it is shut down (wasmtime-wasi 48.0.8, p2/tcp.rs, `ReadState`).
        Backend::P2 | Backend::StingyP2 => ("what had come is lost", "✓, what had come is lost"),
        _ => ("what had come is read", "✓"),
    };
    assert_eq!(on.start("reading_is_shut_down").ends_well(), [expected]);
    cell
}

pub fn a_parked_write_fails_when_writing_is_shut_down(on: Backend) -> &'static str {
    let (expected, cell) = match on {
        Backend::P2 | Backend::StingyP2 => ("a waiting write waits on", "✓ when the peer has read"),
        _ => ("a waiting write fails", "✓"),
    };
    assert_eq!(on.start("writing_is_shut_down").ends_well(), [expected]);
    cell
}
