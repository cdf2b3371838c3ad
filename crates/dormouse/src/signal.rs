//! Being asked to end.

use std::io;

/// Waits until the user asks the program to end: Ctrl-C in a terminal, SIGINT.
///
/// From the first call on, SIGINT no longer ends the process by itself, not even when the future has been dropped: keep
/// waiting for it, or end. One that comes while nobody waits is lost.
///
/// A program under WASI gets no signals. Under `dormouse run`, Ctrl-C ends the standard input of a program that reads it:
/// the program should read that to its end, and then end itself; if it has not in five seconds, or at a second Ctrl-C, it is
/// ended.
///
/// ```no_run
/// use futures_lite::future::or;
/// # async fn serve() -> std::io::Result<()> { Ok(()) }
/// # dormouse::block_on(async {
/// or(serve(), dormouse::signal::ctrl_c()).await?;
/// println!("good bye");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// # Errors
/// `Unsupported` on WASI, on Windows and in a simulation.
pub async fn ctrl_c() -> io::Result<()> {
    #[cfg(unix)]
    return unix::interrupted().await;
    #[cfg(not(unix))]
    Err(crate::io::error(
        io::ErrorKind::Unsupported,
        "ctrl_c: there are no signals here; under `dormouse run`, Ctrl-C ends standard input: read that to its end",
    ))
}

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use signal_hook::SigId;
    use signal_hook::consts::SIGINT;
    use signal_hook::low_level::{pipe, unregister};

    use crate::fs::File;

    /// The handler writes a byte to a pipe.
    pub(super) async fn interrupted() -> io::Result<()> {
        let (read, write) = UnixStream::pair()?;
        let read = File::from_std(fs::File::from(OwnedFd::from(read)))?;
        let _registered = Registered(pipe::register(SIGINT, write)?);
        read.read(&mut [0]).await.map(|_| ())
    }

    struct Registered(SigId);

    impl Drop for Registered {
        fn drop(&mut self) {
            unregister(self.0);
        }
    }
}
