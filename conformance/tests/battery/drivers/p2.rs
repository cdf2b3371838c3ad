//! A case as a wasip2 guest, in a thread of this process, its host calls counted.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use dormouse_host::{Counts, Error, Output, Policy, Program, Run, Stop, Trace};

use super::{Process, Subject, battery_wasm, lines_to};

/// What the guest may do on the network.
#[derive(Clone, Copy)]
pub enum Net {
    Allowed,
    Denied,
    /// Allowed, on a host that calls sockets not ready when the guest has done much (wasmtime #14174).
    Stingy,
}

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

/// Starts the guest battery.
pub fn start(case: &str, net: Net) -> Subject {
    static BATTERY: OnceLock<Program> = OnceLock::new();
    let program =
        BATTERY.get_or_init(|| Program::load(&battery_wasm("wasm32-wasip2")).unwrap_or_else(|error| panic!("{error}")));
    run(program, &[case], net)
}

/// Starts a component.
pub fn run(program: &Program, args: &[&str], net: Net) -> Subject {
    let program = program.clone();
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
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
        let run = Run::new(&program)
            .args(args)
            .policy(match net {
                Net::Allowed | Net::Stingy => Policy::allow_all(),
                Net::Denied => Policy::default(),
            })
            .tokio_budget(matches!(net, Net::Stingy))
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
    Subject { outside: None, lines, stderr, process: Box::new(Guest { trace, stop, thread: Some(thread), ended }) }
}
