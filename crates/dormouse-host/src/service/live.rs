//! Live. One instance, on its thread.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use super::supervisor::Message;
use super::{Configure, Instance};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::net::share::Listeners;
use crate::program::Program;
use crate::pulse::Pulse;
use crate::run::{Exit, Run, Stop};

/// What an instance is made of.
#[derive(Clone)]
pub(super) struct Kind {
    pub(super) program: Arc<Program>,
    pub(super) configure: Arc<Configure>,
    pub(super) shared: Listeners,
    /// A module's, which finds them as descriptors.
    pub(super) listeners: Arc<Vec<(String, SocketAddr)>>,
    pub(super) messages: Sender<Message>,
    /// How many there are.
    pub(super) instances: NonZeroUsize,
    /// How many connections each may accept in a second.
    pub(super) accept_rate: Option<u32>,
}

/// One that has been started. Each start has an identity of its own.
pub(super) struct Live {
    pub(super) id: u64,
    pub(super) instance: Instance,
    pub(super) begun: Instant,
    pub(super) stop: Stop,
    pub(super) interrupt: Interrupt,
    pub(super) pulse: Pulse,
    /// It was asked to stop, or ended.
    pub(super) is_asked: bool,
    /// It was ended, and did not end by itself.
    pub(super) is_cut: bool,
    /// It has a listener, or has run for long enough.
    pub(super) is_up: bool,
    /// It has bound a listener.
    pub(super) listens: bool,
    thread: Option<JoinHandle<()>>,
}

impl Live {
    pub(super) fn start(kind: &Kind, id: u64, instance: Instance) -> io::Result<Live> {
        let (stop, interrupt, pulse) = (Stop::of(kind.program.engine()), Interrupt::new(), Pulse::default());
        let thread = Builder::new().name(format!("instance {}", instance.number)).spawn({
            let (kind, given) = (kind.clone(), (interrupt.clone(), stop.clone(), pulse.clone()));
            move || {
                let messages = kind.messages.clone();
                let mut lost = 0;
                let end = catch_unwind(AssertUnwindSafe(|| run(kind, id, instance, given, &mut lost)));
                let why = || Error::Setup { what: "the instance", why: "its thread has panicked".to_owned() };
                // Without a supervisor there is nobody to tell.
                let _ = messages.send(Message::Ended { id, end: end.unwrap_or_else(|_| Err(why())), lost });
            }
        })?;
        Ok(Live {
            id,
            instance,
            begun: Instant::now(),
            stop,
            interrupt,
            pulse,
            is_asked: false,
            is_cut: false,
            is_up: false,
            listens: false,
            thread: Some(thread),
        })
    }

    /// Asks it to stop; false if it does not hear that.
    pub(super) fn ask(&mut self) -> bool {
        self.is_asked = true;
        self.interrupt.ask()
    }

    /// Ends it.
    pub(super) fn cut(&mut self) {
        (self.is_asked, self.is_cut) = (true, true);
        self.stop.stop();
    }

    /// Waits for its thread, which has told that it has ended.
    pub(super) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(
    kind: Kind,
    id: u64,
    instance: Instance,
    (interrupt, stop, pulse): (Interrupt, Stop, Pulse),
    lost: &mut usize,
) -> Result<Exit, Error> {
    let messages = kind.messages.clone();
    let share = kind.shared.of_a_run(kind.accept_rate, move || {
        let _ = messages.send(Message::Listens { id });
    });
    let state = share.state();
    let mut opened = Vec::new();
    for (name, addr) in kind.listeners.iter() {
        let listener = share.opened(*addr);
        let (listener, held) = listener.map_err(|error| Error::Setup { what: "a listener", why: error.to_string() })?;
        opened.push((name.clone(), listener, held));
    }
    let run = (kind.configure)(Run::new(&kind.program), instance).of_a_service(
        share,
        interrupt,
        stop,
        pulse,
        (instance.number, kind.instances),
    );
    let end =
        opened.into_iter().fold(run, |run, (name, listener, held)| run.listener_held(name, listener, held)).start();
    *lost = state.lost();
    end
}
