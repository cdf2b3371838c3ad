//! Signals. A thread of its own waits for them, so that Ctrl-C ends a program that computes and never calls the host.
//!
//! SIGINT and SIGTERM ask all instances first to stop; those that hear that (`interrupt.rs`) have the time of `--stop-timeout`, and the others
//! are ended. The process ends when they have, and its exit code is that of their ends; a second signal ends it at once. SIGHUP loads the program anew.
//! Nothing that is printed keeps the process from ending: what standard error does not take in [`PATIENCE`] is lost.

use std::io::{self, IsTerminal as _, Write};
use std::process::exit;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use dormouse_host::{Control, Error, Meter, Program, Trace};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::systemd;

/// How long after its time the process ends, if an instance has not.
const STUCK: Duration = Duration::from_secs(1);

/// How long the process waits for standard error, which may be a pipe that is full.
const PATIENCE: Duration = Duration::from_secs(1);

/// What `--count-calls` counts.
#[derive(Clone, Default)]
pub(crate) struct Numbers {
    pub(crate) trace: Trace,
    pub(crate) meter: Meter,
}

/// The signal by which it was asked to stop.
static STOPPED_BY: AtomicI32 = AtomicI32::new(NOT_ASKED);

/// What stands there for no signal.
const IDLE: i32 = 0;
const NOT_ASKED: i32 = -1;

/// The exit code of a program that was asked to stop and had to be ended: what a shell shows for a process that the signal ended, or 0 if
/// it was idle. None if it was not asked.
pub(crate) fn stopped() -> Option<i32> {
    match STOPPED_BY.load(Ordering::SeqCst) {
        NOT_ASKED => None,
        IDLE => Some(0),
        signal => Some(128 + signal),
    }
}

/// It is asked to stop because it is idle.
pub(crate) fn idle() {
    systemd::stopping();
    STOPPED_BY.store(IDLE, Ordering::SeqCst);
}

/// Starts the thread. With numbers, SIGUSR1 prints them. A program that was asked to stop has `grace`. `reload` compiles it anew.
pub(crate) fn watch(
    numbers: Option<Numbers>,
    service: Arc<OnceLock<Control>>,
    grace: Duration,
    reload: impl Fn() -> Result<Arc<Program>, Error> + Clone + Send + 'static,
) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    if numbers.is_some() {
        signals.add_signal(SIGUSR1)?;
    }
    // A terminal that is closed sends it as well, and then it ends the process.
    if !io::stdin().is_terminal() {
        signals.add_signal(SIGHUP)?;
    }
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut reloads = Reloads { service: Arc::clone(&service), requests: None };
        for signal in signals.forever() {
            match signal {
                SIGUSR1 => print(numbers.as_ref()),
                SIGHUP => reloads.request(reload.clone()),
                SIGINT | SIGTERM => {
                    systemd::stopping();
                    let asked = STOPPED_BY.swap(signal, Ordering::SeqCst);
                    match service.get() {
                        Some(service) if asked == NOT_ASKED => {
                            // Those that do not hear it are ended, and have then ended.
                            let heard = service.stop() > 0;
                            end_later(numbers.clone(), if heard { grace } else { Duration::ZERO }, 128 + signal);
                        }
                        // It has not begun, or was asked before. Nothing is unwound: whatever the program wrote has gone out already.
                        _ => finish(numbers.as_ref(), 128 + signal),
                    }
                }
                _ => {}
            }
        }
    })?;
    Ok(())
}

/// What compiles the program anew, on a thread of its own, so that a signal is heard meanwhile. The thread is there from the first request on.
struct Reloads {
    service: Arc<OnceLock<Control>>,
    /// Has room for one request: those that come before the worker takes it are the same.
    requests: Option<SyncSender<()>>,
}

impl Reloads {
    fn request(&mut self, reload: impl Fn() -> Result<Arc<Program>, Error> + Clone + Send + 'static) {
        if self.requests.is_none() {
            let (requests, asked) = sync_channel(1);
            let service = Arc::clone(&self.service);
            let worker = std::thread::Builder::new().name("reload".to_owned());
            match worker.spawn(move || Self::work(&service, &asked, reload)) {
                Ok(_) => self.requests = Some(requests),
                Err(error) => return say(format!("dormouse: not reloaded, the old instances go on: {error}\n")),
            }
        }
        // If it is full, there is a request that has not been taken.
        let _ = self.requests.as_ref().map(|requests| requests.try_send(()));
    }

    fn work(service: &OnceLock<Control>, asked: &Receiver<()>, reload: impl Fn() -> Result<Arc<Program>, Error>) {
        while let Ok(()) = asked.recv() {
            // Before the service has begun a request waits for that.
            let service = service.wait();
            // The file has not been read for any of them yet.
            while let Ok(()) = asked.try_recv() {}
            systemd::reloading();
            match reload() {
                Ok(program) => service.reload(program),
                Err(error) => {
                    systemd::ready();
                    say(format!("dormouse: not reloaded, the old instances go on: {error}\n"));
                }
            }
        }
    }
}

/// Ends the process after `grace`, if the program has not.
fn end_later(numbers: Option<Numbers>, grace: Duration, code: i32) {
    let waiting = std::thread::Builder::new().name("grace".to_owned()).spawn({
        let numbers = numbers.clone();
        move || {
            // The service ends it then. This is for one whose thread is in a call that blocks.
            std::thread::sleep(grace.saturating_add(STUCK));
            finish(numbers.as_ref(), code);
        }
    });
    if waiting.is_err() {
        finish(numbers.as_ref(), code);
    }
}

/// Prints the counts and ends the process. If two threads come here, the first one wins.
pub(crate) fn finish(numbers: Option<&Numbers>, code: i32) -> ! {
    static ENDING: Mutex<()> = Mutex::new(());
    let _until_the_end = ENDING.lock().unwrap_or_else(PoisonError::into_inner);
    print(numbers);
    exit(code)
}

fn print(numbers: Option<&Numbers>) {
    if let Some(Numbers { trace, meter }) = numbers {
        // One write, so that it does not mix with what the program says.
        say(format!("{}\n{}\n", trace.counts(), meter.traffic()));
    }
}

/// Writes to standard error, for no longer than [`PATIENCE`].
pub(crate) fn say(text: String) {
    let (sender, written) = channel();
    let writer = std::thread::Builder::new().name("print".to_owned()).spawn(move || {
        let _ = io::stderr().write_all(text.as_bytes());
        let _ = sender.send(());
    });
    // Without a thread it is not said: it could block for ever.
    if writer.is_ok() {
        let _ = written.recv_timeout(PATIENCE);
    }
}
