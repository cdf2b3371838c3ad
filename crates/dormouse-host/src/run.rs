//! Run. One run of a program, on the calling thread, with what it is given.
//!
//! The reactor is a tokio runtime on the guest's own thread, so that a wake-up does not cross threads.

use std::collections::BTreeSet;
use std::fmt;
use std::future::{self, Future};
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use wasmtime::Store;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx};

use crate::error::Error;
use crate::limits::{Limits, MAX_HANDLES};
use crate::p2::State;
use crate::policy::{Policy, Refusal};
use crate::program::Program;
use crate::stdio::{Input, Outlet, Output, Sink};
use crate::trace::Trace;
use crate::trap;

/// How a program ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// 0 if its main returned well, 1 if it failed, or what it gave to `exit`.
    pub code: i32,
}

/// One run of a [`Program`]: what it is given, then [`start`](Run::start).
///
/// A run that nothing was given to has inherited standard streams, no arguments after its name, no environment, no
/// directory and no network.
#[must_use = "a run does nothing until it is started"]
pub struct Run<'a> {
    program: &'a Program,
    args: Vec<String>,
    env: Vec<(String, String)>,
    dirs: Vec<(PathBuf, String)>,
    policy: Policy,
    max_memory: Option<usize>,
    stdin: Input,
    stdout: Output,
    stderr: Output,
    trace: Option<Trace>,
    tokio_budget: bool,
    stop: Stop,
}

impl<'a> Run<'a> {
    /// A run of `program`, given nothing.
    pub fn new(program: &'a Program) -> Run<'a> {
        Run {
            program,
            args: vec![program.name().to_owned()],
            env: Vec::new(),
            dirs: Vec::new(),
            policy: Policy::default(),
            max_memory: None,
            stdin: Input::default(),
            stdout: Output::default(),
            stderr: Output::default(),
            trace: None,
            tokio_budget: false,
            stop: Stop::default(),
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Gives the directory `host`, for reading and writing, under the name `guest`.
    pub fn dir(mut self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.dirs.push((host.into(), guest.into()));
        self
    }

    /// Says which addresses may be used. A refusal is said once on the run's standard error.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Bounds the program's linear memory, in bytes.
    pub fn max_memory(mut self, bytes: usize) -> Self {
        self.max_memory = Some(bytes);
        self
    }

    /// Says where standard input comes from.
    pub fn stdin(mut self, stdin: Input) -> Self {
        self.stdin = stdin;
        self
    }

    /// Says where standard output goes.
    pub fn stdout(mut self, stdout: Output) -> Self {
        self.stdout = stdout;
        self
    }

    /// Says where standard error goes.
    pub fn stderr(mut self, stderr: Output) -> Self {
        self.stderr = stderr;
        self
    }

    /// Counts the host calls in `trace`, on top of what it has.
    pub fn trace(mut self, trace: Trace) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Leaves tokio's budget on the program, as the `wasmtime` command does up to version 48: after 128 ready operations
    /// every socket looks not ready until the program waits. For tests that a program lives with that.
    pub fn tokio_budget(mut self, on: bool) -> Self {
        self.tokio_budget = on;
        self
    }

    /// A handle that ends this run from another thread.
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// Runs the program on this thread until it ends. Not to be called from asynchronous code of tokio.
    ///
    /// # Errors
    ///
    /// [`Error::Trap`] if the program trapped, [`Error::Stopped`] if a [`Stop`] ended it, [`Error::Dir`] or
    /// [`Error::Setup`] if it could not begin.
    pub fn start(self) -> Result<Exit, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| setup("the reactor", &error))?;
        let _counting = self.trace.as_ref().map(Trace::install);
        let (stop, budgeted) = (self.stop.clone(), self.tokio_budget);
        let linked = self.program.linked(self.trace.is_some())?;
        let mut store = self.store()?;

        // tokio gives a task 128 ready operations before it makes every socket look not ready, until the task
        // suspends. The guest is one task and suspends only when it waits, so with the budget it would see
        // would-block on sockets that are ready: accept, check-write and ready of wasmtime-wasi 48.0.8 ask tokio for
        // readiness (src/sockets/tcp.rs, poll_accept, poll_write_ready). It is wasmtime issue 14174, fixed after 48.
        let guest = run_guest(&linked, &mut store);
        let ended = match budgeted {
            true => runtime.block_on(stop.or(guest)),
            false => runtime.block_on(stop.or(tokio::task::unconstrained(guest))),
        };

        store.data_mut().measure_resources();
        let end = match ended {
            None => Err(Error::Stopped),
            Some(Ok(Ok(()))) => Ok(Exit { code: 0 }),
            Some(Ok(Err(()))) => Ok(Exit { code: 1 }),
            Some(Err(error)) => match error.downcast_ref::<I32Exit>() {
                Some(I32Exit(code)) => Ok(Exit { code: *code }),
                None => Err(Error::Trap(trap::render(&error, &store.data().limits))),
            },
        };
        drop(store);
        // Writes to files that are still under way in tokio's threads are finished; a read that waits for a fifo
        // does not hold us up.
        runtime.shutdown_timeout(Duration::from_secs(2));
        end
    }

    /// The store: everything the program is given.
    fn store(self) -> Result<Store<State>, Error> {
        let stdout = Sink::new(self.stdout, io::stdout()).map_err(|e| setup("standard output", &e))?;
        let stderr = Sink::new(self.stderr, io::stderr()).map_err(|e| setup("standard error", &e))?;
        let mut wasi = WasiCtx::builder();
        wasi.args(&self.args).envs(&self.env);
        match self.stdin {
            Input::Inherit => wasi.inherit_stdin(),
            Input::Null => &mut wasi,
            Input::Bytes(bytes) => wasi.stdin(MemoryInputPipe::new(bytes)),
        };
        wasi.stdout(Outlet(stdout)).stderr(Outlet(stderr.clone()));
        for (host, guest) in self.dirs {
            wasi.preopened_dir(&host, guest, FsPerms::ReadWrite)
                .map_err(|error| Error::Dir { host: host.clone(), why: error.root_cause().to_string() })?;
        }
        // Sockets can always be made: it is the address that is refused, so that the refusal can name it.
        wasi.allow_tcp(true).allow_udp(true).allow_ip_name_lookup(false);
        let refusals = Refusals { stderr, said: Mutex::default() };
        let policy = self.policy;
        wasi.socket_addr_check(move |addr, what| {
            let checked = policy.check(addr, what);
            if let Err(refusal) = checked {
                refusals.say(refusal);
            }
            Box::pin(future::ready(checked.is_ok()))
        });

        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let state = State { wasi: wasi.build(), table, limits: Limits::new(self.max_memory), trace: self.trace };
        let mut store = Store::new(self.program.engine(), state);
        store.set_max_component_handles(MAX_HANDLES);
        store.limiter(|state| &mut state.limits);
        Ok(store)
    }
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of the environment may be secrets.
        let env: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Run")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env", &env)
            .field("dirs", &self.dirs)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

fn setup(what: &'static str, error: &io::Error) -> Error {
    Error::Setup { what, why: error.to_string() }
}

async fn run_guest(linked: &CommandPre<State>, store: &mut Store<State>) -> wasmtime::Result<Result<(), ()>> {
    let command = linked.instantiate_async(&mut *store).await?;
    command.wasi_cli_run().call_run(store).await
}

/// Says each refusal once, so that a program that tries again and again does not flood.
struct Refusals {
    stderr: Arc<Sink>,
    said: Mutex<BTreeSet<Refusal>>,
}

impl Refusals {
    /// A program that scans addresses is cut short here.
    const MOST: usize = 100;

    fn say(&self, refusal: Refusal) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() > Self::MOST || !said.insert(refusal) {
            return;
        }
        let line = match said.len() > Self::MOST {
            false => format!("dormouse: {refusal}\n"),
            true => "dormouse: refused: more addresses, which are no longer named\n".to_owned(),
        };
        // A refusal that cannot be said is still a refusal.
        let _ = self.stderr.write_all(line.as_bytes());
    }
}

/// Ends a run from another thread.
///
/// It takes effect when the program waits in a host call, or as soon as it does: a program that computes and never
/// waits is not interrupted.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    shared: Arc<Stopped>,
}

#[derive(Debug, Default)]
struct Stopped {
    asked: AtomicBool,
    wake: Notify,
}

impl Stop {
    /// Ends the run: [`Run::start`] returns [`Error::Stopped`]. Before the start it keeps the run from beginning.
    pub fn stop(&self) {
        self.shared.asked.store(true, Ordering::SeqCst);
        self.shared.wake.notify_one();
    }

    /// What `guest` returns, or `None` if it was stopped.
    async fn or<F: Future>(&self, guest: F) -> Option<F::Output> {
        let mut woken = pin!(self.shared.wake.notified());
        let mut guest = pin!(guest);
        future::poll_fn(|cx| {
            let woken = woken.as_mut().poll(cx).is_ready();
            if woken || self.shared.asked.load(Ordering::SeqCst) {
                return Poll::Ready(None);
            }
            guest.as_mut().poll(cx).map(Some)
        })
        .await
    }
}
