//! Builds the programs of the cookbook and starts them, natively and as guests of `dormouse run`.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

pub mod servers;
mod tokio;

/// Longer than anything takes that comes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a program runs on.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Backend {
    Native,
    P1,
    P2,
    P3,
}

impl Backend {
    pub const ALL: [Backend; 4] = [Backend::Native, Backend::P1, Backend::P2, Backend::P3];
    /// Those on which a program can connect. On wasip1 it has the sockets that it is given.
    pub const CONNECT: [Backend; 3] = [Backend::Native, Backend::P2, Backend::P3];

    fn args(self) -> Vec<&'static str> {
        match self {
            Backend::Native => vec![],
            Backend::P1 => vec!["--target", "wasm32-wasip1"],
            Backend::P2 => vec!["--target", "wasm32-wasip2"],
            Backend::P3 => vec!["--target", "wasm32-wasip2", "--features", "p3"],
        }
    }

    /// What is built with a feature has the names of what is built without.
    fn target_dir(self) -> PathBuf {
        let dir = root().join("target/cookbook");
        if self == Backend::P3 { dir.join("p3") } else { dir }
    }

    fn program(self, dir: &Path, name: &str) -> PathBuf {
        match self {
            Backend::Native => dir.join("release").join(name),
            Backend::P1 => dir.join("wasm32-wasip1/release").join(format!("{name}.wasm")),
            Backend::P2 | Backend::P3 => dir.join("wasm32-wasip2/release").join(format!("{name}.wasm")),
        }
    }
}

/// The project's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("it is two above the tests")
}

/// The directory of a package of the cookbook.
pub fn app(package: &str) -> PathBuf {
    root().join("cookbook/apps").join(package)
}

/// The runner: that of the environment variable DORMOUSE, or the workspace's, built.
fn dormouse() -> &'static Path {
    static RUNNER: OnceLock<PathBuf> = OnceLock::new();
    RUNNER.get_or_init(|| {
        if let Some(path) = std::env::var_os("DORMOUSE") {
            return path.into();
        }
        // Not in the cookbook, whose target directory is another.
        build(Command::new("cargo").current_dir(root()).args(["build", "--quiet", "-p", "dormouse-host"]));
        root().join("target/debug/dormouse")
    })
}

/// The runner as a command, with a cache of compiled programs that all tests share and that is not the user's.
pub fn dormouse_run() -> Command {
    let mut command = Command::new(dormouse());
    command.arg("run").env("XDG_CACHE_HOME", root().join("target/cache"));
    command
}

/// A program of a package (`apps/PACKAGE`), built for a backend. `tokio-PACKAGE` is one that is written for tokio
/// (`tokio/apps/PACKAGE`).
pub fn program(package: &str, name: &str, backend: Backend) -> PathBuf {
    let of_tokio = package.starts_with("tokio-");
    static BUILT: OnceLock<Mutex<HashMap<(String, Backend), ()>>> = OnceLock::new();
    let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    built.entry((package.to_owned(), backend)).or_insert_with(|| {
        if of_tokio {
            return tokio::build_package(package, backend);
        }
        let mut command = Command::new("cargo");
        command.current_dir(root().join("cookbook")).args(["build", "--quiet", "--release", "-p"]);
        command.arg(format!("cookbook-{package}")).args(backend.args()).arg("--target-dir").arg(backend.target_dir());
        // What does not depend on the feature is built once.
        command.env("CARGO_BUILD_BUILD_DIR", root().join("target/cookbook"));
        // What a package asks of the compiler, cargo reads by itself where one is in its directory.
        let config = app(package).join(".cargo/config.toml");
        if config.exists() {
            command.arg("--config").arg(config);
        }
        build(&mut command);
    });
    let dir = if of_tokio { tokio::target_dir(backend) } else { backend.target_dir() };
    backend.program(&dir, name)
}

fn build(command: &mut Command) {
    // The variables of the cargo that runs the tests are not for this one.
    let status = command.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS").status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?} failed");
}

/// An address on which nothing listens, for servers that cannot say which the system has assigned.
pub fn free_addr() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback has a free port")
}

/// A program that runs. Killed when dropped.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    /// What it has said so far, on standard output and standard error.
    said: Vec<String>,
    /// Where it listens, if it has said so.
    pub addr: SocketAddr,
}

/// Starts a server of a package and waits until it says `listening on ADDR`; on wasip1 the runner does.
pub fn serve(package: &str, name: &str, backend: Backend, args: &[&str]) -> Running {
    Running::start(server(&[], package, name, backend, args), true)
}

/// As [`serve`] does, and can be asked what it [holds](Running::held).
pub fn serve_counted(package: &str, name: &str, backend: Backend, args: &[&str]) -> Running {
    Running::start(server(&["--count-calls"], package, name, backend, args), true)
}

/// A command that runs a server of a package, which listens on a port that the system assigns, with flags for the runner.
pub fn server(flags: &[&str], package: &str, name: &str, backend: Backend, args: &[&str]) -> Command {
    let program = program(package, name, backend);
    let mut command = match backend {
        Backend::Native => Command::new(program),
        _ => {
            let mut command = dormouse_run();
            command.args(flags);
            match backend {
                Backend::P1 => command.args(["--listen", "127.0.0.1:0"]),
                _ => command.args(["--allow-net", "--allow-dns"]),
            };
            command.arg(program);
            command
        }
    };
    command.arg("127.0.0.1:0").args(args);
    command
}

/// A command that runs a client of a package, natively or as a guest that may use the network.
pub fn client(package: &str, name: &str, backend: Backend) -> Command {
    client_with(&[], package, name, backend)
}

/// As [`client`] is, with flags for the runner.
pub fn client_with(flags: &[&str], package: &str, name: &str, backend: Backend) -> Command {
    let program = program(package, name, backend);
    if backend == Backend::Native {
        return Command::new(program);
    }
    let mut command = dormouse_run();
    command.args(["--allow-net", "--allow-dns"]).args(flags).arg(program);
    command
}

impl Running {
    /// Starts any server. It is waited for until it names an address, if `listens`.
    pub fn start(mut command: Command, listens: bool) -> Running {
        command.env_remove("RUST_BACKTRACE");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let (sender, lines) = mpsc::channel();
        pump(child.stdout.take().expect("piped"), sender.clone());
        pump(child.stderr.take().expect("piped"), sender);
        let mut running = Running { child, lines, said: Vec::new(), addr: ([0, 0, 0, 0], 0).into() };
        if listens {
            let line = running.until("127.0.0.1:");
            let addr = line[line.find("127.0.0.1:").expect("it was looked for")..].split_whitespace().next();
            running.addr = addr.and_then(|addr| addr.trim_end_matches([',', ';']).parse().ok()).expect("an address");
        }
        running
    }

    /// The next line that has `what` in it.
    pub fn until(&mut self, what: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(why) => panic!("{what:?} was not said ({why}), but:\n{}", self.said.join("\n")),
            }
            if let Some(line) = self.said.last().filter(|line| line.contains(what)) {
                return line.clone();
            }
        }
    }

    /// Puts something into its standard input.
    pub fn say(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("piped");
        stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).expect("it reads its standard input");
    }

    /// As Ctrl-C does.
    pub fn interrupt(&self) {
        self.kill("-INT");
    }

    /// As service managers do.
    pub fn terminate(&self) {
        self.kill("-TERM");
    }

    fn kill(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill failed");
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it holds of its host: entries of the resource table, natively and on wasip1 descriptors.
    pub fn held(&mut self, backend: Backend) -> usize {
        if matches!(backend, Backend::Native | Backend::P1) {
            return fs::read_dir(format!("/proc/{}/fd", self.id())).map_or(0, Iterator::count);
        }
        let status = Command::new("kill").args(["-USR1", &self.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill failed");
        let line = self.until("entries in the resource table");
        line.split_whitespace().next().and_then(|count| count.parse().ok()).expect("a number")
    }

    /// Waits until it holds no more than `held`.
    pub fn until_held(&mut self, backend: Backend, held: usize) {
        let end = Instant::now() + PATIENCE;
        loop {
            let now = self.held(backend);
            match now <= held {
                true => return,
                false if Instant::now() > end => panic!("{backend:?}: it holds {now} and not {held}"),
                false => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Waits until it has ended, and returns all that it has said.
    pub fn end(mut self) -> (ExitStatus, String) {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("a child can be waited for") {
                Some(status) => break status,
                None if Instant::now() > end => panic!("it has not ended; it said:\n{}", self.said.join("\n")),
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        self.said.extend(self.lines.iter());
        (status, self.said.join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pump(from: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
}

/// Runs a command to its end, and returns what it printed. It has to succeed.
pub fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}
