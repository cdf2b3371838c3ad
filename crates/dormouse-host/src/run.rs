//! Run. One run of a program, on the calling thread, with what it is given.
//!
//! The reactor is a tokio runtime on the guest's own thread, so that a wake-up does not cross threads.

use std::fmt;
use std::io;
use std::mem::take;
use std::net::{TcpListener, TcpStream};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::ResourceTable;
use wasmtime::{InstancePre, Store, UpdateDeadline};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxBuilder};

use crate::count::{Counter, Trace};
use crate::error::Error;
use crate::facts;
use crate::interrupt::{Endable, Interrupt};
use crate::invoke::{Invocation, NotInvoked};
use crate::limits::{Bounds, Limits};
use crate::net::Net;
use crate::net::limits::Most;
use crate::net::meter::Meter;
use crate::net::policy::Policy;
use crate::net::share::{Held, Share};
use crate::p1::{self, Wasip1};
use crate::p2;
use crate::pace::{Pace, Rates};
use crate::program::{Code, Linked, Program, one_line};
use crate::pulse::Pulse;
use crate::stdio::{Gone, Input, Outlet, Output, Sink};
pub use crate::stop::Stop;
use crate::stop::Timer;
use crate::trap;

/// How long a run waits at its end for peers to take what the program has written to them. The system itself keeps what it has
/// taken, as it does for a process that ends. As long as a program of Dormouse's waits on hosts whose drops wait: here it is told that a drop
/// loses nothing, and waits for nothing.
const LINGER: Duration = Duration::from_secs(5);

/// How a program ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// 0 if its main returned well, 1 if it failed, or what it gave to the call that ends it:
    ///
    /// * WASI 0.2 and 0.3: `exit` gives 0 or 1, and `exit-with-code` 0 to 255.
    /// * wasip1: `proc_exit` gives any `u32`; it is this number's bits.
    ///
    /// A process that ends with it, as the `dormouse` command does, shows the low eight bits. The command's codes for
    /// a trap (134) and a timeout (124) are none of these: [`start`](Run::start) returns an [`Error`] then.
    pub code: i32,
}

/// One run of a [`Program`]: what it is given, then [`start`](Run::start).
///
/// A run that nothing was given to has inherited standard streams, no arguments after its name, no environment, no
/// directory and no network. On Linux all TCP sockets of a component have TCP_NODELAY, which WASI has no call for. A program
/// that exports the function `dormouse-host-facts` is told so, before it runs.
#[must_use = "a run does nothing until it is started"]
pub struct Run<'a> {
    program: &'a Program,
    args: Vec<String>,
    env: Vec<(String, String)>,
    dirs: Vec<(PathBuf, String, FsPerms)>,
    listeners: Vec<(String, TcpListener, Option<Held>)>,
    streams: Vec<TcpStream>,
    policy: Policy,
    bounds: Bounds,
    timeout: Option<Duration>,
    rates: Rates,
    fuel: Option<u64>,
    invoke: Option<String>,
    stdin: Input,
    stdout: Output,
    stderr: Output,
    trace: Option<Trace>,
    meter: Meter,
    interrupt: Interrupt,
    share: Option<Share>,
    pulse: Pulse,
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
            bounds: Bounds::default(),
            timeout: None,
            rates: Rates::default(),
            fuel: None,
            invoke: None,
            stdin: Input::default(),
            stdout: Output::default(),
            stderr: Output::default(),
            trace: None,
            meter: Meter::new(),
            interrupt: Interrupt::default(),
            share: None,
            pulse: Pulse::default(),
            stop: Stop::of(program.engine()),
        }
    }

    /// Replaces argument 0, which is the program's name.
    pub fn argv0(mut self, name: impl Into<String>) -> Self {
        self.args[0] = name.into();
        self
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
        self.dirs.push((host.into(), guest.into(), FsPerms::ReadWrite));
        self
    }

    /// Gives the directory `host`, for reading only, under the name `guest`. What would change something in it is refused:
    /// EPERM or EROFS on wasip1, `not-permitted` or `read-only` on WASI 0.2 and 0.3.
    pub fn dir_read_only(mut self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.dirs.push((host.into(), guest.into(), FsPerms::ReadOnly));
        self
    }

    /// Opens a listener for a wasip1 program: descriptor 3, and then in the order of these calls. `LISTEN_FDS` in its
    /// environment says how many there are, and `LISTEN_FDNAMES` what they are called, with colons between; systemd has it so.
    /// A component opens its listeners itself.
    pub fn listener(mut self, name: impl Into<String>, listener: TcpListener) -> Self {
        self.listeners.push((name.into(), listener, None));
        self
    }

    /// The same of one that other runs have, too.
    pub(crate) fn listener_held(mut self, name: String, listener: TcpListener, held: Held) -> Self {
        self.listeners.push((name, listener, Some(held)));
        self
    }

    /// Opens a connection for a wasip1 program: the descriptors after those of the listeners, in the order of these calls.
    pub fn stream(mut self, stream: TcpStream) -> Self {
        self.streams.push(stream);
        self
    }

    /// Bounds the sockets that the program may have open at a time, listeners too. Beyond that, opening one fails with
    /// `new-socket-limit` (WASI 0.2; 0.3 has no such error, and there it is `other` with a text), and accepting with that or
    /// with ENFILE (wasip1); on WASI 0.3 the next connection stays with the host until another has been closed.
    ///
    /// The default is as many as this process may have descriptors, less 64, and for a component no more than it may have
    /// handles for: a twelfth of [`max_resources`](Run::max_resources).
    pub fn max_sockets(mut self, most: usize) -> Self {
        self.bounds.sockets = Some(most);
        self
    }

    /// Bounds the handles that a component may have at a time: streams, pollables, files, sockets, timers, calls under way.
    /// Beyond that it traps. A module may have as many files open.
    ///
    /// The default is one for every 2 KiB of [`max_memory`](Run::max_memory), but 10 000 at least and 1 000 000 at most, and
    /// enough for the sockets that were asked for. A handle costs the host about 1 KiB; a TCP connection is 5 of them on WASI 0.2 and 12 on 0.3.
    pub fn max_resources(mut self, most: usize) -> Self {
        self.bounds.resources = Some(most);
        self
    }

    /// Ends the run when it has taken that long, whether the program waits or computes: [`start`](Run::start) returns
    /// [`Error::TimedOut`]. The time begins with `start`; compiling is not part of it.
    pub fn timeout(mut self, after: Duration) -> Self {
        self.timeout = Some(after);
        self
    }

    /// Bounds what the program may use of a processor, in percent of one: at 25 it computes for a quarter of the time. A tenth of a second may be saved
    /// up. The bound is kept by pauses, so connections that are open wait, too.
    pub fn cpu_share(mut self, percent: NonZeroU32) -> Self {
        self.rates.cpu = Some(percent.get());
        self
    }

    /// Bounds the bytes that the program may receive and send in a second, together, over all its sockets. A tenth of a second may be saved up. The
    /// bound is kept by pauses, so what is moved at once can be more, and is made up for afterwards.
    pub fn byte_rate(mut self, bytes: NonZeroU64) -> Self {
        self.rates.bytes = Some(bytes.get());
        self
    }

    /// Ends the run when the program has used up so many units of fuel, about one for an instruction: it traps. The program is one of
    /// [`Source::fuel`](crate::Source::fuel); another one does not begin: [`Error::WithoutFuel`].
    pub fn fuel(mut self, units: u64) -> Self {
        self.fuel = Some(units);
        self
    }

    /// Calls the exported function `name` in place of the program's main: of a module, after its `_initialize` if it has one; of a component,
    /// one at the top, or `INTERFACE#NAME`. The arguments of the run are the function's, as text; what it returns is printed to the run's
    /// standard output, a value a line. Numbers, truth values, letters and text can be passed.
    pub fn invoke(mut self, name: impl Into<String>) -> Self {
        self.invoke = Some(name.into());
        self
    }

    /// Says which addresses may be used. A refusal is said once on the run's standard error.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Bounds what the program may have, in bytes: its memories and tables together, and scaled to it the instances, the
    /// handles ([`max_resources`](Run::max_resources)) and what one host call may allocate for it. The default is 4 GiB.
    pub fn max_memory(mut self, bytes: usize) -> Self {
        self.bounds.memory = Some(bytes);
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

    /// Counts the connections in `meter`, on top of what it has.
    pub fn meter(mut self, meter: Meter) -> Self {
        self.meter = meter;
        self
    }

    /// Has `interrupt` ask the program to stop: one that waits for that, as `dormouse::signal::stop_requested` does, is told, and of
    /// another one the standard input that it inherits ends.
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = interrupt;
        self
    }

    /// Makes it one of a service's instances: it has a part of the listeners that they have, `interrupt` asks it to stop and `stop` ends it. A
    /// program of Dormouse's is told which one of several it is.
    pub(crate) fn of_a_service(
        mut self,
        share: Share,
        interrupt: Interrupt,
        stop: Stop,
        pulse: Pulse,
        (number, of): (usize, NonZeroUsize),
    ) -> Self {
        self.meter = share.counts(self.meter);
        (self.share, self.interrupt, self.stop, self.pulse) = (Some(share), interrupt, stop, pulse);
        if of > NonZeroUsize::MIN {
            self.bounds.instances = Some(of);
            if self.program.is_told_facts() {
                self.tell("DORMOUSE_INSTANCE", number.to_string());
            }
        }
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
    /// [`Error::Trap`] if the program trapped, [`Error::Stopped`] if a [`Stop`] ended it, [`Error::TimedOut`] if it took
    /// longer than [`timeout`](Run::timeout), [`Error::Dir`], [`Error::Name`], [`Error::Invoke`] or [`Error::Setup`] if it could not begin.
    pub fn start(mut self) -> Result<Exit, Error> {
        // Compiles it the first time, so the time does not begin before.
        let counted = self.trace.as_ref().map(|_| self.program.counted()).transpose()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| setup("the reactor", &error))?;
        if self.share.is_some() {
            runtime.spawn(self.pulse.clone().answers());
        }
        let timer = self.timeout.map(|after| Timer::start(after, self.stop.clone())).transpose();
        let _timer = timer.map_err(|error| setup("the timeout", &error))?;
        let timeout = self.timeout.unwrap_or_default();
        let ticker = self.rates.are_given().then(|| self.program.ticker()).transpose();
        let _ticker = ticker.map_err(|error| setup("what interrupts it", &error))?;
        let pace = self.pace();
        let state = self.share.as_ref().map(Share::state);
        let fails = |end: &Result<Exit, Error>| {
            if let Some(state) = &state
                && !matches!(end, Ok(Exit { code: 0 }))
            {
                state.fails();
            }
        };
        let stop = self.stop.clone();
        let program = self.program;
        let several = self.bounds.instances.is_some();
        let stdout = sink(take(&mut self.stdout), io::stdout(), several).map_err(|e| setup("standard output", &e))?;
        let invoked = self.invoke.take().map(|name| Invocation { name, args: self.args[1..].to_vec() });
        // tokio gives a task 128 ready operations before it makes every socket look not ready, until the task
        // suspends. The guest is one task and suspends only when it waits, so with the budget it would see
        // would-block on sockets that are ready: tokio is asked for their readiness (net/socket.rs, `poll_ready`), and counts each
        // answer. Of wasmtime's own sockets it is issue 14174, fixed after 48.
        let (code, calls) = match &counted {
            Some(counted) => (&counted.code, Some(&*counted.calls)),
            None => (self.program.code(), None),
        };
        let bytes = self.program.bytes(counted.as_ref());
        let counter = calls.zip(self.trace.clone()).map(|(calls, trace)| Counter::new(calls, trace));
        let end = match code {
            Code::Component(linked) => {
                if !(self.listeners.is_empty() && self.streams.is_empty()) {
                    return Err(Error::NotForComponents { name: self.program.name().to_owned() });
                }
                let mut store = self.component_store(counter, &stdout)?;
                let guest = run_component(linked, &mut store, invoked.as_ref(), &stdout);
                let ended = runtime.block_on(stop.or(tokio::task::unconstrained(at_pace(pace, guest))));
                if ended.is_some() {
                    let flusher = store.data().own.flusher();
                    runtime.block_on(stop.or(async { tokio::time::timeout(LINGER, flusher.idle()).await }));
                    match flusher.left() {
                        0 => {}
                        left => store.data().net.say(&format!(
                            "connections reset at the end, as their peers did not take what the program had written: {left}"
                        )),
                    }
                }
                store.data_mut().measure_resources();
                let end = exit(ended, &stop, timeout, &store.data().limits, program, bytes);
                fails(&end);
                end
            }
            Code::Module(linked) => {
                let opened = !(self.listeners.is_empty() && self.streams.is_empty());
                if opened && p1::is_without_sockets(linked.module()) {
                    return Err(Error::WithoutSockets { name: program.name().to_owned() });
                }
                let mut store = self.module_store(counter, &stdout)?;
                let guest = run_module(linked, &mut store, invoked.as_ref(), &stdout);
                let ended = runtime.block_on(stop.or(tokio::task::unconstrained(at_pace(pace, guest))));
                store.data().p1.measure_sockets();
                let end = exit(ended, &stop, timeout, &store.data().limits, program, bytes);
                fails(&end);
                end
            }
        };
        stop.has_ended();
        // Writes to files that are still under way in tokio's threads are finished; a read that waits for a fifo
        // does not hold us up.
        runtime.shutdown_timeout(Duration::from_secs(2));
        end
    }

    /// What keeps it from using more than it may.
    fn pace(&mut self) -> Option<Pace> {
        if !self.rates.are_given() {
            return None;
        }
        let load = self.meter.load().unwrap_or_default();
        self.meter = self.meter.clone().of_a_run(Arc::clone(&load));
        let of = (self.interrupt.clone(), self.program.engine().clone());
        Some(Pace::new(self.rates, load, self.meter.clone(), self.pulse.clone(), of))
    }

    /// What is told when the program is interrupted again and again, if it is.
    fn pulse_of_ticks(&self) -> Option<Pulse> {
        self.rates.are_given().then(|| self.pulse.clone())
    }

    /// The store of a component: everything it is given.
    fn component_store(self, counter: Option<Counter>, stdout: &Arc<Sink>) -> Result<Store<p2::State>, Error> {
        let (program, trace, bounds, fuel) = (self.program, self.trace.clone(), self.bounds, self.fuel);
        let (limits, handles) = (Limits::new(bounds, program.cost_of_instances(), &self.meter), bounds.handles());
        let (interrupt, pulse) = (self.interrupt.clone(), self.pulse_of_ticks());
        let mut table = ResourceTable::new();
        table.set_max_capacity(handles);
        let (mut wasi, net) = self.wasi(bounds.sockets_of_component(), stdout)?;
        let own = p2::Own::new(Arc::clone(&net), handles, &interrupt);
        let state = p2::State { wasi: wasi.build(), table, limits, net, own, trace, counter };
        let mut store = Store::new(program.engine(), state);
        store.set_max_component_handles(handles);
        // What wasmtime keeps for WASI 0.3: tasks, streams, waitable sets. Its own limit of 1 000 000 was 83 000 connections.
        if let Some(table) = store.concurrent_resource_table() {
            table.set_max_capacity(handles);
        }
        store.set_hostcall_fuel(bounds.per_call());
        store.limiter(|state| state);
        bounded(&mut store, program, fuel, pulse)?;
        Ok(store)
    }

    /// The store of a module.
    fn module_store(mut self, counter: Option<Counter>, stdout: &Arc<Sink>) -> Result<Store<p1::State>, Error> {
        let (program, trace, bounds, fuel) = (self.program, self.trace.take(), self.bounds, self.fuel);
        let limits = Limits::new(bounds, program.cost_of_instances(), &self.meter);
        let (listeners, streams) = (take(&mut self.listeners), take(&mut self.streams));
        let (interrupt, pulse) = (self.interrupt.clone(), self.pulse_of_ticks());
        let own_stdin = matches!(self.stdin, Input::Inherit);
        if !listeners.is_empty() {
            let names: Vec<&str> = listeners.iter().map(|(name, ..)| name.as_str()).collect();
            let names = names.join(":");
            self.tell("LISTEN_FDS", listeners.len().to_string());
            self.tell("LISTEN_FDNAMES", names);
        }
        let (mut wasi, net) = self.wasi(bounds.sockets(), stdout)?;
        let mut p1 = Wasip1::new(wasi.build_p1());
        p1.set_net(net);
        p1.set_interrupt(&interrupt);
        for (_, listener, held) in listeners {
            p1.listener_held(listener, held).map_err(|error| setup("a listener", &error))?;
        }
        for stream in streams {
            p1.stream(stream).map_err(|error| setup("a connection", &error))?;
        }
        p1.max_sockets(bounds.sockets());
        p1.max_files(bounds.handles());
        p1.set_own_stdin(own_stdin);
        p1.set_trace(trace);
        let mut store = Store::new(program.engine(), p1::State { p1, limits, counter });
        store.set_hostcall_fuel(bounds.per_call());
        store.limiter(|state| state);
        bounded(&mut store, program, fuel, pulse)?;
        Ok(store)
    }

    /// Sets an environment variable that nobody has set.
    fn tell(&mut self, name: &str, value: String) {
        if !self.env.iter().any(|(set, _)| set == name) {
            self.env.push((name.to_owned(), value));
        }
    }

    /// What wasmtime-wasi is to know, and what it asks about sockets.
    fn wasi(self, sockets: impl Into<Most>, stdout: &Arc<Sink>) -> Result<(WasiCtxBuilder, Arc<Net>), Error> {
        let several = self.bounds.instances.is_some();
        let stderr = sink(self.stderr, io::stderr(), several).map_err(|e| setup("standard error", &e))?;
        let mut wasi = WasiCtx::builder();
        wasi.args(&self.args).envs(&self.env);
        match self.stdin {
            Input::Inherit => wasi.stdin(Endable(self.interrupt)),
            Input::Null => &mut wasi,
            Input::Bytes(bytes) => wasi.stdin(MemoryInputPipe::new(bytes)),
        };
        let gone = match self.program.code() {
            Code::Module(_) => Gone::Error,
            Code::Component(_) => Gone::Closed,
        };
        wasi.stdout(Outlet(Arc::clone(stdout), gone)).stderr(Outlet(stderr.clone(), gone));
        // Before the directories, which keep it. The program waits for such a call anyway, and through tokio's other threads each takes 5
        // to 15 times as long.
        wasi.allow_blocking_current_thread(self.program.files_block());
        for (host, guest, perms) in self.dirs {
            wasi.preopened_dir(&host, guest, perms)
                .map_err(|error| Error::Dir { host: host.clone(), why: error.root_cause().to_string() })?;
        }
        // Beyond this a request traps; it is for one list of bytes.
        wasi.max_random_size((self.bounds.memory() as u64 / 4).clamp(64 << 10, 64 << 20));
        let policy = self.policy.resolved().map_err(|(name, source)| Error::Name { name, source })?;
        let net = Net::new(policy, sockets, self.meter, stderr, self.share);
        // No socket is wasmtime-wasi's, which refuses all addresses unless it is told otherwise; lookups are, each of which is asked about.
        wasi.allow_ip_name_lookup(net.policy().allows_lookups());
        Ok((wasi, net))
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

/// Where a standard stream goes, which several instances may have.
fn sink(output: Output, own: impl AsFd, several: bool) -> io::Result<Arc<Sink>> {
    match several {
        true => Sink::in_lines(output, own),
        false => Sink::new(output, own),
    }
}

fn setup(what: &'static str, error: &io::Error) -> Error {
    Error::Setup { what, why: error.to_string() }
}

/// What ends a program that does not end by itself.
fn bounded<T: Send>(
    store: &mut Store<T>,
    program: &Program,
    fuel: Option<u64>,
    pulse: Option<Pulse>,
) -> Result<(), Error> {
    interruptible(store, pulse);
    match (program.settings().fuel, fuel) {
        (false, None) => Ok(()),
        (false, Some(_)) => Err(Error::WithoutFuel { name: program.name().to_owned() }),
        // Compiled for it, and not bounded.
        (true, units) => store
            .set_fuel(units.unwrap_or(u64::MAX))
            .map_err(|error| Error::Setup { what: "the fuel", why: one_line(&error) }),
    }
}

/// A stop ends the program while it computes, too: the engine's epoch moves on, and at the next loop or call the program
/// yields to [`Stop::or`].
fn interruptible<T: Send>(store: &mut Store<T>, pulse: Option<Pulse>) {
    store.set_epoch_deadline(1);
    match pulse {
        None => store.epoch_deadline_async_yield_and_update(1),
        Some(pulse) => store.epoch_deadline_callback(move |_| {
            pulse.set_interrupted(true);
            Ok(UpdateDeadline::Yield(1))
        }),
    };
}

async fn at_pace<F: Future>(pace: Option<Pace>, guest: F) -> F::Output {
    match pace {
        None => guest.await,
        Some(pace) => pace.keep(guest).await,
    }
}

/// How a program ends: what its main returned, or with an error that carries its exit code.
type Ended = wasmtime::Result<Result<(), ()>>;

async fn run_component(
    linked: &Linked,
    store: &mut Store<p2::State>,
    invoked: Option<&Invocation>,
    stdout: &Sink,
) -> Ended {
    let facts = facts::of_component(matches!(linked, Linked::Wasi03(..)));
    if let Some(invoked) = invoked {
        let instance = linked.instance_pre().instantiate_async(&mut *store).await?;
        facts::tell_component(store, &instance, facts).await?;
        let results = invoked.of_component(store, &instance).await?;
        return print(stdout, results);
    }
    match linked {
        Linked::Wasi02(linked) => {
            let instance = linked.instance_pre().instantiate_async(&mut *store).await?;
            facts::tell_component(store, &instance, facts).await?;
            let command = Command::new(&mut *store, &instance)?;
            command.wasi_cli_run().call_run(store).await
        }
        Linked::Wasi03(linked, run) => {
            let instance = linked.instantiate_async(&mut *store).await?;
            facts::tell_component(store, &instance, facts).await?;
            let run = instance.get_typed_func::<(), (Result<(), ()>,)>(&mut *store, run)?;
            // Not by `Store::run_concurrent`, as the `wasmtime` command does: a program that waits for nothing would hang there,
            // and here it traps.
            run.call_async(store, ()).await.map(|(ended,)| ended)
        }
        Linked::Library(_) => Err(NotInvoked("it has no main, and no function is named".to_owned()).into()),
    }
}

/// What a function has returned, a value a line. What nothing reads any more is no failure of the function.
fn print(stdout: &Sink, results: Vec<String>) -> Ended {
    for line in results {
        let _ = stdout.write_all(format!("{line}\n").as_bytes());
    }
    Ok(Ok(()))
}

async fn run_module(
    linked: &InstancePre<p1::State>,
    store: &mut Store<p1::State>,
    invoked: Option<&Invocation>,
    stdout: &Sink,
) -> Ended {
    let instance = linked.instantiate_async(&mut *store).await?;
    let memory = instance.get_memory(&mut *store, "memory");
    store.data_mut().p1.set_memory(memory);
    facts::tell_module(store, &instance, facts::OF_MODULE).await?;
    if let Some(invoked) = invoked {
        let results = invoked.of_module(store, &instance).await?;
        return print(stdout, results);
    }
    let Some(start) = instance.get_func(&mut *store, "_start") else {
        return Err(NotInvoked("it has no main, and no function is named".to_owned()).into());
    };
    let start = start.typed::<(), ()>(&*store)?;
    start.call_async(store, ()).await.map(Ok)
}

/// `None`: it was stopped, by the timeout or by something else.
fn exit(
    ended: Option<Ended>,
    stop: &Stop,
    after: Duration,
    limits: &Limits,
    program: &Program,
    bytes: Option<&[u8]>,
) -> Result<Exit, Error> {
    match ended {
        None if stop.timed_out() => Err(Error::TimedOut { after }),
        None => Err(Error::Stopped),
        Some(Ok(Ok(()))) => Ok(Exit { code: 0 }),
        Some(Ok(Err(()))) => Ok(Exit { code: 1 }),
        Some(Err(error)) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(code)) => Ok(Exit { code: *code }),
            None => match error.downcast_ref::<NotInvoked>() {
                Some(NotInvoked(why)) => Err(Error::Invoke { name: program.name().to_owned(), why: why.clone() }),
                None => Err(Error::Trap(trap::render(&error, limits, program.settings().stack(), bytes))),
            },
        },
    }
}
