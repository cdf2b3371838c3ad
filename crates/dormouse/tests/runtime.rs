//! What the runtime does at its edges: twice, nested, outside, with nothing to do, with another thread.

use std::cell::Cell;
use std::future::{pending, ready};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use dormouse::time::{sleep, timeout};
use dormouse::{block_on, spawn, try_block_on};

dormouse::export_main!();

#[test]
fn one_future_needs_no_task() {
    assert_eq!(block_on(ready(1)), 1);
    block_on(sleep(Duration::from_millis(1)));
}

#[test]
fn tasks_end_with_the_block_on_that_runs_them() {
    let dropped = Rc::new(Cell::new(false));
    struct Flag(Rc<Cell<bool>>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let flag = Flag(Rc::clone(&dropped));
    let mut task = None;
    block_on(async {
        task = Some(spawn(async move {
            let _flag = flag;
            pending::<()>().await;
        }));
    });
    assert!(dropped.get());
    assert!(block_on(task.unwrap()).unwrap_err().is_cancelled());
    // And the next one starts with none.
    assert_eq!(block_on(async { spawn(ready(2)).await.unwrap() }), 2);
}

#[test]
fn a_task_may_spawn_from_its_destructor() {
    struct Spawns;
    impl Drop for Spawns {
        fn drop(&mut self) {
            spawn(pending::<()>()).detach();
        }
    }
    block_on(async {
        let spawns = Spawns;
        spawn(async move {
            let _spawns = spawns;
            pending::<()>().await;
        });
    });
}

#[test]
fn what_nothing_can_wake_is_an_error_that_lists_the_tasks() {
    let error = try_block_on(async {
        spawn(pending::<()>());
        pending::<()>().await;
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    let text = error.to_string();
    assert!(text.contains("the main future waits for a wake from another task"), "{text}");
    assert!(text.contains(&format!("the task spawned at {}:", file!())), "{text}");
    // A sleep without end is nothing that can, nor is a promise of other threads where there are none.
    let error = try_block_on(timeout(Duration::MAX, pending::<()>())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    if cfg!(target_family = "wasm") {
        let _guard = dormouse::task::foreign_wakes().unwrap();
        assert_eq!(try_block_on(pending::<()>()).unwrap_err().kind(), ErrorKind::Deadlock);
    }
    // A timer or a socket is something that can.
    assert!(try_block_on(timeout(Duration::from_millis(1), pending::<()>())).unwrap().is_err());
}

#[test]
fn a_woken_main_future_takes_turns_with_tasks() {
    let turns = Rc::new(Cell::new(0));
    let others = Rc::clone(&turns);
    block_on(async move {
        spawn(async move {
            loop {
                others.set(others.get() + 1);
                dormouse::task::yield_now().await;
            }
        });
        for n in 0..200 {
            assert!(turns.get() >= n, "the task has had a turn for each of ours");
            dormouse::task::yield_now().await;
        }
    });
}

#[cfg(not(target_family = "wasm"))] // where a panic ends the program, and there are no threads
mod native {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn a_panic_ends_its_task_only() {
        block_on(async {
            let task = spawn(async { panic!("boo") });
            let error = task.await.unwrap_err();
            assert!(error.is_panic() && !error.is_cancelled());
            let payload = error.try_into_panic().unwrap();
            assert_eq!(payload.downcast_ref(), Some(&"boo"));
            assert_eq!(spawn(ready(1)).await.unwrap(), 1);
        });
    }

    #[test]
    fn a_destructor_that_panics_in_an_aborted_task_ends_that_task_only() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("a destructor that panics");
            }
        }
        block_on(async {
            let bomb = spawn(async {
                let _bomb = Bomb;
                pending::<()>().await
            });
            let other = spawn(sleep(Duration::from_millis(1)));
            dormouse::task::yield_now().await;
            bomb.abort();
            assert!(bomb.await.unwrap_err().is_panic());
            other.await.unwrap();
        });
    }

    #[test]
    #[should_panic(expected = "block_on was called inside another block_on")]
    fn block_on_does_not_nest() {
        block_on(async { block_on(ready(())) });
    }

    #[test]
    #[should_panic(expected = "call spawn inside dormouse::block_on")]
    fn spawn_needs_a_runtime() {
        spawn(ready(()));
    }

    #[test]
    #[should_panic(expected = "await it inside dormouse::block_on")]
    fn sleep_needs_a_runtime() {
        let _ = pin!(sleep(Duration::ZERO)).poll(&mut Context::from_waker(Waker::noop()));
    }

    #[test]
    fn another_thread_may_wake_who_holds_the_guard() {
        block_on(async {
            let _guard = dormouse::task::foreign_wakes().unwrap();
            for _ in 0..100 {
                let mut thread = None;
                poll_fn(|cx| match thread.take() {
                    None => {
                        let waker = cx.waker().clone();
                        thread = Some(std::thread::spawn(move || waker.wake()));
                        Poll::Pending
                    }
                    Some(thread) => {
                        thread.join().unwrap();
                        Poll::Ready(())
                    }
                })
                .await;
                // The same for a task's waker.
                let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
                let waker = std::thread::spawn(move || receiver.recv().unwrap().wake());
                let mut polled = false;
                let task = spawn(poll_fn(move |cx| {
                    if std::mem::replace(&mut polled, true) {
                        return Poll::Ready(());
                    }
                    sender.send(cx.waker().clone()).unwrap();
                    Poll::Pending
                }));
                task.await.unwrap();
                waker.join().unwrap();
            }
        });
    }
}

#[test]
fn a_copy_between_things_that_are_always_ready_lets_others_run() {
    use futures_lite::io::{repeat, sink};
    let copied = block_on(timeout(Duration::from_millis(5), dormouse::io::copy(repeat(7), sink())));
    assert!(copied.is_err(), "the timeout gets its turn");
}
