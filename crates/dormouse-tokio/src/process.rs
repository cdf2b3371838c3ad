//! tokio's `process`, as types: WASI starts no processes.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};

/// A command that cannot be started: [`spawn`](Self::spawn) says so.
#[derive(Debug)]
pub struct Command(());

/// A process; there is none.
#[derive(Debug)]
pub enum Child {}

/// The standard input of a process; there is none.
#[derive(Debug)]
pub enum ChildStdin {}

/// The standard output of a process; there is none.
#[derive(Debug)]
pub enum ChildStdout {}

/// The standard error of a process; there is none.
#[derive(Debug)]
pub enum ChildStderr {}

impl Command {
    pub fn new<S: AsRef<OsStr>>(_program: S) -> Command {
        Command(())
    }

    pub fn arg<S: AsRef<OsStr>>(&mut self, _arg: S) -> &mut Command {
        self
    }

    pub fn args<I, S>(&mut self, _args: I) -> &mut Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self
    }

    pub fn env<K: AsRef<OsStr>, V: AsRef<OsStr>>(&mut self, _key: K, _value: V) -> &mut Command {
        self
    }

    pub fn current_dir<P: AsRef<Path>>(&mut self, _dir: P) -> &mut Command {
        self
    }

    pub fn stdin<T: Into<Stdio>>(&mut self, _stdin: T) -> &mut Command {
        self
    }

    pub fn stdout<T: Into<Stdio>>(&mut self, _stdout: T) -> &mut Command {
        self
    }

    pub fn stderr<T: Into<Stdio>>(&mut self, _stderr: T) -> &mut Command {
        self
    }

    pub fn kill_on_drop(&mut self, _kill: bool) -> &mut Command {
        self
    }

    /// # Errors
    /// Always, of kind `Unsupported`.
    pub fn spawn(&mut self) -> io::Result<Child> {
        unsupported()
    }

    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub async fn status(&mut self) -> io::Result<ExitStatus> {
        unsupported()
    }

    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub async fn output(&mut self) -> io::Result<Output> {
        unsupported()
    }
}

fn unsupported<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "start a process: WASI has none"))
}
