//! A task that is parked on nothing but another task's wake: no socket, no timer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Where the parked task leaves its waker.
#[derive(Default)]
struct Bed {
    woken: bool,
    waker: Option<Waker>,
}

#[dormouse::main]
async fn main() {
    let bed = Rc::new(RefCell::new(Bed::default()));

    let sleeper = dormouse::spawn({
        let bed = Rc::clone(&bed);
        poll_fn(move |cx| {
            let mut bed = bed.borrow_mut();
            if bed.woken {
                return Poll::Ready("woken");
            }
            println!("parked");
            bed.waker = Some(cx.waker().clone());
            Poll::Pending
        })
    });

    dormouse::task::yield_now().await;
    let waker = {
        let mut bed = bed.borrow_mut();
        bed.woken = true;
        bed.waker.take().expect("the sleeper has parked by now")
    };
    // Waking twice is waking once.
    waker.wake_by_ref();
    waker.wake();
    println!("{}", sleeper.await.expect("nobody aborts it"));
}
