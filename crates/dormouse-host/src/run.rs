//! Run. One run of a program, on the calling thread, with what it is given.
//!
//! The reactor is a tokio runtime on the guest's own thread, so that a wake-up does not cross threads.

use std::collections::BTreeSet;
use std::fmt;
use std::future::{self, Future};
use std::io;
use std::mem::take;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use wasmtime::component::ResourceTable;
use wasmtime::{InstancePre, Store};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxBuilder};

use crate::built_ins::BuiltIns;
use crate::error::Error;
use crate::interrupt::{Endable, Interrupt};
use crate::limits::{Limits, MAX_HANDLES};
use crate::nodelay;
use crate::p1::{self, Wasip1};
use crate::p2;
use crate::policy::{Policy, Refusal};
use crate::program::{Code, Linked, Program};
use crate::stdio::{Gone, Input, Outlet, Output, Sink};
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
/// directory and no network. On Linux all TCP sockets of a component have TCP_NODELAY, which WASI has no call for, and it is told
/// so: in its environment is `DORMOUSE_TCP_NODELAY=1`.
#[must_use = "a run does nothing until it is started"]
pub struct Run<'a> {
    program: &'a Program,
    args: Vec<String>,
    env: Vec<(String, String)>,
    dirs: Vec<(PathBuf, String)>,
    listeners: Vec<(String, TcpListener)>,
    streams: Vec<TcpStream>,
    policy: Policy,
    max_memory: Option<usize>,
    max_sockets: Option<usize>,
    stdin: Input,
    stdout: Output,
    stderr: Output,
    trace: Option<Trace>,
    tokio_budget: bool,
    nagle: bool,
    contrary_p1: bool,
    interrupt: Interrupt,
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
            listeners: Vec::new(),
            streams: Vec::new(),
            policy: Policy::default(),
            max_memory: None,
            max_sockets: None,
            stdin: Input::default(),
            stdout: Output::default(),
            stderr: Output::default(),
            trace: None,
            tokio_budget: false,
            nagle: false,
            contrary_p1: false,
            interrupt: Interrupt::default(),
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

    /// Opens a listener for a wasip1 program: descriptor 3, and then in the order of these calls. `LISTEN_FDS` in its
    /// environment says how many there are, and `LISTEN_FDNAMES` what they are called, with colons between; systemd has it so.
    /// A component opens its listeners itself.
    pub fn listener(mut self, name: impl Into<String>, listener: TcpListener) -> Self {
        self.listeners.push((name.into(), listener));
        self
    }

    /// Opens a connection for a wasip1 program: the descriptors after those of the listeners, in the order of these calls.
    pub fn stream(mut self, stream: TcpStream) -> Self {
        self.streams.push(stream);
        self
    }

    /// Bounds the sockets that a wasip1 program may have open at a time. Beyond that accepting fails with ENFILE.
    pub fn max_sockets(mut self, most: usize) -> Self {
        self.max_sockets = Some(most);
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

    /// Leaves Nagle's algorithm on for the TCP sockets of a component, as other hosts do, and the environment variable
    /// `DORMOUSE_TCP_NODELAY` unset. For tests that a program lives with that.
    pub fn nagle(mut self, on: bool) -> Self {
        self.nagle = on;
        self
    }

    /// Has `poll_oneoff` answer a wasip1 program as other hosts do: by turns all is ready, nothing has happened, and the call
    /// is refused; there is no absolute time, and what is accepted is not non-blocking. For tests that a program lives with
    /// that.
    pub fn contrary_p1(mut self, on: bool) -> Self {
        self.contrary_p1 = on;
        self
    }

    /// Has `interrupt` ask the program to end, by ending the standard input that it inherits.
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = interrupt;
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
        // tokio gives a task 128 ready operations before it makes every socket look not ready, until the task
        // suspends. The guest is one task and suspends only when it waits, so with the budget it would see
        // would-block on sockets that are ready: accept, check-write and ready of wasmtime-wasi 48.0.8 ask tokio for
        // readiness (src/sockets/tcp.rs, poll_accept, poll_write_ready). It is wasmtime issue 14174, fixed after 48.
        let end = match self.program.code() {
            Code::Component(component, plain) => {
                if !(self.listeners.is_empty() && self.streams.is_empty()) {
                    return Err(Error::NotForComponents { name: self.program.name().to_owned() });
                }
                let (linked, built_ins) = match self.trace {
                    Some(_) => self.program.counting(component)?,
                    None => (plain.clone(), Arc::default()),
                };
                let mut store = self.component_store(built_ins)?;
                let guest = run_component(&linked, &mut store);
                let ended = match budgeted {
                    true => runtime.block_on(stop.or(guest)),
                    false => runtime.block_on(stop.or(tokio::task::unconstrained(guest))),
                };
                store.data_mut().measure_resources();
                exit(ended, &store.data().limits)
            }
            Code::Module(linked) => {
                let mut store = self.module_store()?;
                let guest = run_module(linked, &mut store);
                let ended = runtime.block_on(stop.or(tokio::task::unconstrained(guest)));
                store.data().p1.measure_sockets();
                exit(ended, &store.data().limits)
            }
        };
        // Writes to files that are still under way in tokio's threads are finished; a read that waits for a fifo
        // does not hold us up.
        runtime.shutdown_timeout(Duration::from_secs(2));
        end
    }

    /// The store of a component: everything it is given.
    fn component_store(mut self, built_ins: Arc<BuiltIns>) -> Result<Store<p2::State>, Error> {
        let (program, trace, limits) = (self.program, self.trace.clone(), Limits::new(self.max_memory));
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let nodelay = !self.nagle && nodelay::works();
        if nodelay {
            self.tell(nodelay::VARIABLE, "1".to_owned());
        }
        let state = p2::State { wasi: self.wasi()?.build(), table, limits, nodelay, trace, built_ins };
        let mut store = Store::new(program.engine(), state);
        store.set_max_component_handles(MAX_HANDLES);
        store.limiter(|state| state);
        Ok(store)
    }

    /// The store of a module.
    fn module_store(mut self) -> Result<Store<p1::State>, Error> {
        let (program, trace, limits) = (self.program, self.trace.take(), Limits::new(self.max_memory));
        let (listeners, streams, most) = (take(&mut self.listeners), take(&mut self.streams), self.max_sockets);
        let contrary = self.contrary_p1;
        let own_stdin = matches!(self.stdin, Input::Inherit);
        if !listeners.is_empty() {
            let names: Vec<&str> = listeners.iter().map(|(name, _)| name.as_str()).collect();
            let names = names.join(":");
            self.tell("LISTEN_FDS", listeners.len().to_string());
            self.tell("LISTEN_FDNAMES", names);
        }
        let mut p1 = Wasip1::new(self.wasi()?.build_p1());
        for (_, listener) in listeners {
            p1.listener(listener).map_err(|error| setup("a listener", &error))?;
        }
        for stream in streams {
            p1.stream(stream).map_err(|error| setup("a connection", &error))?;
        }
        if let Some(most) = most {
            p1.max_sockets(most);
        }
        p1.set_own_stdin(own_stdin);
        p1.set_contrary(contrary);
        p1.set_trace(trace);
        let mut store = Store::new(program.engine(), p1::State { p1, limits });
        store.limiter(|state| &mut state.limits);
        Ok(store)
    }

    /// Sets an environment variable that nobody has set.
    fn tell(&mut self, name: &str, value: String) {
        if !self.env.iter().any(|(set, _)| set == name) {
            self.env.push((name.to_owned(), value));
        }
    }

    /// What wasmtime-wasi is to know.
    fn wasi(self) -> Result<WasiCtxBuilder, Error> {
        let stdout = Sink::new(self.stdout, io::stdout()).map_err(|e| setup("standard output", &e))?;
        let stderr = Sink::new(self.stderr, io::stderr()).map_err(|e| setup("standard error", &e))?;
        let mut wasi = WasiCtx::builder();
        wasi.args(&self.args).envs(&self.env);
        match self.stdin {
            Input::Inherit => wasi.stdin(Endable(self.interrupt)),
            Input::Null => &mut wasi,
            Input::Bytes(bytes) => wasi.stdin(MemoryInputPipe::new(bytes)),
        };
        let gone = match self.program.code() {
            Code::Module(_) => Gone::Error,
            Code::Component(..) => Gone::Closed,
        };
        wasi.stdout(Outlet(stdout, gone)).stderr(Outlet(stderr.clone(), gone));
        for (host, guest) in self.dirs {
            wasi.preopened_dir(&host, guest, FsPerms::ReadWrite)
                .map_err(|error| Error::Dir { host: host.clone(), why: error.root_cause().to_string() })?;
        }
        // Sockets can always be made: it is the address that is refused, so that the refusal can name it.
        wasi.allow_tcp(true).allow_udp(true).allow_ip_name_lookup(self.policy.allows_dns());
        let refusals = Refusals { stderr, said: Mutex::default() };
        let policy = self.policy;
        wasi.socket_addr_check(move |addr, what| {
            let checked = policy.check(addr, what);
            if let Err(refusal) = checked {
                refusals.say(refusal);
            }
            Box::pin(future::ready(checked.is_ok()))
        });
        Ok(wasi)
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

/// How a program ends: what its main returned, or with an error that carries its exit code.
type Ended = wasmtime::Result<Result<(), ()>>;

async fn run_component(linked: &Linked, store: &mut Store<p2::State>) -> Ended {
    match linked {
        Linked::Wasi02(linked) => {
            let command = linked.instantiate_async(&mut *store).await?;
            command.wasi_cli_run().call_run(store).await
        }
        Linked::Wasi03(linked, run) => {
            let instance = linked.instantiate_async(&mut *store).await?;
            let run = instance.get_typed_func::<(), (Result<(), ()>,)>(&mut *store, run)?;
            // Not by `Store::run_concurrent`, as the `wasmtime` command does: a program that waits for nothing would hang there,
            // and here it traps.
            run.call_async(store, ()).await.map(|(ended,)| ended)
        }
    }
}

async fn run_module(linked: &InstancePre<p1::State>, store: &mut Store<p1::State>) -> Ended {
    let instance = linked.instantiate_async(&mut *store).await?;
    let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
    start.call_async(store, ()).await.map(Ok)
}

/// `None`: it was stopped.
fn exit(ended: Option<Ended>, limits: &Limits) -> Result<Exit, Error> {
    match ended {
        None => Err(Error::Stopped),
        Some(Ok(Ok(()))) => Ok(Exit { code: 0 }),
        Some(Ok(Err(()))) => Ok(Exit { code: 1 }),
        Some(Err(error)) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(code)) => Ok(Exit { code: *code }),
            None => Err(Error::Trap(trap::render(&error, limits))),
        },
    }
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
