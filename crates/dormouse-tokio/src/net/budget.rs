//! tokio's budget of a task, which its sockets are part of: a task that always finds something to read lets the others run.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use crate::home::Home;

/// Polls an operation, unless the task has done as much as it may in one turn: then it is woken for another one.
pub(super) fn poll<T>(cx: &mut Context<'_>, op: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    #[cfg(feature = "rt")]
    let budget = std::task::ready!(upstream::task::coop::poll_proceed(cx));
    let polled = op(cx);
    #[cfg(feature = "rt")]
    if polled.is_ready() {
        budget.made_progress();
    }
    polled
}

/// Runs an operation of a socket by [`poll`].
pub(super) async fn run<T>(home: &Home, op: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let mut op = pin!(op);
    poll_fn(|cx| home.polled(poll(cx, |cx| op.as_mut().poll(cx)))).await
}
