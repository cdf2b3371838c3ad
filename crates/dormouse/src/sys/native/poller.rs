//! epoll, kqueue or IOCP, one-shot, through the `polling` crate. It knows a descriptor with both its sides, so the side
//! that did not fire is armed again here.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use polling::{Event, Events};

use super::abi::{self, Descriptor};
use super::lookup::Ended;
use super::{Notifier, Source, clock};
use crate::base::Key;
use crate::sys::drained::next_turn;
use crate::sys::{Ready, Side, Until, Wait};

pub(crate) struct Poller {
    poller: Arc<polling::Poller>,
    sleeping: Arc<AtomicBool>,
    events: Events,
    /// By index of the key.
    known: Vec<Known>,
    armed: usize,
    /// Lookups, which have no descriptor.
    lookups: Ended,
}

/// What the system's poller has been told of a source.
#[derive(Clone, Copy, Default)]
struct Known {
    generation: u32,
    /// What it is registered as, for as long as it is.
    descriptor: Option<Descriptor>,
    /// By side.
    armed: [bool; 2],
}

impl Wait for Poller {
    type Source = Source;
    type Notifier = Notifier;

    fn new() -> io::Result<Self> {
        let poller = Arc::new(polling::Poller::new()?);
        let sleeping = Arc::<AtomicBool>::default();
        let notifier = Notifier { poller: Arc::clone(&poller), sleeping: Arc::clone(&sleeping) };
        Ok(Poller {
            poller,
            sleeping,
            lookups: Ended::new(notifier),
            events: Events::new(),
            known: Vec::new(),
            armed: 0,
        })
    }

    fn arm(&mut self, source: &Source, side: Side, key: Key) -> io::Result<()> {
        let index = key.index as usize;
        if index >= self.known.len() {
            self.known.resize(index + 1, Known::default());
        }
        let known = &mut self.known[index];
        if known.generation != key.generation {
            *known = Known { generation: key.generation, ..Known::default() };
        }
        if known.armed[side as usize] {
            return Ok(());
        }
        let mut wanted = *known;
        wanted.armed[side as usize] = true;
        match (source, known.descriptor) {
            (Source::Lookup(lookup), _) => lookup.watch(key, &self.lookups),
            (_, Some(descriptor)) => abi::modify(&self.poller, descriptor, wanted.interest(key.index))?,
            (_, None) => wanted.descriptor = Some(abi::add(&self.poller, source, wanted.interest(key.index))?),
        }
        *known = wanted;
        self.armed += 1;
        Ok(())
    }

    fn disarm(&mut self, side: Side, key: Key) {
        let Some(known) = self.known.get_mut(key.index as usize).filter(|known| known.generation == key.generation)
        else {
            return;
        };
        if std::mem::replace(&mut known.armed[side as usize], false) {
            self.armed -= 1;
            if let Some(descriptor) = known.descriptor {
                // Should it fail, a wake too many is the consequence.
                let _ = abi::modify(&self.poller, descriptor, known.interest(key.index));
            }
        }
    }

    fn remove(&mut self, key: Key) {
        let Some(known) = self.known.get_mut(key.index as usize).filter(|known| known.generation == key.generation)
        else {
            return;
        };
        self.armed -= known.armed.iter().filter(|&&armed| armed).count();
        if let Some(descriptor) = known.descriptor {
            // The descriptor is about to be closed, which forgets it as well.
            let _ = abi::delete(&self.poller, descriptor);
        }
        *known = Known { generation: key.generation, ..Known::default() };
    }

    fn wait(&mut self, until: Until, ready: &mut Vec<Ready>) -> io::Result<bool> {
        next_turn();
        self.events.clear();
        // Those that have ended before the notifier was told of this wait end it in no other way.
        let ended = self.lookups.take();
        let until = if ended.is_empty() { until } else { Until::Now };
        match until {
            Until::Now => self.poller.wait(&mut self.events, Some(std::time::Duration::ZERO))?,
            Until::At(when) => match clock::to_system(when.as_nanos()) {
                Some(deadline) => self.poller.wait_deadline(&mut self.events, deadline)?,
                None => self.poller.wait(&mut self.events, None)?,
            },
            Until::Forever => self.poller.wait(&mut self.events, None)?,
        };
        for key in ended.into_iter().chain(self.lookups.take()) {
            let known = self.known.get_mut(key.index as usize).filter(|known| known.generation == key.generation);
            if known.is_some_and(|known| std::mem::replace(&mut known.armed[Side::Read as usize], false)) {
                self.armed -= 1;
                ready.push(Ready { key, side: Side::Read });
            }
        }
        for event in self.events.iter() {
            let Some(known) = self.known.get_mut(event.key) else { continue };
            let key = Key { index: event.key as u32, generation: known.generation };
            if let (true, Some(descriptor)) = (event.is_priority(), known.descriptor) {
                abi::discard_urgent(descriptor);
            }
            for (side, fired) in [(Side::Read, event.readable), (Side::Write, event.writable)] {
                // One-shot: the event has disarmed both sides. A side that has not fired is reported as well; its
                // operation tries, and parks again. That is rare, and cheaper than a system call each time.
                let armed = std::mem::replace(&mut known.armed[side as usize], false);
                if armed || fired {
                    self.armed -= usize::from(armed);
                    ready.push(Ready { key, side });
                }
            }
        }
        Ok(true)
    }

    fn armed(&self) -> usize {
        self.armed
    }

    fn notifier(&self) -> Notifier {
        Notifier { poller: Arc::clone(&self.poller), sleeping: Arc::clone(&self.sleeping) }
    }
}

impl Known {
    fn interest(&self, index: u32) -> Event {
        Event::new(index as usize, self.armed[Side::Read as usize], self.armed[Side::Write as usize])
    }
}
