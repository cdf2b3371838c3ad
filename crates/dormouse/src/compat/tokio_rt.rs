//! tokio's own scheduler, as it is, on Dormouse's one wait.
//!
//! For a program that wants `tokio::spawn`, `JoinSet`, `LocalSet` or a library that asks for them, and has its sockets, timers and files
//! from Dormouse. The whole of tokio, its sockets and timers as well, is what `cargo dormouse tokio` is for.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use ::tokio::runtime::Builder;

use crate::runtime::foreign::{self, Loop};

thread_local! {
    /// The waker of the future that [`block_on`] runs.
    static MAIN: RefCell<Option<Arc<Mutex<Option<Waker>>>>> = const { RefCell::new(None) };
}

/// Runs `future` on a runtime of tokio's, of one thread, until it ends. tokio's tasks and Dormouse's sockets, timers and
/// [tasks](crate::spawn) work in it; tokio's own timers and sockets do not.
///
/// ```
/// use dormouse::net::{TcpListener, TcpStream};
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
///
/// let said = dormouse::tokio::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let addr = listener.local_addr()?;
///     let local = tokio::task::LocalSet::new();
///     local.run_until(async move {
///         let server = tokio::task::spawn_local(async move {
///             let (mut conn, _) = listener.accept().await?;
///             conn.write_all(b"hello").await
///         });
///         let mut said = String::new();
///         TcpStream::connect(addr).await?.read_to_string(&mut said).await?;
///         server.await.unwrap()?;
///         std::io::Result::Ok(said)
///     }).await
/// });
/// assert_eq!(said?, "hello");
/// # std::io::Result::Ok(())
/// ```
///
/// When no task of tokio's can run, it calls a hook before it would put the thread to sleep, and the hook is the one wait. tokio's `time`
/// is not built in: tokio does not tell when its next timer is due. While a task is always runnable there is no wait, and sockets get their
/// turn only between: such a task awaits [`dormouse::task::yield_now`](crate::task::yield_now) now and then, or spawns nothing that
/// never waits. Natively, what another thread wakes (`spawn_blocking`) runs only when a socket or timer is due.
///
/// # Errors
/// None of its own: if nothing can wake the program any more it is ended, as by [`block_on`](crate::block_on).
///
/// # Panics
/// Inside of another `block_on`, Dormouse's or tokio's; or if the host cannot wait.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let made = || io::Result::Ok((Loop::enter()?, Builder::new_current_thread().on_thread_park(wait).build()?));
    // The runtime is dropped first: the end of the loop waits for what its tasks have written.
    let (_inside, runtime) = made().unwrap_or_else(|error| panic!("make a runtime of tokio's: {error}"));
    let main = Arc::new(Mutex::new(None));
    MAIN.with(|slot| slot.replace(Some(Arc::clone(&main))));
    let mut future = pin!(future);
    runtime.block_on(poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        if polled.is_pending()
            && let Ok(mut waker) = main.lock()
        {
            *waker = Some(cx.waker().clone());
        }
        polled
    }))
}

/// The one wait. After it tokio would sleep if no task of its own was woken; the main future always is, so it does not.
fn wait() {
    foreign::park(None);
    let waker = MAIN.with_borrow(|main| main.as_ref().and_then(|main| main.lock().ok()?.clone()));
    if let Some(waker) = waker {
        waker.wake();
    }
}
