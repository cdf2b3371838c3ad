//! The `dormouse` command: [`cli`] reads the command line, `dormouse_host` does the work, [`signals`] ends it.
//!
//! Exit codes: the program's own, in the low eight bits; 1 if it could not be loaded or set up; 2 for a mistake on the command line; 124 if
//! `--timeout` ended it, as of timeout(1); 134 for a trap; 130 and 143 for SIGINT and SIGTERM, if what ran has not ended well by itself.

mod cli;
mod idle;
mod patience;
mod signals;
mod systemd;

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dormouse_host::{Cache, Control, Ended, Error, Event, Exit, Metrics, Program, Restart, Service, Source};

use cli::{Command, CompileArgs, RunArgs};
use rustix::process::{Resource, getrlimit, setrlimit};
use signals::Numbers;

/// Exit code of a mistake on the command line.
const USAGE: i32 = 2;
/// Exit code of a program that could not be loaded or set up.
const FAILED: i32 = 1;
/// Exit code of a program that took longer than it may: timeout(1)'s.
const TIMED_OUT: i32 = 124;
/// Exit code of a trap: what a shell shows for SIGABRT.
const TRAPPED: i32 = 134;

fn main() {
    match cli::parse() {
        Ok(Command::Run(args)) if args.print_policy => print_policy(&args),
        Ok(Command::Run(args)) => run(args),
        Ok(Command::Compile(args)) => match compile(&args) {
            Ok(()) => {}
            Err(sentence) => {
                complain(sentence);
                exit(FAILED);
            }
        },
        Err(cli::Refused::Help(text)) => {
            // Help that nobody reads any more is no error.
            let _ = std::io::stdout().write_all(text.as_bytes());
        }
        Err(cli::Refused::Usage(sentence)) => {
            complain(sentence);
            exit(USAGE);
        }
    }
}

/// `dormouse run --print-policy`.
fn print_policy(args: &RunArgs) {
    let printed = args.policy_text().and_then(|text| {
        std::io::stdout().write_all(text.as_bytes()).map_err(|error| format!("cannot print the policy: {error}"))
    });
    if let Err(sentence) = printed {
        complain(sentence);
        exit(FAILED);
    }
}

fn run(args: Box<RunArgs>) {
    // Before there is another thread: it takes the variables away.
    let activated = systemd::listeners().unwrap_or_else(|error| {
        complain(error);
        exit(FAILED);
    });
    raise_file_limit();
    let args: Arc<RunArgs> = args.into();
    let numbers = args.count_calls.then(Numbers::default);
    let service = Arc::default();
    let reload = {
        let args = Arc::clone(&args);
        move || compiled(args.source(true)?, &args).map(Arc::new)
    };
    if let Err(error) = signals::watch(numbers.clone(), Arc::clone(&service), args.stop_timeout, reload) {
        complain(format!("cannot watch for signals: {error}"));
        exit(FAILED);
    }
    let code = match load(&args, activated) {
        Ok(loaded) => serve(&args, numbers.clone(), loaded, &service),
        Err(error) => {
            complain(&error);
            FAILED
        }
    };
    signals::finish(numbers.as_ref(), code);
}

/// What is there before the first instance starts.
struct Loaded {
    program: Program,
    listeners: Vec<(String, TcpListener)>,
    /// Where the metrics are served.
    metrics: Option<TcpListener>,
}

/// The program, compiled, and the listeners for it, which are open before it is compiled: clients that come meanwhile wait.
fn load(args: &RunArgs, activated: Vec<(String, TcpListener)>) -> Result<Loaded, Error> {
    let app = args.app().display().to_string();
    let say = move || {
        if stderr().is_terminal() {
            complain(format!("{app} is still being compiled, which takes long the first time"));
        }
    };
    patience::saying(LONG, say, || {
        let metrics = args.metrics.map(|addr| {
            let failed = |source| Error::Listen { addr, source };
            let listener = cli::listen(addr).map_err(failed)?;
            complain(format!("metrics on {}", listener.local_addr().map_err(failed)?));
            Ok(listener)
        });
        let metrics = metrics.transpose()?;
        let source = args.source(false)?;
        let mut listeners = if source.is_wasip1() { args.listeners(complain)? } else { Vec::new() };
        listeners.extend(activated);
        Ok(Loaded { program: compiled(source, args)?, listeners, metrics })
    })
}

/// Runs the instances, and gives the exit code.
fn serve(args: &Arc<RunArgs>, numbers: Option<Numbers>, loaded: Loaded, running: &OnceLock<Control>) -> i32 {
    if let Some(after) = args.timeout {
        end_if_stuck(after, numbers.clone());
    }
    let Loaded { program, listeners, metrics } = loaded;
    let activated: Vec<_> = listeners.iter().filter_map(|(_, listener)| listener.local_addr().ok()).collect();
    let Numbers { trace, meter } = numbers.clone().unwrap_or_default();
    let trace = numbers.is_some().then_some(trace);
    let service = Service::new(Arc::new(program), {
        let (args, meter, trace) = (Arc::clone(args), meter.clone(), trace.clone());
        move |run, _| {
            let run = args.run(run, &activated).meter(meter.clone());
            match &trace {
                Some(trace) => run.trace(trace.clone()),
                None => run,
            }
        }
    });
    let service = service.instances(args.instances).restart(args.restart).stop_timeout(args.stop_timeout);
    let service = args.accept_rate.into_iter().fold(service, Service::accept_rate);
    let service = listeners.into_iter().fold(service, |service, (name, listener)| service.listener(name, listener));
    let (control, idle, is_one_run) = (service.control(), args.idle_exit, is_one_run(args));
    let failed_since = Arc::new(AtomicBool::new(false));
    let service = service.on_event({
        let (control, meter, failed_since) = (control.clone(), meter.clone(), Arc::clone(&failed_since));
        move |event| match event {
            Event::Serves => {
                systemd::ready();
                // Not before: a client that waits for the first accept is no connection yet.
                let watched = idle.map_or(Ok(()), |after| idle::watch(after, control.clone(), meter.clone()));
                if let Err(error) = watched {
                    complain(format!("--idle-exit does nothing, since there is no thread for it: {error}"));
                }
            }
            // The exit code says so: that is what a signal does to a program which does not wait for it.
            Event::Deaf { .. } if is_one_run && signals::stopped().is_some() => {}
            event => {
                match event {
                    Event::Reloaded { .. } | Event::NotReloaded { .. } => systemd::ready(),
                    Event::Failed { .. } if signals::stopped().is_some() => failed_since.store(true, Ordering::SeqCst),
                    _ => {}
                }
                complain(event);
            }
        }
    });
    let beside = systemd::watchdog(&control).and_then(|()| match metrics {
        Some(listener) => Metrics::new(control.clone(), meter, trace).serve(listener),
        None => Ok(()),
    });
    if let Err(error) = beside {
        complain(format!("cannot start what watches the instances: {error}"));
        return FAILED;
    }
    let _ = running.set(control);
    let ended = service.start();
    match (signals::stopped(), failed_since.load(Ordering::SeqCst)) {
        // It was idle: that is no code for a failure.
        (Some(0), true) | (None, _) => code_of(ended.instances, args),
        _ if is_one_run => code_of(ended.instances, args),
        (Some(code), failed_since) => code_of_stopped(&ended, failed_since, code),
    }
}

/// The exit code of a service that was asked to stop: 0 if those that ran then have ended well by themselves, else `code`. How others had
/// ended before, which may have been about to start again, does not matter.
fn code_of_stopped(ended: &Ended, failed_since: bool, code: i32) -> i32 {
    let one_has = ended.instances.iter().any(|end| matches!(end, Ok(Exit { code: 0 })));
    if one_has && !failed_since && ended.cut_off == 0 { 0 } else { code }
}

/// Whether it is one program that runs once: then its end is the end of the process.
fn is_one_run(args: &RunArgs) -> bool {
    args.instances == NonZeroUsize::MIN && args.restart == Restart::NEVER
}

/// The exit code: of the first instance that has not ended well.
fn code_of(ends: Vec<Result<Exit, Error>>, args: &RunArgs) -> i32 {
    let codes = ends.into_iter().map(|end| match end {
        Ok(Exit { code }) => code,
        Err(Error::Stopped) => signals::stopped().unwrap_or(FAILED),
        Err(error) => {
            // Of one among several it was said when it happened.
            if is_one_run(args) {
                complain(&error);
            }
            match error {
                Error::Trap(_) => TRAPPED,
                Error::TimedOut { .. } => TIMED_OUT,
                _ => FAILED,
            }
        }
    });
    codes.fold(0, |first, code| if first == 0 { code } else { first })
}

fn compiled(source: Source, args: &RunArgs) -> Result<Program, Error> {
    match args.allow_precompiled && source.is_compiled() {
        // SAFETY: by the flag the user says that the file is what `dormouse compile` has made.
        true => unsafe { source.deserialize() },
        false => compile_cached(source, args.no_cache),
    }
}

/// Compiles a program, or finds it in the cache of the user. A cache that does not work is told and done without.
fn compile_cached(source: Source, no_cache: bool) -> Result<Program, Error> {
    if no_cache {
        return source.compile();
    }
    match Cache::of_the_user() {
        Ok(cache) => {
            let program = source.cache(cache.clone()).compile()?;
            if let Err(error) = cache.check() {
                complain(error);
            }
            Ok(program)
        }
        Err(error) => {
            complain(error);
            source.compile()
        }
    }
}

/// After how long it is said on a terminal that a program is being compiled.
const LONG: Duration = Duration::from_millis(500);

/// `dormouse compile`.
fn compile(args: &CompileArgs) -> Result<(), String> {
    // What has no main is called by --invoke.
    let program = Source::read(&args.app).and_then(|source| source.reactor().compile());
    let bytes = program.and_then(|program| program.serialize()).map_err(|error| error.to_string())?;
    let output = args.output();
    std::fs::write(&output, bytes).map_err(|error| format!("cannot write {}: {error}", output.display()))
}

/// How long after the timeout the process ends, if the run has not: the call that the program is in may keep the thread.
const STUCK: Duration = Duration::from_secs(1);

/// Ends the process when the timeout has passed and [`STUCK`] more. A run cannot be ended in a call that blocks its thread: the opening
/// of a FIFO that has no other end, a file system that does not answer. Without a thread to be had, only that is not bounded.
fn end_if_stuck(after: Duration, numbers: Option<Numbers>) {
    let _ = std::thread::Builder::new().name("stuck".to_owned()).spawn(move || {
        std::thread::sleep(after.saturating_add(STUCK));
        complain(Error::TimedOut { after });
        signals::finish(numbers.as_ref(), TIMED_OUT);
    });
}

/// A connection is a descriptor, and many systems start a process with 1024 for the sake of select(2), which nothing
/// here uses. Takes as many as the administrator allows; if that fails, what there is has to do.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Says something on standard error, which may be closed or full.
fn complain(what: impl Display) {
    signals::say(format!("dormouse: {what}\n"));
}
