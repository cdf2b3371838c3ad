//! Faults: each one happens, and a program that is right survives what is harmless.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::time::Duration;

use dormouse::net::{TcpListener, TcpStream};
use dormouse::sim::{Fault, Faults, Sim, What};
use dormouse::time::{Instant, sleep};

use super::{ADDR, echo, pair};

#[test]
fn every_fault_happens() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let run = Sim::seeded(seed).faults(Faults::all()).log(true).run(echo(2000));
        seen.extend(run.log.iter().filter_map(|event| match event.what {
            What::Fault(fault) => Some(fault),
            _ => None,
        }));
    }
    let all = [
        Fault::Partial,
        Fault::WouldBlock,
        Fault::Interrupt,
        Fault::SpuriousWake,
        Fault::Subset,
        Fault::ClockJump,
        Fault::LateError,
        Fault::Reset,
        Fault::Exhausted,
    ];
    assert_eq!(seen, BTreeSet::from(all));
}

#[test]
fn a_program_does_not_notice_what_is_harmless() {
    for seed in 0..500 {
        let run = Sim::seeded(seed).faults(Faults::harmless()).run(echo(3000));
        assert!(run.leaks.is_empty());
        assert_eq!(run.unwrap().unwrap().len(), 3000);
    }
}

#[test]
fn whatever_happens_the_program_ends_and_nothing_is_left() {
    let mut kinds = BTreeSet::new();
    for seed in 0..2000 {
        let faults = Faults { resets: 10, late_errors: 30, ..Faults::all() };
        let run = Sim::seeded(seed).faults(faults).limit(Duration::from_secs(3600)).run(echo(3000));
        assert!(run.leaks.is_empty(), "seed {seed}");
        match run.unwrap() {
            Ok(echoed) => assert!(echoed.len() <= 3000),
            Err(error) => drop(kinds.insert(error.kind().to_string())),
        }
    }
    for kind in [
        ErrorKind::ConnectionReset,
        ErrorKind::BrokenPipe,
        ErrorKind::ConnectionRefused,
        ErrorKind::TimedOut,
        ErrorKind::HostUnreachable,
    ] {
        assert!(kinds.contains(&kind.to_string()), "{kind} among {kinds:?}");
    }
}

#[test]
fn no_more_faults_happen_than_may() {
    for seed in 0..100 {
        let faults = Faults { most: 3, ..Faults::all() };
        let run = Sim::seeded(seed).faults(faults).log(true).run(echo(2000));
        let count = run.log.iter().filter(|event| matches!(event.what, What::Fault(_))).count();
        assert!(count <= 3, "seed {seed}: {count}");
    }
}

#[test]
fn reads_and_writes_are_cut_short() {
    let faults = Faults { partial: 100, ..Faults::none() };
    Sim::seeded(1)
        .faults(faults)
        .run(async {
            let (near, far) = pair().await;
            let n = near.write(&[1; 100]).await.unwrap();
            assert!((1..100).contains(&n));
            let read = far.read(&mut [0; 1]).await.unwrap();
            assert_eq!(read, 1, "one byte cannot be cut");
        })
        .unwrap();
}

#[test]
fn a_clock_that_jumps_is_late_and_never_goes_back() {
    let faults = Faults { clock_jumps: 50, ..Faults::none() };
    let (mut late, mut exact) = (0, 0);
    for seed in 0..100 {
        let run = Sim::seeded(seed).faults(faults.clone()).run(async {
            let start = Instant::now();
            sleep(Duration::from_secs(1)).await;
            start.elapsed()
        });
        match run.unwrap() {
            elapsed if elapsed == Duration::from_secs(1) => exact += 1,
            elapsed => {
                assert!(elapsed > Duration::from_secs(1) && elapsed <= Duration::from_secs(2), "{elapsed:?}");
                late += 1;
            }
        }
    }
    assert!(late > 20 && exact > 20, "{late} {exact}");
}

#[test]
fn a_timer_that_rings_too_early_is_not_believed() {
    let faults = Faults { spurious_wakes: 50, ..Faults::none() };
    let mut early = 0;
    for seed in 0..100 {
        let run = Sim::seeded(seed).faults(faults.clone()).log(true).run(async { sleep(Duration::from_secs(1)).await });
        assert_eq!(run.elapsed, Duration::from_secs(1));
        early += run.log.iter().filter(|event| event.what == What::Fault(Fault::SpuriousWake)).count();
        run.unwrap();
    }
    assert!(early > 50, "{early}");
}

#[test]
fn a_connection_may_have_gone_when_it_is_accepted() {
    let faults = Faults { resets: 100, most: 1, ..Faults::none() };
    Sim::seeded(1)
        .faults(faults)
        .run(async {
            let listener = TcpListener::bind(ADDR).await.unwrap();
            let near = TcpStream::connect(ADDR).await.unwrap();
            assert_eq!(listener.accept().await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
            assert_eq!(near.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        })
        .unwrap();
}

#[test]
fn a_reset_may_come_after_the_data() {
    let mut late = false;
    for seed in 0..100 {
        let faults = Faults { resets: 50, late_errors: 50, ..Faults::none() };
        let run = Sim::seeded(seed).faults(faults).run(async {
            let listener = TcpListener::bind(ADDR).await.unwrap();
            let Ok(near) = TcpStream::connect(ADDR).await else { return false };
            let Ok((far, _)) = listener.accept().await else { return false };
            if near.write(b"x").await.is_err() {
                return false;
            }
            drop(near);
            let read = far.read(&mut [0; 1]).await.unwrap();
            let reset = dormouse::time::timeout(Duration::from_secs(1), far.read(&mut [0; 1])).await;
            read == 1 && matches!(reset, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionReset)
        });
        late |= run.unwrap();
    }
    assert!(late);
}

#[test]
fn at_a_certainty_there_is_no_choice() {
    let run = Sim::seeded(1).faults(Faults { would_block: 100, ..Faults::none() }).run(echo(10));
    assert!(run.choices.is_empty(), "{:?}", run.choices);
    assert_eq!(run.unwrap().unwrap().len(), 10);
}
