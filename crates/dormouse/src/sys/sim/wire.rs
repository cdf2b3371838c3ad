//! What is on its way between two sockets. Each direction of a connection keeps its order; how long something takes is a
//! choice.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::net::SocketAddr;

use super::socket::{Id, Stage};
use super::world::State;
use crate::sim::What;

/// How often a connection is asked for again if the listener has no room for it, after 1, 2, 4 … seconds, as on Linux.
const ATTEMPTS: u32 = 6;
const RETRY: u64 = 1_000_000_000;

/// What travels.
#[derive(Debug)]
pub(super) enum Packet {
    /// `from` asks the listener there for a connection.
    Syn {
        from: Id,
        to: SocketAddr,
        attempt: u32,
    },
    /// `from` is the other end, at `peer`.
    Accepted {
        from: Id,
        peer: SocketAddr,
    },
    Refused(ErrorKind),
    Data {
        from: Id,
        bytes: Vec<u8>,
    },
    Fin,
    Rst,
}

/// What is in the air, by time of arrival and then of sending.
#[derive(Default)]
pub(super) struct Flights {
    packets: BTreeMap<(u64, u64), (Id, Packet)>,
    sent: u64,
}

impl Flights {
    pub(super) fn next_due(&self) -> Option<u64> {
        self.packets.first_key_value().map(|(&(when, _), _)| when)
    }

    fn insert(&mut self, when: u64, to: Id, packet: Packet) {
        self.sent += 1;
        self.packets.insert((when, self.sent), (to, packet));
    }

    /// Loses what is on its way to `to`.
    pub(super) fn lose(&mut self, to: Id) {
        self.packets.retain(|_, (receiver, _)| *receiver != to);
    }
}

/// What a socket knows of its line.
#[derive(Default)]
pub(super) struct Line {
    /// When the last of what is on its way here arrives.
    pub(super) last: u64,
    pub(super) flying: usize,
    /// What has arrived while the line is paused.
    pub(super) held: Option<VecDeque<Packet>>,
}

impl State {
    fn latency(&mut self) -> u64 {
        let most = self.setup.faults.latency.as_micros().min(u32::MAX as u128 - 1) as usize;
        1_000 * self.setup.choices.within(most + 1) as u64
    }

    /// Sends to a socket, behind what is on its way there already.
    pub(super) fn send(&mut self, to: Id, packet: Packet) {
        let when = self.now() + self.latency();
        self.send_at(when, to, packet);
    }

    pub(super) fn send_at(&mut self, when: u64, to: Id, packet: Packet) {
        let now = self.now();
        let Some(socket) = self.sockets.get_mut(&to) else { return self.arrive(to, packet) };
        let line = &mut socket.line;
        let when = when.max(line.last);
        if when <= now && line.flying == 0 {
            return self.arrive(to, packet);
        }
        line.last = when;
        line.flying += 1;
        self.flights.insert(when, to, packet);
    }

    /// Asks for a connection. The way to a listener is not a line: nothing comes before.
    pub(super) fn send_syn(&mut self, from: Id, to: SocketAddr, attempt: u32) {
        let wait = if attempt == 0 { 0 } else { RETRY << (attempt - 1) };
        let when = self.now() + wait + self.latency();
        if when == self.now() {
            return self.ask(from, to, attempt);
        }
        self.flights.insert(when, from, Packet::Syn { from, to, attempt });
    }

    /// All arrives that is due.
    pub(super) fn deliver_due(&mut self) {
        while self.flights.next_due().is_some_and(|when| when <= self.now()) {
            let Some((_, (to, packet))) = self.flights.packets.pop_first() else { return };
            match packet {
                Packet::Syn { from, to, attempt } => self.ask(from, to, attempt),
                packet => {
                    if let Some(socket) = self.sockets.get_mut(&to) {
                        socket.line.flying -= 1;
                    }
                    self.arrive(to, packet);
                }
            }
        }
    }

    fn ask(&mut self, from: Id, to: SocketAddr, attempt: u32) {
        // A client that has given the attempt up is not waited for.
        let Some(local) = self.sockets.get(&from).filter(|client| client.is_connecting()).and_then(|it| it.local)
        else {
            return;
        };
        let Some(listener) = self.listener_at(to) else {
            return self.send(from, Packet::Refused(ErrorKind::ConnectionRefused));
        };
        match self.enqueue(listener, local, to, from) {
            Some(end) => self.send(from, Packet::Accepted { from: end, peer: to }),
            None if attempt < ATTEMPTS => self.send_syn(from, to, attempt + 1),
            None => self.send(from, Packet::Refused(ErrorKind::TimedOut)),
        }
    }

    pub(super) fn arrive(&mut self, to: Id, packet: Packet) {
        if let Some(held) = self.sockets.get_mut(&to).and_then(|socket| socket.line.held.as_mut()) {
            return held.push_back(packet);
        }
        match packet {
            Packet::Syn { .. } => unreachable!("is delivered to a listener"),
            Packet::Accepted { from, peer } => self.connected(to, from, peer),
            Packet::Refused(kind) => self.failed(to, kind),
            Packet::Data { from, bytes } => self.arrive_data(from, to, &bytes),
            Packet::Fin => {
                if let Some(end) = self.end(to).filter(|end| !end.reset) {
                    end.fin_received = true;
                    self.log(What::Ended { socket: to });
                }
            }
            Packet::Rst => self.reset(to),
        }
    }

    fn arrive_data(&mut self, from: Id, to: Id, bytes: &[u8]) {
        if let Some(sender) = self.end(from) {
            sender.in_flight -= bytes.len();
        }
        match self.end(to) {
            Some(end) if end.reset => {}
            // It cannot be read any more: Linux resets both ends then (RFC 1122, 4.2.2.13).
            Some(end) if end.is_shut_both_ways() => {
                self.reset(to);
                self.send(from, Packet::Rst);
            }
            Some(end) => {
                end.inbox.extend(bytes);
                self.log(What::Arrived { socket: to, bytes: bytes.len() });
            }
            // No socket is there to read it.
            None => self.send(from, Packet::Rst),
        }
    }

    /// Holds back from now on what arrives at a socket.
    pub(crate) fn pause(&mut self, id: Id) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.line.held.get_or_insert_default();
            self.log(What::Paused { socket: id });
        }
    }

    /// What was held back arrives.
    pub(crate) fn resume(&mut self, id: Id) {
        let Some(held) = self.sockets.get_mut(&id).and_then(|socket| socket.line.held.take()) else { return };
        self.log(What::Resumed { socket: id });
        for packet in held {
            self.arrive(id, packet);
        }
    }

    pub(super) fn failed(&mut self, id: Id, kind: ErrorKind) {
        if let Some(socket) = self.sockets.get_mut(&id).filter(|socket| socket.is_connecting()) {
            socket.stage = Stage::Failed(kind);
            self.log(What::Failed { socket: id, kind });
        }
    }
}
