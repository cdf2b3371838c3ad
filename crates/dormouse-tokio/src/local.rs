//! What belongs to the one thread, for libraries that ask for `Send`.

use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A value of Dormouse's in a type that tokio's users send to other threads, of which there are none.
pub(crate) struct Local<T>(pub(crate) T);

// SAFETY: this is compiled for WASI without threads alone (`lib.rs` has the `compile_error` for targets with them), so the thread that
// has the value is the only one.
#[allow(unsafe_code)]
unsafe impl<T> Send for Local<T> {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl<T> Sync for Local<T> {}

// On WASI a panic ends the program: nothing sees what it has left.
impl<T> UnwindSafe for Local<T> {}
impl<T> RefUnwindSafe for Local<T> {}

impl<T> Deref for Local<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Local<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Future> Future for Local<T> {
    type Output = T::Output;

    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<T::Output> {
        // SAFETY: the one field is pinned if the whole is, and nothing moves out of it.
        #[allow(unsafe_code)]
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx)
    }
}
