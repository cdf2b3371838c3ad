//! Supervisor. Which instances there are, and when one is started or asked to stop.
//!
//! ```text
//!            start                      fails, and may again: after a pause
//!   slot ──────────▶ serving ─────────────────────────────────────────────┐
//!                      │  ▲◀──────────────────────────────────────────────┘
//!               reload │  └── the new one, when all of them are up
//!                      ▼
//!                   draining ── asked to stop; ended after the timeout ──▶ gone
//! ```

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::live::{Kind, Live};
use super::{Ended, Event, Instance, Restart, Service};
use crate::error::Error;
use crate::metrics::Health;
use crate::net::share::Listeners;
use crate::program::Program;
use crate::run::Exit;

/// The first pause before an instance is started again, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// One that has run for so long has not failed because of how it started.
const SETTLED: Duration = Duration::from_secs(10);
/// After which time a new instance without a listener is up: a wasip1 program has its listeners from the start, and some programs have none.
const UP: Duration = Duration::from_secs(1);
/// The same where the old instances have a listener: until the new ones have it, too, nothing would accept.
const UP_WITH_LISTENER: Duration = Duration::from_secs(60);

/// What the supervisor hears.
pub(super) enum Message {
    Listens {
        id: u64,
    },
    Ended {
        id: u64,
        end: Result<Exit, Error>,
        /// How many connections have ended with it, if it has failed.
        lost: usize,
    },
    Reload(Arc<Program>),
    /// The request is among what is shared.
    Stops,
}

/// Stops a service, or has it load another program, from other threads. Clones are the same.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Mutex<Shared>>,
    messages: Sender<Message>,
}

#[derive(Default)]
struct Shared {
    /// All that have been started and have not ended.
    live: Vec<Live>,
    stops: bool,
    restarts: u64,
    generation: usize,
    /// How many there are to be.
    wanted: usize,
}

/// What a [`Service`] has at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// How many instances run, old ones that have not ended yet among them.
    pub running: usize,
    /// How many were started again after a failure.
    pub restarts: u64,
    /// How often the program was loaded anew.
    pub generation: usize,
    /// Whether all were asked to stop.
    pub stops: bool,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

impl Control {
    pub(super) fn new(messages: Sender<Message>) -> Control {
        Control { shared: Arc::default(), messages }
    }

    /// Asks all instances to stop, and tells how many hear it. The others are ended; those that hear it are when they have had
    /// [`stop_timeout`](Service::stop_timeout). None is started any more. A second call asks nothing.
    pub fn stop(&self) -> usize {
        let mut shared = self.shared();
        if std::mem::replace(&mut shared.stops, true) {
            return 0;
        }
        let mut heard = 0;
        for live in &mut shared.live {
            match live.is_asked || live.ask() {
                true => heard += 1,
                false => live.cut(),
            }
        }
        drop(shared);
        let _ = self.messages.send(Message::Stops);
        heard
    }

    /// Ends all instances. None is started any more.
    pub fn kill(&self) {
        let mut shared = self.shared();
        shared.stops = true;
        shared.live.iter_mut().for_each(Live::cut);
        drop(shared);
        let _ = self.messages.send(Message::Stops);
    }

    /// Starts as many instances of `program` beside those that there are. When all of them listen, or have run for a second, the old ones are
    /// asked to stop and have [`stop_timeout`](Service::stop_timeout). If one ends before, all new ones are ended and the old ones go on.
    /// What happens is told by an [`Event`].
    pub fn reload(&self, program: Arc<Program>) {
        let _ = self.messages.send(Message::Reload(program));
    }

    /// What there is now.
    pub fn status(&self) -> Status {
        let shared = self.shared();
        Status {
            running: shared.live.len(),
            restarts: shared.restarts,
            generation: shared.generation,
            stops: shared.stops,
        }
    }

    /// Whether each instance runs and lets the host have its turn within this time. Blocks for as long.
    pub fn turns(&self, within: Duration) -> bool {
        matches!(self.health(within), Health::Serves)
    }

    pub(crate) fn health(&self, within: Duration) -> Health {
        let shared = self.shared();
        if shared.stops {
            return Health::Stops;
        }
        // Those that drain finish what they have begun, and may compute for it.
        let serving = || shared.live.iter().filter(|live| !live.is_asked);
        let questions: Vec<_> = serving().map(|live| live.pulse.ask()).collect();
        let all_run = questions.len() >= shared.wanted;
        drop(shared);
        let deadline = Instant::now() + within;
        match all_run && questions.iter().all(|question| question.is_answered_by(deadline)) {
            true => Health::Serves,
            false => Health::Stuck,
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one instance.
struct Slot {
    /// Which start it is.
    id: u64,
    /// How often it has been started again without having settled.
    restarts: u32,
    /// When it is started again.
    due: Option<Instant>,
    end: Option<Result<Exit, Error>>,
}

/// The instances of a new program.
struct Fresh {
    kind: Kind,
    generation: usize,
    ids: Vec<u64>,
}

pub(super) struct Supervisor {
    control: Control,
    messages: Receiver<Message>,
    kind: Kind,
    generation: usize,
    /// What the next start is.
    next: u64,
    slots: Vec<Slot>,
    fresh: Option<Fresh>,
    /// A program that came while another one was being loaded.
    later: Option<Arc<Program>>,
    /// Old instances that were asked to stop, and when they are ended.
    draining: Vec<(u64, Instant)>,
    /// When all that is left is ended.
    deadline: Option<Instant>,
    cut_off: usize,
    /// It was told that all serve.
    serves: bool,
    restart: Restart,
    stop_timeout: Duration,
    on_event: Box<dyn FnMut(&Event) + Send>,
}

impl Supervisor {
    pub(super) fn new(service: Service) -> Supervisor {
        let Service {
            program,
            configure,
            instances,
            accept_rate,
            restart,
            stop_timeout,
            listeners,
            on_event,
            control,
            messages,
        } = service;
        let accept_rate = accept_rate.map(NonZeroU32::get);
        let shared = Listeners::default();
        shared.keep(restart != Restart::NEVER);
        let listeners = of_each(&program, &shared, listeners);
        let messages_to = control.messages.clone();
        let kind = Kind {
            program,
            configure,
            shared,
            listeners: Arc::new(listeners),
            messages: messages_to,
            instances,
            accept_rate,
        };
        control.shared().wanted = instances.get();
        let slot = || Slot { id: 0, restarts: 0, due: None, end: None };
        Supervisor {
            control,
            messages,
            kind,
            generation: 0,
            next: 1,
            slots: std::iter::repeat_with(slot).take(instances.get()).collect(),
            fresh: None,
            later: None,
            draining: Vec::new(),
            deadline: None,
            cut_off: 0,
            serves: false,
            restart,
            stop_timeout,
            on_event,
        }
    }

    pub(super) fn run(mut self) -> Ended {
        for number in 0..self.slots.len() {
            self.start(number);
        }
        while !self.is_over() {
            let message = match self.next_time() {
                Some(time) => match self.messages.recv_timeout(time.saturating_duration_since(Instant::now())) {
                    Err(RecvTimeoutError::Timeout) => None,
                    message => message.ok(),
                },
                // It has a sender itself.
                None => self.messages.recv().ok(),
            };
            match message {
                Some(Message::Listens { id }) => self.listens(id),
                Some(Message::Ended { id, end, lost }) => self.ended(id, end, lost),
                Some(Message::Reload(program)) => self.reload(program),
                Some(Message::Stops) => self.stops(),
                None => {}
            }
            self.look_at_the_clock();
        }
        let never = || Err(Error::Stopped);
        let instances = self.slots.into_iter().map(|slot| slot.end.unwrap_or_else(never)).collect();
        Ended { instances, cut_off: self.cut_off }
    }

    fn is_over(&self) -> bool {
        self.fresh.is_none()
            && self.draining.is_empty()
            && self.slots.iter().all(|slot| slot.end.is_some() && slot.due.is_none())
    }

    fn tell(&mut self, event: Event) {
        (self.on_event)(&event);
    }

    // ---- starting ----

    /// Starts the instance of a place; an end without a start if there is no thread to be had, or if all stop.
    fn start(&mut self, number: usize) {
        let instance = Instance { number, of: self.kind.instances, generation: self.generation };
        let kind = self.kind.clone();
        self.slots[number].due = None;
        match self.launch(&kind, instance) {
            Ok(id) => self.slots[number].id = id,
            Err(error) => self.failed(number, instance, Err(error), 0),
        }
    }

    fn launch(&mut self, kind: &Kind, instance: Instance) -> Result<u64, Error> {
        let id = self.next;
        self.next += 1;
        let mut shared = self.control.shared();
        if shared.stops {
            return Err(Error::Stopped);
        }
        let live = Live::start(kind, id, instance)
            .map_err(|error| Error::Setup { what: "the thread of an instance", why: error.to_string() })?;
        shared.live.push(live);
        Ok(id)
    }

    // ---- ending ----

    fn ended(&mut self, id: u64, end: Result<Exit, Error>, lost: usize) {
        let mut shared = self.control.shared();
        let Some(at) = shared.live.iter().position(|live| live.id == id) else { return };
        let mut live = shared.live.swap_remove(at);
        drop(shared);
        live.join();
        self.cut_off += usize::from(live.is_cut && matches!(end, Err(Error::Stopped)));
        if self.draining.iter().any(|(old, _)| *old == id) {
            self.draining.retain(|(old, _)| *old != id);
            self.tell_failure(live.instance, &end, lost);
            return;
        }
        if let Some(fresh) = &mut self.fresh
            && fresh.ids.contains(&id)
        {
            fresh.ids.retain(|fresh| *fresh != id);
            if !live.is_asked {
                self.cancel_reload(&end);
            }
            if self.fresh.as_ref().is_some_and(|fresh| fresh.ids.is_empty()) {
                self.fresh = None;
                self.reload_later();
            }
            return;
        }
        let Some(number) = self.slots.iter().position(|slot| slot.id == id) else { return };
        if live.begun.elapsed() >= SETTLED {
            self.slots[number].restarts = 0;
        }
        match live.is_asked {
            true => {
                self.tell_failure(live.instance, &end, lost);
                self.slots[number].end = Some(end);
            }
            false => self.failed(number, live.instance, end, lost),
        }
    }

    /// An instance has ended, and nothing has asked it to.
    fn failed(&mut self, number: usize, instance: Instance, end: Result<Exit, Error>, lost: usize) {
        let has_failed = self.tell_failure(instance, &end, lost);
        self.slots[number].end = Some(end);
        if !has_failed {
            return;
        }
        let (restarts, stops) = (self.slots[number].restarts, self.control.shared().stops);
        match self.restart.most {
            Some(0) => {}
            // The time is that of the whole service.
            _ if stops
                || self.slots[number].end.as_ref().is_some_and(|end| matches!(end, Err(Error::TimedOut { .. }))) => {}
            Some(most) if restarts >= most => self.tell(Event::GivenUp { instance, restarts }),
            _ => {
                let after = FIRST_PAUSE.saturating_mul(1 << restarts.min(16)).min(LONGEST_PAUSE);
                self.slots[number].restarts += 1;
                self.slots[number].due = Some(Instant::now() + after);
                self.tell(Event::Restarts { instance, after });
            }
        }
    }

    /// Tells how one has ended, unless that was well or because it was ended. The error of a service that is one run is for its embedder to tell.
    fn tell_failure(&mut self, instance: Instance, end: &Result<Exit, Error>, lost: usize) -> bool {
        let why = match end {
            Ok(Exit { code: 0 }) | Err(Error::Stopped) => return false,
            Ok(Exit { code }) => format!("has ended with exit code {code}"),
            Err(error) => error.to_string(),
        };
        if self.slots.len() > 1 || self.restart != Restart::NEVER {
            self.tell(Event::Failed { instance, why, lost });
        }
        true
    }

    /// All were asked to stop.
    fn stops(&mut self) {
        self.kind.shared.keep(false);
        self.deadline.get_or_insert_with(|| Instant::now() + self.stop_timeout);
        for slot in &mut self.slots {
            // It would be running: that it had failed before is told.
            if slot.due.take().is_some() {
                slot.end = Some(Err(Error::Stopped));
            }
        }
        self.later = None;
        let deaf: Vec<Instance> =
            self.control.shared().live.iter().filter(|live| live.is_cut).map(|live| live.instance).collect();
        for instance in deaf {
            self.tell(Event::Deaf { instance });
        }
    }

    // ---- another program ----

    fn reload(&mut self, program: Arc<Program>) {
        if self.fresh.is_some() {
            self.later = Some(program);
            return;
        }
        let generation = self.generation + 1;
        let kind = Kind { program, ..self.kind.clone() };
        self.fresh = Some(Fresh { kind: kind.clone(), generation, ids: Vec::new() });
        for number in 0..self.slots.len() {
            let started = self.launch(&kind, Instance { number, of: kind.instances, generation });
            match (started, &mut self.fresh) {
                (Ok(id), Some(fresh)) => fresh.ids.push(id),
                (Err(error), _) => {
                    self.cancel_reload(&Err(error));
                    break;
                }
                (Ok(_), None) => break,
            }
        }
        if self.fresh.as_ref().is_some_and(|fresh| fresh.ids.is_empty()) {
            self.fresh = None;
        }
    }

    fn reload_later(&mut self) {
        if let Some(program) = self.later.take() {
            self.reload(program);
        }
    }

    fn cancel_reload(&mut self, end: &Result<Exit, Error>) {
        let Some(fresh) = &self.fresh else { return };
        for live in self.control.shared().live.iter_mut().filter(|live| fresh.ids.contains(&live.id)) {
            live.cut();
        }
        let why = match end {
            Err(Error::Stopped) => return,
            Ok(Exit { code }) => format!("an instance of the new program has ended with exit code {code}"),
            Err(error) => error.to_string(),
        };
        self.tell(Event::NotReloaded { why });
    }

    fn listens(&mut self, id: u64) {
        let mut shared = self.control.shared();
        if let Some(live) = shared.live.iter_mut().find(|live| live.id == id) {
            live.listens = true;
        }
        drop(shared);
        self.is_up(id);
    }

    /// When an instance counts as up that does not listen.
    fn up_at(&self, live: &Live, all: &[Live]) -> Instant {
        let is_fresh = self.fresh.as_ref().is_some_and(|fresh| fresh.ids.contains(&live.id));
        let old_listens = || all.iter().any(|live| live.listens && self.slots.iter().any(|slot| slot.id == live.id));
        live.begun + if is_fresh && old_listens() { UP_WITH_LISTENER } else { UP }
    }

    /// An instance serves. If it is the last of those of a new program, the old ones may go.
    fn is_up(&mut self, id: u64) {
        let mut shared = self.control.shared();
        if let Some(live) = shared.live.iter_mut().find(|live| live.id == id) {
            live.is_up = true;
        }
        let serves = |slot: &Slot| shared.live.iter().any(|live| live.id == slot.id && live.is_up);
        if !self.serves && self.slots.iter().all(serves) {
            drop(shared);
            self.serves = true;
            return self.tell(Event::Serves);
        }
        let Some(fresh) = &self.fresh else { return };
        let is_up = |id: &u64| shared.live.iter().any(|live| live.id == *id && live.is_up && !live.is_asked);
        if fresh.ids.len() < self.slots.len() || !fresh.ids.iter().all(is_up) {
            return;
        }
        drop(shared);
        let Some(Fresh { kind, generation, ids }) = self.fresh.take() else { return };
        (self.kind, self.generation) = (kind, generation);
        self.control.shared().generation = generation;
        let until = Instant::now() + self.stop_timeout;
        let mut deaf = Vec::new();
        let mut shared = self.control.shared();
        for (slot, id) in self.slots.iter_mut().zip(ids) {
            let old = std::mem::replace(&mut slot.id, id);
            (slot.restarts, slot.due, slot.end) = (0, None, None);
            if let Some(live) = shared.live.iter_mut().find(|live| live.id == old) {
                self.draining.push((old, until));
                if !live.ask() {
                    live.cut();
                    deaf.push(live.instance);
                }
            }
        }
        drop(shared);
        self.tell(Event::Reloaded { generation });
        for instance in deaf {
            self.tell(Event::Deaf { instance });
        }
        self.reload_later();
    }

    // ---- time ----

    /// When there is something to do if nothing happens.
    fn next_time(&self) -> Option<Instant> {
        let restarts = self.slots.iter().filter_map(|slot| slot.due);
        let drained = self.draining.iter().map(|(_, until)| *until);
        let shared = self.control.shared();
        let up = shared.live.iter().filter(|live| !live.is_up).map(|live| self.up_at(live, &shared.live)).min();
        restarts.chain(drained).chain(up).chain(self.deadline).min()
    }

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        for number in 0..self.slots.len() {
            if self.slots[number].due.is_some_and(|due| due <= now) {
                self.slots[number].end = None;
                self.control.shared().restarts += 1;
                self.start(number);
            }
        }
        let shared = self.control.shared();
        let up = shared.live.iter().filter(|live| !live.is_up && self.up_at(live, &shared.live) <= now);
        let up: Vec<u64> = up.map(|live| live.id).collect();
        drop(shared);
        up.into_iter().for_each(|id| self.is_up(id));
        let all = self.deadline.is_some_and(|deadline| deadline <= now);
        let late = |id: u64| all || self.draining.iter().any(|(old, until)| *old == id && *until <= now);
        let mut cut = Vec::new();
        for live in &mut self.control.shared().live {
            if late(live.id) && !live.is_cut {
                live.cut();
                cut.push(live.instance);
            }
        }
        // Those that are left are ended, and that takes no time to look at.
        if all {
            self.deadline = None;
        }
        self.draining.iter_mut().filter(|(_, until)| *until <= now).for_each(|(_, until)| *until = now + LONGEST_PAUSE);
        for instance in cut {
            let after = self.stop_timeout;
            self.tell(Event::CutOff { instance, after });
        }
    }
}

/// The listeners that somebody else has opened: a component gets them when it binds to their address, and a module as descriptors.
fn of_each(program: &Program, shared: &Listeners, listeners: Vec<(String, TcpListener)>) -> Vec<(String, SocketAddr)> {
    // It is bound already, so this only fails if the descriptor is no socket.
    let listeners = listeners.into_iter().filter_map(|(name, listener)| Some((name, shared.add(listener).ok()?)));
    let listeners = listeners.collect();
    if program.is_wasip1() { listeners } else { Vec::new() }
}
