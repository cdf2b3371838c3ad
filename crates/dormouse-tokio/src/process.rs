//! tokio's `process`, as types: WASI starts no processes.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::{ExitStatus, Output, Stdio};
use std::task::{Context, Poll};

use upstream::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A command that cannot be started: [`spawn`](Self::spawn) says so.
#[derive(Debug)]
pub struct Command(std::process::Command);

/// A process; there is none.
#[derive(Debug)]
pub struct Child {
    pub stdin: Option<ChildStdin>,
    pub stdout: Option<ChildStdout>,
    pub stderr: Option<ChildStderr>,
    none: Infallible,
}

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
    pub fn new<S: AsRef<OsStr>>(program: S) -> Command {
        Command(std::process::Command::new(program))
    }

    pub fn as_std(&self) -> &std::process::Command {
        &self.0
    }

    pub fn as_std_mut(&mut self) -> &mut std::process::Command {
        &mut self.0
    }

    pub fn into_std(self) -> std::process::Command {
        self.0
    }

    pub fn arg<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Command {
        self.0.arg(arg);
        self
    }

    pub fn args<I, S>(&mut self, args: I) -> &mut Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.0.args(args);
        self
    }

    pub fn env<K: AsRef<OsStr>, V: AsRef<OsStr>>(&mut self, key: K, value: V) -> &mut Command {
        self.0.env(key, value);
        self
    }

    pub fn envs<I, K, V>(&mut self, vars: I) -> &mut Command
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.0.envs(vars);
        self
    }

    pub fn env_remove<K: AsRef<OsStr>>(&mut self, key: K) -> &mut Command {
        self.0.env_remove(key);
        self
    }

    pub fn env_clear(&mut self) -> &mut Command {
        self.0.env_clear();
        self
    }

    pub fn current_dir<P: AsRef<Path>>(&mut self, dir: P) -> &mut Command {
        self.0.current_dir(dir);
        self
    }

    pub fn stdin<T: Into<Stdio>>(&mut self, stdin: T) -> &mut Command {
        self.0.stdin(stdin);
        self
    }

    pub fn stdout<T: Into<Stdio>>(&mut self, stdout: T) -> &mut Command {
        self.0.stdout(stdout);
        self
    }

    pub fn stderr<T: Into<Stdio>>(&mut self, stderr: T) -> &mut Command {
        self.0.stderr(stderr);
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

impl From<std::process::Command> for Command {
    fn from(command: std::process::Command) -> Command {
        Command(command)
    }
}

impl Child {
    pub fn id(&self) -> Option<u32> {
        match self.none {}
    }

    pub fn start_kill(&mut self) -> io::Result<()> {
        match self.none {}
    }

    pub async fn kill(&mut self) -> io::Result<()> {
        match self.none {}
    }

    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        match self.none {}
    }

    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        match self.none {}
    }

    pub async fn wait_with_output(self) -> io::Result<Output> {
        match self.none {}
    }
}

impl AsyncWrite for ChildStdin {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, _buf: &[u8]) -> Poll<io::Result<usize>> {
        match *self {}
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }
}

macro_rules! read {
    ($($stream:ty),*) => {$(
        impl AsyncRead for $stream {
            fn poll_read(self: Pin<&mut Self>, _cx: &mut Context<'_>, _buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                match *self {}
            }
        }
    )*};
}

read!(ChildStdout, ChildStderr);

fn unsupported<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "start a process: WASI has none"))
}
