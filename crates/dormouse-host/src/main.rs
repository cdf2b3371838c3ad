//! The `dormouse` command: [`cli`] reads the command line, `dormouse_host` does the work, [`signals`] ends it.
//!
//! Exit codes: the program's own, in the low eight bits; 1 if it could not be loaded or set up; 2 for a mistake on the command line; 124 if
//! `--timeout` ended it, as of timeout(1); 134 for a trap; 130 and 143 for SIGINT and SIGTERM.

mod cli;
mod patience;
mod signals;

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::process::exit;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dormouse_host::{Cache, Control, Error, Exit, Program, Restart, Service, Source};

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

fn run(args: Box<RunArgs>) {
    raise_file_limit();
    let args: Arc<RunArgs> = args.into();
    let numbers = args.count_calls.then(Numbers::default);
    let (service, reload) = (Arc::default(), {
        let args = Arc::clone(&args);
        move || compile_from(&args).map(Arc::new)
    });
    if let Err(error) = signals::watch(numbers.clone(), Arc::clone(&service), args.stop_timeout, reload) {
        complain(format!("cannot watch for signals: {error}"));
        exit(FAILED);
    }
    let code = match load(&args) {
        Ok((program, listeners)) => serve(args, numbers.clone(), program, listeners, &service),
        Err(error) => {
            complain(&error);
            FAILED
        }
    };
    signals::finish(numbers.as_ref(), code);
}

/// Runs the instances, and gives the exit code.
fn serve(
    args: Arc<RunArgs>,
    numbers: Option<Numbers>,
    program: Program,
    listeners: Vec<(String, TcpListener)>,
    running: &OnceLock<Control>,
) -> i32 {
    if let Some(after) = args.timeout {
        end_if_stuck(after, numbers.clone());
    }
    let (instances, restart, stop_timeout) = (args.instances, args.restart, args.stop_timeout);
    let service = Service::new(Arc::new(program), move |run, _| {
        let run = args.run(run);
        match &numbers {
            Some(Numbers { trace, meter }) => run.trace(trace.clone()).meter(meter.clone()),
            None => run,
        }
    });
    let service =
        service.instances(instances).restart(restart).stop_timeout(stop_timeout).on_event(|event| complain(event));
    let service = listeners.into_iter().fold(service, |service, (name, listener)| service.listener(name, listener));
    let _ = running.set(service.control());
    let ended = service.start();
    let mut code = 0;
    for end in ended.instances {
        let of_one = match end {
            Ok(Exit { code }) => code,
            Err(error) => {
                // Of one among several it was said when it happened.
                if instances == NonZeroUsize::MIN && restart == Restart::NEVER {
                    complain(&error);
                }
                match error {
                    Error::Trap(_) => TRAPPED,
                    Error::TimedOut { .. } => TIMED_OUT,
                    Error::Stopped => signals::stopped(),
                    _ => FAILED,
                }
            }
        };
        if code == 0 {
            code = of_one;
        }
    }
    code
}

/// The program, compiled, and the listeners for it, which are open before it is compiled: clients that come meanwhile wait.
fn load(args: &RunArgs) -> Result<(Program, Vec<(String, TcpListener)>), Error> {
    let app = args.app().display().to_string();
    let say = move || {
        if stderr().is_terminal() {
            complain(format!("{app} is still being compiled, which takes long the first time"));
        }
    };
    patience::saying(LONG, say, || {
        let source = Source::read(args.app())?;
        let listeners = if source.is_wasip1() { args.listeners(complain)? } else { Vec::new() };
        Ok((compiled(source, args)?, listeners))
    })
}

/// The program, read again.
fn compile_from(args: &RunArgs) -> Result<Program, Error> {
    compiled(Source::read(args.app())?, args)
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
    let bytes = Program::load(&args.app).and_then(|program| program.serialize()).map_err(|error| error.to_string())?;
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
