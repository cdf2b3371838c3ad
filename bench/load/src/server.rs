//! The servers that are measured, and how each is started.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use std::{env, fs, thread};

use crate::Result;
use crate::process::{self, Place};

/// Longer than it takes to compile a program, to open 10 000 connections, and to see that an answer does not come.
pub const PATIENCE: Duration = Duration::from_secs(50);

/// A program for a host: `p2 · tokio · wasmtime`.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub wasi: &'static str,
    pub peer: &'static str,
    pub host: &'static str,
    /// What its files are called, before `-echo` and `-more`.
    base: &'static str,
    can: Can,
    /// How many of it run behind one address.
    pub instances: usize,
}

/// What a peer has besides the echo: modes of the program `-more`.
pub type Can = &'static [&'static str];

const ALL: Can = &["timer", "sink", "timers", "spawn"];
/// And what tokio has as well.
const MORE: Can = &["timer", "sink", "page", "timers", "spawn"];
/// A loop by hand has neither timers nor tasks.
const LOOP: Can = &[];

/// The echo, of which the host counts the calls.
pub const COUNTED: &str = "counted";
/// The same, with a timer pending.
pub const COUNTED_TIMER: &str = "counted timer";
/// What several instances can do at the same time.
pub const COMPUTE: &str = "compute";
/// How many calls of the host an echo of ours may be, on one quiet connection and on each of 50 busy ones.
pub const MOST_CALLS: [(&str, f64, f64); 3] = [("p1", 3.0, 2.1), ("p2", 4.0, 4.1), ("p3", 5.0, 4.2)];

pub const NATIVE: &str = "native";
pub const WASMTIME: &str = "wasmtime";
pub const DORMOUSE: &str = "dormouse run";
pub const OURS: &str = "Dormouse";
/// The program for tokio, after `cargo dormouse tokio` has put Dormouse in tokio's place.
pub const LAID: &str = "tokio on Dormouse";

/// In the order of tables and plots. The first is the ceiling, to which ratios are.
const PROGRAMS: [(&str, &str, &str, Can); 14] = [
    (NATIVE, "tokio", "tokio", MORE),
    (NATIVE, "by hand", "hand-native", LOOP),
    (NATIVE, OURS, "ours", MORE),
    ("p1", "by hand", "hand-p1", LOOP),
    ("p1", OURS, "ours", MORE),
    ("p2", "by hand", "hand-p2", LOOP),
    ("p2", "wstd", "wstd", ALL),
    ("p2", "tokio", "tokio", MORE),
    ("p2", LAID, "tokio", MORE),
    ("p2", OURS, "ours", MORE),
    ("p3", "by hand", "hand-p3", LOOP),
    // It has no handle that could be joined.
    ("p3", "wit-bindgen", "wasip3", &["timer", "sink", "timers"]),
    ("p3", LAID, "tokio", MORE),
    ("p3", OURS, "ours", MORE),
];

/// Where programs and hosts are.
pub struct Places {
    pub programs: PathBuf,
    pub dormouse: PathBuf,
    pub wasmtime: Option<PathBuf>,
}

impl Server {
    pub fn can(&self, mode: &str) -> bool {
        match mode {
            "echo" => true,
            COMPUTE => self.peer == OURS && self.host == DORMOUSE,
            COUNTED => self.host == DORMOUSE,
            COUNTED_TIMER => self.host == DORMOUSE && self.can.contains(&"timer"),
            mode => self.can.contains(&mode),
        }
    }
}

impl Places {
    /// Those that have been built, under each host.
    pub fn servers(&self) -> Vec<Server> {
        let mut all = Vec::new();
        for (wasi, peer, base, can) in PROGRAMS {
            for host in [WASMTIME, DORMOUSE, NATIVE] {
                let server = Server { wasi, peer, host, base, can, instances: 1 };
                let fits = match host {
                    NATIVE => wasi == NATIVE,
                    // The stock command has no sockets for wasip1.
                    WASMTIME => matches!(wasi, "p2" | "p3") && self.wasmtime.is_some(),
                    _ => wasi != NATIVE,
                };
                if fits && self.file(&server, "echo", "release").exists() {
                    all.push(server);
                }
            }
        }
        all
    }

    pub fn file(&self, server: &Server, which: &str, profile: &str) -> PathBuf {
        let name = format!("{}-{which}", server.base);
        let dir = match (server.wasi, server.peer) {
            (NATIVE, _) => return self.programs.join(profile).join(name),
            ("p1", _) => "wasm32-wasip1",
            // The same target with another feature.
            ("p3", OURS) => "p3/wasm32-wasip2",
            ("p2", LAID) => "laid/wasm32-wasip2",
            ("p3", LAID) => "laid/p3/wasm32-wasip2",
            // The same target with another libc.
            ("p2", "tokio") => "tokio/wasm32-wasip2",
            _ => "wasm32-wasip2",
        };
        self.programs.join(dir).join(profile).join(format!("{name}.wasm"))
    }

    fn command(&self, server: &Server, args: &[&str]) -> Result<Command> {
        let which = if matches!(args, ["echo" | COUNTED]) { "echo" } else { "more" };
        let file = self.file(server, which, "release");
        let mut command = match (server.host, &self.wasmtime) {
            (NATIVE, _) => Command::new(&file),
            (WASMTIME, Some(wasmtime)) => {
                let mut command = Command::new(wasmtime);
                command.args(["run", "-Sinherit-network"]).arg(&file);
                command
            }
            _ => {
                let mut command = Command::new(&self.dormouse);
                command.arg("run");
                match server.wasi {
                    "p1" => command.args(["--listen", &free()?.to_string()]),
                    _ => command.arg("--allow-net"),
                };
                if server.instances > 1 {
                    command.args(["--instances", &server.instances.to_string()]);
                }
                if matches!(args, [COUNTED | COUNTED_TIMER]) {
                    command.arg("--count-calls");
                }
                command.arg(&file);
                command
            }
        };
        match args {
            [COUNTED] => {}
            [COUNTED_TIMER] => drop(command.arg("timer")),
            args => drop(command.args(args)),
        }
        // With a backtrace for each error, every would-block of the host would cost 30 µs.
        command.env_remove("RUST_BACKTRACE");
        Ok(command)
    }

    /// Starts a program that listens, there. Together with the load on one processor the two are fast by turns of some milliseconds, and a
    /// server never waits: so for most they are apart, whatever else the machine does.
    pub fn start(&self, server: &Server, args: &[&str], place: Place) -> Result<Running> {
        process::stay(place);
        let mut running = self.start_work(server, args)?;
        process::stay(Place::Anywhere);
        let mut line = String::new();
        for _ in 0..server.instances {
            line = running.line()?;
        }
        let word = line.rsplit(' ').next().unwrap_or_default();
        running.addr = match word.parse() {
            Ok(addr) => addr,
            // On wasip1 only the host knows.
            Err(_) => running.listen.ok_or(format!("said {line:?} and not where it listens"))?,
        };
        Ok(running)
    }

    /// Starts a program that works.
    pub fn start_work(&self, server: &Server, args: &[&str]) -> Result<Running> {
        let command = self.command(server, args)?;
        let listen = command.get_args().filter_map(|arg| arg.to_str()?.parse().ok()).next();
        let mut running = Running::new(command)?;
        running.listen = listen;
        Ok(running)
    }
}

fn free() -> Result<SocketAddr> {
    let addr = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    addr.map_err(|error| format!("cannot find a free port: {error}"))
}

/// A process that says lines, and ends with this.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    pub addr: SocketAddr,
    listen: Option<SocketAddr>,
}

impl Running {
    pub fn new(mut command: Command) -> Result<Running> {
        // A server that reads its standard input may end with it.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        process::ends_with_us(&mut command);
        let mut child = command.spawn().map_err(|error| format!("cannot start {command:?}: {error}"))?;
        let (to, lines) = channel();
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or("it has no output")?;
        let stderr = child.stderr.take().ok_or("it has no errors")?;
        let of = to.clone();
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(|line| line.ok()).all(|line| of.send(line).is_ok())
        });
        // Read, so that the server does not wait for a reader; the last line is kept.
        thread::spawn(move || {
            let mut last = None;
            for line in BufReader::new(stderr).lines().map_while(|line| line.ok()) {
                if env::var_os("BENCH_LOUD").is_some() {
                    eprintln!("   {line}");
                }
                // Of the host's calls, at the end of a run that counts them.
                if line.trim_end().ends_with(" total") {
                    let _ = to.send(line.trim().to_owned());
                }
                if last.is_none() || line.contains("panicked") || line.contains("trap") {
                    last = Some(line);
                }
            }
            last.map(|last| to.send(format!("! {last}")))
        });
        let addr = SocketAddr::from(([0; 4], 0));
        Ok(Running { child, stdin, lines, addr, listen: None })
    }

    /// A client of `addr`, in a process of its own: this program's `client`.
    pub fn client(addr: SocketAddr, load: &[String]) -> Result<Running> {
        let this = env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(this);
        command.arg("client").arg(addr.to_string()).args(load);
        process::stay(Place::Last);
        let running = Running::new(command);
        process::stay(Place::Anywhere);
        running
    }

    pub fn line(&self) -> Result<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) if line.starts_with('!') => Err(line[2..].to_owned()),
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => Err(format!("said nothing in {PATIENCE:?}")),
            Err(RecvTimeoutError::Disconnected) => Err("has ended without a word".to_owned()),
        }
    }

    pub fn say(&mut self, line: &str) -> Result {
        let stdin = self.stdin.as_mut().ok_or("it has no input")?;
        writeln!(stdin, "{line}").map_err(|error| error.to_string())
    }

    /// As Ctrl-C does.
    pub fn interrupt(&self) {
        process::interrupt(self.id());
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command says about itself.
pub fn version(path: &Path, arg: &str) -> String {
    let output = Command::new(path).arg(arg).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

/// The processor's name.
pub fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("model name"));
    line.and_then(|line| line.split(':').nth(1)).unwrap_or("unknown").trim().to_owned()
}
