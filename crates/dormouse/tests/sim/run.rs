//! A run: virtual time, its end, what is left, and what is put back.

use std::future::pending;
use std::io::ErrorKind;
use std::time::Duration;

use dormouse::net::TcpListener;
use dormouse::sim::{self, Sim, What};
use dormouse::task::yield_now;
use dormouse::time::{Instant, interval, sleep, timeout};

use super::{ADDR, echo, pair};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn an_hour_passes_at_once_and_exactly() {
    let real = std::time::Instant::now();
    let run = Sim::seeded(1).run(async {
        let start = Instant::now();
        sleep(HOUR).await;
        assert_eq!(start.elapsed(), HOUR);
        let mut ticks = interval(Duration::from_millis(3));
        for _ in 0..1001 {
            ticks.tick().await;
        }
        assert_eq!(start.elapsed(), HOUR + Duration::from_secs(3));
        assert!(timeout(HOUR, pending::<()>()).await.is_err());
    });
    assert_eq!(run.elapsed, 2 * HOUR + Duration::from_secs(3));
    run.unwrap();
    assert!(real.elapsed() < Duration::from_secs(60), "{:?}", real.elapsed());
}

#[test]
fn time_stands_still_while_somebody_runs_and_a_busy_loop_moves_it() {
    let run = Sim::seeded(1).run(async {
        let start = Instant::now();
        for _ in 0..10 {
            yield_now().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        let busy = async {
            loop {
                yield_now().await;
            }
        };
        assert!(timeout(Duration::from_millis(1), busy).await.is_err());
    });
    assert_eq!(run.elapsed, Duration::from_millis(1));
    run.unwrap();
}

#[test]
fn a_program_that_waits_for_a_silent_socket_is_stalled() {
    let run = Sim::seeded(1).run(async {
        let (near, far) = pair().await;
        let reader = dormouse::spawn(async move { far.read(&mut [0; 1]).await.map(drop) });
        reader.await.unwrap().unwrap();
        drop(near);
    });
    assert!(run.leaks.is_empty());
    let error = run.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    let report = error.to_string();
    assert!(report.contains("nothing on its way to a socket that is waited for"), "{report}");
    assert!(report.contains("the main future waits for the end of the task spawned at"), "{report}");
    assert!(report.contains("run.rs:") && !report.contains("another thread"), "{report}");
}

#[test]
fn a_program_that_waits_for_nothing_is_stalled() {
    let error = Sim::seeded(1).run(pending::<()>()).result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    assert!(!error.to_string().contains("another thread"), "{error}");
}

#[test]
fn a_limit_ends_a_program_that_ticks_for_ever() {
    let run = Sim::seeded(1).limit(HOUR).run(async {
        loop {
            sleep(Duration::from_secs(60)).await;
        }
    });
    assert_eq!(run.elapsed, HOUR);
    assert_eq!(run.result.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn the_first_hour_is_within_a_limit_of_an_hour() {
    Sim::seeded(1).limit(HOUR).run(sleep_inside(HOUR)).unwrap();
}

async fn sleep_inside(duration: Duration) {
    sleep(duration).await;
}

#[test]
fn what_a_program_keeps_is_counted() {
    let run = Sim::seeded(1).run(async { std::mem::forget(pair().await) });
    assert_eq!((run.leaks.sockets, run.leaks.watched), (2, 0));
    let run = Sim::seeded(1).run(async { TcpListener::bind(ADDR).await });
    assert_eq!(run.leaks.sockets, 1, "it is the result's");
    let run = Sim::seeded(1).run(async {
        let listener = TcpListener::bind(ADDR).await.unwrap();
        let mut accept = Box::pin(async move { listener.accept().await.map(drop) });
        let _ = futures_lite::future::poll_once(&mut accept).await;
        std::mem::forget(accept);
    });
    assert_eq!((run.leaks.sockets, run.leaks.watched), (1, 1));
    let run = Sim::seeded(1).run(async {
        let listener = TcpListener::bind(ADDR).await.unwrap();
        assert!(futures_lite::future::poll_once(listener.accept()).await.is_none());
        listener
    });
    assert_eq!((run.leaks.sockets, run.leaks.watched), (1, 0), "an operation that is dropped is not watched for");
    assert!(!run.leaks.is_empty());
    let run = Sim::seeded(1).run(echo(100));
    assert!(run.leaks.is_empty(), "{:?}", run.leaks);
}

#[test]
fn a_socket_that_outlives_its_run_can_be_dropped_and_waits_for_nothing() {
    let listener = Sim::seeded(1).run(async { TcpListener::bind(ADDR).await.unwrap() }).unwrap();
    assert_eq!(listener.local_addr().unwrap().to_string(), ADDR);
    let accepted = Sim::seeded(1).run(async { listener.accept().await.map(drop) }).unwrap();
    assert!(accepted.is_err(), "another world");
    let accepted = dormouse::try_block_on(async { listener.accept().await.map(drop) }).unwrap();
    assert!(accepted.is_err(), "the real one");
}

#[test]
fn the_log_tells_what_happened() {
    let run = Sim::seeded(1).log(true).run(async {
        sim::note("begin");
        sleep(Duration::from_secs(2)).await;
        echo(3).await.unwrap();
    });
    let text: Vec<String> = run.log.iter().map(|event| event.to_string()).collect();
    assert_eq!(text[0].trim_start(), "0ns  note: begin");
    assert_eq!(run.log[1].what, What::Slept { time: Duration::from_secs(2) });
    assert_eq!(text[2].trim_start(), "2s  socket 1 is bound to 10.0.0.1:80");
    assert!(text.iter().any(|line| line.ends_with("3 bytes arrive at socket 3")), "{text:#?}");
    assert!(Sim::seeded(1).run(echo(3)).log.is_empty(), "unless asked for it is not kept");
}

#[test]
fn printing_never_waits() {
    use futures_lite::AsyncWriteExt;
    Sim::seeded(1)
        .run(async {
            let mut out = dormouse::io::stdout();
            for _ in 0..3 {
                out.write_all(b"a line of a simulation\n").await.unwrap();
            }
            out.flush().await.unwrap();
        })
        .unwrap();
}
