//! Tasks: results, aborts, the end, and the diagnosis.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io::ErrorKind;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use dormouse::spawn;
use dormouse::task::yield_now;
use dormouse::time::{sleep, timeout};
use futures_lite::future::zip;

use super::place::listen_inside;

/// Sets its cell when it is dropped.
struct Flag(Rc<Cell<bool>>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// Ends with the list of what each task waits for.
pub async fn nothing_can_wake_it() {
    let inner = spawn(pending::<()>());
    let outer = spawn(async move { inner.await.is_ok() });
    let _ = outer.await;
}

/// A task is aborted where it is parked: in a sleep, an accept, a read, a wake.
pub async fn abort_parked() {
    let (listener, place) = listen_inside().await;
    let listener = Rc::new(listener);
    let (near, far) = zip(place.connect(), listener.accept()).await;
    let (_near, (far, _)) = (near.unwrap(), far.unwrap());

    let dropped: [Rc<Cell<bool>>; 4] = Default::default();
    let [sleeps, accepts, reads, waits] = dropped.clone().map(Flag);
    let tasks = [
        spawn(async move {
            let _flag = sleeps;
            sleep(Duration::from_secs(1000)).await;
        }),
        spawn({
            let listener = Rc::clone(&listener);
            async move {
                let _flag = accepts;
                let _ = listener.accept().await;
            }
        }),
        spawn(async move {
            let _flag = reads;
            let _ = far.read(&mut [0; 8]).await;
        }),
        spawn(async move {
            let _flag = waits;
            pending::<()>().await;
        }),
    ];
    // All have parked once this task has slept.
    sleep(Duration::from_millis(1)).await;
    for task in &tasks {
        assert!(!task.is_finished());
        task.abort();
        task.abort();
    }
    for task in tasks {
        assert!(task.await.unwrap_err().is_cancelled());
    }
    assert!(dropped.iter().all(|flag| flag.get()), "the futures have been dropped");
    // Nothing of theirs is left armed: the same listener goes on.
    let (near, far) = zip(place.connect(), listener.accept()).await;
    assert!(near.is_ok() && far.is_ok());
    assert_eq!(dormouse_deadlock_of_nothing().await, "ended");
}

/// Aborting a task that has ended changes nothing.
async fn dormouse_deadlock_of_nothing() -> &'static str {
    let task = spawn(async { "ended" });
    yield_now().await;
    assert!(task.is_finished());
    task.abort();
    task.await.unwrap()
}

pub async fn results() {
    let values: Vec<_> = (0..100).map(|n| spawn(async move { n * n })).collect();
    for (n, task) in values.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), n * n);
    }
    // A detached task goes on; so does one whose handle is dropped.
    let ran = Rc::new(Cell::new(0));
    for detach in [true, false] {
        let ran = Rc::clone(&ran);
        let task = spawn(async move {
            yield_now().await;
            ran.set(ran.get() + 1);
        });
        if detach {
            task.detach();
        }
    }
    // Tasks take turns: each runs once before any runs twice.
    let order = Rc::new(Cell::new(Vec::new()));
    let tasks: Vec<_> = (0..3)
        .map(|n| {
            let order = Rc::clone(&order);
            spawn(async move {
                for _ in 0..3 {
                    let mut list = order.take();
                    list.push(n);
                    order.set(list);
                    yield_now().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(order.take(), [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    assert_eq!(ran.get(), 2);
    // A waker that is called often wakes once; one that is kept too long wakes no task.
    let polls = Rc::new(Cell::new(0));
    let kept = Rc::new(Cell::new(None));
    let task = spawn({
        let (polls, kept) = (Rc::clone(&polls), Rc::clone(&kept));
        poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            kept.set(Some(cx.waker().clone()));
            if polls.get() == 2 { Poll::Ready(()) } else { Poll::Pending }
        })
    });
    yield_now().await;
    let waker = kept.take().unwrap();
    for _ in 0..5 {
        waker.wake_by_ref();
    }
    task.await.unwrap();
    waker.wake();
    yield_now().await;
    assert_eq!(polls.get(), 2);
    // A timeout ends a future that nothing can wake, and its error becomes an `io::Error`.
    let nested = timeout(Duration::from_millis(1), pending::<()>()).await;
    assert_eq!(std::io::Error::from(nested.unwrap_err()).kind(), ErrorKind::TimedOut);
}

/// The destructors of what is still parked run before the program ends.
pub async fn dropped_at_the_end() {
    struct Says(&'static str);
    impl Drop for Says {
        fn drop(&mut self) {
            println!("dropped {}", self.0);
        }
    }
    let (listener, _) = listen_inside().await;
    let says = Says("acceptor");
    spawn(async move {
        let _says = says;
        let _ = listener.accept().await;
    });
    let says = Says("sleeper");
    spawn(async move {
        let _says = says;
        sleep(Duration::from_secs(1000)).await;
    });
    let says = Says("never polled");
    sleep(Duration::from_millis(1)).await;
    spawn(async move { drop(says) });
}
