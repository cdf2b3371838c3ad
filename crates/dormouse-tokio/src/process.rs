//! tokio's `process`, as types: WASI starts no processes.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::{Command as StdCommand, ExitStatus, Output, Stdio};
use std::task::{Context, Poll};

use upstream::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A command that cannot be started: [`spawn`](Self::spawn) says so.
#[derive(Debug)]
pub struct Command {
    std: StdCommand,
    kill_on_drop: bool,
}

/// A process; there is none.
#[derive(Debug)]
pub struct Child {
    pub stdin: Option<ChildStdin>,
    pub stdout: Option<ChildStdout>,
    pub stderr: Option<ChildStderr>,
    never: Infallible,
}

/// The standard input of a process; there is none.
#[derive(Debug)]
pub struct ChildStdin(Infallible);

/// The standard output of a process; there is none.
#[derive(Debug)]
pub struct ChildStdout(Infallible);

/// The standard error of a process; there is none.
#[derive(Debug)]
pub struct ChildStderr(Infallible);

impl Command {
    pub fn new<S: AsRef<OsStr>>(program: S) -> Command {
        Command::from(StdCommand::new(program))
    }

    pub fn as_std(&self) -> &StdCommand {
        &self.std
    }

    pub fn as_std_mut(&mut self) -> &mut StdCommand {
        &mut self.std
    }

    pub fn into_std(self) -> StdCommand {
        self.std
    }

    pub fn arg<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Command {
        self.std.arg(arg);
        self
    }

    pub fn args<I, S>(&mut self, args: I) -> &mut Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.std.args(args);
        self
    }

    pub fn env<K: AsRef<OsStr>, V: AsRef<OsStr>>(&mut self, key: K, value: V) -> &mut Command {
        self.std.env(key, value);
        self
    }

    pub fn envs<I, K, V>(&mut self, vars: I) -> &mut Command
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.std.envs(vars);
        self
    }

    pub fn env_remove<K: AsRef<OsStr>>(&mut self, key: K) -> &mut Command {
        self.std.env_remove(key);
        self
    }

    pub fn env_clear(&mut self) -> &mut Command {
        self.std.env_clear();
        self
    }

    pub fn current_dir<P: AsRef<Path>>(&mut self, dir: P) -> &mut Command {
        self.std.current_dir(dir);
        self
    }

    pub fn stdin<T: Into<Stdio>>(&mut self, stdin: T) -> &mut Command {
        self.std.stdin(stdin);
        self
    }

    pub fn stdout<T: Into<Stdio>>(&mut self, stdout: T) -> &mut Command {
        self.std.stdout(stdout);
        self
    }

    pub fn stderr<T: Into<Stdio>>(&mut self, stderr: T) -> &mut Command {
        self.std.stderr(stderr);
        self
    }

    pub fn kill_on_drop(&mut self, kill_on_drop: bool) -> &mut Command {
        self.kill_on_drop = kill_on_drop;
        self
    }

    pub fn get_kill_on_drop(&self) -> bool {
        self.kill_on_drop
    }

    /// # Errors
    /// Always, of kind `Unsupported`.
    pub fn spawn(&mut self) -> io::Result<Child> {
        unsupported()
    }

    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        std::future::ready(unsupported())
    }

    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        std::future::ready(unsupported())
    }
}

impl From<StdCommand> for Command {
    fn from(std: StdCommand) -> Command {
        Command { std, kill_on_drop: false }
    }
}

impl Child {
    pub fn id(&self) -> Option<u32> {
        match self.never {}
    }

    pub fn start_kill(&mut self) -> io::Result<()> {
        match self.never {}
    }

    pub async fn kill(&mut self) -> io::Result<()> {
        match self.never {}
    }

    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        match self.never {}
    }

    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        match self.never {}
    }

    pub async fn wait_with_output(self) -> io::Result<Output> {
        match self.never {}
    }
}

macro_rules! pipe {
    ($($pipe:ident)*) => {$(
        impl $pipe {
            /// # Errors
            /// Always, of kind `Unsupported`.
            pub fn from_std(inner: std::process::$pipe) -> io::Result<Self> {
                drop(inner);
                unsupported()
            }
        }

        impl TryInto<Stdio> for $pipe {
            type Error = io::Error;

            fn try_into(self) -> io::Result<Stdio> {
                match self.0 {}
            }
        }
    )*};
}

pipe!(ChildStdin ChildStdout ChildStderr);

impl AsyncWrite for ChildStdin {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, _buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.0 {}
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }
}

macro_rules! read {
    ($($pipe:ident)*) => {$(
        impl AsyncRead for $pipe {
            fn poll_read(
                self: Pin<&mut Self>,
                _cx: &mut Context<'_>,
                _buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match self.0 {}
            }
        }
    )*};
}

read!(ChildStdout ChildStderr);

fn unsupported<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "start a process: WASI has none"))
}
