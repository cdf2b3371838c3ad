//! Reads choices, and has what both kinds of socket need: addresses, waiting, lines.

use std::fmt::{Debug, Display};

use wasip2::cli::stdin;
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::io::poll::{Pollable, poll};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, Network,
};

use crate::{tcp, udp};

/// Calls of one run, at most.
const STEPS: usize = 400;
/// How long something may take that has to come, in nanoseconds.
const SOON: u64 = 5_000_000_000;

/// The program's input. At its end every choice is 0.
pub struct Input {
    bytes: Vec<u8>,
    at: usize,
}

impl Input {
    pub fn byte(&mut self) -> u8 {
        self.at += 1;
        self.bytes.get(self.at - 1).copied().unwrap_or(0)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.byte() as usize % end.max(1)
    }

    pub fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }
}

/// Which of these: most often one that a call makes sense for.
pub fn choose<T>(input: &mut Input, of: &[T], suits: impl Fn(&T) -> bool) -> usize {
    let suited: Vec<usize> = (0..of.len()).filter(|at| suits(&of[*at])).collect();
    if suited.is_empty() || input.once_in(8) {
        return input.below(of.len());
    }
    // The newest come first.
    suited[suited.len() - 1 - input.below(suited.len())]
}

pub fn run() {
    let input = stdin::get_stdin();
    let mut bytes = Vec::new();
    while let Ok(more) = input.blocking_read(4096) {
        bytes.extend(more);
    }
    let mut input = Input { bytes, at: 0 };
    let mut tcp = tcp::World::new(instance_network());
    let mut udp = udp::World::new(instance_network());
    for _ in 0..STEPS {
        if input.at >= input.bytes.len() {
            break;
        }
        match input.below(3) {
            0 | 1 => tcp.step(&mut input),
            _ => udp.step(&mut input),
        }
    }
    tcp.end();
    udp.end();
    println!("end");
}

/// Prints what a call has answered. `doubt` is why two hosts may differ here, if they may.
pub fn say(who: impl Display, call: &str, answer: impl Display, doubt: Option<&str>) {
    match doubt {
        Some(doubt) => println!("{who} {call}: {answer} ~{doubt}"),
        None => println!("{who} {call}: {answer}"),
    }
}

/// What a call that gives nothing has answered.
pub fn done<T>(result: Result<T, ErrorCode>) -> String {
    show(result.map(|_| "ok"))
}

/// What a call that gives a value has answered.
pub fn show<T: Debug>(result: Result<T, ErrorCode>) -> String {
    match result {
        Ok(value) => format!("{value:?}").trim_matches('"').to_owned(),
        Err(error) => error.name().to_owned(),
    }
}

/// Whether it is ready without waiting; only for what no time changes.
pub fn now(pollable: &Pollable) -> bool {
    pollable.ready()
}

/// Waits for what has to come: whether it has.
pub fn soon(pollable: &Pollable) -> bool {
    let clock = subscribe_duration(SOON);
    poll(&[pollable, &clock]).contains(&0)
}

/// Lets the host have a turn.
pub fn pause() {
    subscribe_duration(1_000_000).block();
}

/// The address with that port: loopback of the family.
pub fn loopback(v6: bool, port: u16) -> IpSocketAddress {
    match v6 {
        true => of_v6((0, 0, 0, 0, 0, 0, 0, 1), port),
        false => of_v4((127, 0, 0, 1), port),
    }
}

pub fn any(v6: bool, port: u16) -> IpSocketAddress {
    if v6 { of_v6((0, 0, 0, 0, 0, 0, 0, 0), port) } else { of_v4((0, 0, 0, 0), port) }
}

/// An address that this machine does not have: those are for documentation.
pub fn foreign(v6: bool) -> IpSocketAddress {
    if v6 { of_v6((0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 0) } else { of_v4((203, 0, 113, 1), 0) }
}

/// An address that is not of one host.
pub fn of_many(v6: bool, port: u16) -> IpSocketAddress {
    if v6 { of_v6((0xff02, 0, 0, 0, 0, 0, 0, 1), port) } else { of_v4((224, 0, 0, 1), port) }
}

/// An odd one: broadcast, or an IPv4 address in IPv6.
pub fn odd(v6: bool, port: u16) -> IpSocketAddress {
    if v6 { of_v6((0, 0, 0, 0, 0, 0xffff, 0x7f00, 1), port) } else { of_v4((255, 255, 255, 255), port) }
}

fn of_v4(address: (u8, u8, u8, u8), port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address })
}

fn of_v6(address: (u16, u16, u16, u16, u16, u16, u16, u16), port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info: 0, address, scope_id: 0 })
}

pub fn port(address: &IpSocketAddress) -> u16 {
    match address {
        IpSocketAddress::Ipv4(address) => address.port,
        IpSocketAddress::Ipv6(address) => address.port,
    }
}

/// What may be said of an address: its kind.
pub fn kind(result: Result<IpSocketAddress, ErrorCode>) -> String {
    let of_port = |port| if port == 0 { "no port" } else { "a port" };
    match result {
        Err(error) => error.name().to_owned(),
        Ok(address) => {
            let of_port = of_port(port(&address));
            let host = match address {
                IpSocketAddress::Ipv4(Ipv4SocketAddress { address, .. }) => format!("{address:?}"),
                IpSocketAddress::Ipv6(Ipv6SocketAddress { address, .. }) => format!("{address:x?}"),
            };
            format!("{host} and {of_port}")
        }
    }
}

pub fn family(v6: bool) -> IpAddressFamily {
    if v6 { IpAddressFamily::Ipv6 } else { IpAddressFamily::Ipv4 }
}

/// Where a socket may be told to bind.
pub fn to_bind(input: &mut Input, v6: bool, taken: Option<u16>) -> (&'static str, IpSocketAddress) {
    match input.below(12) {
        0 => ("any", any(v6, 0)),
        1 => ("other family", loopback(!v6, 0)),
        2 => ("taken", loopback(v6, taken.unwrap_or(0))),
        3 => ("foreign", foreign(v6)),
        4 => ("of many", of_many(v6, 0)),
        5 => ("odd", odd(v6, 0)),
        _ => ("loopback", loopback(v6, 0)),
    }
}

/// Both worlds have one.
pub type Net = Network;
