//! The outside of cases in which backends differ: each says by name what its host does.

use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::drivers::Backend;
use crate::pattern;

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

pub fn an_odd_name_is_listed_or_told(on: Backend) -> &'static str {
    let (expected, cell) = match on {
        // wasmtime-wasi 48.0.8 fails the whole `fd_readdir` of wasip1; std ends the listing there on 0.2 and 0.3.
        Backend::P1 | Backend::ContraryP1 | Backend::P2 | Backend::StingyP2 | Backend::P3 | Backend::StockP3 => {
            ("InvalidData", "says `InvalidData`")
        }
        _ => ("odd \u{fffd}, plain", "✓"),
    };
    assert_eq!(on.start("files_with_odd_names").ends_well(), [expected]);
    cell
}

pub fn peek_works_or_says_unsupported(on: Backend) -> &'static str {
    let (expected, cell) = match on {
        Backend::P2 | Backend::StingyP2 | Backend::P3 | Backend::StockP3 => ("peek: Unsupported", "says `Unsupported`"),
        _ => ("peek: supported", "✓"),
    };
    assert_eq!(on.start("peek").ends_well(), [expected]);
    cell
}

pub fn a_forward_that_is_dropped_moves_nothing_more(on: Backend) -> &'static str {
    let (expected, cell) = match on {
        // The host has both streams, and moves bytes until one of them ends: WASI 0.3 has no call that takes them back.
        Backend::StockP3 => ("a dropped forward goes on", "goes on"),
        _ => ("a dropped forward stops", "✓"),
    };
    assert_eq!(on.start("forward_stopped").ends_well(), [expected]);
    cell
}

/// Runs a case about what wasip1 does not have, and simulations do not yet.
fn with_names_and_datagrams(on: Backend, case: &str) -> &'static str {
    let (expected, cell) = match on.has_addresses() && on != Backend::Sim {
        true => (&[][..], "✓"),
        false => (&["unsupported"][..], "says `Unsupported`"),
    };
    assert_eq!(on.start(case).ends_well(), expected);
    cell
}

pub fn names_are_looked_up(on: Backend) -> &'static str {
    with_names_and_datagrams(on, "names")
}

pub fn datagrams_are_whole_and_know_where_they_come_from(on: Backend) -> &'static str {
    with_names_and_datagrams(on, "datagrams_are_whole")
}

pub fn a_udp_socket_with_a_peer_hears_nobody_else(on: Backend) -> &'static str {
    with_names_and_datagrams(on, "datagrams_of_a_peer")
}

pub fn datagrams_come_in_batches_and_in_order(on: Backend) -> &'static str {
    with_names_and_datagrams(on, "datagrams_in_batches")
}

pub fn datagrams_that_fail_say_why(on: Backend) -> &'static str {
    with_names_and_datagrams(on, "datagrams_that_fail")
}

pub fn datagrams_that_fail_in_batches_say_so(on: Backend) -> &'static str {
    with_names_and_datagrams(on, "datagrams_that_fail_in_batches")
}

pub fn a_udp_socket_hears_itself_after_sends_that_were_refused(on: Backend) -> &'static str {
    with_names_and_datagrams(on, "datagrams_to_oneself")
}

pub fn a_udp_socket_connects_beside_parked_receives(on: Backend) -> &'static str {
    if on == Backend::StockP3 {
        // Two tasks that are always busy spend tokio's budget each time (wasmtime #14174), and a receive that is parked beside
        // them hears nothing in 20 s.
        let (code, _, stderr) = on.start("datagrams_beside_connects").end();
        assert!(code != 0 && stderr.contains("Elapsed"), "{stderr}");
        return "a parked receive starves";
    }
    with_names_and_datagrams(on, "datagrams_beside_connects")
}

pub fn waiting_for_datagrams_allocates_nothing(on: Backend) -> &'static str {
    match on.has_addresses() && on != Backend::Sim {
        true => assert_eq!(on.start("allocations_of_waiting_for_datagrams").ends_well(), ["none"]),
        false => return with_names_and_datagrams(on, "allocations_of_waiting_for_datagrams"),
    }
    "✓"
}

/// Each line is the trace of one program. Natively the kernel is the oracle.
pub fn random_programs_on_udp_sockets_run_as_natively(on: Backend) -> &'static str {
    static NATIVELY: OnceLock<Vec<String>> = OnceLock::new();
    if !on.has_addresses() || on == Backend::Sim {
        return with_names_and_datagrams(on, "datagram_programs");
    }
    let natively = NATIVELY.get_or_init(|| Backend::Native.start("datagram_programs").ends_well());
    let traces = on.start("datagram_programs").ends_well();
    assert_eq!((traces.len(), natively.len()), (300, 300));
    for (trace, natively) in traces.iter().zip(natively) {
        assert_eq!(trace, natively);
    }
    "✓"
}

/// Asserts where hosts differ, by name: to which other peers a connected socket may send, and addresses of IPv4 within IPv6.
pub fn addresses_of_udp_peers_mean_the_same(on: Backend) -> &'static str {
    if !on.has_addresses() || on == Backend::Sim {
        return with_names_and_datagrams(on, "addresses_of_peers");
    }
    let six = match (UdpSocket::bind("[::]:0"), on) {
        (Err(_), _) => "no ipv6 here",
        (Ok(_), Backend::Native) => "sends to IPv4 within IPv6",
        // wasmtime refuses both as invalid arguments (wasmtime-wasi 48.0.8, sockets/udp.rs `send`).
        _ => "sends to IPv4 within IPv6: InvalidInput",
    };
    let (others, cell) = match on {
        Backend::Native => ("sends to others", "✓"),
        _ => ("sends to others: InvalidInput", "✓, a connected socket sends to its peer alone"),
    };
    assert_eq!(on.start("addresses_of_peers").ends_well(), [others, six]);
    cell
}

pub fn the_wildcard_of_a_listener_can_be_connected_to(on: Backend) -> &'static str {
    with_addresses(on, "the_wildcard_is_this_machine", &[])
}

pub fn zones_of_ipv6_are_numbers_or_natively_interfaces(on: Backend) -> &'static str {
    let (expected, cell) = match on {
        Backend::Native => ("found", "✓"),
        Backend::P2 | Backend::StingyP2 | Backend::P3 | Backend::StockP3 => ("InvalidInput", "✓, as numbers"),
        _ => ("Unsupported", "✓, as numbers; says `Unsupported`"),
    };
    assert_eq!(on.start("zones").ends_well(), [expected; 2]);
    cell
}

pub fn deadlines_and_closing_of_udp_sockets_are_those_of_streams(on: Backend) -> &'static str {
    with_names_and_datagrams(on, "datagrams_deadlines_and_closing")
}

pub fn datagrams_over_ipv6_are_those_over_ipv4(on: Backend) -> &'static str {
    if !on.has_addresses() || on == Backend::Sim {
        return with_names_and_datagrams(on, "datagrams_over_ipv6");
    }
    let here = UdpSocket::bind("[::1]:0").is_ok();
    assert_eq!(on.start("datagrams_over_ipv6").ends_well(), [if here { "ipv6 works" } else { "no ipv6 here" }]);
    "✓"
}

pub fn the_wildcard_of_ipv6_is_ipv6_alone_on_wasi(on: Backend) -> &'static str {
    if !on.has_addresses() || on == Backend::Sim {
        return with_names_and_datagrams(on, "both_families");
    }
    let expected = match (UdpSocket::bind("[::]:0"), on) {
        (Err(_), _) => "no ipv6 here",
        // As std has it on this system.
        (Ok(six), Backend::Native) => match UdpSocket::bind(("0.0.0.0", six.local_addr().unwrap().port())) {
            Ok(_) => "ipv6 alone",
            Err(_) => "both families",
        },
        _ => "ipv6 alone",
    };
    assert_eq!(on.start("both_families").ends_well(), [expected]);
    if on == Backend::Native { "the system decides" } else { "✓" }
}

pub fn a_udp_echo_serves_clients_outside(on: Backend) -> &'static str {
    if !on.has_addresses() {
        return with_names_and_datagrams(on, "udp_echo");
    }
    let subject = on.start("udp_echo");
    let addr = subject.addr();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    for len in [0, 1, 1_000, 9_000, 60_000] {
        client.send_to(&pattern(len), addr).unwrap();
        let mut back = vec![0; 65_536];
        assert_eq!(client.recv_from(&mut back).unwrap(), (len, addr));
        assert!(back[..len] == pattern(len), "{len} bytes have changed");
    }
    nc_udp(addr);
    "✓"
}

/// And one that others use.
pub fn nc_udp(addr: SocketAddr) {
    let mut nc = Command::new("nc");
    nc.args(["-u", "-w", "1", "127.0.0.1", &addr.port().to_string()]);
    let nc = nc.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut nc = nc.unwrap_or_else(|error| panic!("start nc: {error}; `cargo xtask setup` installs it"));
    nc.stdin.take().expect("piped").write_all(b"hello\n").unwrap();
    // It ends a second after the last datagram.
    let heard = nc.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&heard.stdout), "hello\n");
}

pub fn options_of_streams_are_what_was_set(on: Backend) -> &'static str {
    let (expected, cell) = match on {
        Backend::Native => ("nodelay", "✓"),
        // Our runner has it always on, and says so.
        Backend::P2 | Backend::P3 => ("always nodelay", "✓, always nodelay"),
        Backend::StingyP2 | Backend::StockP3 => ("no nodelay", "✓ but for nodelay"),
        _ => ("unsupported", "says `Unsupported`"),
    };
    assert_eq!(on.start("options_of_streams").ends_well(), [expected]);
    cell
}

pub fn options_of_listeners_are_handed_on(on: Backend) -> &'static str {
    with_names_and_datagrams(on, "options_of_listeners")
}

pub fn a_listener_of_the_hosts_is_found_by_its_name(on: Backend) -> &'static str {
    let (expected, cell) = match on {
        Backend::P1 | Backend::ContraryP1 => ("FD 3", "✓"),
        // None is named: a host that can does so, and a program that binds has none.
        _ => ("NotFound", "says `NotFound`"),
    };
    assert_eq!(on.start("named_listeners").ends_well(), [expected]);
    cell
}

pub fn reading_and_writing_allocate_nothing(on: Backend) -> &'static str {
    let lines = on.start("allocations_of_a_thousand_echoes").ends_well();
    let allocations: u64 = lines[0].parse().expect("it prints a number");
    let does = match on {
        Backend::Sim => "a simulated network does",
        Backend::ContraryP1 => "asking who is to blame does",
        _ => {
            assert_eq!(allocations, 0, "in a thousand echoes");
            return "✓";
        }
    };
    assert_ne!(allocations, 0);
    does
}
