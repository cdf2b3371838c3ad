//! Standard output and standard error, without O_NONBLOCK: that would change the descriptor for every process that
//! shares it. A descriptor that poll(2) calls writable takes at least PIPE_BUF bytes without blocking if it is a pipe;
//! a file never blocks for long, and a terminal blocks only when it is stopped.

use std::io::{self, Write};

use super::Source;

/// PIPE_BUF on Linux; POSIX asks for 512 at least, and others have more than that.
#[cfg(target_os = "linux")]
const ATOMIC: usize = 4096;
#[cfg(not(target_os = "linux"))]
const ATOMIC: usize = 512;

impl Source {
    pub(crate) fn stdout() -> Self {
        Source::Stdout(io::stdout())
    }

    pub(crate) fn stderr() -> Self {
        Source::Stderr(io::stderr())
    }
}

pub(super) fn try_write_stdout(stdout: &io::Stdout, bytes: &[u8]) -> io::Result<usize> {
    writable(stdout)?;
    let mut stdout = stdout.lock();
    let bytes = &bytes[..bytes.len().min(ATOMIC)];
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(bytes.len())
}

pub(super) fn try_write_stderr(stderr: &io::Stderr, bytes: &[u8]) -> io::Result<usize> {
    writable(stderr)?;
    let bytes = &bytes[..bytes.len().min(ATOMIC)];
    stderr.lock().write_all(bytes)?;
    Ok(bytes.len())
}

#[cfg(unix)]
fn writable(fd: &impl std::os::fd::AsFd) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(fd, PollFlags::OUT)];
    if poll(&mut fds, Some(&Timespec::default()))? == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Ok(())
}

#[cfg(windows)]
fn writable<T>(_: &T) -> io::Result<()> {
    Ok(())
}
