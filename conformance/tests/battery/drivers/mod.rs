//! How a case is run on each backend: the same lines out, the same ways to end it.

mod guest;
pub mod inside;
pub mod native;
pub mod p1;
pub mod p2;
pub mod p3;
#[cfg(feature = "wasmi")]
pub mod wasmi;

use std::ffi::OsStr;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use dormouse_host::{Cache, Counts, Program, Source};

use crate::hosts::{contrary, stock};

/// What is waited for comes within this time, or the test fails: no test hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where a case runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// This machine's own sockets.
    Native,
    /// A wasip1 module under `dormouse-host`.
    P1,
    /// The same, on a host that answers as others do: all is ready, nothing has happened, no.
    ContraryP1,
    /// A wasip2 component under `dormouse-host`.
    P2,
    /// The same under wasmtime-wasi as it is, with the budget that the stock `wasmtime` command puts on a guest
    /// (wasmtime #14174), and Nagle's algorithm.
    StingyP2,
    /// A component of WASI 0.3 under `dormouse-host`.
    P3,
    /// The same under wasmtime-wasi as it is.
    StockP3,
    /// A process of this machine in which host and network are simulated.
    Sim,
    /// A wasip1 program under the `wasmi` command, a host that others wrote.
    #[cfg(feature = "wasmi")]
    Wasmi,
}

impl Backend {
    /// Starts the inside of a case.
    pub fn start(self, case: &str) -> Subject {
        match self {
            Backend::Native => native::start(&[case]),
            Backend::Sim => native::start(&["--sim", case]),
            Backend::P1 => p1::start(case),
            Backend::ContraryP1 => contrary::start(case),
            Backend::P2 => p2::start(case, p2::Net::Allowed),
            Backend::StingyP2 => stock::p2(case),
            Backend::StockP3 => stock::p3(case),
            Backend::P3 => p3::start(case, p2::Net::Allowed),
            #[cfg(feature = "wasmi")]
            Backend::Wasmi => wasmi::start(case),
        }
    }

    /// What a case needs and this backend lacks, as the text of a cell.
    pub fn lacks(self, needed: &str) -> Option<&'static str> {
        match (self, needed) {
            (Backend::Sim, "clients") => Some("needs clients outside"),
            #[cfg(feature = "wasmi")]
            (Backend::Wasmi, "peers") => Some("needs connections inside"),
            (_, "" | "clients" | "peers") => None,
            (_, needed) => panic!("no case needs {needed}"),
        }
    }

    /// Whether programs have addresses: bind them, connect to them and learn them.
    pub fn has_addresses(self) -> bool {
        match self {
            Backend::Native | Backend::P2 | Backend::StingyP2 | Backend::P3 | Backend::StockP3 | Backend::Sim => true,
            Backend::P1 | Backend::ContraryP1 => false,
            #[cfg(feature = "wasmi")]
            Backend::Wasmi => false,
        }
    }

    /// Runs a case that needs no outside.
    pub fn pass(self, case: &str) {
        self.start(case).ends_well();
    }
}

/// A case that runs.
pub struct Subject {
    /// Where it listens for clients, if the driver has opened that for it.
    pub outside: Option<SocketAddr>,
    pub lines: Receiver<String>,
    pub stderr: Arc<Mutex<String>>,
    pub process: Box<dyn Process>,
}

/// What differs between a process of the system and a guest in this one.
pub trait Process {
    /// Waits for the end, which has come or is about to; the exit code.
    fn wait(&mut self) -> i32;
    /// Ends it, if it can be ended.
    fn stop(&mut self);
    /// The host calls so far. Only a guest under `dormouse-host` has them.
    fn counts(&self) -> Option<Counts>;
    /// How often it has begun to wait, if that is known.
    fn waits(&self) -> Option<u64> {
        self.counts().map(|counts| counts.polls())
    }
    /// What it holds of the host: descriptors, or entries of the resource table. Exact while it waits.
    fn held(&self) -> u64;
    /// The process, if it is one of the system.
    fn pid(&self) -> Option<u32> {
        None
    }
}

impl Subject {
    /// The next line that it prints.
    #[track_caller]
    pub fn line(&self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("no line within {PATIENCE:?}; stderr: {}", self.stderr()),
            Err(RecvTimeoutError::Disconnected) => panic!("it ended without a line; stderr: {}", self.stderr()),
        }
    }

    /// Waits for a line and drops those before it.
    #[track_caller]
    pub fn line_with(&self, part: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The address it listens on, once it says so.
    #[track_caller]
    pub fn addr(&self) -> SocketAddr {
        let line = self.line_with("listening ");
        match (line.rsplit_once("FD "), self.outside) {
            // It does not know where that is, but we do.
            (Some((_, "3")), Some(outside)) => outside,
            _ => line.rsplit(' ').next().and_then(|addr| addr.parse().ok()).expect("the line ends with an address"),
        }
    }

    /// The address, if a line that has come already ends with one. Lines before it are dropped.
    pub fn try_addr(&self) -> Option<SocketAddr> {
        self.lines.try_iter().find_map(|line| line.rsplit(' ').next()?.parse().ok())
    }

    /// The process that it is.
    pub fn pid(&self) -> u32 {
        self.process.pid().expect("a process of the system")
    }

    /// A connection to the address it listens on, with a time limit on each operation.
    #[track_caller]
    pub fn connect(addr: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits for the end: exit code, the lines not read yet, standard error.
    #[track_caller]
    pub fn end(&mut self) -> (i32, Vec<String>, String) {
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                // Its output has been closed.
                Err(RecvTimeoutError::Disconnected) => return (self.process.wait(), lines, self.stderr()),
                Err(RecvTimeoutError::Timeout) => panic!("no end within {PATIENCE:?}; stderr: {}", self.stderr()),
            }
        }
    }

    /// It ends by itself, with exit code 0; the lines not read yet.
    #[track_caller]
    pub fn ends_well(&mut self) -> Vec<String> {
        let (code, lines, stderr) = self.end();
        assert_eq!(code, 0, "exit code; stderr: {stderr}");
        lines
    }

    /// The host calls so far.
    pub fn counts(&self) -> Counts {
        self.process.counts().expect("only a guest makes host calls")
    }

    /// Waits until it holds no more of the host than `base`.
    #[track_caller]
    pub fn comes_down_to(&self, base: u64, addr: SocketAddr) {
        let start = std::time::Instant::now();
        loop {
            // Each round trip makes it wait once more, and then its numbers are exact. It gets some time for that: on a busy
            // machine the next one would come before it has let go of this one.
            drop(Subject::connect(addr));
            let connected = std::time::Instant::now();
            while connected.elapsed() < Duration::from_millis(20) {
                if self.process.held() <= base {
                    return;
                }
                std::thread::yield_now();
            }
            let held = self.process.held();
            assert!(start.elapsed() < PATIENCE, "holds {held}, and should come down to {base}");
        }
    }

    /// Does something, and waits until the program has begun a wait since. A process of the system need not.
    #[track_caller]
    pub fn waits(&self, act: impl FnOnce()) {
        let waits = || self.process.waits();
        let before = waits();
        act();
        let start = std::time::Instant::now();
        while before.is_some() && waits() == before {
            assert!(start.elapsed() < PATIENCE, "it does not wait; stderr: {}", self.stderr());
            std::thread::yield_now();
        }
    }

    /// What it holds of the host.
    pub fn held(&self) -> u64 {
        self.process.held()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.process.stop();
    }
}

/// Splits what is written into lines and sends them on.
pub fn lines_to(sender: std::sync::mpsc::Sender<String>) -> impl FnMut(&[u8]) + Send {
    let mut partial = Vec::new();
    move |bytes| {
        partial.extend_from_slice(bytes);
        while let Some(end) = partial.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = partial.drain(..=end).collect();
            // The receiver may be gone.
            let _ = sender.send(String::from_utf8_lossy(&line[..end]).into_owned());
        }
    }
}

/// Reads a pipe to its end on a thread of its own.
pub fn pump(mut from: impl Read + Send + 'static, mut to: impl FnMut(&[u8]) + Send + 'static) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buf = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut buf) {
            to(&buf[..n]);
        }
    })
}

/// Builds with the cargo that runs us and gives the directory of what comes out.
pub fn build(args: &[&str]) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")])
        .args(args)
        .status()
        .expect("cargo, which has built this test, runs");
    assert!(
        status.success(),
        "`cargo build {}` failed; if it cannot find crate `core`, run `cargo xtask setup` first",
        args.join(" ")
    );
    target_dir().to_owned()
}

/// What guests are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wasi {
    P1,
    P2,
    P3,
}

impl Wasi {
    /// All of them.
    pub const ALL: [Wasi; 3] = [Wasi::P1, Wasi::P2, Wasi::P3];

    fn target(self) -> &'static str {
        match self {
            Wasi::P1 => "wasm32-wasip1",
            Wasi::P2 | Wasi::P3 => "wasm32-wasip2",
        }
    }

    /// Builds a guest, and gives the directory that it is in.
    fn build(self, args: &[&str]) -> PathBuf {
        let args = [args, &["--target", self.target()]].concat();
        let built = match self {
            Wasi::P1 | Wasi::P2 => build(&args),
            // In a directory of its own: it has the names of what is built for 0.2.
            Wasi::P3 => {
                let dir = target_dir().join("p3");
                // What does not depend on the feature is built once.
                let build_dir = format!("build.build-dir={:?}", target_dir().to_string_lossy());
                let apart = ["--features", "p3", "--target-dir", &dir.to_string_lossy(), "--config", &build_dir];
                build(&[&args[..], &apart].concat());
                dir
            }
        };
        built.join(self.target()).join("debug")
    }

    /// The battery.
    pub fn battery(self) -> PathBuf {
        self.build(&["--package", "conformance", "--bin", "battery"]).join("battery.wasm")
    }

    /// An example of ours: a component without a `main`.
    pub fn called(self) -> PathBuf {
        self.build(&["--package", "conformance", "--example", "called"]).join("examples/called.wasm")
    }

    /// An example of the guest crate.
    pub fn example(self, name: &str) -> PathBuf {
        self.example_with(name, &[])
    }

    /// One that needs a feature.
    pub fn example_with(self, name: &str, features: &[&str]) -> PathBuf {
        let built = self.build(&[&["--package", "dormouse", "--example", name], features].concat());
        built.join("examples").join(name).with_extension("wasm")
    }
}

/// A directory, for the cases that want one: empty, or with what a guest could not put there.
pub fn dir_for(case: &str) -> Option<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if !case.starts_with("files") {
        return None;
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{case}-{number}"));
    // What an earlier run has left.
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("create {}: {error}", dir.display()));
    if case == "files_with_odd_names" {
        std::fs::write(dir.join(OsStr::from_bytes(b"odd \xff")), "").expect("a name that is not UTF-8");
    }
    Some(dir)
}

/// Compiles a program, or takes it from the cache that all tests share: a user's, with [`cache_dir`] as `XDG_CACHE_HOME`.
pub fn load(path: &Path) -> Program {
    let cache = Cache::in_dir(&cache_dir().join("wasmtime"));
    let program = cache.and_then(|cache| Source::read(path)?.cache(cache).compile());
    program.unwrap_or_else(|error| panic!("{error}"))
}

/// Where compiled programs are kept. Not with the user's.
pub fn cache_dir() -> PathBuf {
    target_dir().join("cache")
}

/// The directory that cargo builds into: two above that of this test.
pub fn target_dir() -> &'static PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let test = std::env::current_exe().expect("a running test has a path");
        test.ancestors().nth(3).expect("TARGET/debug/deps/test").to_owned()
    })
}
