//! Being asked to stop: SIGINT and SIGTERM. A handler writes a byte to a pipe of each that waits.

use std::io;

use super::Source;
use crate::sys::Asked;

#[cfg(unix)]
pub(super) use unix::Stop;

impl Source {
    /// What becomes readable when the program is asked to stop; `None` where it never is.
    pub(crate) fn stop(asked: Asked) -> io::Result<Option<Self>> {
        #[cfg(unix)]
        return Stop::new(asked).map(|stop| Some(Source::Stop(stop)));
        // Ctrl-C ends the process there.
        #[cfg(windows)]
        Ok((asked, None).1)
    }

    pub(crate) fn try_stop(&self) -> io::Result<()> {
        match self {
            #[cfg(unix)]
            Source::Stop(stop) => stop.try_stop(),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

#[cfg(unix)]
mod unix {
    use std::io::{self, Read as _};
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, OnceLock};

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::low_level::{pipe, unregister};
    use signal_hook::{SigId, flag};

    use crate::sys::Asked;

    /// Set by the first signal once a program has asked for any, so that none is missed between two waits.
    static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

    /// A pipe that the handler writes to.
    pub(crate) struct Stop {
        read: UnixStream,
        registered: Vec<SigId>,
        asked: Option<&'static AtomicBool>,
    }

    impl Stop {
        pub(super) fn new(asked: Asked) -> io::Result<Stop> {
            let (read, write) = UnixStream::pair()?;
            read.set_nonblocking(true)?;
            let mut stop = Stop { read, registered: Vec::new(), asked: None };
            let signals: &[i32] = match asked {
                Asked::Interrupt => &[SIGINT],
                Asked::Terminate => &[SIGTERM],
                Asked::Any => &[SIGINT, SIGTERM],
            };
            for &signal in signals {
                stop.registered.push(pipe::register(signal, write.try_clone()?)?);
            }
            // After the pipe: a signal that comes between the two writes to it.
            if asked == Asked::Any {
                stop.asked = Some(any()?);
            }
            Ok(stop)
        }

        pub(super) fn try_stop(&self) -> io::Result<()> {
            match self.asked.is_some_and(|asked| asked.load(Ordering::SeqCst)) {
                true => Ok(()),
                false => (&self.read).read(&mut [0; 64]).map(drop),
            }
        }
    }

    /// Whether there has been one; the second one ends the process, as it would have if nothing waited for the first.
    fn any() -> io::Result<&'static AtomicBool> {
        if let Some(asked) = ASKED.get() {
            return Ok(asked);
        }
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first one finds the flag unset.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
            flag::register(signal, Arc::clone(&asked))?;
        }
        Ok(ASKED.get_or_init(|| asked))
    }

    impl AsFd for Stop {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.read.as_fd()
        }
    }

    impl Drop for Stop {
        fn drop(&mut self) {
            self.registered.drain(..).for_each(|id| {
                unregister(id);
            });
        }
    }
}
