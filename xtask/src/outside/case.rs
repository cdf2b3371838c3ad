//! A program, what it is given, and what it has to do.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::programs;
use crate::Result;

/// A program and one way of running it.
#[derive(Clone)]
pub struct Case {
    pub program: String,
    /// What tells several cases of a program apart, or nothing.
    pub variant: &'static str,
    /// Where its source is, for the table.
    pub suite: &'static str,
    /// What it is built for; `None` if the checkout has it built.
    pub target: Option<&'static str>,
    pub file: PathBuf,
    /// Whether it is a component of WASI 0.3.
    pub p3: bool,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub net: Net,
    /// The most handles that it may have.
    pub resources: Option<u32>,
    /// After how many milliseconds its host ends it.
    pub timeout: Option<u32>,
    /// What its directory is called inside.
    pub dir: &'static [&'static str],
    /// What is in that directory: a name, and a content; a name that ends in `/` is a directory.
    pub files: &'static [(&'static str, &'static str)],
    /// What the program's file is called when it runs, which it can see as its first argument.
    pub named: Option<&'static str>,
    pub stdin: Stdin,
    pub talk: &'static [Step],
    pub ends: Ends,
    /// All that it prints.
    pub prints: Option<String>,
}

/// What of the network it may use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Net {
    All,
    /// No TCP for wasmtime; our runner has no such switch, so: nothing.
    NoTcp,
    NoUdp,
    NoLookup,
    /// wasmtime's `-Stcp`: sockets, and no address.
    NoAddress,
}

/// What standard input is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    Pipe,
    Directory,
}

/// What is done at the program's standard streams, in turn. At the end both are closed, and the rest is read.
#[derive(Clone, Copy)]
pub enum Step {
    /// Waits until it has printed just that.
    Read(&'static str),
    /// Reads that many bytes, and closes its output.
    CloseOutput(usize),
    Write(&'static str),
    /// Reads a line, which is an address, connects to it, sends that and gets it back.
    Echo(&'static str),
}

/// How it has to end.
#[derive(Clone, Copy)]
pub enum Ends {
    Code(i32),
    /// With that code, and with that on standard error.
    Saying(i32, &'static str),
    /// With a trap, about which wasmtime says that; it is no trap of the engine's, so that its exit code is 1. Our runner may say it
    /// otherwise.
    Trap(&'static str),
    /// Because its time was over.
    TimedOut,
}

impl Case {
    /// As wasmtime's tests run most of theirs: `crates/wasi/tests/all/store.rs`.
    pub fn of_wasmtime(program: &str, target: &'static str) -> Result<Case> {
        let file = programs::built()?.join(target).join("debug").join(format!("{program}.wasm"));
        Ok(Case {
            target: Some(target),
            args: vec![".".into()],
            env: vec![("ERRNO_MODE_UNIX".into(), "1".into())],
            dir: &["."],
            ..Case::prebuilt("wasmtime", program, file)
        })
    }

    /// One that the checkout has built.
    pub fn prebuilt(suite: &'static str, program: &str, file: PathBuf) -> Case {
        Case {
            program: program.to_owned(),
            variant: "",
            suite,
            target: None,
            file,
            p3: program.starts_with("p3_"),
            args: Vec::new(),
            env: Vec::new(),
            net: Net::All,
            resources: None,
            timeout: None,
            dir: &[],
            files: &[],
            named: None,
            stdin: Stdin::Pipe,
            talk: &[],
            ends: Ends::Code(0),
            prints: None,
        }
    }

    pub fn label(&self) -> String {
        match self.variant {
            "" => self.program.clone(),
            variant => format!("{} {variant}", self.program),
        }
    }
}

/// A command that runs programs.
pub struct Host {
    pub name: &'static str,
    path: PathBuf,
    pub version: String,
}

impl Host {
    pub fn dormouse(path: PathBuf) -> Result<Host> {
        Host { name: "dormouse run", path, version: String::new() }.with_version()
    }

    pub fn wasmtime(path: PathBuf) -> Result<Host> {
        Host { name: "wasmtime run", path, version: String::new() }.with_version()
    }

    fn with_version(mut self) -> Result<Host> {
        let output = Command::new(&self.path).arg("--version").output();
        let output = output.map_err(|error| format!("cannot start {}: {error}", self.path.display()))?;
        self.version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(self)
    }

    pub fn is_ours(&self) -> bool {
        self.name == "dormouse run"
    }

    /// Runs `file` as `case` says; its directory is `dir`.
    pub fn command(&self, case: &Case, file: &Path, dir: &Path) -> Command {
        let mut command = Command::new(&self.path);
        command.arg("run");
        if self.is_ours() {
            our_options(&mut command, case)
        } else {
            their_options(&mut command, case)
        }
        for (name, value) in &case.env {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        for inside in case.dir {
            command.arg("--dir").arg(format!("{}::{inside}", dir.display()));
        }
        command.arg(file).args(&case.args);
        command
    }
}

fn our_options(command: &mut Command, case: &Case) {
    match case.net {
        Net::All => command.args(["--allow-net", "--allow-dns"]),
        Net::NoLookup => command.arg("--allow-net"),
        // Some permission, by which it may have sockets.
        Net::NoAddress => command.args(["--allow-connect", "127.0.0.1:1"]),
        Net::NoTcp | Net::NoUdp => command,
    };
    if let Some(most) = case.resources {
        command.arg("--max-resources").arg(most.to_string());
    }
    if let Some(milliseconds) = case.timeout {
        command.arg("--timeout").arg(format!("{milliseconds}ms"));
    }
}

fn their_options(command: &mut Command, case: &Case) {
    if case.p3 {
        command.args(["-Sp3", "-Wcomponent-model-async"]);
    }
    command.arg(match case.net {
        Net::All => "-Sinherit-network,allow-ip-name-lookup",
        Net::NoLookup => "-Sinherit-network,allow-ip-name-lookup=no",
        Net::NoTcp => "-Sinherit-network,tcp=no",
        Net::NoUdp => "-Sinherit-network,udp=no",
        Net::NoAddress => "-Stcp",
    });
    if let Ends::Code(2..) = case.ends {
        command.arg("-Scli-exit-with-code");
    }
    if let Some(most) = case.resources {
        command.arg(format!("-Smax-resources={most}"));
    }
    if let Some(milliseconds) = case.timeout {
        command.arg(format!("-Wtimeout={milliseconds}ms"));
    }
    // Of an error they would be most of what it prints.
    command.env("RUST_BACKTRACE", "0");
}
