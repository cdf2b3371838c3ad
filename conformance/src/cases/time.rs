//! Timers: in order, never early, and cheap for the host.

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use dormouse::spawn;
use dormouse::time::{Instant, interval, sleep, sleep_until, timeout, timeout_at};
use futures_lite::StreamExt;

use super::place::{listen, pair};
use super::serve_echo;

pub async fn ten_thousand_sleepers() {
    const COUNT: u64 = 10_000;
    /// So many have the same deadline: then the number of waits does not depend on how fast the machine is.
    const TOGETHER: u64 = 100;
    let start = Instant::now();
    let order = Rc::new(RefCell::new(Vec::new()));
    let tasks: Vec<_> = (0..COUNT)
        .map(|n| {
            let order = Rc::clone(&order);
            let nth = n * 7919 % COUNT;
            spawn(async move {
                let deadline = start + Duration::from_millis(100 + nth / TOGETHER);
                sleep_until(deadline).await;
                assert!(Instant::now() >= deadline, "early");
                order.borrow_mut().push(nth / TOGETHER);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(order.borrow().iter().copied().eq((0..COUNT).map(|nth| nth / TOGETHER)), "out of order");
}

pub async fn timeouts() {
    let start = Instant::now();
    let limit = Duration::from_millis(5);
    assert!(timeout(limit, pending::<()>()).await.is_err());
    assert!(start.elapsed() >= limit);
    assert!(timeout_at(start, pending::<()>()).await.is_err(), "a deadline in the past is over");
    assert_eq!(timeout(Duration::ZERO, async { 1 }).await, Ok(1), "what is ready wins");
    assert_eq!(timeout(Duration::MAX, async { 2 }).await, Ok(2));
    // A sleep that is dropped does not fire, and does not keep the others from firing.
    let long = spawn(sleep(Duration::from_secs(1000)));
    sleep(Duration::ZERO).await;
    long.abort();
    assert!(long.await.is_err());
    let period = Duration::from_millis(10);
    let mut beat = interval(period);
    let first = beat.tick().await;
    let on_the_beat = |tick: Instant| (tick - first).as_nanos().is_multiple_of(period.as_nanos());
    let second = beat.tick().await;
    assert!(second > first && on_the_beat(second));
    let third = beat.next().await.unwrap();
    assert!(third > second && on_the_beat(third));
    // A tick that is late is given late; those that were missed altogether are left out, and the beat is kept.
    let late = third + Duration::from_millis(300);
    sleep_until(late).await;
    let due = beat.tick().await;
    assert!(due <= late && on_the_beat(due));
    let after = beat.tick().await;
    assert!(after > late && on_the_beat(after));
}

/// The echo server of `net::echo` with a timer that is always pending.
pub async fn echo_with_a_timer() {
    let _timer = spawn(async {
        sleep(Duration::from_secs(3600)).await;
        sleep(Duration::from_secs(3600)).await;
    });
    serve_echo(listen().await).await
}

/// A deadline has passed before it is waited for, and so has a later one that is waited for already: what comes after both of
/// them comes in its time.
pub async fn slept_through() {
    let start = Instant::now();
    let later = spawn(sleep_until(start + Duration::from_millis(20)));
    // That is waited for, beside something that comes first.
    pair().await;
    let earlier = start + Duration::from_millis(10);
    // The program is busy. In a simulation that takes no time.
    std::thread::sleep(Duration::from_millis(40));
    sleep_until(earlier).await;
    sleep(Duration::from_millis(10)).await;
    assert!(start.elapsed() >= Duration::from_millis(20));
    later.await.unwrap();
}
