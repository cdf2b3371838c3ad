//! What it does. A call's error is of no interest; that the host goes on is.

use std::mem::forget;

use wasip2::cli::{stderr, stdin, stdout};
use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::filesystem::preopens;
use wasip2::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, DirectoryEntryStream, NewTimestamp, OpenFlags, PathFlags,
};
use wasip2::io::error::Error;
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::random::{insecure, insecure_seed, random};
use wasip2::sockets::ip_name_lookup::{ResolveAddressStream, resolve_addresses};
use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, Network};
use wasip2::sockets::tcp::{ShutdownType, TcpSocket};
use wasip2::sockets::udp::{IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream, UdpSocket};
use wasip2::sockets::{instance_network, tcp_create_socket, udp_create_socket};

/// Calls of one run.
const STEPS: usize = 300;
/// What one step opens at most.
const MANY: usize = 4096;

struct Input {
    bytes: Vec<u8>,
    at: usize,
}

impl Input {
    fn byte(&mut self) -> u8 {
        self.at += 1;
        self.bytes.get(self.at - 1).copied().unwrap_or(0)
    }

    fn below(&mut self, end: usize) -> usize {
        self.byte() as usize % end.max(1)
    }

    fn odd(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => u32::MAX.into(),
            3 => 1 << self.below(64),
            4 => (1 << self.below(64)) - 1,
            5 => 4096,
            _ => self.byte().into(),
        }
    }
}

/// What is open.
#[derive(Default)]
struct World {
    networks: Vec<Network>,
    pollables: Vec<Pollable>,
    inputs: Vec<InputStream>,
    outputs: Vec<OutputStream>,
    errors: Vec<Error>,
    tcp: Vec<TcpSocket>,
    udp: Vec<UdpSocket>,
    incoming: Vec<IncomingDatagramStream>,
    outgoing: Vec<OutgoingDatagramStream>,
    lookups: Vec<ResolveAddressStream>,
    files: Vec<Descriptor>,
    directories: Vec<DirectoryEntryStream>,
    /// Ports that were bound, to connect to.
    ports: Vec<u16>,
}

/// One of these, if there is any.
fn one<'a, T>(input: &mut Input, of: &'a [T]) -> Option<&'a T> {
    // The newest come more often.
    let back = input.below(of.len().min(8));
    of.len().checked_sub(1 + back).map(|at| &of[at])
}

/// A result that is of no interest.
fn ignore<T>(_: T) {}

/// Keeps the error of a stream, which is a resource.
fn keep<T>(errors: &mut Vec<Error>, result: Result<T, StreamError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(StreamError::LastOperationFailed(error)) => {
            errors.push(error);
            None
        }
        Err(StreamError::Closed) => None,
    }
}

/// How much may be written, if anything: of no room wasmtime-wasi traps for a write of nothing, too (48.0.8, src/p2/tcp.rs).
fn room(errors: &mut Vec<Error>, output: &OutputStream) -> Option<u64> {
    keep(errors, output.check_write()).filter(|room| *room > 0)
}

pub fn run() {
    let input = stdin::get_stdin();
    let mut bytes = Vec::new();
    while let Ok(more) = input.blocking_read(4096) {
        bytes.extend(more);
    }
    let mut input = Input { bytes, at: 0 };
    let mut world = World { networks: vec![instance_network::instance_network()], ..World::default() };
    world.files.extend(preopens::get_directories().into_iter().map(|(file, _)| file));
    for _ in 0..STEPS {
        if input.at >= input.bytes.len() {
            break;
        }
        let _ = world.step(&mut input);
    }
    // The host has all of it to drop, and none of it in an order of ours.
    forget(world);
}

impl World {
    /// `None` if there is nothing to do it to.
    fn step(&mut self, input: &mut Input) -> Option<()> {
        match input.below(12) {
            0 => self.open(input),
            1 | 2 => self.tcp(input),
            3 | 4 => self.udp(input),
            5 | 6 => self.stream(input),
            7 => self.wait(input),
            8 => self.file(input),
            9 => self.lookup(input),
            10 => self.drop_one(input),
            _ => self.other(input),
        }
    }

    /// Opens one, or many, of a kind.
    fn open(&mut self, input: &mut Input) -> Option<()> {
        let count = if input.below(8) == 7 { MANY } else { 1 + input.below(4) };
        let family = if input.below(4) == 0 { IpAddressFamily::Ipv6 } else { IpAddressFamily::Ipv4 };
        let kind = input.below(8);
        for _ in 0..count {
            match kind {
                0 => self.networks.push(instance_network::instance_network()),
                1 | 2 => self.tcp.push(tcp_create_socket::create_tcp_socket(family).ok()?),
                3 | 4 => self.udp.push(udp_create_socket::create_udp_socket(family).ok()?),
                5 => self.pollables.push(monotonic_clock::subscribe_duration(1_000_000_000)),
                6 => self.outputs.push(if count > 1 { stdout::get_stdout() } else { stderr::get_stderr() }),
                _ => self.inputs.push(stdin::get_stdin()),
            }
        }
        Some(())
    }

    fn address(&mut self, input: &mut Input) -> IpSocketAddress {
        let port = match input.below(4) {
            0 => 0,
            1 => input.odd() as u16,
            _ => one(input, &self.ports).copied().unwrap_or(0),
        };
        match input.below(8) {
            0 => IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port,
                flow_info: 0,
                address: (0, 0, 0, 0, 0, 0, 0, 1),
                scope_id: input.byte().into(),
            }),
            1 => IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (0, 0, 0, 0) }),
            _ => IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) }),
        }
    }

    fn note_port(&mut self, address: Option<IpSocketAddress>) {
        match address {
            Some(IpSocketAddress::Ipv4(address)) => self.ports.push(address.port),
            Some(IpSocketAddress::Ipv6(address)) => self.ports.push(address.port),
            None => {}
        }
    }

    fn tcp(&mut self, input: &mut Input) -> Option<()> {
        let address = self.address(input);
        let socket = one(input, &self.tcp)?;
        match input.below(20) {
            0 => ignore(socket.start_bind(one(input, &self.networks)?, address)),
            1 => ignore(socket.finish_bind()),
            2 => ignore(socket.start_listen()),
            3 => {
                let _ = socket.finish_listen();
                let bound = socket.local_address().ok();
                self.note_port(bound);
            }
            // All of it at once, or few would ever listen.
            4 | 5 => {
                let _ = socket.start_bind(one(input, &self.networks)?, address);
                let _ = socket.finish_bind();
                let _ = socket.start_listen();
                let _ = socket.finish_listen();
                let bound = socket.local_address().ok();
                self.note_port(bound);
            }
            6..=8 => ignore(socket.start_connect(one(input, &self.networks)?, address)),
            9 | 10 => {
                if let Ok((read, write)) = socket.finish_connect() {
                    self.inputs.push(read);
                    self.outputs.push(write);
                }
            }
            11 | 12 => {
                if let Ok((socket, read, write)) = socket.accept() {
                    self.tcp.push(socket);
                    self.inputs.push(read);
                    self.outputs.push(write);
                }
            }
            13 => {
                ignore(socket.shutdown([ShutdownType::Receive, ShutdownType::Send, ShutdownType::Both][input.below(3)]))
            }
            14 => {
                let count = if input.below(8) == 0 { MANY } else { 1 };
                self.pollables.extend((0..count).map(|_| socket.subscribe()));
            }
            15 => ignore((
                socket.local_address(),
                socket.remote_address(),
                socket.is_listening(),
                socket.address_family(),
            )),
            16 => ignore((
                socket.set_listen_backlog_size(input.odd()),
                socket.set_keep_alive_enabled(input.below(2) == 0),
            )),
            17 => ignore((socket.set_keep_alive_idle_time(input.odd()), socket.set_keep_alive_interval(input.odd()))),
            18 => ignore((socket.set_keep_alive_count(input.odd() as u32), socket.set_hop_limit(input.odd() as u8))),
            _ => ignore((
                socket.set_receive_buffer_size(input.odd()),
                socket.set_send_buffer_size(input.odd()),
                socket.receive_buffer_size(),
            )),
        }
        Some(())
    }

    fn udp(&mut self, input: &mut Input) -> Option<()> {
        let address = self.address(input);
        match input.below(12) {
            0 => ignore(one(input, &self.udp)?.start_bind(one(input, &self.networks)?, address)),
            1 => ignore(one(input, &self.udp)?.finish_bind()),
            2 | 3 => {
                let socket = one(input, &self.udp)?;
                let _ = socket.start_bind(one(input, &self.networks)?, address);
                let _ = socket.finish_bind();
                let bound = socket.local_address().ok();
                self.note_port(bound);
            }
            4 | 5 => {
                let peer = (input.below(2) == 0).then_some(address);
                let (incoming, outgoing) = one(input, &self.udp)?.stream(peer).ok()?;
                self.incoming.push(incoming);
                self.outgoing.push(outgoing);
            }
            6 | 7 => ignore(one(input, &self.incoming)?.receive(input.odd())),
            8 | 9 => {
                let outgoing = one(input, &self.outgoing)?;
                let len = [0, 1, 1500, 65_507, 65_508, 100_000][input.below(6)];
                let remote_address = (input.below(2) == 0).then_some(address);
                let datagrams: Vec<_> =
                    (0..input.below(20)).map(|_| OutgoingDatagram { data: vec![1; len], remote_address }).collect();
                // More than that many are a trap, and so is not having asked.
                let most = outgoing.check_send().ok().filter(|most| *most > 0)? as usize;
                ignore(outgoing.send(&datagrams[..datagrams.len().min(most)]));
            }
            10 => match input.below(3) {
                0 => self.pollables.push(one(input, &self.udp)?.subscribe()),
                1 => self.pollables.push(one(input, &self.incoming)?.subscribe()),
                _ => self.pollables.push(one(input, &self.outgoing)?.subscribe()),
            },
            _ => {
                let socket = one(input, &self.udp)?;
                ignore((
                    socket.local_address(),
                    socket.remote_address(),
                    socket.address_family(),
                    socket.unicast_hop_limit(),
                ));
                ignore((socket.set_unicast_hop_limit(input.odd() as u8), socket.set_receive_buffer_size(input.odd())));
            }
        }
        Some(())
    }

    fn stream(&mut self, input: &mut Input) -> Option<()> {
        match input.below(10) {
            0..=2 => ignore(keep(&mut self.errors, one(input, &self.inputs)?.read(input.odd()))),
            3 => ignore(keep(&mut self.errors, one(input, &self.inputs)?.skip(input.odd()))),
            4 | 5 => {
                let output = one(input, &self.outputs)?;
                let room = room(&mut self.errors, output)?;
                let len = input.odd().min(room).min(1 << 16);
                keep(&mut self.errors, output.write(&vec![7; len as usize]));
            }
            6 => {
                let output = one(input, &self.outputs)?;
                let room = room(&mut self.errors, output)?;
                keep(&mut self.errors, output.write_zeroes(room.min(input.odd())));
            }
            7 => ignore(keep(&mut self.errors, one(input, &self.outputs)?.flush())),
            8 => {
                let output = one(input, &self.outputs)?;
                let room = room(&mut self.errors, output)?;
                keep(&mut self.errors, output.splice(one(input, &self.inputs)?, room.min(input.odd())));
            }
            _ => match input.below(2) {
                0 => self.pollables.push(one(input, &self.inputs)?.subscribe()),
                _ => self.pollables.push(one(input, &self.outputs)?.subscribe()),
            },
        }
        Some(())
    }

    /// Waits for some of what there is, and no longer than a clock.
    fn wait(&mut self, input: &mut Input) -> Option<()> {
        let clock = monotonic_clock::subscribe_duration(input.below(3) as u64 * 500_000);
        let mut list = vec![&clock];
        let count = if input.below(8) == 0 { self.pollables.len() } else { input.below(16) };
        for n in 0..count {
            list.push(if count > 16 { &self.pollables[n] } else { one(input, &self.pollables)? });
        }
        for at in poll(&list) {
            assert!((at as usize) < list.len(), "poll tells of what was not asked for");
        }
        if let Some(pollable) = one(input, &self.pollables) {
            pollable.ready();
        }
        Some(())
    }

    fn file(&mut self, input: &mut Input) -> Option<()> {
        const NAMES: [&str; 9] = ["a", "b", "sub", "sub/c", "..", "../a", "/etc/passwd", "", "link"];
        let name = NAMES[input.below(NAMES.len())];
        let file = one(input, &self.files)?;
        let follow = if input.below(2) == 0 { PathFlags::SYMLINK_FOLLOW } else { PathFlags::empty() };
        match input.below(20) {
            0..=2 => {
                let open = OpenFlags::from_bits_retain(input.byte() & 15);
                let flags = DescriptorFlags::from_bits_retain(input.byte() & 63);
                let count = if input.below(16) == 0 { MANY } else { 1 };
                let opened: Vec<_> = (0..count).map_while(|_| file.open_at(follow, name, open, flags).ok()).collect();
                self.files.extend(opened);
            }
            // An offset is small: a sparse file takes long to remove.
            3 => ignore(file.write(&vec![1; input.below(256)], input.odd() % (1 << 16))),
            4 => ignore(file.read(input.odd(), input.odd())),
            5 => self.inputs.push(file.read_via_stream(input.odd()).ok()?),
            6 => self.outputs.push(file.write_via_stream(input.odd() % (1 << 16)).ok()?),
            7 => self.outputs.push(file.append_via_stream().ok()?),
            8 => self.directories.push(file.read_directory().ok()?),
            9 => ignore(one(input, &self.directories)?.read_directory_entry()),
            10 => ignore((
                file.stat(),
                file.stat_at(follow, name),
                file.get_flags(),
                file.get_type(),
                file.metadata_hash(),
            )),
            11 => ignore(file.create_directory_at(name)),
            12 => ignore(file.remove_directory_at(name)),
            13 => ignore(file.unlink_file_at(name)),
            14 => ignore(file.rename_at(name, one(input, &self.files)?, NAMES[input.below(NAMES.len())])),
            15 => ignore(file.link_at(follow, name, one(input, &self.files)?, NAMES[input.below(NAMES.len())])),
            16 => ignore(file.symlink_at(NAMES[input.below(NAMES.len())], name)),
            17 => ignore((file.set_size(input.odd() % (1 << 16)), file.readlink_at(name))),
            18 => ignore((
                file.set_times(NewTimestamp::Now, NewTimestamp::NoChange),
                file.advise(input.odd(), input.odd(), Advice::WillNeed),
            )),
            _ => ignore((file.sync_data(), file.is_same_object(one(input, &self.files)?))),
        }
        Some(())
    }

    fn lookup(&mut self, input: &mut Input) -> Option<()> {
        // No name server is asked for these.
        const NAMES: [&str; 6] = ["127.0.0.1", "::1", "localhost", "", "a b", "256.1.1.1"];
        match input.below(4) {
            0 | 1 => {
                self.lookups.push(resolve_addresses(one(input, &self.networks)?, NAMES[input.below(NAMES.len())]).ok()?)
            }
            2 => ignore(one(input, &self.lookups)?.resolve_next_address()),
            _ => self.pollables.push(one(input, &self.lookups)?.subscribe()),
        }
        Some(())
    }

    /// Drops any. A parent that has children is one of the traps that there are.
    fn drop_one(&mut self, input: &mut Input) -> Option<()> {
        fn any<T>(input: &mut Input, of: &mut Vec<T>) -> Option<()> {
            let back = input.below(of.len().min(8));
            let at = of.len().checked_sub(1 + back)?;
            drop(of.swap_remove(at));
            Some(())
        }
        match input.below(16) {
            0..=2 => any(input, &mut self.pollables),
            3 | 4 => any(input, &mut self.inputs),
            5 | 6 => any(input, &mut self.outputs),
            7 => any(input, &mut self.tcp),
            8 => any(input, &mut self.udp),
            9 => any(input, &mut self.incoming),
            10 => any(input, &mut self.outgoing),
            11 => any(input, &mut self.lookups),
            12 => any(input, &mut self.files),
            13 => any(input, &mut self.directories),
            14 => any(input, &mut self.errors),
            // Most of what hangs on others: pollables, then streams.
            _ => {
                self.pollables.clear();
                self.inputs.clear();
                self.outputs.clear();
                Some(())
            }
        }
    }

    fn other(&mut self, input: &mut Input) -> Option<()> {
        match input.below(8) {
            0 => ignore(random::get_random_bytes(input.odd())),
            1 => ignore(insecure::get_insecure_random_bytes(input.odd())),
            2 => ignore((
                random::get_random_u64(),
                insecure_seed::insecure_seed(),
                wall_clock::now(),
                wall_clock::resolution(),
            )),
            3 => self.pollables.push(monotonic_clock::subscribe_instant(input.odd())),
            4 => self.pollables.push(monotonic_clock::subscribe_duration(input.odd())),
            5 => ignore(one(input, &self.errors)?.to_debug_string()),
            6 => ignore(wasip2::cli::environment::get_arguments()),
            _ => ignore(wasip2::cli::terminal_stdout::get_terminal_stdout()),
        }
        Some(())
    }
}
