//! What is so on WASI 0.3 alone: futures of other bindings, which the host tells something through our set.
#![cfg(all(target_os = "wasi", target_env = "p2", feature = "p3"))]

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use dormouse::net::TcpListener;
use wasip3::clocks::monotonic_clock::wait_for;

thread_local! {
    static HELD: RefCell<Option<(TcpListener, Waker)>> = const { RefCell::new(None) };
}

/// Drops what is held, and wakes what waits for that.
struct Closes;

impl Wake for Closes {
    fn wake(self: Arc<Self>) {
        let held = HELD.take();
        if let Some((listener, waker)) = held {
            drop(listener);
            waker.wake();
        }
    }
}

#[dormouse::test]
async fn the_waker_of_another_future_may_close_a_handle() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut first = pin!(wait_for(1_000_000));
    let mut second = pin!(wait_for(1_000_000));
    let closes = Waker::from(Arc::new(Closes));
    let mut cx = Context::from_waker(&closes);
    assert!(first.as_mut().poll(&mut cx).is_pending());
    assert!(second.as_mut().poll(&mut cx).is_pending());
    let mut held = Some(listener);
    poll_fn(|main| match held.take() {
        Some(listener) => {
            HELD.set(Some((listener, main.waker().clone())));
            Poll::Pending
        }
        None => Poll::Ready(()),
    })
    .await;
    first.await;
    second.await;
}
