//! Standard input: a task that reads it is parked, and the others run on.
//!
//! All handles of a thread share one source: the system's poller knows a descriptor once.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::AsyncRead;

use crate::reactor::{Handle, Share};
use crate::sys::{Side, Source};

thread_local! {
    static STDIN: RefCell<Option<Share>> = const { RefCell::new(None) };
}

/// Standard input. Reading from it lets other tasks run while there is nothing to read.
///
/// There is no buffer: for lines, put one around it.
///
/// ```no_run
/// use dormouse::io;
/// use futures_lite::{AsyncBufReadExt, StreamExt, io::BufReader};
/// # dormouse::block_on(async {
/// let mut lines = BufReader::new(io::stdin()).lines();
/// while let Some(line) = lines.next().await {
///     println!("{}", line?.to_uppercase());
/// }
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// What several handles read is shared out among them. [`std::io::stdin`] has a buffer of its own, so use only one of the
/// two. Natively, if another process reads the same pipe or terminal and is faster, the program may wait for what comes
/// next with all its tasks; on Windows it always does.
pub fn stdin() -> Stdin {
    Stdin { share: OnceCell::new() }
}

/// A handle to standard input; made by [`stdin`]. Dropping it, or the last of them, closes nothing.
pub struct Stdin {
    /// Since the first read.
    share: OnceCell<Share>,
}

impl Stdin {
    /// Reads what has come, waiting for at least one byte. `Ok(0)` is the end, or an empty `buf`.
    /// Safe to cancel: nothing that was read is lost.
    ///
    /// ```no_run
    /// # dormouse::block_on(async {
    /// let mut answer = [0; 64];
    /// let n = dormouse::io::stdin().read(&mut answer).await?;
    /// println!("{:?}", &answer[..n]);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `Unsupported` in a simulation, and what the host says.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.share()?.retry(Side::Read, |stdin| stdin.try_read(buf)).await.map_err(context)
    }

    fn share(&self) -> io::Result<&Share> {
        if let Some(share) = self.share.get() {
            return Ok(share);
        }
        let share = STDIN.with_borrow_mut(|stdin| match stdin {
            Some(share) if share.is_of_this_reactor() => Ok(share.another()),
            _ => {
                let share = Share::new(Handle::new(Source::stdin()?)?);
                Ok::<_, io::Error>(stdin.insert(share).another())
            }
        })?;
        Ok(self.share.get_or_init(|| share))
    }
}

impl Clone for Stdin {
    fn clone(&self) -> Self {
        stdin()
    }
}

impl AsyncRead for Stdin {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.share()?.poll_owned(Side::Read, cx, |stdin| stdin.try_read(buf)).map_err(context)
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stdin")
    }
}

#[cold]
fn context(error: io::Error) -> io::Error {
    crate::io::error(error.kind(), format!("read standard input: {error}"))
}
