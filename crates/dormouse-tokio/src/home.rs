//! The runtime that a socket belongs to: that in which it was made. With its end the waits for the socket end.

use std::io;
#[cfg(feature = "net")]
use std::task::Poll;

#[cfg(feature = "rt")]
use upstream::runtime::Handle;

/// A runtime; none, of what was made outside of any.
pub(crate) struct Home(#[cfg(feature = "rt")] Option<Handle>);

/// As tokio has it; `is_rt_shutdown_err` goes by the words.
#[cfg(feature = "rt")]
const ENDED: &str = "A Tokio 1.x context was found, but it is being shutdown.";

/// `cargo dormouse` gives tokio's handle a method of this name, which comes before this one. Without it nothing tells of an end.
#[cfg(feature = "rt")]
#[allow(dead_code)]
trait AsItWas {
    fn is_there(&self) -> bool {
        true
    }
}

#[cfg(feature = "rt")]
impl AsItWas for Handle {}

impl Default for Home {
    fn default() -> Home {
        Home::here()
    }
}

impl Home {
    /// The one in which this is called.
    pub(crate) fn here() -> Home {
        Home(
            #[cfg(feature = "rt")]
            Handle::try_current().ok(),
        )
    }

    /// # Errors
    /// If it has been shut down.
    pub(crate) fn check(&self) -> io::Result<()> {
        #[cfg(feature = "rt")]
        if self.0.as_ref().is_some_and(|runtime| !runtime.is_there()) {
            return Err(io::Error::other(ENDED));
        }
        Ok(())
    }

    /// What was polled, but for a wait that cannot end any more.
    #[cfg(feature = "net")]
    pub(crate) fn polled<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match polled {
            Poll::Pending => match self.check() {
                Ok(()) => Poll::Pending,
                Err(ended) => Poll::Ready(Err(ended)),
            },
            polled => polled,
        }
    }
}
