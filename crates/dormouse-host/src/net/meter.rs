//! Meter. Counts what a run does with connections, whichever WASI its program has.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use wasmtime::Engine;

use crate::pace::Used;

/// Counts the connections of a run and the bytes that they carry. Clones share the numbers, so one thread runs the program and
/// another reads.
#[derive(Clone, Default)]
pub struct Meter {
    tally: Arc<Tally>,
    /// The same of one run of several, which have the tally together.
    load: Option<Arc<Load>>,
}

/// What one run has, and has done.
#[derive(Default)]
pub(crate) struct Load {
    connections: AtomicUsize,
    bytes: AtomicU64,
    /// Of a run that has rates.
    used: OnceLock<Mutex<Used>>,
    /// With so many bytes its program is interrupted.
    interrupted_at: OnceLock<(AtomicU64, Engine)>,
}

impl Load {
    /// Connections that are open.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Bytes that were received and sent.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The run has rates from now on. Its program is one of this engine.
    pub(crate) fn set_used(&self, used: Used, engine: Engine) {
        let _ = self.interrupted_at.set((AtomicU64::new(used.may_carry_to()), engine));
        let _ = self.used.set(Mutex::new(used));
    }

    /// For how long the run has to pause, by its rates. To be asked on its thread.
    pub(crate) fn lacks(&self) -> Option<Duration> {
        let mut used = self.used.get()?.lock().unwrap_or_else(PoisonError::into_inner);
        let lacks = used.lacks(self.bytes());
        if let Some((at, _)) = self.interrupted_at.get() {
            at.store(used.may_carry_to(), Ordering::Relaxed);
        }
        lacks
    }

    #[cfg(test)]
    pub(crate) fn with(connections: usize) -> Load {
        Load { connections: connections.into(), ..Load::default() }
    }

    #[cfg(test)]
    pub(crate) fn set_connections(&self, connections: usize) {
        self.connections.store(connections, Ordering::Relaxed);
    }

    fn carried(&self, bytes: usize) {
        let all = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if let Some((at, engine)) = self.interrupted_at.get()
            && all >= at.load(Ordering::Relaxed)
        {
            at.store(u64::MAX, Ordering::Relaxed);
            engine.increment_epoch();
        }
    }
}

#[derive(Default)]
struct Tally {
    opened: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    delayed: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    connections: AtomicU64,
    memory: AtomicU64,
}

impl Meter {
    /// A meter with all numbers at 0.
    pub fn new() -> Meter {
        Meter::default()
    }

    /// The numbers so far. May be called at any time, from any thread.
    pub fn traffic(&self) -> Traffic {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let Tally { opened, accepted, refused, delayed, received, sent, connections, memory } = &*self.tally;
        Traffic {
            opened: read(opened),
            accepted: read(accepted),
            refused: read(refused),
            delayed: read(delayed),
            received: read(received),
            sent: read(sent),
            connections: read(connections),
            memory: read(memory),
        }
    }

    /// The same numbers, for one run of several, which is also counted in `load`.
    pub(crate) fn of_a_run(self, load: Arc<Load>) -> Meter {
        Meter { load: Some(load), ..self }
    }

    /// What counts the one run alone, if something does.
    pub(crate) fn load(&self) -> Option<Arc<Load>> {
        self.load.clone()
    }

    /// For how long what the host does for the program has to pause, by the rates of the run. To be asked on its thread.
    pub(crate) fn lacks(&self) -> Option<Duration> {
        self.load.as_ref()?.lacks()
    }

    /// The program has connected to a peer.
    pub(crate) fn opened(&self) {
        self.tally.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// The program has accepted a connection.
    pub(crate) fn accepted(&self) {
        self.tally.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// The policy or a limit has refused something.
    pub(crate) fn refused(&self) {
        self.tally.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// The program has to wait, since it has used what it may of something.
    pub(crate) fn delayed(&self) {
        self.tally.delayed.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection is there, until [`disconnected`](Self::disconnected).
    pub(crate) fn connected(&self) {
        self.tally.connections.fetch_add(1, Ordering::Relaxed);
        if let Some(load) = &self.load {
            load.connections.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn disconnected(&self) {
        self.tally.connections.fetch_sub(1, Ordering::Relaxed);
        if let Some(load) = &self.load {
            load.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Memories and tables have grown by so many bytes.
    pub(crate) fn grown(&self, bytes: usize) {
        self.tally.memory.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A program has ended that had so many.
    pub(crate) fn freed(&self, bytes: usize) {
        self.tally.memory.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.tally.received.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(load) = &self.load {
            load.carried(bytes);
        }
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.tally.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(load) = &self.load {
            load.carried(bytes);
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Meter").field(&self.traffic()).finish()
    }
}

/// Numbers read from a [`Meter`]. `Display` is one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Connections that the program has made.
    pub opened: u64,
    /// Connections that the program has accepted.
    pub accepted: u64,
    /// Sockets and addresses that the program asked for and did not get, because of the policy or a limit.
    pub refused: u64,
    /// How often a run has had to pause, or to leave a connection in the backlog, because of a rate: [`Run::cpu_share`](crate::Run::cpu_share),
    /// [`Run::byte_rate`](crate::Run::byte_rate), [`Service::accept_rate`](crate::Service::accept_rate).
    pub delayed: u64,
    /// Bytes that the program has received.
    pub received: u64,
    /// Bytes that the system has taken to send.
    pub sent: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Bytes of the memories and tables of the programs that run, and what else the host keeps for them by the same budget.
    pub memory: u64,
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Traffic { opened, accepted, refused, received, sent, .. } = self;
        write!(
            f,
            "connections: {opened} made, {accepted} accepted; refused: {refused}; bytes: {received} received, {sent} sent"
        )
    }
}
