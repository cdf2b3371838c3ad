//! Instances on threads, as an embedder has them: when they are started, stopped and replaced.

mod support;

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use dormouse_host::{Control, Ended, Error, Event, Exit, Meter, Program, Restart, Service};
use support::assemble;

fn program(body: &str) -> Arc<Program> {
    let text = format!(
        "(module
            (import \"wasi_snapshot_preview1\" \"poll_oneoff\" (func $poll (param i32 i32 i32 i32) (result i32)))
            (memory (export \"memory\") 1)
            (func (export \"_start\") {body}))"
    );
    Arc::new(Program::from_bytes("service", &assemble(&text)).unwrap())
}

/// Ends well at once.
const ENDS: &str = "";
const TRAPS: &str = "unreachable";
/// Waits for an hour: a subscription of a clock, of which all but the time is 0.
const WAITS: &str = "(i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 3600000000000))
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))";

fn service(program: Arc<Program>, instances: usize) -> Service {
    Service::new(program, |run, _| run).instances(NonZeroUsize::new(instances).unwrap())
}

fn ended_well(ended: &Ended) -> bool {
    ended.instances.iter().all(|end| matches!(end, Ok(Exit { code: 0 })))
}

#[test]
fn it_ends_when_all_have() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Service::new(program(ENDS), {
        let seen = Arc::clone(&seen);
        move |run, instance| {
            seen.fetch_add(1 << instance.number, Ordering::SeqCst);
            run
        }
    });
    let ended = counted.instances(NonZeroUsize::new(16).unwrap()).restart(Restart::ON_FAILURE).start();
    assert!(ended_well(&ended) && ended.cut_off == 0, "{ended:?}");
    assert_eq!(seen.load(Ordering::SeqCst), 0xffff, "each is started once: none has failed");
}

#[test]
fn one_that_fails_is_started_again_so_often() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let ended = service(program(TRAPS), 2)
        .restart(Restart::on_failure_at_most(2))
        .on_event(move |event| told.lock().unwrap().push(event.clone()))
        .start();
    assert!(ended.instances.iter().all(|end| matches!(end, Err(Error::Trap(_)))), "{ended:?}");
    let events = events.lock().unwrap();
    let count = |is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
    assert_eq!(count(|event| matches!(event, Event::Failed { .. })), 6);
    assert_eq!(count(|event| matches!(event, Event::GivenUp { restarts: 2, .. })), 2);
    let pauses = |event: &Event| match event {
        Event::Restarts { after, .. } => Some(after.as_millis()),
        _ => None,
    };
    let mut pauses: Vec<_> = events.iter().filter_map(pauses).collect();
    pauses.sort_unstable();
    assert_eq!(pauses, [100, 100, 200, 200]);
}

/// Runs it on a thread of its own.
fn start(service: Service) -> (Control, thread::JoinHandle<Ended>) {
    (service.control(), thread::spawn(|| service.start()))
}

#[test]
fn one_that_waits_is_ended_when_it_hears_nothing() {
    let (control, service) = start(service(program(WAITS), 8).restart(Restart::ON_FAILURE));
    while control.status().running < 8 {
        thread::yield_now();
    }
    assert!(control.turns(Duration::from_secs(60)));
    assert_eq!(control.stop(), 0, "none waits to be asked");
    let ended = service.join().unwrap();
    assert!(ended.instances.iter().all(|end| matches!(end, Err(Error::Stopped))), "{ended:?}");
    assert_eq!(ended.cut_off, 8);
    assert!(control.status().stops && control.status().running == 0);
    assert!(!control.turns(Duration::ZERO));
}

/// One that computes has its share and pauses in between, and can be ended.
#[test]
fn one_that_computes_has_no_more_than_its_share() {
    let meter = Meter::new();
    let service = Service::new(program("(loop (br 0))"), {
        let meter = meter.clone();
        move |run, _| run.meter(meter.clone()).cpu_share(NonZeroU32::new(10).unwrap())
    });
    let (control, running) = start(service);
    while meter.traffic().delayed < 3 {
        thread::yield_now();
    }
    assert!(!control.turns(Duration::from_millis(50)), "it does not come back to its host by itself");
    control.kill();
    let ended = running.join().unwrap();
    assert!(matches!(ended.instances[..], [Err(Error::Stopped)]), "{ended:?}");
}

/// A stop and a kill may come at any time, also before it has begun.
#[test]
fn it_ends_whenever_it_is_stopped() {
    let program = program(WAITS);
    for round in 0..40 {
        let service = service(Arc::clone(&program), 4);
        let control = service.control();
        if round == 0 {
            control.stop();
        }
        let (control, running) = (control, thread::spawn(|| service.start()));
        for _ in 0..round * 50 {
            thread::yield_now();
        }
        match round % 2 {
            0 => drop(control.stop()),
            _ => control.kill(),
        }
        let ended = running.join().unwrap();
        assert!(ended.instances.iter().all(|end| matches!(end, Err(Error::Stopped))), "{ended:?}");
    }
}

#[test]
fn another_program_takes_the_place_of_one_that_goes_on() {
    let (events, ends) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let told = Arc::clone(&events);
    let service = Service::new(program(WAITS), {
        let ends = Arc::clone(&ends);
        move |run, instance| {
            ends.fetch_max(instance.generation, Ordering::SeqCst);
            run
        }
    });
    let service = service.instances(NonZeroUsize::new(3).unwrap());
    let (control, running) = start(service.on_event(move |event| told.lock().unwrap().push(event.clone())));
    let wait_for = |what: fn(&Event) -> bool| {
        while !events.lock().unwrap().iter().any(what) {
            thread::yield_now();
        }
    };
    wait_for(|event| matches!(event, Event::Serves));
    // One that ends before it serves leaves the old ones.
    control.reload(program(TRAPS));
    wait_for(|event| matches!(event, Event::NotReloaded { why } if why.contains("unreachable")));
    while control.status().running != 3 {
        thread::yield_now();
    }
    // Two at once: one after the other.
    control.reload(program(WAITS));
    control.reload(program(WAITS));
    wait_for(|event| matches!(event, Event::Reloaded { generation: 2 }));
    while control.status().running != 3 {
        thread::yield_now();
    }
    assert_eq!((control.status().generation, ends.load(Ordering::SeqCst)), (2, 2));
    control.kill();
    let ended = running.join().unwrap();
    assert!(ended.instances.iter().all(|end| matches!(end, Err(Error::Stopped))), "{ended:?}");
}
