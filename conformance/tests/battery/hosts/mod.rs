//! Hosts that live in the tests, for what programs meet elsewhere and not under our runner: plain embeddings of wasmtime, one
//! thread of this process for each guest.

pub mod contrary;
pub mod stock;

use std::fs::File;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use dormouse_host::Counts;
use tokio::sync::Notify;
use wasmtime::{Config, Engine, Store, UpdateDeadline};
use wasmtime_wasi::cli::OutputFile;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxBuilder};

use crate::drivers::{Process, Subject, dir_for, lines_to, pump};

/// What a test sees of a guest while it runs. A host with a call that waits tells it there. Otherwise a guest waits when its
/// future is pending, and what it held then is measured when it goes on.
#[derive(Default)]
pub struct Seen {
    waits: AtomicU64,
    held: AtomicU64,
    stopped: AtomicBool,
    /// The host tells of waits.
    told: AtomicBool,
}

impl Seen {
    /// The guest is about to wait, and holds so much of the host.
    fn wait(&self, held: usize) {
        self.told.store(true, Ordering::SeqCst);
        self.hold(held);
        self.waits.fetch_add(1, Ordering::SeqCst);
    }

    /// The guest holds so much of the host.
    fn hold(&self, held: usize) {
        self.held.store(held as u64, Ordering::SeqCst);
    }
}

struct Guest {
    seen: Arc<Seen>,
    stop: Arc<Notify>,
    engine: Engine,
    thread: Option<JoinHandle<i32>>,
    /// Disconnected when the thread ends.
    ended: Receiver<()>,
}

impl Process for Guest {
    fn wait(&mut self) -> i32 {
        self.thread.take().map_or(0, |thread| thread.join().expect("the guest's thread does not panic"))
    }

    fn stop(&mut self) {
        self.seen.stopped.store(true, Ordering::SeqCst);
        self.stop.notify_one();
        self.engine.increment_epoch();
        if self.ended.recv_timeout(Duration::from_secs(5)) != Err(RecvTimeoutError::Timeout) {
            self.wait();
        }
    }

    fn counts(&self) -> Option<Counts> {
        None
    }

    fn waits(&self) -> Option<u64> {
        Some(self.seen.waits.load(Ordering::SeqCst))
    }

    fn held(&self) -> u64 {
        self.seen.held.load(Ordering::SeqCst)
    }
}

/// As wasmtime has it, but that a guest which computes can be measured and stopped.
fn engine() -> Engine {
    let mut config = Config::new();
    config.epoch_interruption(true);
    Engine::new(&config).expect("an engine")
}

/// A store whose guest is measured at its next loop or call when the epoch moves on, and yields when it is to be stopped.
fn store<T: Send>(engine: &Engine, state: T, seen: Arc<Seen>, held: fn(&mut T) -> usize) -> Store<T> {
    let mut store = Store::new(engine, state);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |mut store| {
        if !seen.told.load(Ordering::SeqCst) {
            seen.hold(held(store.data_mut()));
        }
        Ok(match seen.stopped.load(Ordering::SeqCst) {
            true => UpdateDeadline::Yield(1),
            false => UpdateDeadline::Continue(1),
        })
    });
    store
}

/// Runs a guest, which `guest` makes of what is common to all: arguments, a directory, standard output and error. It returns
/// the exit code.
fn run<F: Future<Output = wasmtime::Result<i32>>>(
    engine: &Engine,
    args: &[&str],
    outside: Option<SocketAddr>,
    guest: impl FnOnce(WasiCtxBuilder, Arc<Seen>) -> F + Send + 'static,
) -> Subject {
    let mut wasi = WasiCtx::builder();
    wasi.arg("battery.wasm").args(args);
    if let Some(dir) = args.first().and_then(|case| dir_for(case)) {
        wasi.preopened_dir(dir, "files", FsPerms::ReadWrite).expect("it has been made").env("BATTERY_DIR", "files");
    }
    let (sender, lines) = mpsc::channel();
    let (out, stdout) = std::io::pipe().expect("a pipe");
    pump(out, lines_to(sender));
    let stderr = Arc::new(Mutex::new(String::new()));
    let (out, errors) = std::io::pipe().expect("a pipe");
    let said = Arc::clone(&stderr);
    let reader = pump(out, move |bytes| said.lock().unwrap().push_str(&String::from_utf8_lossy(bytes)));
    let file = |pipe| OutputFile::new(File::from(OwnedFd::from(pipe)));
    wasi.stdout(file(stdout)).stderr(file(errors));
    let (seen, stop) = (Arc::new(Seen::default()), Arc::new(Notify::new()));
    let (ends, ended) = mpsc::channel();
    let (shown, asked, says) = (Arc::clone(&seen), Arc::clone(&stop), Arc::clone(&stderr));
    let its_engine = engine.clone();
    let thread = std::thread::spawn(move || {
        let _ends: Sender<()> = ends;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let ended = runtime.block_on(async {
            let guest = async { Some(guest(wasi, Arc::clone(&shown)).await) };
            let stopped = async {
                asked.notified().await;
                None
            };
            let mut ended = pin!(futures_lite::future::or(stopped, guest));
            poll_fn(|cx| {
                let polled = ended.as_mut().poll(cx);
                if polled.is_pending() && !shown.told.load(Ordering::SeqCst) {
                    its_engine.increment_epoch();
                    shown.waits.fetch_add(1, Ordering::SeqCst);
                }
                polled
            })
            .await
        });
        runtime.shutdown_timeout(Duration::from_secs(2));
        reader.join().expect("reading a pipe does not panic");
        match ended {
            None => -1,
            Some(Ok(code)) => code,
            Some(Err(error)) => match error.downcast_ref::<I32Exit>() {
                Some(I32Exit(code)) => *code,
                None => {
                    says.lock().unwrap().push_str(&format!("{error:?}"));
                    -2
                }
            },
        }
    });
    let process = Guest { seen, stop, engine: engine.clone(), thread: Some(thread), ended };
    Subject { outside, lines, stderr, process: Box::new(process) }
}
