//! How a direction of a connection ends: told once, by a future that the program may read.
//!
//! The host also learns from it whether the program still waits for the end, which is how it stops what the host moves by itself:
//!
//! ```text
//!            reads                takes the read back            drops
//!   unread ─────────▶ awaited ◀──────────────────────▶ paused ─────────▶ given up
//!                                     reads again
//! ```
//!
//! A future that is dropped unread, or read to its end, is not given up.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use wasmtime::StoreContextMut;
use wasmtime::component::FutureProducer;
use wasmtime_wasi::p3::bindings::sockets::types::ErrorCode;

use crate::p2::State;

pub(super) type How = Result<(), ErrorCode>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Interest {
    #[default]
    Unread,
    Awaited,
    Paused,
    GivenUp,
}

#[derive(Default)]
struct Shared {
    how: Option<How>,
    interest: Interest,
    /// Who waits for the end.
    reader: Option<Waker>,
    /// Who waits for a change of interest.
    mover: Option<Waker>,
}

/// The host's part.
pub(super) struct End(Arc<Mutex<Shared>>);

/// The program's part, the future.
pub(super) struct Ended(Arc<Mutex<Shared>>);

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps who is to be woken.
fn keep(waker: &mut Option<Waker>, cx: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

impl End {
    pub(super) fn new() -> (End, Ended) {
        let shared = Arc::<Mutex<Shared>>::default();
        (End(Arc::clone(&shared)), Ended(shared))
    }

    /// Tells the end.
    pub(super) fn tell(self, how: How) {
        let reader = {
            let mut shared = locked(&self.0);
            shared.how = Some(how);
            shared.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Whether the program waits for the end; from now on a change wakes `cx`.
    pub(super) fn interest(&self, cx: &Context<'_>) -> Interest {
        let mut shared = locked(&self.0);
        keep(&mut shared.mover, cx);
        shared.interest
    }
}

impl Ended {
    fn set(&self, interest: Interest) {
        let mover = {
            let mut shared = locked(&self.0);
            match shared.interest == interest {
                true => None,
                false => {
                    shared.interest = interest;
                    shared.mover.take()
                }
            }
        };
        if let Some(mover) = mover {
            mover.wake();
        }
    }

    /// The end, if it has come; `finish` takes the question back.
    pub(super) fn poll(&self, cx: &Context<'_>, finish: bool) -> Poll<Option<How>> {
        let interest = {
            let mut shared = locked(&self.0);
            if let Some(how) = shared.how.take() {
                return Poll::Ready(Some(how));
            }
            keep(&mut shared.reader, cx);
            if finish { Interest::Paused } else { Interest::Awaited }
        };
        self.set(interest);
        if finish { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl FutureProducer<State> for Ended {
    type Item = How;

    fn poll_produce(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: StoreContextMut<'_, State>,
        finish: bool,
    ) -> Poll<wasmtime::Result<Option<How>>> {
        self.poll(cx, finish).map(Ok)
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let paused = locked(&self.0).interest == Interest::Paused;
        if paused {
            self.set(Interest::GivenUp);
        }
    }
}
