//! Promises that need no search.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use dormouse::net::{TcpListener, TcpStream, is_closed};
use dormouse::sim::Sim;
use dormouse::time::{Duration, Instant, sleep};
use futures_lite::future::poll_once;
use futures_lite::{AsyncRead, AsyncReadExt};

use super::pair;

/// The place of a closed handle is used again by the next one, which must not notice.
#[test]
fn a_deadline_set_on_a_closed_handle_does_not_reach_the_one_that_took_its_place() {
    let run = Sim::seeded(0).run(async {
        let closed = TcpListener::bind("10.0.0.1:81").await.unwrap();
        closed.close().unwrap();
        let listener = TcpListener::bind("10.0.0.1:80").await.unwrap();
        let past = Some(Instant::now());
        assert!(is_closed(&closed.set_deadline(past).unwrap_err()));
        let client = dormouse::spawn(TcpStream::connect("10.0.0.1:80"));
        listener.accept().await.unwrap();
        client.await.unwrap().unwrap();
    });
    assert!(run.leaks.is_empty());
    run.unwrap();
}

/// A key of a timer that has fired must not find the timer that took its place.
#[test]
fn a_sleep_that_is_over_does_not_cancel_another() {
    Sim::seeded(0)
        .run(async {
            let (near, _far) = pair().await;
            let mut over = Box::pin(sleep(Duration::from_secs(1)));
            over.as_mut().await;
            near.set_read_deadline(Some(Instant::now() + Duration::from_secs(1))).unwrap();
            over.as_mut().reset(Instant::now());
            drop(over);
            near.read(&mut [0]).await.unwrap_err();
        })
        .unwrap();
}

/// A waker that an abandoned poll has left behind does not keep the next poll from a try.
#[test]
fn a_poll_that_was_abandoned_does_not_make_a_ready_handle_look_quiet() {
    Sim::seeded(0)
        .run(async {
            let (mut near, far) = pair().await;
            for _ in 0..3 {
                assert!(poll_once(AsyncReadExt::read(&mut near, &mut [0])).await.is_none());
                assert!(poll_once(AsyncReadExt::read(&mut &near, &mut [0])).await.is_none());
                assert_eq!(poll_once(near.read(&mut [])).await.unwrap().unwrap(), 0, "nothing was asked for");
                far.write(b"abc").await.unwrap();
                assert_eq!(poll_once(near.read(&mut [0])).await.unwrap().unwrap(), 1);
                assert_eq!(poll_once(AsyncReadExt::read(&mut near, &mut [0])).await.unwrap().unwrap(), 1);
                assert_eq!(poll_once(AsyncReadExt::read(&mut &near, &mut [0])).await.unwrap().unwrap(), 1);
            }
        })
        .unwrap();
}

/// A deadline wakes the tasks that are parked on its handle, and no other: it is no reason to wait.
#[test]
fn a_deadline_of_a_handle_that_nobody_waits_for_hides_no_deadlock() {
    let run = Sim::seeded(0).run(async {
        let (near, _far) = pair().await;
        near.set_deadline(Some(Instant::now() + Duration::from_secs(3600))).unwrap();
        std::future::pending::<()>().await;
    });
    assert_eq!(run.elapsed, Duration::ZERO);
    assert_eq!(run.result.unwrap_err().kind(), std::io::ErrorKind::Deadlock);
}

#[test]
fn who_waits_longest_is_served_first_also_when_one_before_has_gone() {
    Sim::seeded(0)
        .run(async {
            let (near, far) = pair().await;
            let near = Rc::new(near);
            let mut readers: Vec<_> = (0..4)
                .map(|_| {
                    let near = Rc::clone(&near);
                    dormouse::spawn(async move {
                        let mut byte = [0];
                        near.read(&mut byte).await.map(|_| byte[0])
                    })
                })
                .collect();
            sleep(Duration::from_secs(1)).await;
            readers.remove(0).abort();
            sleep(Duration::from_secs(1)).await;
            far.write(b"123").await.unwrap();
            for (reader, byte) in readers.into_iter().zip(*b"123") {
                assert_eq!(reader.await.unwrap().unwrap(), byte);
            }
        })
        .unwrap();
}

/// A shared reference leaves its waker behind. Many that are gone must not pile up, and one that is there must be woken.
#[test]
fn wakers_of_shared_references_that_are_gone_do_not_pile_up() {
    struct Silent;
    impl Wake for Silent {
        fn wake(self: Arc<Self>) {}
    }
    Sim::seeded(0)
        .run(async {
            let (near, far) = pair().await;
            let near = Rc::new(near);
            let readers: Vec<_> = (0..100)
                .map(|_| {
                    let near = Rc::clone(&near);
                    dormouse::spawn(async move { AsyncReadExt::read(&mut &*near, &mut [0]).await })
                })
                .collect();
            sleep(Duration::from_secs(1)).await;
            let mut left = Vec::new();
            for _ in 0..if cfg!(miri) { 300 } else { 10_000 } {
                let silent = Arc::new(Silent);
                left.push(Arc::downgrade(&silent));
                let waker = Waker::from(silent);
                let polled = Pin::new(&mut &*near).poll_read(&mut Context::from_waker(&waker), &mut [0]);
                assert!(polled.is_pending());
                sleep(Duration::from_millis(1)).await;
            }
            let kept = left.iter().filter(|left| left.strong_count() > 0).count();
            assert!(kept <= 256, "{kept} wakers are kept");
            far.write(&[1; 64]).await.unwrap();
            far.write(&[1; 36]).await.unwrap();
            for reader in readers {
                assert_eq!(reader.await.unwrap().unwrap(), 1);
            }
        })
        .unwrap();
}

#[test]
fn equal_deadlines_of_both_sides_pass_together_and_exactly() {
    let run = Sim::seeded(0).buffer(1).run(async {
        let (near, _far) = pair().await;
        near.write(b"x").await.unwrap();
        let near = Rc::new(near);
        let deadline = Instant::now() + Duration::from_secs(5);
        near.set_deadline(Some(deadline)).unwrap();
        let reader = dormouse::spawn({
            let near = Rc::clone(&near);
            async move { (near.read(&mut [0]).await.unwrap_err().kind(), Instant::now()) }
        });
        let written = (near.write(b"x").await.unwrap_err().kind(), Instant::now());
        assert_eq!(written, (std::io::ErrorKind::TimedOut, deadline));
        assert_eq!(reader.await.unwrap(), written);
    });
    assert_eq!(run.elapsed, Duration::from_secs(5));
    run.unwrap();
}
