//! What is armed, over the system's poller: `poller/epoll.rs` on Linux and Android, `poller/oneshot.rs` elsewhere.
//!
//! epoll is asked for edges. A source is registered once, and an event costs no other call than the wait. An edge is reported
//! once, whether its side is armed or not, so each side has a count of reports that are *due*:
//!
//! ```text
//!   an event of the side          due = 1; 2 after an urgent byte; always after the end of the stream
//!   the side is armed, and due    the next wait reports it:  due - 1, not armed any more
//! ```
//!
//! That is enough for [`Wait::arm`], whose caller has just been told `WouldBlock`: whatever came later is an edge. A caller that has not
//! tried may have left something behind, and no edge will come of that. [`Wait::arm_untried`] has the system look again.
//!
//! A source that a program leaves alone may have event after event, each of which ends a wait: a timerfd that fires again and again, a
//! peer that sends. After [`NOISY`] of them on a side that is not armed the system is no longer asked for it, until it is armed again.
//!
//! Of a standard stream the system looks at each arming: a program may put another file in its place (dup2), of which
//! nothing is known then.
//!
//! One `WouldBlock` is a guess: the one after a read that did not fill its buffer (`drained.rs`). It is wrong if what
//! follows came before that read and made no bytes of it: the end of the stream, and bytes behind the mark of urgent data. Both are in
//! the flags of the event, and make more reports due.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod epoll;
#[cfg(any(all(test, not(miri)), not(any(target_os = "linux", target_os = "android"))))]
mod oneshot;
#[cfg(all(test, not(miri), any(target_os = "linux", target_os = "android")))]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::abi::Descriptor;
use super::lookup::Ended;
use super::{Interrupt, Notifier, Source};
use crate::base::Key;
use crate::sys::drained::next_turn;
use crate::sys::{Ready, Side, Until, Wait};

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) type Poller = Armed<epoll::Epoll>;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) type Poller = Armed<oneshot::OneShot>;

/// The system's poller.
pub(crate) trait System: Sized {
    /// Whether it reports edges, of all sides that were ever asked for. Otherwise one event, and then nothing until it is asked again.
    const EDGES: bool;

    fn new() -> io::Result<Self>;

    /// Registers a source. What is ready already is an event.
    fn add(&self, source: &Source, key: Key, sides: [bool; 2]) -> io::Result<Descriptor>;

    /// Asks for these sides from now on. What is ready already is an event.
    fn modify(&self, descriptor: Descriptor, key: Key, sides: [bool; 2]) -> io::Result<()>;

    fn delete(&self, descriptor: Descriptor) -> io::Result<()>;

    /// Takes the urgent byte of a socket, if it would be reported again and again while it is there. It is no part of the stream: std does
    /// not ask for SO_OOBINLINE.
    fn discard_urgent(descriptor: Descriptor);

    /// Sleeps until there is an event, an interrupt, or it is time.
    fn wait(&mut self, until: Until, told: impl FnMut(Told)) -> io::Result<()>;

    /// What ends a wait.
    fn interrupt(&self) -> Arc<dyn Interrupt>;
}

/// An event.
pub(crate) struct Told {
    pub(crate) index: u32,
    /// `None`: the system does not say.
    pub(crate) generation: Option<u32>,
    /// By side.
    pub(crate) sides: [bool; 2],
    /// There is an urgent byte.
    pub(crate) is_urgent: bool,
    /// The peer will send no more.
    pub(crate) is_ended: bool,
}

pub(crate) struct Armed<S> {
    system: S,
    sleeping: Arc<AtomicBool>,
    /// By index of the key.
    known: Vec<Known>,
    armed: usize,
    /// Sides that were armed when a report was due, for the next wait.
    due: Vec<Ready>,
    /// Sources that have had too many events on a side that is not armed. Empty between two waits.
    noisy: Vec<Key>,
    /// Lookups, which have no descriptor.
    lookups: Ended,
}

/// What the system's poller has been told of a source, and has told.
#[derive(Clone, Copy, Default)]
struct Known {
    generation: u32,
    /// What it is registered as, for as long as it is.
    descriptor: Option<Descriptor>,
    /// There was an urgent byte: its mark may be anywhere in what is still to be read.
    is_marked: bool,
    /// By side.
    sides: [Watched; 2],
}

#[derive(Clone, Copy, Default)]
struct Watched {
    /// The system is asked for it.
    asked: bool,
    armed: bool,
    /// How many reports are due.
    due: u8,
    /// How many events there were since it was armed last.
    idle: u8,
    /// It is in the list for the next wait.
    listed: bool,
}

/// As many reports as it is armed for.
const ALWAYS: u8 = u8::MAX;

/// After so many events a side that is not armed is not asked for any more. That and asking again are two calls, so it is more than a task
/// that does something else for a moment usually leaves behind.
const NOISY: u8 = if cfg!(test) { 3 } else { 8 };

impl<S: System> Wait for Armed<S> {
    type Source = Source;
    type Notifier = Notifier;

    const EDGES: bool = S::EDGES;

    fn new() -> io::Result<Self> {
        let system = S::new()?;
        let sleeping = Arc::<AtomicBool>::default();
        let notifier = Notifier { interrupt: system.interrupt(), sleeping: Arc::clone(&sleeping) };
        Ok(Armed {
            system,
            sleeping,
            known: Vec::new(),
            armed: 0,
            due: Vec::new(),
            noisy: Vec::new(),
            lookups: Ended::new(notifier),
        })
    }

    fn arm(&mut self, source: &Source, side: Side, key: Key) -> io::Result<()> {
        self.arm_either(source, side, key, true)
    }

    fn arm_untried(&mut self, source: &Source, side: Side, key: Key) -> io::Result<()> {
        self.arm_either(source, side, key, false)
    }

    fn disarm(&mut self, side: Side, key: Key) {
        let Some(known) = find(&mut self.known, key.index, Some(key.generation)) else { return };
        if std::mem::replace(&mut known.side(side).armed, false) {
            self.armed -= 1;
            if let (false, Some(descriptor)) = (S::EDGES, known.descriptor) {
                // Should it fail, a wake too many is the consequence.
                let _ = self.system.modify(descriptor, key, known.armed());
            }
        }
    }

    fn remove(&mut self, key: Key) {
        let Some(known) = find(&mut self.known, key.index, Some(key.generation)) else { return };
        self.armed -= known.armed().into_iter().filter(|&armed| armed).count();
        if let Some(descriptor) = known.descriptor {
            // The descriptor is about to be closed, which forgets it as well.
            let _ = self.system.delete(descriptor);
        }
        *known = Known { generation: key.generation, ..Known::default() };
    }

    fn wait(&mut self, until: Until, ready: &mut Vec<Ready>) -> io::Result<bool> {
        next_turn();
        // Those that have ended before the notifier was told of this wait end it in no other way.
        let ended = self.lookups.take();
        let until = if ended.is_empty() && self.due.is_empty() { until } else { Until::Now };
        let (known, armed, noisy) = (&mut self.known, &mut self.armed, &mut self.noisy);
        let waited = self.system.wait(until, |told| {
            let Some(known) = find(known, told.index, told.generation) else { return };
            let key = Key { index: told.index, generation: known.generation };
            known.is_marked |= told.is_urgent;
            if let (true, Some(descriptor)) = (told.is_urgent, known.descriptor) {
                S::discard_urgent(descriptor);
            }
            for (side, happened) in [(Side::Read, told.sides[0]), (Side::Write, told.sides[1])] {
                let is_read = side == Side::Read;
                let reports = match happened {
                    _ if !S::EDGES => 0,
                    true if is_read && told.is_ended => ALWAYS,
                    true => 1 + u8::from(is_read && known.is_marked),
                    false => 0,
                };
                let watched = known.side(side);
                watched.due = watched.due.max(reports);
                // One-shot: the event has disarmed both sides. A side that has not fired is reported as well; its
                // operation tries, and parks again. That is rare, and cheaper than a system call each time.
                if (happened || !S::EDGES) && watched.report() {
                    *armed -= 1;
                    ready.push(Ready { key, side });
                } else if reports > 0 {
                    watched.idle = watched.idle.saturating_add(1);
                    if watched.idle == NOISY {
                        noisy.push(key);
                    }
                }
            }
        });
        while let Some(key) = self.noisy.pop() {
            self.quiet(key);
        }
        let (known, armed) = (&mut self.known, &mut self.armed);
        // So the wakes of what is reported make no call each.
        self.sleeping.store(false, Ordering::SeqCst);
        waited?;
        for Ready { key, side } in self.due.drain(..) {
            let Some(known) = find(known, key.index, Some(key.generation)) else { continue };
            let watched = known.side(side);
            watched.listed = false;
            if watched.due > 0 && watched.report() {
                *armed -= 1;
                ready.push(Ready { key, side });
            }
        }
        for key in ended.into_iter().chain(self.lookups.take()) {
            let known = find(known, key.index, Some(key.generation));
            if known.is_some_and(|known| known.side(Side::Read).report()) {
                *armed -= 1;
                ready.push(Ready { key, side: Side::Read });
            }
        }
        Ok(true)
    }

    fn armed(&self) -> usize {
        self.armed
    }

    fn notifier(&self) -> Notifier {
        Notifier { interrupt: self.system.interrupt(), sleeping: Arc::clone(&self.sleeping) }
    }
}

impl<S: System> Armed<S> {
    /// Asks no longer for the sides of a source that are not armed.
    fn quiet(&mut self, key: Key) {
        let Some(known) = find(&mut self.known, key.index, Some(key.generation)) else { return };
        let Some(descriptor) = known.descriptor else { return };
        let sides = known.armed();
        // Should either fail, a wait too many is the consequence.
        if sides.contains(&true) {
            let _ = self.system.modify(descriptor, key, sides);
        } else {
            // An error or a hang-up would be reported in any case.
            let _ = self.system.delete(descriptor);
            known.descriptor = None;
        }
        for side in &mut known.sides {
            side.asked = side.armed;
        }
    }

    fn arm_either(&mut self, source: &Source, side: Side, key: Key, is_tried: bool) -> io::Result<()> {
        let index = key.index as usize;
        if index >= self.known.len() {
            self.known.resize(index + 1, Known::default());
        }
        let known = &mut self.known[index];
        if known.generation != key.generation {
            *known = Known { generation: key.generation, ..Known::default() };
        }
        let mut sides = known.armed();
        let watched = known.side(side);
        if watched.armed {
            return Ok(());
        }
        let is_standard = source.is_standard();
        let by_edges = S::EDGES && !is_standard;
        if by_edges && watched.due > 0 {
            if !std::mem::replace(&mut watched.listed, true) {
                self.due.push(Ready { key, side });
            }
        } else if !(by_edges && watched.asked && is_tried) {
            if S::EDGES {
                sides = known.sides.map(|side| side.asked);
            }
            sides[side as usize] = true;
            match (source, known.descriptor) {
                (Source::Lookup(lookup), _) => lookup.watch(key, &self.lookups),
                (_, None) => known.descriptor = Some(self.system.add(source, key, sides)?),
                (_, Some(descriptor)) => match self.system.modify(descriptor, key, sides) {
                    Err(error) if is_standard && error.kind() == io::ErrorKind::NotFound => {
                        self.system.add(source, key, sides)?;
                    }
                    result => result?,
                },
            }
            known.side(side).asked = !matches!(source, Source::Lookup(_));
        }
        let watched = known.side(side);
        (watched.armed, watched.idle) = (true, 0);
        self.armed += 1;
        Ok(())
    }
}

/// A source, if it is still that of the key.
fn find(known: &mut [Known], index: u32, generation: Option<u32>) -> Option<&mut Known> {
    known.get_mut(index as usize).filter(|known| generation.is_none_or(|generation| known.generation == generation))
}

impl Known {
    fn side(&mut self, side: Side) -> &mut Watched {
        &mut self.sides[side as usize]
    }

    fn armed(&self) -> [bool; 2] {
        self.sides.map(|side| side.armed)
    }
}

impl Watched {
    /// It is reported, if it is armed.
    fn report(&mut self) -> bool {
        let armed = std::mem::replace(&mut self.armed, false);
        if armed && self.due != ALWAYS {
            self.due = self.due.saturating_sub(1);
        }
        armed
    }
}
