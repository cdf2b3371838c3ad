//! A case as a process of this machine.

use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use dormouse_host::Counts;
use socket2::Socket;

use super::{Process, Subject, dir_for, lines_to, pump};

struct Native {
    child: Child,
    /// Keeps its port for it.
    _port: Option<Socket>,
    /// Reads what it says to the end.
    stderr: Option<JoinHandle<()>>,
}

impl Process for Native {
    fn wait(&mut self) -> i32 {
        if let Some(stderr) = self.stderr.take() {
            stderr.join().expect("reading a pipe does not panic");
        }
        self.child.wait().expect("a child can be waited for").code().unwrap_or(-1)
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn counts(&self) -> Option<Counts> {
        None
    }

    fn pid(&self) -> Option<u32> {
        Some(self.child.id())
    }

    fn held(&self) -> u64 {
        let dir = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(dir).map_or(0, |entries| entries.count() as u64)
    }
}

/// Starts the native battery.
pub fn start(args: &[&str]) -> Subject {
    let mut command = Command::new(env!("CARGO_BIN_EXE_battery"));
    command.args(args);
    if let Some(dir) = args.last().and_then(|case| dir_for(case)) {
        command.env("BATTERY_DIR", dir);
    }
    spawn(command)
}

/// Starts a program and reads what it prints.
pub fn spawn(command: Command) -> Subject {
    spawn_on(command, None)
}

/// The same for one that reads its standard input.
pub fn spawn_fed(mut command: Command) -> (Subject, ChildStdin) {
    let (subject, stdin) = start_child(command.stdin(Stdio::piped()), None);
    (subject, stdin.expect("piped"))
}

/// The same for one that is given something else for it.
pub fn spawn_with(mut command: Command, stdin: Stdio) -> Subject {
    start_child(command.stdin(stdin), None).0
}

/// The same for one that is told where to listen. What is given with the address is kept until it has ended.
pub fn spawn_on(mut command: Command, port: Option<(SocketAddr, Socket)>) -> Subject {
    start_child(command.stdin(Stdio::null()), port).0
}

fn start_child(command: &mut Command, port: Option<(SocketAddr, Socket)>) -> (Subject, Option<ChildStdin>) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let (sender, lines) = mpsc::channel();
    pump(child.stdout.take().expect("piped"), lines_to(sender));
    let stderr = Arc::new(Mutex::new(String::new()));
    let said = Arc::clone(&stderr);
    let reader = pump(child.stderr.take().expect("piped"), move |bytes| {
        said.lock().unwrap().push_str(&String::from_utf8_lossy(bytes));
    });
    let stdin = child.stdin.take();
    let (outside, port) = port.unzip();
    let process = Box::new(Native { child, _port: port, stderr: Some(reader) });
    (Subject { outside, lines, stderr, process }, stdin)
}
