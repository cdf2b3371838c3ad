//! Signals. A thread of its own waits for them, so that Ctrl-C ends a program that computes and never calls the host.
//!
//! SIGINT and SIGTERM ask the program first to stop, if it hears that (`interrupt.rs`); then it has the time of `--stop-timeout`. A second
//! one ends it at once, and so does the first if the program would not hear it. Nothing that is printed keeps the process
//! from ending: what standard error does not take in [`PATIENCE`] is lost.

use std::io::{self, Write};
use std::process::exit;
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dormouse_host::{Interrupt, Meter, Trace};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

/// How long the process waits for standard error, which may be a pipe that is full.
const PATIENCE: Duration = Duration::from_secs(1);

/// What `--count-calls` counts.
#[derive(Clone, Default)]
pub(crate) struct Numbers {
    pub(crate) trace: Trace,
    pub(crate) meter: Meter,
}

/// Starts the thread. With numbers, SIGUSR1 prints them. A program that was asked to stop has `grace`.
pub(crate) fn watch(numbers: Option<Numbers>, interrupt: Interrupt, grace: Duration) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    if numbers.is_some() {
        signals.add_signal(SIGUSR1)?;
    }
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            match signal {
                SIGUSR1 => print(numbers.as_ref()),
                // The first time it is asked, if it can hear that.
                SIGINT | SIGTERM if interrupt.ask() => end_later(numbers.clone(), grace, 128 + signal),
                // What a shell shows for a process that this signal ended. Nothing is unwound: whatever the program
                // wrote has gone out already.
                _ => finish(numbers.as_ref(), 128 + signal),
            }
        }
    })?;
    Ok(())
}

/// Ends the process after `grace`, if the program has not.
fn end_later(numbers: Option<Numbers>, grace: Duration, code: i32) {
    let waiting = std::thread::Builder::new().name("grace".to_owned()).spawn({
        let numbers = numbers.clone();
        move || {
            std::thread::sleep(grace);
            say(format!(
                "dormouse: the program was asked to stop and has not in {grace:?} (--stop-timeout): it is ended\n"
            ));
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
