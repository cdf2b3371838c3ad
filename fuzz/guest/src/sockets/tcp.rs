//! TCP: sockets that connect to each other, and what is known of their connections.

use std::collections::VecDeque;

use wasip2::io::poll::Pollable;
use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::sockets::network::IpSocketAddress;
use wasip2::sockets::tcp::{ShutdownType, TcpSocket};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use crate::choice::{self, Input, Net, done, kind, now, say, show, soon};

/// Sockets at a time.
const MOST: usize = 12;
/// Bytes on their way to one end: they fit into any buffer, so that no write waits.
const UNREAD: usize = 16 << 10;
/// How often a stream may be ready for nothing in one read.
const SPURIOUS: usize = 100;
/// Connections that a listener has not accepted.
const WAITING: usize = 2;

/// One end of a connection.
#[derive(Default)]
struct End {
    /// Bytes that the other one has sent and this one has not read.
    unread: usize,
    /// The other one sends no more.
    finished: bool,
    /// It is closed, or takes no more and sends no more.
    gone: bool,
    /// Why hosts may differ about it from now on.
    doubt: Option<&'static str>,
}

/// A connection: the end that connects, and the one that accepts.
#[derive(Default)]
pub struct Link([End; 2]);

/// What a socket is about to connect to.
#[derive(Clone, Copy, PartialEq)]
enum Target {
    Link(usize),
    Nobody,
}

struct Socket {
    id: usize,
    v6: bool,
    // In the order in which they are dropped.
    pollables: Vec<(Of, Pollable)>,
    input: Option<InputStream>,
    output: Option<OutputStream>,
    socket: TcpSocket,
    port: Option<u16>,
    listens: bool,
    /// Connections that are to be accepted, and the socket that is about to connect.
    waiting: VecDeque<usize>,
    coming: Option<usize>,
    connecting: Option<Target>,
    link: Option<(usize, usize)>,
    reads: bool,
    writes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Of {
    Socket,
    Input,
    Output,
}

impl Socket {
    /// Whether it may become a listener or a client.
    fn is_new(&self) -> bool {
        !self.listens && self.connecting.is_none() && self.link.is_none()
    }
}

/// All sockets.
pub struct World {
    network: Net,
    sockets: Vec<Socket>,
    links: Vec<Link>,
    made: usize,
}

impl World {
    pub fn new(network: Net) -> World {
        World { network, sockets: Vec::new(), links: Vec::new(), made: 0 }
    }

    pub fn step(&mut self, input: &mut Input) {
        if self.sockets.is_empty() || self.sockets.len() < MOST && input.once_in(12) {
            let v6 = input.once_in(4);
            return self.create(v6);
        }
        if self.sockets.len() + 3 <= MOST && input.once_in(10) {
            let v6 = input.once_in(4);
            return self.pair(v6);
        }
        let (call, suits): (fn(&mut Self, usize, &mut Input), fn(&Socket) -> bool) = match input.below(32) {
            0 | 1 => (Self::start_bind, |of| of.is_new() && of.port.is_none()),
            2 => (|world, at, _| world.finish_bind(at), |of| of.port.is_none()),
            3 => (|world, at, _| world.start_listen(at), |of| of.is_new() && of.port.is_some()),
            4 => (|world, at, _| world.finish_listen(at), |of| of.listens),
            5 | 6 => (Self::start_connect, Socket::is_new),
            7 | 8 => (|world, at, _| world.finish_connect(at), |of| of.connecting.is_some()),
            9 | 10 => (|world, at, _| world.accept(at), |of| of.listens),
            11 => (Self::shutdown, |of| of.link.is_some()),
            12 => (|world, at, _| world.getters(at), |_| true),
            13 => (Self::options, |_| true),
            14..=18 => (Self::read, |of| of.input.is_some()),
            19..=24 => (Self::write, |of| of.output.is_some()),
            25 => (|world, at, _| world.flush(at), |of| of.output.is_some()),
            26 => (Self::subscribe, |of| of.link.is_some() || of.listens),
            27 | 28 => (Self::ready, |of| !of.pollables.is_empty()),
            29 => (Self::drop_child, |of| of.link.is_some()),
            _ => (|world, at, _| world.close(at), |_| true),
        };
        let at = choice::choose(input, &self.sockets, suits);
        call(self, at, input);
    }

    /// Drops all of it, in the order of creation.
    pub fn end(&mut self) {
        while !self.sockets.is_empty() {
            self.close(0);
        }
    }

    fn name(&self, at: usize) -> String {
        format!("tcp{}", self.sockets[at].id)
    }

    fn create(&mut self, v6: bool) {
        let made = create_tcp_socket(choice::family(v6));
        let text = if v6 { "create v6" } else { "create v4" };
        say(format!("tcp{}", self.made), text, made.as_ref().map_or_else(|e| e.name(), |_| "ok"), None);
        if let Ok(socket) = made {
            self.add(socket, v6);
        }
    }

    fn add(&mut self, socket: TcpSocket, v6: bool) -> &mut Socket {
        self.sockets.push(Socket {
            id: self.made,
            v6,
            pollables: Vec::new(),
            input: None,
            output: None,
            socket,
            port: None,
            listens: false,
            waiting: VecDeque::new(),
            coming: None,
            connecting: None,
            link: None,
            reads: true,
            writes: true,
        });
        self.made += 1;
        self.sockets.last_mut().expect("it has just been pushed")
    }

    /// A listener and a connection, or few would ever talk.
    fn pair(&mut self, v6: bool) {
        self.create(v6);
        self.create(v6);
        let Some(server) = self.sockets.len().checked_sub(2) else { return };
        let address = choice::loopback(v6, 0);
        say(
            self.name(server),
            "start-bind",
            done(self.sockets[server].socket.start_bind(&self.network, address)),
            None,
        );
        self.finish_bind(server);
        self.start_listen(server);
        self.finish_listen(server);
        let client = server + 1;
        self.connect_to(client, server);
        self.finish_connect(client);
        self.accept(server);
    }

    fn start_bind(&mut self, at: usize, input: &mut Input) {
        let taken = self.sockets[input.below(self.sockets.len())].port;
        let (what, address) = choice::to_bind(input, self.sockets[at].v6, taken);
        let result = self.sockets[at].socket.start_bind(&self.network, address);
        say(self.name(at), &format!("start-bind {what}"), done(result), None);
    }

    fn finish_bind(&mut self, at: usize) {
        let result = self.sockets[at].socket.finish_bind();
        say(self.name(at), "finish-bind", done(result), None);
        let bound = self.sockets[at].socket.local_address();
        self.sockets[at].port = bound.ok().map(|address| choice::port(&address)).filter(|port| *port != 0);
    }

    fn start_listen(&mut self, at: usize) {
        let result = self.sockets[at].socket.start_listen();
        say(self.name(at), "start-listen", done(result), None);
        if result.is_ok() {
            self.sockets[at].listens = true;
        }
    }

    fn finish_listen(&mut self, at: usize) {
        say(self.name(at), "finish-listen", done(self.sockets[at].socket.finish_listen()), None);
    }

    fn start_connect(&mut self, at: usize, input: &mut Input) {
        let v6 = self.sockets[at].v6;
        let server = choice::choose(input, &self.sockets, |of| of.listens && of.v6 == v6);
        let (what, address) = match input.below(12) {
            0 => ("port 0", choice::loopback(v6, 0)),
            1 => ("closed", choice::loopback(v6, 1)),
            2 => ("of many", choice::of_many(v6, 9)),
            3 => ("odd", choice::odd(v6, 9)),
            4 => ("any", choice::any(v6, self.sockets[server].port.unwrap_or(9))),
            _ => return self.connect_to(at, server),
        };
        self.begin_connect(at, what, address, Target::Nobody);
    }

    /// Connects to another socket, if it listens, few wait there and no other is about to connect to it.
    fn connect_to(&mut self, at: usize, server: usize) {
        let of = &self.sockets[server];
        let Some(port) =
            of.port.filter(|_| of.listens && of.waiting.len() < WAITING && of.coming.is_none() && at != server)
        else {
            return;
        };
        let address = choice::loopback(of.v6, port);
        self.begin_connect(at, "a listener", address, Target::Link(self.links.len()));
        if self.sockets[at].connecting == Some(Target::Link(self.links.len())) {
            self.links.push(Link::default());
            self.sockets[server].coming = Some(self.sockets[at].id);
        }
    }

    fn begin_connect(&mut self, at: usize, what: &str, address: IpSocketAddress, target: Target) {
        let result = self.sockets[at].socket.start_connect(&self.network, address);
        say(self.name(at), &format!("start-connect {what}"), done(result), None);
        if result.is_ok() {
            self.sockets[at].connecting = Some(target);
        }
    }

    fn finish_connect(&mut self, at: usize) {
        let target = self.sockets[at].connecting;
        if target.is_some() && !soon(&self.sockets[at].socket.subscribe()) {
            say(self.name(at), "finish-connect", "late", None);
        }
        let id = self.sockets[at].id;
        let server = self.sockets.iter_mut().find(|of| of.coming == Some(id));
        let waiting = server.and_then(|server| server.coming.take().map(|_| &mut server.waiting));
        if let (Some(waiting), Some(Target::Link(link))) = (waiting, target) {
            waiting.push_back(link);
        }
        match self.sockets[at].socket.finish_connect() {
            Ok((input, output)) => {
                say(self.name(at), "finish-connect", "ok", None);
                let socket = &mut self.sockets[at];
                (socket.input, socket.output, socket.connecting) = (Some(input), Some(output), None);
                if let Some(Target::Link(link)) = target {
                    socket.link = Some((link, 0));
                }
            }
            Err(error) => {
                say(self.name(at), "finish-connect", error.name(), None);
                self.sockets[at].connecting = None;
            }
        }
    }

    /// Lets the socket connect that is about to: whether `start-connect` has done that yet is each host's own affair.
    fn settle(&mut self, at: usize) {
        let coming = self.sockets[at].coming;
        if let Some(client) = self.sockets.iter().position(|of| coming == Some(of.id)) {
            self.finish_connect(client);
        }
    }

    fn accept(&mut self, at: usize) {
        self.settle(at);
        let expected = self.sockets[at].waiting.front().copied();
        if expected.is_some() && !soon(&self.sockets[at].socket.subscribe()) {
            say(self.name(at), "accept", "late", None);
        }
        if self.sockets.len() >= MOST + 3 {
            return;
        }
        match self.sockets[at].socket.accept() {
            Ok((socket, input, output)) => {
                say(self.name(at), "accept", format!("tcp{}", self.made), None);
                self.sockets[at].waiting.pop_front();
                let v6 = self.sockets[at].v6;
                let accepted = self.add(socket, v6);
                (accepted.input, accepted.output) = (Some(input), Some(output));
                accepted.link = expected.map(|link| (link, 1));
            }
            Err(error) => say(self.name(at), "accept", error.name(), None),
        }
    }

    fn shutdown(&mut self, at: usize, input: &mut Input) {
        let (how, name) = input.one_of(&[
            (ShutdownType::Receive, "shutdown receive"),
            (ShutdownType::Send, "shutdown send"),
            (ShutdownType::Both, "shutdown both"),
        ]);
        let result = self.sockets[at].socket.shutdown(how);
        say(self.name(at), name, done(result), self.doubt(at));
        if result.is_err() {
            return;
        }
        let socket = &mut self.sockets[at];
        socket.reads &= how == ShutdownType::Send;
        socket.writes &= how == ShutdownType::Receive;
        let Some((link, side)) = socket.link else { return };
        let (reads, writes) = (socket.reads, socket.writes);
        let ends = &mut self.links[link].0;
        ends[1 - side].finished |= !writes;
        // Whatever comes to it now is answered with a reset.
        ends[side].gone |= !reads && !writes;
    }

    fn doubt(&self, at: usize) -> Option<&'static str> {
        self.sockets[at].link.and_then(|(link, side)| self.links[link].0[side].doubt)
    }

    fn getters(&mut self, at: usize) {
        let doubt = self.doubt(at);
        let socket = &self.sockets[at].socket;
        // How far it has got while it connects is a matter of time.
        let pending = self.sockets[at].connecting.map(|_| "connecting");
        say(self.name(at), "local-address", kind(socket.local_address()), doubt.or(pending));
        say(self.name(at), "remote-address", kind(socket.remote_address()), doubt.or(pending));
        say(self.name(at), "is-listening", socket.is_listening(), None);
        say(self.name(at), "address-family", format!("{:?}", socket.address_family()), None);
    }

    fn options(&mut self, at: usize, input: &mut Input) {
        let doubt = self.doubt(at).or(self.sockets[at].connecting.map(|_| "connecting"));
        let name = self.name(at);
        let socket = &self.sockets[at].socket;
        let second = 1_000_000_000;
        let time = input.one_of(&[0, 1, second, second + 1, 10 * second, u64::MAX]);
        match input.below(8) {
            0 => {
                let size = input.one_of(&[0, 8, 128, u64::MAX]);
                say(
                    name,
                    &format!("set-listen-backlog-size {size}"),
                    done(socket.set_listen_backlog_size(size)),
                    doubt,
                );
            }
            1 => {
                let on = input.once_in(2);
                say(&name, &format!("set-keep-alive-enabled {on}"), done(socket.set_keep_alive_enabled(on)), doubt);
                say(&name, "keep-alive-enabled", show(socket.keep_alive_enabled()), doubt);
            }
            2 => {
                say(
                    &name,
                    &format!("set-keep-alive-idle-time {time}"),
                    done(socket.set_keep_alive_idle_time(time)),
                    doubt,
                );
                say(&name, "keep-alive-idle-time", show(socket.keep_alive_idle_time()), doubt);
            }
            3 => {
                say(
                    &name,
                    &format!("set-keep-alive-interval {time}"),
                    done(socket.set_keep_alive_interval(time)),
                    doubt,
                );
                say(&name, "keep-alive-interval", show(socket.keep_alive_interval()), doubt);
            }
            4 => {
                let count = input.one_of(&[0, 1, 9, 127, 128, u32::MAX]);
                say(&name, &format!("set-keep-alive-count {count}"), done(socket.set_keep_alive_count(count)), doubt);
                say(&name, "keep-alive-count", show(socket.keep_alive_count()), doubt);
            }
            5 => {
                let hops = input.one_of(&[0, 1, 64, 255]);
                // A datagram of loopback crosses no router: 1 is enough.
                say(&name, &format!("set-hop-limit {hops}"), done(socket.set_hop_limit(hops)), doubt);
                say(&name, "hop-limit", show(socket.hop_limit()), doubt);
            }
            // Large enough that nothing waits for room.
            6 => {
                let size = input.one_of(&[0, 1 << 16, 1 << 20, u64::MAX]);
                say(
                    &name,
                    &format!("set-receive-buffer-size {size}"),
                    done(socket.set_receive_buffer_size(size)),
                    doubt,
                );
                // The system's own tuning changes it on a connection.
                let tuned = self.sockets[at].link.map(|_| "tuned");
                say(&name, "receive-buffer-size", show(socket.receive_buffer_size()), doubt.or(tuned));
            }
            _ => {
                let size = input.one_of(&[0, 1 << 16, 1 << 20, u64::MAX]);
                say(&name, &format!("set-send-buffer-size {size}"), done(socket.set_send_buffer_size(size)), doubt);
                let tuned = self.sockets[at].link.map(|_| "tuned");
                say(&name, "send-buffer-size", show(socket.send_buffer_size()), doubt.or(tuned));
            }
        }
    }

    fn read(&mut self, at: usize, input: &mut Input) {
        let (name, doubt) = (self.name(at), self.doubt(at));
        let socket = &self.sockets[at];
        let Some(stream) = &socket.input else { return };
        let most = input.one_of(&[0, 1, 100, 4096, 1 << 16]);
        let end = socket.link.map(|(link, side)| &mut self.links[link].0[side]);
        let (unread, finished) = end.as_ref().map_or((0, false), |end| (end.unread, end.finished));
        let skips = input.once_in(4);
        let call = format!("{} {most}", if skips { "skip" } else { "read" });
        let take = |most: usize| match skips {
            true => stream.skip(most as u64).map(|taken| taken as usize),
            false => stream.read(most as u64).map(|bytes| bytes.len()),
        };
        let expected = most.min(unread);
        let (mut got, mut empty) = (0, 0);
        let last = loop {
            // What has to come may come in several parts.
            let comes = got < expected || unread == 0 && finished;
            if doubt.is_none() && most > 0 && socket.reads && comes && !soon(&stream.subscribe()) {
                break "late".to_owned();
            }
            match take(most - got) {
                Ok(more) => {
                    got += more;
                    let enough = got >= expected && !(comes && got == 0 && most > 0) || doubt.is_some();
                    if enough || empty == SPURIOUS {
                        break "ok".to_owned();
                    }
                    // A stream that was ready for nothing is asked again.
                    empty += usize::from(more == 0);
                }
                Err(error) => break ended(error),
            }
        };
        say(name, &call, format!("{got} bytes, {last}"), doubt);
        if let Some(end) = end {
            end.unread -= got.min(end.unread);
        }
    }

    fn write(&mut self, at: usize, input: &mut Input) {
        let (name, mut doubt) = (self.name(at), self.doubt(at));
        let socket = &self.sockets[at];
        let Some(stream) = &socket.output else { return };
        let len = input.one_of(&[0, 1, 100, 4096]);
        let zeroes = input.once_in(4);
        if let Some((link, side)) = socket.link {
            let ends = &mut self.links[link].0;
            if doubt.is_none() && ends[1 - side].unread + len > UNREAD {
                return;
            }
            // The other end answers with a reset, and when this one learns of it is a matter of time.
            if len > 0 && ends[1 - side].gone && socket.writes {
                ends[side].doubt.get_or_insert("write after close");
                ends[1 - side].doubt.get_or_insert("write after close");
                doubt = ends[side].doubt;
            }
        }
        let late = doubt.is_none() && socket.writes && !soon(&stream.subscribe());
        // One line, whatever it answers: where hosts may differ the next line is another call's.
        let mut written = false;
        let answer = match stream.check_write() {
            Err(error) => format!("no room, {}", ended(error)),
            Ok(0) => "no room".to_owned(),
            Ok(room) if room < len as u64 => "little room".to_owned(),
            Ok(_) => {
                let result = match zeroes {
                    true => stream.write_zeroes(len as u64),
                    false => stream.write(&vec![7; len]),
                };
                written = result.is_ok();
                result.map_or_else(ended, |()| "ok".to_owned())
            }
        };
        let call = format!("{} {len}", if zeroes { "write-zeroes" } else { "write" });
        say(name, &call, format!("{answer}{}", if late { ", late" } else { "" }), doubt);
        if let Some((link, side)) = socket.link.filter(|_| written) {
            self.links[link].0[1 - side].unread += len;
        }
    }

    fn flush(&mut self, at: usize) {
        let (name, doubt) = (self.name(at), self.doubt(at));
        let Some(stream) = &self.sockets[at].output else { return };
        say(name, "flush", stream.flush().map_or_else(ended, |()| "ok".to_owned()), doubt);
    }

    fn subscribe(&mut self, at: usize, input: &mut Input) {
        let socket = &mut self.sockets[at];
        let of = input.one_of(&[Of::Socket, Of::Input, Of::Output]);
        let pollable = match of {
            Of::Socket => Some(socket.socket.subscribe()),
            Of::Input => socket.input.as_ref().map(InputStream::subscribe),
            Of::Output => socket.output.as_ref().map(OutputStream::subscribe),
        };
        socket.pollables.extend(pollable.map(|pollable| (of, pollable)));
    }

    fn ready(&mut self, at: usize, input: &mut Input) {
        let (name, doubt) = (self.name(at), self.doubt(at));
        let socket = &self.sockets[at];
        if socket.pollables.is_empty() {
            return;
        }
        let (of, pollable) = &socket.pollables[input.below(socket.pollables.len())];
        let link = socket.link.map(|(link, side)| &self.links[link].0[side]);
        let comes = match of {
            Of::Socket => socket.connecting.is_some() || !socket.waiting.is_empty(),
            Of::Input => link.is_some_and(|end| end.unread > 0 || end.finished),
            Of::Output => true,
        };
        let call = format!("ready {of:?}");
        if comes && doubt.is_none() {
            return say(name, &call, if soon(pollable) { "yes" } else { "late" }, None);
        }
        // After it has been ready a host may find that out again.
        let stale = (*of == Of::Input || socket.listens).then_some("stale");
        say(name, &call, now(pollable), doubt.or(stale));
    }

    fn drop_child(&mut self, at: usize, input: &mut Input) {
        let name = self.name(at);
        let socket = &mut self.sockets[at];
        let of = input.one_of(&[Of::Socket, Of::Input, Of::Output]);
        socket.pollables.retain(|(other, _)| *other != of);
        match of {
            Of::Socket => return,
            Of::Input => socket.input = None,
            Of::Output => socket.output = None,
        }
        say(name, &format!("drop {of:?}"), "ok", None);
    }

    fn close(&mut self, at: usize) {
        let name = self.name(at);
        self.settle(at);
        if matches!(self.sockets[at].connecting, Some(Target::Link(_))) {
            self.finish_connect(at);
        }
        let mut socket = self.sockets.remove(at);
        if let Some((link, side)) = socket.link {
            let ends = &mut self.links[link].0;
            // What it has not read asks for a reset, by RFC 2525, 2.17.
            if ends[side].unread > 0 {
                ends[1 - side].doubt.get_or_insert("unread at close");
            }
            ends[side].gone = true;
            ends[1 - side].finished = true;
        }
        for link in socket.waiting.drain(..) {
            let end = &mut self.links[link].0[0];
            end.doubt.get_or_insert("listener gone");
        }
        socket.pollables.clear();
        drop(socket);
        say(name, "drop", "ok", None);
    }
}

fn ended(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(_) => "failed".to_owned(),
    }
}
