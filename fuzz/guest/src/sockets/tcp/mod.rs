//! TCP: sockets that connect to each other, and what is known of their connections.

mod options;
mod stream;

use std::collections::VecDeque;

use wasip2::io::poll::Pollable;
use wasip2::io::streams::{InputStream, OutputStream};
use wasip2::sockets::network::IpSocketAddress;
use wasip2::sockets::tcp::{ShutdownType, TcpSocket};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use crate::choice::{self, Input, Net, done, say, soon};

/// Sockets at a time.
const MOST: usize = 12;
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
    /// `start-listen` has been finished.
    is_listening: bool,
    /// Connections that are to be accepted, and the socket that is about to connect.
    waiting: VecDeque<usize>,
    coming: Option<usize>,
    connecting: Option<Target>,
    failed: bool,
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

/// A call, and which sockets it makes sense for.
type Call = (fn(&mut World, usize, &mut Input), fn(&Socket) -> bool);

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
        let (call, suits): Call = match input.below(32) {
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
            failed: false,
            is_listening: false,
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
        if result.is_err() {
            return;
        }
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
        let result = self.sockets[at].socket.finish_listen();
        say(self.name(at), "finish-listen", done(result), None);
        self.sockets[at].is_listening |= result.is_ok();
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
                // Without a connect there was nothing that could fail.
                let socket = &mut self.sockets[at];
                socket.failed |= socket.connecting.take().is_some();
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
        // wasmtime-wasi accepts from `start-listen` on, and our runner when it has been finished.
        if self.sockets[at].listens && !self.sockets[at].is_listening {
            self.finish_listen(at);
        }
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
        if let Some((link, side)) = self.sockets[at].link {
            let ends = &mut self.links[link].0;
            // Both have said that they send no more, or one has gone: what the system knows of it then is a matter of time.
            if ends[side].finished || ends[1 - side].finished || ends[1 - side].gone {
                ends[side].doubt.get_or_insert("connection is no more");
            }
        }
        let (result, doubt) = (self.sockets[at].socket.shutdown(how), self.doubt(at));
        say(self.name(at), name, done(result), doubt);
        if result.is_err() && doubt.is_none() {
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
        let doubt = self.sockets[at].link.and_then(|(link, side)| self.links[link].0[side].doubt);
        doubt.or(self.sockets[at].failed.then_some("connect has failed"))
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
