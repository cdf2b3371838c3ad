//! Service. Several instances of one program: each with a thread, a store and a reactor of its own, behind the same listeners.
//!
//! ```text
//!   mod.rs         what an embedder says and asks       events.rs   what is told
//!   supervisor.rs  who is started, and when              live.rs     one instance, on its thread
//! ```

mod events;
mod live;
mod supervisor;

use std::fmt;
use std::net::TcpListener;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

pub use events::Event;
use supervisor::Supervisor;
pub use supervisor::{Control, Status};

use crate::error::Error;
use crate::program::Program;
use crate::run::{Exit, Run};

/// Which instance of a service it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instance {
    /// From 0 to one less than how many there are. One that is started again keeps it.
    pub number: usize,
    /// How many there are.
    pub of: NonZeroUsize,
    /// How often the program has been replaced by [`Control::reload`].
    pub generation: usize,
}

/// `instance 2`, or `the program` if there is one.
impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            NonZeroUsize::MIN => f.write_str("the program"),
            _ => write!(f, "instance {}", self.number),
        }
    }
}

/// Whether an instance that fails is started again: one that traps, or ends with another code than 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restart {
    most: Option<u32>,
}

impl Restart {
    /// It is not, and the others go on.
    pub const NEVER: Restart = Restart { most: Some(0) };

    /// It is, after a pause: a tenth of a second, and twice as long each time up to half a minute. One that has run for ten seconds
    /// begins anew.
    pub const ON_FAILURE: Restart = Restart { most: None };

    /// As [`ON_FAILURE`](Self::ON_FAILURE), but no more than so many times in a row.
    pub const fn on_failure_at_most(times: u32) -> Restart {
        Restart { most: Some(times) }
    }
}

/// What a run is given, for each instance.
type Configure = dyn for<'a> Fn(Run<'a>, Instance) -> Run<'a> + Send + Sync;

/// Instances of one program that serve together.
///
/// What the program binds and listens on, all instances have: there is one queue of connections, from which an instance that is free takes
/// the next. A program built with Dormouse finds its number in the variable DORMOUSE_INSTANCE, if there are several. A UDP port is bound by each, and the datagrams of one peer go to one of them. Memories, files that are open
/// and connections each has for itself.
///
/// ```no_run
/// use std::num::NonZeroUsize;
/// use std::sync::Arc;
///
/// use dormouse_host::{Policy, Program, Restart, Service};
///
/// # fn main() -> Result<(), dormouse_host::Error> {
/// let program = Arc::new(Program::load("echo.wasm".as_ref())?);
/// let service = Service::new(program, |run, _| run.policy(Policy::allow_all()).arg("127.0.0.1:7000"))
///     .instances(NonZeroUsize::new(4).unwrap())
///     .restart(Restart::ON_FAILURE);
/// let control = service.control();
/// // `control.stop()` from another thread asks all of them to stop.
/// let ended = service.start();
/// println!("{} instances, {} of them cut off", ended.instances.len(), ended.cut_off);
/// # drop(control);
/// # Ok(())
/// # }
/// ```
#[must_use = "a service does nothing until it is started"]
pub struct Service {
    program: Arc<Program>,
    configure: Arc<Configure>,
    instances: NonZeroUsize,
    accept_rate: Option<NonZeroU32>,
    restart: Restart,
    stop_timeout: Duration,
    listeners: Vec<(String, TcpListener)>,
    on_event: Box<dyn FnMut(&Event) + Send>,
    control: Control,
    messages: std::sync::mpsc::Receiver<supervisor::Message>,
}

/// How a service ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ended {
    /// How the last run of each instance ended, by number.
    pub instances: Vec<Result<Exit, Error>>,
    /// How many of them were ended, because they did not hear a request to stop or did not end in time.
    pub cut_off: usize,
}

impl Service {
    /// A service of one instance. `configure` is what each is given: it is called with a run that has nothing, on the instance's thread.
    ///
    /// The interrupt that it sets is not used, since [`Control::stop`] asks; nor are a listener or connection that it gives.
    pub fn new(
        program: Arc<Program>,
        configure: impl for<'a> Fn(Run<'a>, Instance) -> Run<'a> + Send + Sync + 'static,
    ) -> Service {
        let (sender, messages) = channel();
        Service {
            program,
            configure: Arc::new(configure),
            instances: NonZeroUsize::MIN,
            accept_rate: None,
            restart: Restart::NEVER,
            stop_timeout: Duration::from_secs(10),
            listeners: Vec::new(),
            on_event: Box::new(|_| {}),
            control: Control::new(sender),
            messages,
        }
    }

    /// How many instances there are.
    pub fn instances(mut self, instances: NonZeroUsize) -> Self {
        self.instances = instances;
        self
    }

    /// How many connections an instance may accept in a second. Those that it may not accept yet stay in the backlog, where another instance finds
    /// them; an instance that has accepted fewer may accept some at once.
    pub fn accept_rate(mut self, connections: NonZeroU32) -> Self {
        self.accept_rate = Some(connections);
        self
    }

    /// Whether an instance that fails is started again. Not if nothing is said.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// How long an instance may take to end when it is asked to stop: 10 s if nothing is said.
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.stop_timeout = timeout;
        self
    }

    /// Gives all instances a listener that is open. A wasip1 program has it as [`Run::listener`] says; a component gets it when it binds to
    /// the address that the listener has.
    pub fn listener(mut self, name: impl Into<String>, listener: TcpListener) -> Self {
        self.listeners.push((name.into(), listener));
        self
    }

    /// Is called with what happens to the instances, on the thread that has called [`start`](Self::start).
    pub fn on_event(mut self, on_event: impl FnMut(&Event) + Send + 'static) -> Self {
        self.on_event = Box::new(on_event);
        self
    }

    /// What stops the service, or has it load another program, from other threads.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Runs it until all instances have ended.
    pub fn start(self) -> Ended {
        Supervisor::new(self).run()
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("program", &self.program)
            .field("instances", &self.instances)
            .field("restart", &self.restart)
            .field("stop_timeout", &self.stop_timeout)
            .finish_non_exhaustive()
    }
}
