//! Choices: the same ones give the same run, and an exploration finds all.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use dormouse::net::{TcpListener, TcpStream};
use dormouse::sim::{self, Faults, Sim};
use dormouse::time::sleep;

use super::{ADDR, echo};

const ANY_ORDER: Faults = Faults { reorder: true, ..Faults::none() };

#[test]
fn the_same_seed_is_the_same_run() {
    let mut digests = BTreeSet::new();
    for seed in 0..300 {
        let run = |keep| Sim::seeded(seed).faults(Faults::all()).log(keep).run(echo(1000));
        let (first, second, unlogged) = (run(true), run(true), run(false));
        assert_eq!(first.log, second.log, "seed {seed}");
        assert!(!first.log.is_empty());
        assert_eq!((first.digest, &first.choices), (unlogged.digest, &unlogged.choices), "seed {seed}");
        let replayed = Sim::replay(first.choices).faults(Faults::all()).run(echo(1000));
        assert_eq!(replayed.digest, first.digest, "seed {seed}, replayed");
        digests.insert(first.digest);
    }
    assert!(digests.len() > 280, "seeds differ: {}", digests.len());
}

#[test]
fn a_fuzzers_bytes_are_choices_and_none_are_a_quiet_run() {
    let run = |bytes: &[u8]| Sim::from_bytes(bytes).faults(Faults::all()).log(true).run(echo(1000));
    let quiet = run(&[]);
    assert!(!quiet.log.iter().any(|event| matches!(event.what, sim::What::Fault(_))));
    assert_eq!(quiet.log, Sim::seeded(9).log(true).run(echo(1000)).log);
    assert_ne!(run(&[200; 64]).digest, quiet.digest);
    assert_eq!(run(&[200; 64]).log, run(&[200; 64]).log);
}

/// The orders in which `tasks` tasks pass `steps` points each.
fn orders(tasks: u8, steps: u8) -> (u64, BTreeSet<Vec<u8>>) {
    let (mut seen, mut digests) = (BTreeSet::new(), BTreeSet::new());
    let runs = sim::explore(ANY_ORDER, |sim| {
        let order = Rc::new(RefCell::new(Vec::new()));
        let run = sim.run(async {
            let spawn = |task| {
                let order = Rc::clone(&order);
                dormouse::spawn(async move {
                    for step in 0..steps {
                        if step > 0 {
                            dormouse::task::yield_now().await;
                        }
                        order.borrow_mut().push(task);
                    }
                })
            };
            for task in (0..tasks).map(spawn).collect::<Vec<_>>() {
                task.await.unwrap();
            }
        });
        assert!(digests.insert(run.digest), "an order is something that happened");
        run.unwrap();
        assert!(seen.insert(order.take()), "each order once");
    });
    (runs, seen)
}

#[test]
fn an_exploration_finds_all_orders_of_a_program() {
    let (runs, seen) = orders(4, 1);
    assert_eq!((runs, seen.len()), (24, 24));
    // Each batch of two comes in two orders.
    let (runs, seen) = orders(2, 3);
    assert_eq!((runs, seen.len()), (8, 8));
    assert!(seen.contains(&vec![0, 1, 1, 0, 0, 1]));
}

#[test]
fn what_is_ready_together_is_told_in_any_order() {
    struct Named(char, Arc<Mutex<String>>);
    impl Wake for Named {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }
    let mut seen = Vec::new();
    let runs = sim::explore(ANY_ORDER, |sim| {
        let order = Arc::new(Mutex::new(String::new()));
        let run = sim.run(async {
            let listeners = [TcpListener::bind("10.0.0.1:1").await.unwrap(), TcpListener::bind(ADDR).await.unwrap()];
            let mut accepts: Vec<_> = listeners.iter().map(|listener| Box::pin(listener.accept())).collect();
            for (name, accept) in ['a', 'b'].into_iter().zip(&mut accepts) {
                let waker = Waker::from(Arc::new(Named(name, Arc::clone(&order))));
                assert!(accept.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            }
            let _a = TcpStream::connect("10.0.0.1:1").await.unwrap();
            let _b = TcpStream::connect(ADDR).await.unwrap();
            sleep(Duration::from_secs(1)).await;
        });
        run.unwrap();
        seen.push(order.lock().unwrap().clone());
    });
    assert_eq!((runs, seen), (2, vec!["ab".into(), "ba".into()]));
}

#[test]
fn without_choices_there_is_one_run() {
    assert_eq!(sim::explore(Faults::none(), |sim| assert!(sim.run(echo(10)).unwrap().is_ok())), 1);
    assert_eq!(sim::explore(Faults::none(), drop), 1, "a simulation that is not run has no choices");
}

#[test]
fn an_exploration_combines_the_programs_choices() {
    let mut seen = BTreeSet::new();
    let runs = sim::explore(Faults::none(), |sim| {
        seen.insert(sim.run(async { (sim::choose(3), sim::choose(1), sim::choose(2)) }).unwrap());
    });
    assert_eq!((runs, seen.len()), (6, 6));
}

#[test]
fn an_exploration_finds_the_one_order_in_which_a_program_fails() {
    // The client reads nothing only if the server's two writes come in the wrong order.
    let mut failures = 0;
    let runs = sim::explore(Faults { latency: Duration::from_millis(5), ..ANY_ORDER }, |sim| {
        let run = sim.run(async {
            let listener = TcpListener::bind(ADDR).await.unwrap();
            let last = Rc::new(RefCell::new(' '));
            for name in ['a', 'b'] {
                let last = Rc::clone(&last);
                dormouse::spawn(async move {
                    let _stream = TcpStream::connect(ADDR).await.unwrap();
                    last.replace(name);
                });
            }
            sleep(Duration::from_secs(1)).await;
            drop(listener);
            last.take()
        });
        failures += u32::from(run.unwrap() == 'a');
    });
    assert!(failures > 0 && runs > failures.into(), "{failures} of {runs}");
}

#[test]
fn faults_are_explored_up_to_their_bound() {
    let count = |most| {
        let faults = Faults { partial: 1, would_block: 1, spurious_wakes: 1, most, ..Faults::none() };
        sim::explore(faults, |sim| assert_eq!(sim.run(echo(2)).unwrap().unwrap(), [0, 1]))
    };
    let counts = [count(0), count(1), count(2)];
    assert_eq!(counts[0], 1);
    assert!(counts[1] > 10 && counts[2] > 5 * counts[1], "{counts:?}");
}
