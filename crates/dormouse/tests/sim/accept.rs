//! What an accept does when the host has no descriptors: it says so, and the listener pauses.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::task::Poll;
use std::time::Duration;

use dormouse::foreign::Side;
use dormouse::net::{TcpListener, TcpStream, is_closed, is_transient};
use dormouse::sim::{Fault, Faults, Sim, What};
use dormouse::time::{Instant, sleep, timeout};
use futures_lite::StreamExt;

use super::ADDR;

const MS: Duration = Duration::from_millis(1);

/// The first accepts that find a connection fail.
fn short_of_descriptors(accepts: u32) -> Sim {
    Sim::seeded(1).faults(Faults { exhausted: 100, most: accepts, ..Faults::none() }).log(true)
}

/// A listener that has a connection to accept.
async fn called() -> (TcpListener, TcpStream) {
    let listener = TcpListener::bind(ADDR).await.unwrap();
    let client = TcpStream::connect(ADDR).await.unwrap();
    (listener, client)
}

#[test]
fn accepting_with_backoff_tries_after_5_ms_and_twice_as_long_each_time_up_to_a_second() {
    let run = short_of_descriptors(10).run(async {
        let (listener, _client) = called().await;
        let start = Instant::now();
        listener.accept_with_backoff().await.unwrap();
        assert_eq!(start.elapsed(), (5 + 10 + 20 + 40 + 80 + 160 + 320 + 640 + 1000 + 1000) * MS);
    });
    let tries = run.log.iter().filter(|event| event.what == What::Fault(Fault::Exhausted)).count();
    assert_eq!(tries, 10, "it does not ask in between");
    run.unwrap();
}

#[test]
fn after_a_connection_the_first_pause_is_short_again() {
    let faults = Faults { exhausted: 50, ..Faults::none() };
    let run = Sim::seeded(3).faults(faults).log(true).run(async {
        let listener = TcpListener::bind(ADDR).await.unwrap();
        for _ in 0..100 {
            let (_near, accepted) =
                futures_lite::future::zip(TcpStream::connect(ADDR), listener.accept_with_backoff()).await;
            std::mem::forget(accepted.unwrap());
        }
    });
    let failed = run.log.iter().filter(|event| event.what == What::Fault(Fault::Exhausted)).count();
    // Half of them fail, a quarter twice, and so on: a pause that was never reset would soon be a second each.
    assert!((50..200).contains(&failed), "{failed}");
    assert!(run.elapsed < 10_000 * MS, "{:?}", run.elapsed);
}

#[test]
fn an_accept_tells_the_error_and_the_next_one_waits() {
    short_of_descriptors(3)
        .run(async {
            let (listener, _client) = called().await;
            for pause in [0, 5, 10] {
                let start = Instant::now();
                let error = listener.accept().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
                assert!(is_transient(&error));
                assert_eq!(
                    error.to_string(),
                    "no more sockets: the limit of descriptors is reached, and one has to be closed first"
                );
                assert_eq!(start.elapsed(), pause * MS);
            }
            listener.accept().await.unwrap();
        })
        .unwrap();
}

#[test]
fn a_stream_of_connections_has_the_errors_and_pauses() {
    short_of_descriptors(2)
        .run(async {
            let (listener, _client) = called().await;
            let mut incoming = listener.incoming();
            let start = Instant::now();
            for pause in [0, 5] {
                assert!(is_transient(&incoming.next().await.unwrap().unwrap_err()));
                assert_eq!(start.elapsed(), pause * MS);
            }
            incoming.next().await.unwrap().unwrap();
            assert_eq!(start.elapsed(), 15 * MS);
        })
        .unwrap();
}

#[test]
fn a_loop_of_its_own_is_woken_when_the_pause_is_over() {
    short_of_descriptors(1)
        .run(async {
            let (listener, _client) = called().await;
            let start = Instant::now();
            assert!(is_transient(&listener.try_accept().unwrap_err()));
            assert_eq!(listener.try_accept().unwrap_err().kind(), ErrorKind::WouldBlock);
            let mut parked = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut parked, true) {
                    return Poll::Ready(());
                }
                listener.park(Side::Read, cx.waker()).unwrap();
                Poll::Pending
            })
            .await;
            assert_eq!(start.elapsed(), 5 * MS);
            listener.try_accept().unwrap();
        })
        .unwrap();
}

#[test]
fn a_deadline_passes_in_a_pause() {
    short_of_descriptors(100)
        .run(async {
            let (listener, _client) = called().await;
            let deadline = Instant::now() + 100 * MS;
            listener.set_deadline(Some(deadline)).unwrap();
            assert_eq!(listener.accept_with_backoff().await.unwrap_err().kind(), ErrorKind::TimedOut);
            assert_eq!(Instant::now(), deadline);
            // The pause goes on, and the listener is as good as before.
            listener.set_deadline(None).unwrap();
            assert!(timeout(MS, listener.accept_with_backoff()).await.is_err());
        })
        .unwrap();
}

#[test]
fn closing_ends_an_accept_that_pauses() {
    short_of_descriptors(100)
        .run(async {
            let (listener, _client) = called().await;
            let clone = listener.try_clone().unwrap();
            let accept = dormouse::spawn(async move { clone.accept_with_backoff().await.map(drop) });
            sleep(400 * MS).await;
            let start = Instant::now();
            listener.close().unwrap();
            assert!(is_closed(&accept.await.unwrap().unwrap_err()));
            assert_eq!(start.elapsed(), Duration::ZERO);
        })
        .unwrap();
}

#[test]
fn a_socket_that_is_closed_ends_the_pause() {
    // 5 + 10 + … + 320 are 635 ms, so after 700 ms it is in a pause of 640.
    short_of_descriptors(8)
        .run(async {
            let listener = TcpListener::bind(ADDR).await.unwrap();
            let other = TcpListener::bind("10.0.0.1:81").await.unwrap();
            let _client = TcpStream::connect(ADDR).await.unwrap();
            let start = Instant::now();
            let accept = dormouse::spawn(async move { listener.accept_with_backoff().await.map(drop) });
            sleep(700 * MS).await;
            drop(other);
            accept.await.unwrap().unwrap();
            assert_eq!(start.elapsed(), 700 * MS);
        })
        .unwrap();
}

#[test]
fn a_connection_that_has_gone_is_passed_over_at_once() {
    let faults = Faults { resets: 100, most: 3, ..Faults::none() };
    Sim::seeded(1)
        .faults(faults)
        .run(async {
            let listener = TcpListener::bind(ADDR).await.unwrap();
            let mut clients = Vec::new();
            for _ in 0..4 {
                clients.push(TcpStream::connect(ADDR).await.unwrap());
            }
            let start = Instant::now();
            listener.accept_with_backoff().await.unwrap();
            assert_eq!(start.elapsed(), Duration::ZERO);
        })
        .unwrap();
}
