//! Tasks where there is one thread. `tests/abi.rs` runs this file under Miri.
#![allow(unsafe_code)]

use async_task::{Builder, Runnable, Schedule, Task};

/// `async_task`'s `spawn_local` without its check of the thread, whose thread ids are 4 KB of a small guest.
pub(crate) fn spawn_local<F, S, M>(builder: Builder<M>, future: F, schedule: S) -> (Runnable<M>, Task<F::Output, M>)
where
    F: Future + 'static,
    F::Output: 'static,
    S: Schedule<M> + Send + Sync + 'static,
    M: 'static,
{
    // SAFETY: future and schedule borrow nothing and the schedule may go anywhere. The future may not, but there is
    // nowhere to go: wasm32-wasip1 and wasm32-wasip2 have one thread.
    unsafe { builder.spawn_unchecked(|_| future, schedule) }
}
