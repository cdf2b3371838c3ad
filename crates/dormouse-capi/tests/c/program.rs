//! A program in C that runs, and its client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Linked to the static library.
    Native,
    /// Linked to the shared one.
    Shared,
    P1,
    P2,
    P3,
    /// As `Native`, under valgrind.
    Valgrind,
}

pub const BACKENDS: [Backend; 5] = [Backend::Native, Backend::Shared, Backend::P1, Backend::P2, Backend::P3];

pub struct Program {
    child: Child,
    lines: Receiver<String>,
    said: Receiver<String>,
}

pub fn var(name: &str) -> PathBuf {
    let value = std::env::var_os(name);
    value.map(PathBuf::from).unwrap_or_else(|| panic!("{name} is not set: run these tests by `cargo xtask capi`"))
}

/// Where `cargo xtask capi` has put it.
fn path(on: Backend, name: &str) -> PathBuf {
    let backend = match on {
        Backend::Native | Backend::Valgrind => "native",
        Backend::Shared => "shared",
        Backend::P1 => "wasip1",
        Backend::P2 => "wasip2",
        Backend::P3 => "wasip3",
    };
    var("DORMOUSE_C").join(backend).join("bin").join(name)
}

/// What the runner is told of the network.
fn network(on: Backend) -> &'static [&'static str] {
    match on {
        Backend::P1 => &["--listen", "127.0.0.1:0"],
        Backend::P2 | Backend::P3 => &["--allow-net", "--allow-dns"],
        _ => &[],
    }
}

impl Program {
    pub fn start(on: Backend, name: &str, args: &[&str]) -> Program {
        Program::start_with(on, network(on), &path(on, name), args)
    }

    /// One that is somewhere else.
    pub fn start_at(on: Backend, path: &Path) -> Program {
        Program::start_with(on, network(on), path, &[])
    }

    /// In a network where nothing is allowed.
    pub fn start_denied(on: Backend, name: &str, args: &[&str]) -> Program {
        Program::start_with(on, &[], &path(on, name), args)
    }

    /// With host calls counted.
    pub fn start_counted(on: Backend, name: &str, args: &[&str]) -> Program {
        Program::start_with(on, &[network(on), &["--count-calls"]].concat(), &path(on, name), args)
    }

    fn start_with(on: Backend, options: &[&str], path: &Path, args: &[&str]) -> Program {
        let mut command = match on {
            Backend::Native | Backend::Shared => Command::new(path),
            Backend::P1 | Backend::P2 | Backend::P3 => {
                let mut command = Command::new(var("DORMOUSE"));
                // Not the user's.
                command.env("XDG_CACHE_HOME", var("DORMOUSE_C").with_file_name("cache"));
                command.arg("run").args(options).arg(path.with_extension("wasm"));
                command
            }
            Backend::Valgrind => {
                let mut command = Command::new("valgrind");
                // What is reachable at the end is the library's statics.
                command.args(["--error-exitcode=99", "--leak-check=full"]);
                command.arg("--errors-for-leak-kinds=definite,indirect,possible");
                if path.ends_with("exit") {
                    // It does not give back what it has.
                    command.arg("--errors-for-leak-kinds=none");
                }
                command.arg(path);
                command
            }
        };
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let lines = lines_of(child.stdout.take().unwrap());
        let said = lines_of(child.stderr.take().unwrap());
        Program { child, lines, said }
    }

    /// The next line that it prints.
    pub fn line(&mut self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            let _ = self.child.kill();
            panic!("the program prints nothing: {error}; it has said {:?}", self.said.iter().collect::<Vec<_>>())
        })
    }

    /// Where it listens, from its line or, where it does not know, from the runner's.
    pub fn addr(&mut self) -> String {
        let line = loop {
            let line = self.line();
            if let Some(addr) = line.strip_prefix("listening on ") {
                break addr.to_owned();
            }
        };
        if !line.starts_with("FD ") {
            return line;
        }
        let told = self.said.recv_timeout(PATIENCE).expect("the runner says where it listens");
        told.rsplit(' ').next().unwrap_or_default().to_owned()
    }

    /// Waits for its end: its code, and what it has printed and said since.
    pub fn end(&mut self) -> (Option<i32>, Vec<String>, String) {
        let mut printed = Vec::new();
        // Both end with the program.
        while let Some(line) = next(&self.lines) {
            printed.push(line);
        }
        let mut said = String::new();
        while let Some(line) = next(&self.said) {
            said += &line;
            said.push('\n');
        }
        (self.child.wait().unwrap().code(), printed, said)
    }
}

fn next(lines: &Receiver<String>) -> Option<String> {
    match lines.recv_timeout(PATIENCE) {
        Ok(line) => Some(line),
        Err(mpsc::RecvTimeoutError::Disconnected) => None,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the program does not end"),
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of the program: `nc`, or a socket.
pub enum Client {
    Nc { child: Child, stdin: Option<ChildStdin>, lines: Receiver<String> },
    Socket(TcpStream),
}

impl Client {
    pub fn nc(addr: &str) -> Client {
        let (host, port) = addr.rsplit_once(':').unwrap();
        // -N: the end of its input is the end of what it sends.
        let mut child = Command::new("nc")
            .args(["-N", host, port])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("these tests need nc, OpenBSD's netcat");
        Client::Nc { stdin: child.stdin.take(), lines: lines_of(child.stdout.take().unwrap()), child }
    }

    pub fn connect(addr: &str) -> Client {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client::Socket(stream)
    }

    /// Sends a line, and hears it again.
    pub fn echo(&mut self, line: &str) {
        match self {
            Client::Nc { stdin, lines, .. } => {
                writeln!(stdin.as_mut().unwrap(), "{line}").unwrap();
                assert_eq!(lines.recv_timeout(PATIENCE).as_deref(), Ok(line));
            }
            Client::Socket(stream) => {
                stream.write_all(line.as_bytes()).unwrap();
                let mut heard = vec![0; line.len()];
                stream.read_exact(&mut heard).unwrap();
                assert_eq!(heard, line.as_bytes());
            }
        }
    }

    /// Sends until the program takes no more, and reads nothing of it.
    pub fn flood(&mut self) {
        let Client::Socket(stream) = self else { panic!("nc reads") };
        stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        while stream.write(&[b'x'; 65536]).is_ok() {}
    }

    /// Ends what it sends, and waits until the program has closed the connection.
    pub fn hang_up(self) {
        if let Client::Nc { mut child, stdin, lines } = self {
            drop(stdin);
            assert_eq!(next(&lines), None);
            assert!(child.wait().unwrap().success());
        }
    }
}

fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
