//! Destructors and wakers of a program may panic. That ends nothing but what they belong to: other tasks go on, everything else is
//! dropped, and what awaits a task is told. A panic that is not contained ends the whole process, and so this test.
#![cfg(not(target_family = "wasm"))] // where a panic ends the program

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use dormouse::net::{TcpListener, TcpStream};
use dormouse::task::yield_now;
use dormouse::time::{Instant, sleep, timeout};
use dormouse::{JoinHandle, block_on, spawn};
use futures_io::AsyncRead;

/// Panics when it is dropped, and counts that.
struct Bomb(Rc<Cell<usize>>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        panic!("a destructor that panics");
    }
}

fn bombs() -> (Rc<Cell<usize>>, impl Fn() -> Bomb) {
    let dropped = Rc::new(Cell::new(0));
    let of = Rc::clone(&dropped);
    (dropped, move || Bomb(Rc::clone(&of)))
}

/// A task that is parked, with a bomb.
fn parked(bomb: Bomb) -> JoinHandle<()> {
    spawn(async move {
        let _bomb = bomb;
        pending().await
    })
}

/// The other tasks and the timers go on.
async fn all_goes_on() {
    assert_eq!(spawn(ready(7)).await.unwrap(), 7);
    sleep(Duration::from_millis(1)).await;
}

/// Runs it in the real world, and in a simulated one.
fn everywhere<F: Future<Output = ()>>(program: impl Fn() -> F) {
    block_on(program());
    #[cfg(feature = "sim")]
    dormouse::sim::Sim::seeded(1).run(program()).unwrap();
}

#[test]
fn futures_that_panic_when_block_on_ends_are_all_dropped_and_their_handles_say_so() {
    let (dropped, bomb) = bombs();
    let kept = RefCell::new(Vec::new());
    block_on(async {
        let polled = [parked(bomb()), parked(bomb())];
        yield_now().await;
        let unpolled = [parked(bomb()), parked(bomb())];
        kept.borrow_mut().extend(polled.into_iter().chain(unpolled));
        parked(bomb()).detach();
    });
    assert_eq!(dropped.get(), 5);
    for task in kept.take() {
        assert!(task.is_finished());
        assert!(block_on(task).unwrap_err().is_panic());
    }
    block_on(all_goes_on());
}

#[test]
fn a_future_that_panics_after_an_abort_is_its_tasks_affair() {
    let (dropped, bomb) = bombs();
    everywhere(|| {
        let bombs = [bomb(), bomb(), bomb()];
        async {
            let [held, awaited, unpolled] = bombs;
            let (held, awaited) = (parked(held), parked(awaited));
            yield_now().await;
            let unpolled = parked(unpolled);
            held.abort();
            drop(held);
            awaited.abort();
            unpolled.abort();
            assert!(awaited.await.unwrap_err().is_panic());
            assert!(unpolled.await.unwrap_err().is_panic());
            all_goes_on().await;
        }
    });
    assert_eq!(dropped.get() % 3, 0);
    assert!(dropped.get() >= 3);
}

#[test]
fn an_output_that_panics_is_dropped_by_whoever_does_not_want_it() {
    let (dropped, bomb) = bombs();
    block_on(async {
        let detached = bomb();
        spawn(async { detached }).detach();
        let late = bomb();
        let late = spawn(async { late });
        yield_now().await;
        assert_eq!(dropped.get(), 1);
        assert!(late.is_finished());
        drop(late);
        assert_eq!(dropped.get(), 2);
        all_goes_on().await;
        let left = bomb();
        spawn(async { left }).detach(); // not run before the end
    });
    assert_eq!(dropped.get(), 3);
    // One that is wanted is the caller's to drop.
    let given = bomb();
    let output = block_on(async { spawn(async { given }).await.unwrap() });
    assert!(catch_unwind(AssertUnwindSafe(|| drop(output))).is_err());
}

/// A future that panics when it is polled, when it is dropped, or gives something and panics when it is dropped.
struct Volatile {
    polls: bool,
    _bomb: Bomb,
}

impl Future for Volatile {
    type Output = u8;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u8> {
        assert!(self.polls, "a poll that panics");
        Poll::Ready(7)
    }
}

#[test]
fn a_future_may_panic_when_it_is_polled_and_again_when_it_is_dropped() {
    let (dropped, bomb) = bombs();
    block_on(async {
        let error = spawn(Volatile { polls: false, _bomb: bomb() }).await.unwrap_err();
        let payload = error.try_into_panic().unwrap();
        assert_eq!(payload.downcast_ref(), Some(&"a poll that panics"), "the first panic is told");
        spawn(Volatile { polls: false, _bomb: bomb() }).detach();
        // What it gave is not lost.
        assert_eq!(spawn(Volatile { polls: true, _bomb: bomb() }).await.unwrap(), 7);
        all_goes_on().await;
    });
    assert_eq!(dropped.get(), 3);
}

#[test]
fn a_panics_payload_may_panic_when_it_is_dropped() {
    struct Payload(Arc<AtomicUsize>);
    impl Drop for Payload {
        fn drop(&mut self) {
            if self.0.fetch_sub(1, Ordering::Relaxed) > 0 {
                panic_any(Payload(Arc::clone(&self.0))); // which panics in turn
            }
        }
    }
    let payload = || Payload(Arc::new(AtomicUsize::new(2)));
    block_on(async {
        let bomb = payload();
        spawn(async { panic_any(bomb) }).detach();
        let bomb = payload();
        let held = spawn(async { panic_any(bomb) });
        let bomb = payload();
        let awaited = spawn(async { panic_any(bomb) });
        yield_now().await;
        drop(held);
        drop(awaited.await.unwrap_err());
        let bomb = payload();
        let aborted = spawn(async {
            let _bomb = bomb;
            pending::<()>().await
        });
        aborted.abort();
        all_goes_on().await;
    });
}

#[test]
fn a_main_future_that_panics_drops_itself_and_all_tasks() {
    let (dropped, bomb) = bombs();
    let (in_main, kept) = (bomb(), RefCell::new(None));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        struct Main<F>(F, #[allow(dead_code)] Bomb);
        impl<F: Future + Unpin> Future for Main<F> {
            type Output = F::Output;
            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
                Pin::new(&mut self.0).poll(cx)
            }
        }
        let main = Box::pin(async {
            parked(bomb()).detach();
            kept.replace(Some(parked(bomb())));
            yield_now().await;
            panic!("of the main future");
        });
        block_on(Main(main, in_main))
    }));
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"of the main future"), "the first panic comes out");
    assert_eq!(dropped.get(), 3);
    assert!(block_on(kept.take().unwrap()).unwrap_err().is_panic());
    // A destructor of the main future alone is the caller's: it comes out, and the tasks are dropped.
    let in_main = bomb();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        block_on(async {
            parked(bomb()).detach();
            let _bomb = in_main;
            yield_now().await;
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(dropped.get(), 5);
    block_on(all_goes_on());
}

#[test]
fn what_is_dropped_at_the_end_may_spawn_wake_abort_and_panic() {
    #[derive(Default)]
    struct Shared {
        waker: RefCell<Option<Waker>>,
        other: RefCell<Option<JoinHandle<()>>>,
        spawned: RefCell<Option<JoinHandle<()>>>,
    }
    struct Busy(Rc<Shared>, Bomb);
    impl Drop for Busy {
        fn drop(&mut self) {
            let bomb = Bomb(Rc::clone(&self.1.0));
            let spawned = spawn(async move {
                let _bomb = bomb;
                panic!("no task is polled any more");
            });
            self.0.spawned.replace(Some(spawned));
            if let Some(other) = self.0.other.take() {
                other.abort();
                let _ = pin!(other).poll(&mut Context::from_waker(Waker::noop()));
            }
            if let Some(waker) = self.0.waker.take() {
                waker.wake();
            }
        }
    }
    let (dropped, bomb) = bombs();
    let shared = Rc::new(Shared::default());
    everywhere(|| {
        let (shared, busy, other) = (Rc::clone(&shared), bomb(), bomb());
        async move {
            let busy = Busy(Rc::clone(&shared), busy);
            let of = Rc::clone(&shared);
            spawn(async move {
                let _busy = busy;
                poll_fn(|cx| {
                    of.waker.replace(Some(cx.waker().clone()));
                    Poll::<()>::Pending
                })
                .await;
            });
            yield_now().await;
            shared.other.replace(Some(parked(other)));
        }
    });
    let worlds = if cfg!(feature = "sim") { 2 } else { 1 };
    assert_eq!(dropped.get(), 3 * worlds, "in the task, in the one it has aborted, and in the one it has spawned");
    let spawned = shared.spawned.take().unwrap();
    assert!(
        block_on(spawned).unwrap_err().try_into_panic().unwrap().downcast_ref() == Some(&"a destructor that panics")
    );
}

/// A waker of another executor, which panics when it is woken, or when it is dropped without that.
struct Grumpy {
    wakes: Arc<AtomicUsize>,
    /// Dropping it does.
    drops: AtomicBool,
}

impl Wake for Grumpy {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        // Two panics at a time end the process, whatever the runtime does.
        self.drops.store(false, Ordering::Relaxed);
        panic!("a waker that panics");
    }
}

impl Drop for Grumpy {
    fn drop(&mut self) {
        if self.drops.load(Ordering::Relaxed) {
            panic!("a waker that panics when it is dropped");
        }
    }
}

fn grumpy() -> (Waker, Arc<AtomicUsize>) {
    let wakes = Arc::new(AtomicUsize::new(0));
    let of = Arc::clone(&wakes);
    (Waker::from(Arc::new(Grumpy { wakes: of, drops: AtomicBool::new(true) })), wakes)
}

/// Polls with such a waker, which is then the runtime's alone.
fn poll_grumpy<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Arc<AtomicUsize> {
    let (waker, wakes) = grumpy();
    assert!(future.poll(&mut Context::from_waker(&waker)).is_pending());
    let_go(waker);
    wakes
}

/// Lets go of our waker, of which the runtime has a clone.
fn let_go(waker: Waker) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(waker)));
}

fn read_grumpy(mut stream: impl AsyncRead + Unpin) -> Arc<AtomicUsize> {
    poll_grumpy(pin!(poll_fn(|cx| Pin::new(&mut stream).poll_read(cx, &mut [0]))))
}

/// A pair of connected streams.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

/// Parks two grumpy wakers on the reading side, before and after a task, which must be woken; then lets `wake` do what it does.
async fn woken_beside_grumpy_ones(wake: impl AsyncFnOnce(&Rc<TcpStream>, TcpStream)) {
    let (near, far) = pair().await;
    let near = Rc::new(near);
    let before = read_grumpy(&*near);
    let reader = spawn({
        let near = Rc::clone(&near);
        async move { near.read(&mut [0]).await.map_err(|error| error.kind()) }
    });
    yield_now().await;
    let after = read_grumpy(&*near);
    wake(&near, far).await;
    let read = timeout(Duration::from_secs(30), reader).await.expect("it was woken");
    let _ = read.expect("it did not panic");
    assert_eq!([before, after].map(|wakes| wakes.load(Ordering::Relaxed)), [1, 1]);
    all_goes_on().await;
}

#[test]
fn wakers_that_panic_keep_none_from_being_woken() {
    everywhere(|| woken_beside_grumpy_ones(async |_, far| drop(far)));
    everywhere(|| woken_beside_grumpy_ones(async |near, _far| near.close().unwrap()));
    everywhere(|| {
        woken_beside_grumpy_ones(async |near, _far| {
            near.set_read_deadline(Some(Instant::now() + Duration::from_millis(1))).unwrap();
            sleep(Duration::from_millis(5)).await;
        })
    });
    everywhere(|| woken_beside_grumpy_ones(async |near, _far| near.set_read_deadline(Some(Instant::now())).unwrap()));
}

#[test]
fn wakers_that_panic_are_dropped_with_their_handles_and_timers() {
    everywhere(|| async {
        let (near, _far) = pair().await;
        for _ in 0..200 {
            // Each replaces another, goes with its owner, or is purged.
            let mut clone = near.try_clone().unwrap();
            read_grumpy(&mut clone);
            read_grumpy(&mut clone);
            drop(clone);
            read_grumpy(&near);
        }
        drop(near);
        let mut dropped = Box::pin(sleep(Duration::from_secs(3600)));
        poll_grumpy(dropped.as_mut());
        poll_grumpy(dropped.as_mut());
        drop(dropped);
        let mut ends = pin!(sleep(Duration::from_millis(1)));
        let wakes = poll_grumpy(ends.as_mut());
        all_goes_on().await;
        ends.await;
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_waker_that_panics_may_await_a_task() {
    everywhere(|| async {
        for end in [true, false] {
            let mut task = pin!(spawn(async {
                yield_now().await;
                yield_now().await;
                7
            }));
            let replaced = poll_grumpy(task.as_mut());
            let wakes = poll_grumpy(task.as_mut());
            if !end {
                task.abort();
            }
            all_goes_on().await;
            assert_eq!(task.await.ok(), end.then_some(7));
            assert_eq!([replaced, wakes].map(|wakes| wakes.load(Ordering::Relaxed)), [0, 1]);
        }
        // One that polls when it is woken, at once, finds it done.
        struct Polls(std::sync::Mutex<Vec<bool>>);
        impl Wake for Polls {
            fn wake(self: Arc<Self>) {
                let polled = TASK.with_borrow_mut(|task| {
                    let task = task.as_mut().unwrap();
                    Pin::new(task).poll(&mut Context::from_waker(Waker::noop())).is_ready()
                });
                self.0.lock().unwrap().push(polled);
            }
        }
        thread_local!(static TASK: RefCell<Option<JoinHandle<()>>> = const { RefCell::new(None) });
        TASK.set(Some(spawn(yield_now())));
        let polls = Arc::new(Polls(Default::default()));
        let waker = Waker::from(Arc::clone(&polls));
        let pending = TASK.with_borrow_mut(|task| {
            Pin::new(task.as_mut().unwrap()).poll(&mut Context::from_waker(&waker)).is_pending()
        });
        assert!(pending);
        all_goes_on().await;
        assert_eq!(*polls.0.lock().unwrap(), [true]);
        TASK.take();
    });
}

#[test]
fn a_thread_that_ends_drops_what_is_left_on_it() {
    thread_local! {
        static LEFT: RefCell<Vec<TcpStream>> = const { RefCell::new(Vec::new()) };
        static TASK: RefCell<Option<JoinHandle<Bomb>>> = const { RefCell::new(None) };
    }
    let ended = std::thread::spawn(|| {
        LEFT.with(|_| ()); // before what the runtime has of the thread, so that it is dropped after that
        TASK.with(|_| ());
        block_on(async {
            let (near, far) = pair().await;
            read_grumpy(&near);
            LEFT.set(vec![near, far]);
            let (_, bomb) = bombs();
            let bomb = bomb();
            TASK.set(Some(spawn(async { bomb })));
            yield_now().await;
            // Never closed: the reactor itself has it.
            let (near, _far) = pair().await;
            read_grumpy(&near);
            std::mem::forget(near);
        });
    });
    ended.join().unwrap();
}
