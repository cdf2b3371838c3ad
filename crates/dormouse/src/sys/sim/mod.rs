//! A simulated host in front of the real one: a virtual clock, a network in memory, faults on demand.
//!
//! While a simulation runs on a thread, what is made there belongs to its [`World`]; everything else is the real host's.
//! So each item here is a choice of two, made when a poller or a socket is made. [`crate::sim`] is the public face.
//!
//! ```text
//!   poller.rs   what is watched, and the wait: deliver, report, or let time pass
//!   net.rs      sources as the upper half sees them
//!   socket.rs   bind, listen, connect, accept
//!   stream.rs   read, write, half close, reset
//!   wire.rs     what is on its way between two sockets
//!   world.rs    holds it all   ·   choice.rs   decides   ·   clock.rs, stdio.rs, file.rs
//! ```

pub(crate) mod choice;
pub(crate) mod clock;
mod file;
mod net;
mod options;
mod poller;
mod socket;
mod stdio;
mod stream;
mod udp;
mod wire;
mod world;

pub(crate) use net::{begin, hand_over, take_back, try_handed_over};
pub(crate) use poller::Poller;
use socket::Descriptor;
pub(crate) use world::{Setup, State, World};

use super::host;

/// What can be polled, on either host. It belongs to the host on which it is made.
pub(crate) enum Source {
    Host(host::Source),
    Sim(Descriptor),
}

/// Ends a wait of another thread. A simulation never sleeps.
#[derive(Clone)]
pub(crate) enum Notifier {
    Host(host::Notifier),
    Sim,
}

impl Notifier {
    pub(crate) fn notify(&self) {
        if let Notifier::Host(notifier) = self {
            notifier.notify();
        }
    }

    pub(crate) fn sleeping(&self, sleeping: bool) {
        if let Notifier::Host(notifier) = self {
            notifier.sleeping(sleeping);
        }
    }
}

/// The order in which a batch of tasks runs is the simulation's to choose.
pub(crate) fn shuffle<T>(batch: &mut [T]) {
    if batch.len() > 1
        && let Some(world) = World::current()
    {
        world.with(|state| state.shuffle(batch));
    }
}
