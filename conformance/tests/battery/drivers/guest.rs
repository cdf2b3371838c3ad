//! A program as a guest under `dormouse-host`, in a thread of this process, its host calls counted.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use dormouse_host::{Counts, Error, Output, Program, Run, Stop, Trace};

use super::{Process, Subject, dir_for, lines_to};

struct Guest {
    trace: Trace,
    stop: Stop,
    thread: Option<JoinHandle<i32>>,
    /// Disconnected when the thread ends.
    ended: Receiver<()>,
}

impl Process for Guest {
    fn wait(&mut self) -> i32 {
        self.thread.take().map_or(0, |thread| thread.join().expect("the guest's thread does not panic"))
    }

    /// A guest that never waits cannot be stopped; its thread is left behind.
    fn stop(&mut self) {
        self.stop.stop();
        if self.ended.recv_timeout(Duration::from_secs(5)) != Err(RecvTimeoutError::Timeout) {
            self.wait();
        }
    }

    fn counts(&self) -> Option<Counts> {
        Some(self.trace.counts())
    }

    fn held(&self) -> u64 {
        self.trace.counts().resources()
    }
}

/// Starts a program, which is given what `give` adds. If that is a listener for clients, they find it at `outside`.
pub fn run(
    program: &Program,
    args: &[&str],
    outside: Option<SocketAddr>,
    give: impl for<'a> FnOnce(Run<'a>) -> Run<'a> + Send + 'static,
) -> Subject {
    let program = program.clone();
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    let dir = args.first().and_then(|case| dir_for(case));
    let (sender, lines) = mpsc::channel();
    let stderr = Arc::new(Mutex::new(String::new()));
    let said = Arc::clone(&stderr);
    let say = move |text: &str| said.lock().unwrap().push_str(text);
    let trace = Trace::new();
    let (stop_sender, stop) = mpsc::channel();
    let (ends, ended) = mpsc::channel();
    let counting = trace.clone();
    let thread = std::thread::spawn(move || {
        let _ends: Sender<()> = ends;
        let guest_says = say.clone();
        let run = match dir {
            Some(dir) => Run::new(&program).dir(dir, "files").env("BATTERY_DIR", "files"),
            None => Run::new(&program),
        };
        let run = give(run)
            .args(args)
            .stdout(Output::Pipe(Box::new(lines_to(sender))))
            .stderr(Output::Pipe(Box::new(move |bytes| guest_says(&String::from_utf8_lossy(bytes)))))
            .trace(counting);
        stop_sender.send(run.stop_handle()).expect("the test waits for it");
        match run.start() {
            Ok(exit) => exit.code,
            Err(Error::Stopped) => -1,
            Err(error) => {
                say(&error.to_string());
                -2
            }
        }
    });
    let stop = stop.recv().expect("the thread sends it first");
    Subject { outside, lines, stderr, process: Box::new(Guest { trace, stop, thread: Some(thread), ended }) }
}
