//! Being asked to stop.
//!
//! ```no_run
//! use futures_lite::future::or;
//! # async fn serve() -> std::io::Result<()> { Ok(()) }
//! # dormouse::block_on(async {
//! or(serve(), dormouse::signal::stop_requested()).await?;
//! println!("good bye");
//! # std::io::Result::Ok(())
//! # }).unwrap();
//! ```

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::rc::{Rc, Weak};

use crate::reactor::Handle;
use crate::sys::{Asked, Side, Source};

/// Waits until the program is asked to stop: it should take nothing new, finish what it has begun, and end.
///
/// * Under `dormouse run`: SIGINT (Ctrl-C), SIGTERM, or what else asks the runner to stop. The program then has the time of `--stop-timeout`,
///   and a second signal ends it at once. Standard input has nothing to do with it.
/// * Natively on Unix: SIGINT or SIGTERM. From the first call on, the first signal does not end the process, and the second one does.
/// * Other hosts have no way to ask, unless they [offer one](https://docs.rs/crate/dormouse/latest/source/FACTS.md), and then this stays pending.
///   So it does on Windows, where Ctrl-C ends the process, and in a simulation.
///
/// Once the program has been asked, each call returns at once. Safe to cancel.
///
/// A loop that accepts should look for a connection first and for the request afterwards, as [`futures_lite::future::or`] does, or
/// `biased` in a `select!`: on WASI 0.3 the host hands a connection over before it is accepted, and a listener that is dropped drops it.
///
/// [`futures_lite::future::or`]: https://docs.rs/futures-lite/2/futures_lite/future/fn.or.html
///
/// # Errors
/// Natively, what the system says of a handler and a pipe for it.
pub async fn stop_requested() -> io::Result<()> {
    asked(Asked::Any).await
}

/// Waits for Ctrl-C. On WASI it is [`stop_requested`]; natively on Unix it is the next SIGINT.
///
/// From the first call on, SIGINT no longer ends the process by itself, not even when the future has been dropped: keep
/// waiting for it, or end. One that comes while nothing waits is lost.
///
/// # Errors
/// As of [`stop_requested`].
pub async fn ctrl_c() -> io::Result<()> {
    asked(Asked::Interrupt).await
}

/// Waits for the signal by which service managers end a program. On WASI it is [`stop_requested`]; natively on Unix it is the next
/// SIGTERM, as with [`ctrl_c`] for SIGINT.
///
/// # Errors
/// As of [`stop_requested`].
pub async fn terminate() -> io::Result<()> {
    asked(Asked::Terminate).await
}

thread_local! {
    /// What [`stop_requested`] waits on, while something waits: the host is asked once for any number of tasks. A signal that is awaited by
    /// itself has a pipe for each task, since one takes out what is in it.
    static WAITED: RefCell<Weak<Handle>> = const { RefCell::new(Weak::new()) };
}

async fn asked(by: Asked) -> io::Result<()> {
    match handle(by)? {
        Some(handle) => handle.retry(Side::Read, Source::try_stop).await,
        None => pending().await,
    }
}

fn handle(by: Asked) -> io::Result<Option<Rc<Handle>>> {
    let waited = (by == Asked::Any).then(|| WAITED.with_borrow(Weak::upgrade)).flatten();
    if let Some(handle) = waited.filter(|handle| handle.is_of_this_reactor()) {
        return Ok(Some(handle));
    }
    let Some(source) = Source::stop(by)? else { return Ok(None) };
    let handle = Rc::new(Handle::new(source)?);
    if by == Asked::Any {
        WAITED.set(Rc::downgrade(&handle));
    }
    Ok(Some(handle))
}
