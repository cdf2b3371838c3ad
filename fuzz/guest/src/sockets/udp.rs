//! UDP: sockets that send to each other, and what is on its way to each.

use std::collections::VecDeque;

use wasip2::io::poll::Pollable;
use wasip2::sockets::network::IpSocketAddress;
use wasip2::sockets::udp::{IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream, UdpSocket};
use wasip2::sockets::udp_create_socket::create_udp_socket;

use crate::choice::{self, Input, Net, done, kind, now, say, show, soon};

/// Sockets at a time.
const MOST: usize = 6;
/// Datagrams on their way to one socket: they fit into any buffer.
const PENDING: usize = 8;
/// How often a stream may be ready for nothing in one call.
const SPURIOUS: usize = 100;

struct Socket {
    id: usize,
    v6: bool,
    // In the order in which they are dropped.
    pollables: Vec<(Of, Pollable)>,
    incoming: Option<IncomingDatagramStream>,
    outgoing: Option<OutgoingDatagramStream>,
    socket: UdpSocket,
    /// Whether it has had streams.
    streamed: bool,
    port: Option<u16>,
    peer: Option<u16>,
    /// Length and sender's port of what has been sent to it.
    pending: VecDeque<(usize, u16)>,
    doubt: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Of {
    Socket,
    Incoming,
    Outgoing,
}

/// A call, and which sockets it makes sense for.
type Call = (fn(&mut World, usize, &mut Input), fn(&Socket) -> bool);

/// All sockets.
pub struct World {
    network: Net,
    sockets: Vec<Socket>,
    made: usize,
}

impl World {
    pub fn new(network: Net) -> World {
        World { network, sockets: Vec::new(), made: 0 }
    }

    pub fn step(&mut self, input: &mut Input) {
        if self.sockets.is_empty() || self.sockets.len() < MOST && input.once_in(10) {
            return self.create(input);
        }
        let (call, suits): Call = match input.below(24) {
            0 => (Self::start_bind, |of| of.port.is_none()),
            1 => (|world, at, _| world.finish_bind(at), |of| of.port.is_none()),
            2 | 3 => (|world, at, _| world.bind(at), |of| of.port.is_none()),
            4 | 5 => (Self::stream, |of| of.port.is_some() && of.outgoing.is_none()),
            6 => (Self::stream, |of| of.port.is_some() && of.doubt.is_none()),
            7..=12 => (Self::send, |of| of.outgoing.is_some() && of.doubt.is_none()),
            13..=16 => (Self::receive, |of| of.incoming.is_some() && of.doubt.is_none() && !of.pending.is_empty()),
            17 => (|world, at, _| world.getters(at), |_| true),
            18 => (Self::options, |_| true),
            19 => (Self::subscribe, |of| of.incoming.is_some()),
            20 => (Self::ready, |of| !of.pollables.is_empty()),
            21 => (Self::drop_child, |of| of.incoming.is_some() && of.doubt.is_none() && of.pending.is_empty()),
            _ => (|world, at, _| world.close(at), |of| of.doubt.is_some()),
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
        format!("udp{}", self.sockets[at].id)
    }

    fn create(&mut self, input: &mut Input) {
        let v6 = input.once_in(4);
        let made = create_udp_socket(choice::family(v6));
        let text = if v6 { "create v6" } else { "create v4" };
        say(format!("udp{}", self.made), text, made.as_ref().map_or_else(|e| e.name(), |_| "ok"), None);
        let Ok(socket) = made else { return };
        self.sockets.push(Socket {
            id: self.made,
            v6,
            pollables: Vec::new(),
            incoming: None,
            outgoing: None,
            socket,
            streamed: false,
            port: None,
            peer: None,
            pending: VecDeque::new(),
            doubt: None,
        });
        self.made += 1;
        if !input.once_in(4) {
            self.bind(self.sockets.len() - 1);
        }
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
        // What is in doubt does not decide what is done next.
        if result.is_err() || self.sockets[at].doubt.is_some() {
            return;
        }
        let bound = self.sockets[at].socket.local_address();
        self.sockets[at].port = bound.ok().map(|address| choice::port(&address)).filter(|port| *port != 0);
    }

    fn bind(&mut self, at: usize) {
        let address = choice::loopback(self.sockets[at].v6, 0);
        let result = self.sockets[at].socket.start_bind(&self.network, address);
        say(self.name(at), "start-bind loopback", done(result), None);
        self.finish_bind(at);
    }

    /// An address to send to, and which socket has it.
    fn remote(&self, input: &mut Input, v6: bool) -> (&'static str, IpSocketAddress, Option<usize>) {
        let to = choice::choose(input, &self.sockets, |of| of.v6 == v6 && of.port.is_some());
        match input.below(24) {
            0 => ("port 0", choice::loopback(v6, 0), None),
            1 => ("closed", choice::loopback(v6, 1), None),
            2 => ("any", choice::any(v6, 9), None),
            3 => ("other family", choice::loopback(!v6, 9), None),
            _ => match self.sockets[to].port.filter(|_| self.sockets[to].v6 == v6) {
                Some(port) => ("a socket", choice::loopback(v6, port), Some(to)),
                None => ("closed", choice::loopback(v6, 1), None),
            },
        }
    }

    fn stream(&mut self, at: usize, input: &mut Input) {
        let remote = (!input.once_in(2)).then(|| self.remote(input, self.sockets[at].v6));
        let socket = &mut self.sockets[at];
        // While it has streams another call is a trap.
        socket.pollables.retain(|(of, _)| *of == Of::Socket);
        if socket.incoming.take().is_some() && !socket.pending.is_empty() {
            // A host may have taken one of the system already, which it drops then.
            socket.doubt.get_or_insert("held by the stream that was dropped");
        }
        socket.outgoing = None;
        if socket.streamed {
            // wasmtime-wasi reads ahead in a task of its own, and traps until that has noticed that its stream is gone ("`connect`
            // needs exclusive access", 48.0.8, src/p2/host/udp.rs).
            choice::pause();
        }
        let result = socket.socket.stream(remote.as_ref().map(|(_, address, _)| *address));
        let call = format!("stream {}", remote.as_ref().map_or("to all", |(what, ..)| what));
        let name = self.name(at);
        match result {
            Ok((incoming, outgoing)) => {
                say(name, &call, "ok", None);
                let socket = &mut self.sockets[at];
                (socket.incoming, socket.outgoing, socket.streamed) = (Some(incoming), Some(outgoing), true);
                if socket.peer.is_some() && remote.is_none() {
                    // Linux forgets the port that it has assigned (`__udp_disconnect`), unless the host binds it again.
                    socket.doubt.get_or_insert("disconnected");
                }
                socket.peer = remote.map(|(_, address, _)| choice::port(&address));
            }
            Err(error) => {
                say(name, &call, error.name(), None);
                // Whether it has a peer still is then the system's affair.
                self.sockets[at].doubt.get_or_insert("stream has failed");
            }
        }
    }

    fn send(&mut self, at: usize, input: &mut Input) {
        let v6 = self.sockets[at].v6;
        let remote = (self.sockets[at].peer.is_none() || input.once_in(6)).then(|| self.remote(input, v6));
        let size = input.one_of(&[0, 1, 100, 1400, 1400, 65_508]);
        let count = input.below(4);
        let peer = self.sockets[at].peer;
        let to = match &remote {
            Some((_, _, to)) => *to,
            None => self.sockets.iter().position(|of| of.v6 == v6 && of.port.is_some() && of.port == peer),
        };
        if self.sockets[at].outgoing.is_none() {
            return;
        }
        if let Some(to) = to {
            let (sender, receiver) = (self.sockets[at].doubt, self.sockets[to].doubt);
            // What comes of one in doubt would put the other in doubt too.
            let spreads = sender.is_some() && receiver.is_none();
            if spreads || receiver.is_none() && self.sockets[to].pending.len() + count > PENDING {
                return;
            }
            if receiver.is_some() && peer.is_some() {
                self.sockets[at].doubt.get_or_insert("peer in doubt");
            }
            let from = self.sockets[at].port;
            if count > 0 && peer.is_some() && self.sockets[to].peer.is_some_and(|of| Some(of) != from) {
                // It has another peer itself: the system refuses what comes from elsewhere.
                self.sockets[at].doubt.get_or_insert("peer is gone");
            }
        } else if count > 0 && peer.is_some() {
            // The refusal comes with a later call; with which is a matter of time.
            self.sockets[at].doubt.get_or_insert("peer is gone");
        }
        let (name, doubt) = (self.name(at), self.sockets[at].doubt);
        let Some(outgoing) = &self.sockets[at].outgoing else { return };
        let late = doubt.is_none() && !soon(&outgoing.subscribe());
        let datagram = |_| OutgoingDatagram { data: vec![7; size], remote_address: remote.as_ref().map(|it| it.1) };
        // One line, whatever it answers: where hosts may differ the next line is another call's.
        let mut sent = 0;
        let answer = match outgoing.check_send() {
            Err(error) => format!("no room, {}", error.name()),
            Ok(room) if room < count as u64 || room == 0 => "no room".to_owned(),
            Ok(_) => {
                let result = outgoing.send(&(0..count).map(datagram).collect::<Vec<_>>());
                sent = result.unwrap_or(0) as usize;
                show(result)
            }
        };
        let what = remote.as_ref().map_or("its peer", |(what, ..)| what);
        let call = format!("send {count} of {size} to {what}");
        say(name, &call, format!("{answer}{}", if late { ", late" } else { "" }), doubt);
        let from = self.sockets[at].port.unwrap_or(0);
        if let Some(to) = to {
            let heard = self.sockets[to].peer.is_none_or(|peer| peer == from);
            self.sockets[to].pending.extend((0..sent).filter(|_| heard).map(|_| (size, from)));
        }
    }

    fn receive(&mut self, at: usize, input: &mut Input) {
        let (name, doubt) = (self.name(at), self.sockets[at].doubt);
        let most = input.one_of(&[0, 1, 3, 16, 1000]);
        let socket = &mut self.sockets[at];
        let Some(incoming) = &socket.incoming else { return };
        // What came before it had a peer is not heard.
        let peer = socket.peer;
        socket.pending.retain(|(_, from)| peer.is_none_or(|peer| peer == *from));
        let expected = most.min(socket.pending.len());
        let (mut got, mut empty, mut same) = (0, 0, true);
        let last = loop {
            if got < expected && doubt.is_none() && !soon(&incoming.subscribe()) {
                break "late";
            }
            match incoming.receive((most - got) as u64) {
                Ok(datagrams) => {
                    for datagram in &datagrams {
                        let sent = socket.pending.pop_front();
                        same &= sent == Some((datagram.data.len(), choice::port(&datagram.remote_address)));
                    }
                    got += datagrams.len();
                    if got >= expected || empty == SPURIOUS || doubt.is_some() {
                        break "ok";
                    }
                    // A stream that was ready for nothing is asked again.
                    empty += usize::from(datagrams.is_empty());
                }
                Err(error) => break error.name(),
            }
        };
        let same = if same { "as sent" } else { "not as sent" };
        say(name, &format!("receive {most}"), format!("{got} {same}, {last}"), doubt);
    }

    fn getters(&mut self, at: usize) {
        let (name, doubt) = (self.name(at), self.sockets[at].doubt);
        let socket = &self.sockets[at].socket;
        say(&name, "local-address", kind(socket.local_address()), doubt);
        say(&name, "remote-address", kind(socket.remote_address()), doubt);
        say(&name, "address-family", format!("{:?}", socket.address_family()), None);
    }

    fn options(&mut self, at: usize, input: &mut Input) {
        let name = self.name(at);
        let socket = &self.sockets[at].socket;
        let size = input.one_of(&[0, 1 << 16, 1 << 20, u64::MAX]);
        match input.below(3) {
            0 => {
                let hops = input.one_of(&[0, 1, 64, 255]);
                say(&name, &format!("set-unicast-hop-limit {hops}"), done(socket.set_unicast_hop_limit(hops)), None);
                say(&name, "unicast-hop-limit", show(socket.unicast_hop_limit()), None);
            }
            1 => {
                say(
                    &name,
                    &format!("set-receive-buffer-size {size}"),
                    done(socket.set_receive_buffer_size(size)),
                    None,
                );
                say(&name, "receive-buffer-size", show(socket.receive_buffer_size()), None);
            }
            _ => {
                say(&name, &format!("set-send-buffer-size {size}"), done(socket.set_send_buffer_size(size)), None);
                say(&name, "send-buffer-size", show(socket.send_buffer_size()), None);
            }
        }
    }

    fn subscribe(&mut self, at: usize, input: &mut Input) {
        let socket = &mut self.sockets[at];
        let of = input.one_of(&[Of::Socket, Of::Incoming, Of::Outgoing]);
        let pollable = match of {
            Of::Socket => Some(socket.socket.subscribe()),
            Of::Incoming => socket.incoming.as_ref().map(IncomingDatagramStream::subscribe),
            Of::Outgoing => socket.outgoing.as_ref().map(OutgoingDatagramStream::subscribe),
        };
        socket.pollables.extend(pollable.map(|pollable| (of, pollable)));
    }

    fn ready(&mut self, at: usize, input: &mut Input) {
        let name = self.name(at);
        let socket = &self.sockets[at];
        if socket.pollables.is_empty() {
            return;
        }
        let (of, pollable) = &socket.pollables[input.below(socket.pollables.len())];
        let call = format!("ready {of:?}");
        let heard = |(_, from): &(usize, u16)| socket.peer.is_none_or(|peer| peer == *from);
        if socket.doubt.is_none() && (*of != Of::Incoming || socket.pending.iter().any(heard)) {
            return say(name, &call, if soon(pollable) { "yes" } else { "late" }, None);
        }
        // After it has been ready a host may find that out again.
        let stale = (*of == Of::Incoming).then_some("stale");
        say(name, &call, now(pollable), socket.doubt.or(stale));
    }

    fn drop_child(&mut self, at: usize, input: &mut Input) {
        let name = self.name(at);
        let socket = &mut self.sockets[at];
        let of = input.one_of(&[Of::Socket, Of::Incoming, Of::Outgoing]);
        socket.pollables.retain(|(other, _)| *other != of);
        match of {
            Of::Socket => return,
            Of::Incoming => {
                if socket.incoming.take().is_some() && !socket.pending.is_empty() {
                    socket.doubt.get_or_insert("held by the stream that was dropped");
                }
            }
            Of::Outgoing => socket.outgoing = None,
        }
        say(name, &format!("drop {of:?}"), "ok", None);
    }

    fn close(&mut self, at: usize) {
        let name = self.name(at);
        let socket = self.sockets.remove(at);
        drop(socket);
        say(name, "drop", "ok", None);
    }
}
