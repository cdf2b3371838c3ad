//! What panics does so with a sentence, and everything is put back.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use dormouse::net::{TcpListener, TcpStream};
use dormouse::sim::{self, Faults, Sim};
use dormouse::task::yield_now;
use dormouse::time::{Instant, sleep};
use futures_lite::future::zip;

const HOUR: Duration = Duration::from_secs(3600);

async fn sleep_inside(duration: Duration) {
    sleep(duration).await;
}

#[test]
fn the_real_runtime_is_there_before_inside_and_after() {
    let start = Instant::now();
    let dropped = std::rc::Rc::new(());
    let inside = dropped.clone();
    dormouse::block_on(async {
        dormouse::spawn(async move {
            pending::<()>().await;
            drop(inside);
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let task = dormouse::spawn(async move { listener.accept().await.map(drop) });
        yield_now().await;
        Sim::seeded(1).run(async { dormouse::spawn(sleep_inside(HOUR)).await.unwrap() }).unwrap();
        let panicked = catch_unwind(|| Sim::seeded(1).run(async { panic!("of the program") }));
        assert!(panicked.is_err());
        // Tasks, timers and sockets of the real one go on.
        dormouse::spawn(sleep_inside(Duration::from_millis(1))).await.unwrap();
        TcpStream::connect(addr).await.unwrap();
        task.await.unwrap().unwrap();
    });
    assert_eq!(std::rc::Rc::strong_count(&dropped), 1, "its tasks end with it");
    assert!(start.elapsed() < HOUR, "the real clock again");
}

#[test]
fn one_simulation_in_another_is_refused_and_harmless() {
    let run = Sim::seeded(1).run(async {
        let nested = catch_unwind(|| Sim::seeded(2).run(async {}));
        let message = *nested.unwrap_err().downcast::<&str>().unwrap();
        assert_eq!(message, "Sim::run was called inside another Sim::run");
        sleep(HOUR).await;
    });
    assert_eq!(run.elapsed, HOUR);
    let outside = catch_unwind(|| sim::choose(2)).unwrap_err();
    assert!(outside.downcast::<String>().map_or_else(|it| it.downcast::<&str>().is_ok(), |_| true));
}

#[test]
fn a_panic_of_the_program_comes_out_and_its_tasks_are_dropped() {
    let dropped = std::rc::Rc::new(());
    let inside = dropped.clone();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        Sim::seeded(1).run(async move {
            dormouse::spawn(async move {
                let (_near, _far) = zip(sleep(HOUR), async move { drop(inside) }).await;
                pending::<()>().await;
            });
            sleep(Duration::from_secs(1)).await;
            panic!("of the program");
        })
    }));
    assert_eq!(*panicked.map(|_| ()).unwrap_err().downcast::<&str>().unwrap(), "of the program");
    assert_eq!(std::rc::Rc::strong_count(&dropped), 1);
    Sim::seeded(1).run(sleep_inside(HOUR)).unwrap();
}

#[test]
fn an_exploration_without_end_is_refused() {
    let endless = catch_unwind(|| {
        sim::explore(Faults::none(), |sim| {
            sim.run(async {
                loop {
                    sim::choose(2);
                }
            })
            .unwrap()
        })
    });
    let message = endless.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("a run of an exploration made 10000 choices"), "{message}");
}

#[test]
fn a_program_that_depends_on_something_else_is_found_out() {
    let mut other = 2;
    let explored = catch_unwind(AssertUnwindSafe(|| {
        sim::explore(Faults::none(), |sim| {
            other += 1;
            sim.run(async { (sim::choose(other), sim::choose(2)) }).unwrap();
        })
    }));
    let message = explored.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("something outside of the simulation"), "{message}");
}
