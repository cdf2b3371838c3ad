//! Promises that need no search.

use std::rc::Rc;

use dormouse::net::{TcpListener, TcpStream, is_closed};
use dormouse::sim::Sim;
use dormouse::time::{Duration, Instant, sleep};

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
