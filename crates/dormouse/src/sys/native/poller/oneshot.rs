//! kqueue, IOCP and others, one-shot, through the `polling` crate. It knows a descriptor with both its sides: an event disarms both.
//!
//! Not edge-triggered: `polling` 3.11 does not tell the end of a stream from readiness, and Windows has no edges.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use polling::{Event, Events};

use super::super::abi::{self, Descriptor};
use super::super::{Interrupt, Source, clock};
use super::{System, Told};
use crate::base::Key;
use crate::sys::Until;

pub(crate) struct OneShot {
    poller: Arc<polling::Poller>,
    events: Events,
}

impl System for OneShot {
    const EDGES: bool = false;

    fn new() -> io::Result<Self> {
        Ok(OneShot { poller: Arc::new(polling::Poller::new()?), events: Events::new() })
    }

    fn add(&self, source: &Source, key: Key, sides: [bool; 2]) -> io::Result<Descriptor> {
        abi::add(&self.poller, source, interest(key, sides))
    }

    fn modify(&self, descriptor: Descriptor, key: Key, sides: [bool; 2]) -> io::Result<()> {
        self.poller.modify(abi::borrow(&descriptor), interest(key, sides))
    }

    fn delete(&self, descriptor: Descriptor) -> io::Result<()> {
        self.poller.delete(abi::borrow(&descriptor))
    }

    fn discard_urgent(descriptor: Descriptor) {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        // What is no socket has none.
        let _ = socket2::SockRef::from(&abi::borrow(&descriptor)).recv_out_of_band(&mut byte);
    }

    fn wait(&mut self, until: Until, mut told: impl FnMut(Told)) -> io::Result<()> {
        self.events.clear();
        let timeout = match until {
            Until::Now => Some(Duration::ZERO),
            Until::At(when) => Some(Duration::from_nanos(when.as_nanos().saturating_sub(clock::now()))),
            Until::Forever => None,
        };
        self.poller.wait(&mut self.events, timeout)?;
        for event in self.events.iter() {
            told(Told {
                index: event.key as u32,
                generation: None,
                sides: [event.readable, event.writable],
                is_urgent: event.is_priority(),
                is_ended: false,
            });
        }
        Ok(())
    }

    fn interrupt(&self) -> Arc<dyn Interrupt> {
        Arc::clone(&self.poller) as Arc<dyn Interrupt>
    }
}

impl Interrupt for polling::Poller {
    fn interrupt(&self) {
        // It fails only if the poller's own descriptor is gone, and then nothing sleeps on it.
        let _ = self.notify();
    }
}

fn interest(key: Key, [read, write]: [bool; 2]) -> Event {
    Event::new(key.index as usize, read, write)
}
