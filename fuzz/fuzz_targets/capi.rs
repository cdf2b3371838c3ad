//! Random sequences of calls of the C ABI, in a simulated network where everything may go wrong: on handles that are open, stale,
//! of the wrong kind or thin air, also from inside callbacks. A model knows which are open and what waits:
//!
//! * a handle that is not open is `-EBADF`, and one that is open never;
//! * an operation on another kind is `-ENOTSOCK`, and on its own kind never;
//! * a callback is called exactly once, unless it was forgotten, and then never.
#![no_main]

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::rc::Rc;

use dormouse::sim::{Faults, Sim};
use dormouse_capi::addr::{dm_addr, dm_addr_parse};
use dormouse_capi::poll::{dm_begin, dm_end, dm_event, dm_poll};
use dormouse_capi::run::{dm_now, dm_run, dm_sleep, dm_spawn, dm_stop};
use dormouse_capi::socket::{dm_close, dm_deadline, dm_local_addr, dm_opened, dm_peer_addr};
use dormouse_capi::tcp::{dm_accept, dm_read, dm_shutdown, dm_tcp_dial, dm_tcp_listen, dm_write};
use dormouse_capi::wait::{dm_forget, dm_watch, dm_when};
use dormouse_capi::{DM_FOREVER, DM_NOW, DM_READ, DM_WRITE, dm_handle};
use libfuzzer_sys::fuzz_target;

// errno of Linux, where this runs.
const EBADF: i64 = -9;
const EAGAIN: i64 = -11;
const EFAULT: i64 = -14;
const EBUSY: i64 = -16;
const EDEADLK: i64 = -35;
const ENOTSOCK: i64 = -88;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Listener,
    Stream,
    Timer,
}

/// A handle that was given out.
struct Given {
    handle: dm_handle,
    kind: Kind,
    open: bool,
}

/// A waiter, and what has become of it.
struct Waiter {
    handle: dm_handle,
    side: u32,
    told: Cell<u32>,
    forgotten: Cell<bool>,
}

#[derive(Default)]
struct Model {
    bytes: Vec<u8>,
    given: Vec<Given>,
    waiters: Vec<Rc<Waiter>>,
    /// How deep in callbacks.
    depth: u32,
    /// In `dm_run`, and not between `dm_begin` and `dm_end`.
    run: bool,
}

thread_local! {
    static MODEL: RefCell<Model> = RefCell::default();
}

fn with<T>(body: impl FnOnce(&mut Model) -> T) -> T {
    MODEL.with(|model| body(&mut model.borrow_mut()))
}

fn byte() -> Option<u8> {
    with(|model| model.bytes.pop())
}

fuzz_target!(|input: &[u8]| {
    let half = input.len() / 2;
    let faults = if input.first().is_some_and(|byte| byte & 1 == 1) { Faults::all() } else { Faults::harmless() };
    let sim = Sim::from_bytes(&input[half..]).faults(faults);
    let mut bytes = input[..half].to_vec();
    bytes.reverse();
    with(|model| *model = Model { bytes, ..Model::default() });
    let run = sim.run(async { program() });
    run.unwrap();
});

fn program() {
    let by_run = byte().is_some_and(|byte| byte & 1 == 1);
    if by_run {
        with(|model| model.run = true);
        // SAFETY: `step` may be called.
        let ended = unsafe { dm_run(Some(step), null_mut()) };
        assert!(ended == 0 || ended == 5 || i64::from(ended) == EDEADLK, "dm_run ended with {ended}");
        with(|model| {
            model.waiters.iter().for_each(|waiter| waiter.forgotten.set(true));
            let timers = model.given.iter_mut().filter(|given| given.kind == Kind::Timer);
            timers.for_each(|timer| timer.open = false);
        });
        close_all();
    } else {
        assert_eq!(dm_begin(), 0);
        while operation() {}
        close_all();
        // The waiters of what is closed are due.
        poll(DM_NOW);
        while poll(DM_NOW) > 0 {}
        for waiter in with(|model| model.waiters.clone()) {
            assert!(waiter.told.get() == 1 || waiter.forgotten.get(), "somebody was not told that it was closed");
        }
        assert_eq!(dm_end(), 0);
    }
    // SAFETY: no events are asked for.
    assert_eq!(i64::from(unsafe { dm_poll(null_mut(), 0, DM_NOW) }), -1);
}

fn close_all() {
    for n in 0..with(|model| model.given.len()) {
        let (handle, kind, open) = with(|model| (model.given[n].handle, model.given[n].kind, model.given[n].open));
        close(handle, open.then_some(kind));
    }
}

fn close(handle: dm_handle, open: Option<Kind>) {
    assert_eq!(i64::from(dm_close(handle)), if open.is_some() { 0 } else { EBADF });
    // A timer is stopped; the waiters of a socket are told.
    if open == Some(Kind::Timer) {
        forget(handle, 0);
    }
    closed(handle);
}

/// A few operations of a `dm_run`, and then the next.
unsafe extern "C" fn step(_: *mut c_void) {
    for _ in 0..3 {
        if !operation() {
            assert_eq!(dm_stop(5), 0);
            return;
        }
    }
    // SAFETY: `step` may be called.
    assert_eq!(unsafe { dm_spawn(Some(step), null_mut()) }, 0);
}

/// One that waited is called.
unsafe extern "C" fn called(arg: *mut c_void) {
    let waiter = with(|model| model.waiters[arg as usize].clone());
    tell(&waiter);
    with(|model| model.depth += 1);
    if with(|model| model.depth) < 3 {
        operation();
    }
    with(|model| model.depth -= 1);
}

fn tell(waiter: &Waiter) {
    assert!(!waiter.forgotten.get(), "somebody was told who had been forgotten");
    assert_eq!(waiter.told.replace(1), 0, "somebody was told twice");
    if waiter.side == 0 {
        // A timer goes with its call.
        closed(waiter.handle);
    }
}

fn closed(handle: dm_handle) {
    with(|model| model.given.iter_mut().filter(|given| given.handle == handle).for_each(|given| given.open = false));
}

fn give(code: c_int, handle: dm_handle, kind: Kind) {
    if code == 0 {
        with(|model| {
            assert!(model.given.iter().all(|given| given.handle != handle), "a handle was given out twice");
            model.given.push(Given { handle, kind, open: true });
        });
    }
}

fn wait(handle: dm_handle, side: u32) -> usize {
    with(|model| {
        model.waiters.push(Rc::new(Waiter { handle, side, told: Cell::new(0), forgotten: Cell::new(false) }));
        model.waiters.len() - 1
    })
}

fn forget(handle: dm_handle, sides: u32) {
    with(|model| {
        for waiter in &model.waiters {
            if waiter.handle == handle && (waiter.side & sides != 0 || sides == 0) && waiter.told.get() == 0 {
                waiter.forgotten.set(true);
            }
        }
    });
}

/// One of those that were given out, open or not; or thin air.
fn some_handle() -> Option<(dm_handle, Option<Kind>)> {
    let byte = byte()?;
    with(|model| match model.given.get(usize::from(byte) % (model.given.len() + 1)) {
        Some(given) => Some((given.handle, given.open.then_some(given.kind))),
        None => {
            let air = u64::from(byte).wrapping_mul(0x0101_0101_0101_0101);
            let given = model.given.iter().find(|given| given.handle == air && given.open);
            Some((air, given.map(|given| given.kind)))
        }
    })
}

/// What a call on this handle may say.
fn check(what: &str, result: i64, open: Option<Kind>, of: &[Kind]) {
    match open {
        None => assert_eq!(result, EBADF, "{what}, which is not open"),
        Some(kind) if of.contains(&kind) => {
            assert!(result != EBADF && result != ENOTSOCK, "{what} of an open {kind:?} is {result}");
        }
        // It may still be opening, and a callback that has done much is told to come back.
        Some(kind) => {
            assert!(result == ENOTSOCK || result == EAGAIN || refused(result), "{what} of a {kind:?} is {result}")
        }
    }
}

/// What a handle says of which the opening has failed.
fn refused(result: i64) -> bool {
    result < 0 && result != EBADF
}

fn poll(until: u64) -> c_int {
    let mut events = [dm_event { token: 0, handle: 0, side: 0, _reserved: 0 }; 8];
    // SAFETY: there are as many.
    let count = unsafe { dm_poll(events.as_mut_ptr(), events.len(), until) };
    if with(|model| model.depth > 0 || model.run) {
        assert_eq!(i64::from(count), EBUSY);
        return 0;
    }
    assert!(count >= 0 || i64::from(count) == EDEADLK, "dm_poll says {count}");
    for event in &events[..count.max(0) as usize] {
        let waiter = with(|model| model.waiters[event.token as usize].clone());
        assert_eq!((event.handle, event.side), (waiter.handle, waiter.side));
        tell(&waiter);
    }
    count
}

/// One more; false when there are no more bytes.
fn operation() -> bool {
    act().is_some()
}

fn act() -> Option<()> {
    let mut buf = [0u8; 64];
    let mut addr = dm_addr { family: 4, port: 80, ip: [0; 16], scope: 0, flow: 0 };
    // SAFETY: a text that ends with a 0, and an address.
    assert_eq!(unsafe { dm_addr_parse(c"10.0.0.1:80".as_ptr(), &mut addr) }, 0);
    let mut new = 0;
    let side = |byte: u8| if byte & 1 == 0 { DM_READ } else { DM_WRITE };
    let what = byte()?;
    // SAFETY: of all that follow: pointers are to what they should be to, or null where that is looked at.
    unsafe {
        match what % 18 {
            0 => give(dm_tcp_listen(&addr, &mut new), new, Kind::Listener),
            1 | 2 => give(dm_tcp_dial(&addr, &mut new), new, Kind::Stream),
            3 => {
                let (handle, open) = some_handle()?;
                let code = dm_accept(handle, &mut new, &mut addr);
                check("dm_accept", code.into(), open, &[Kind::Listener]);
                give(code, new, Kind::Stream);
            }
            4 | 5 => {
                let (handle, open) = some_handle()?;
                let len = usize::from(byte()?) % (buf.len() + 1);
                check("dm_read", dm_read(handle, buf.as_mut_ptr(), len), open, &[Kind::Stream]);
            }
            6 | 7 => {
                let (handle, open) = some_handle()?;
                let len = usize::from(byte()?) % (buf.len() + 1);
                check("dm_write", dm_write(handle, buf.as_ptr(), len), open, &[Kind::Stream]);
            }
            8 => {
                let (handle, open) = some_handle()?;
                let code = dm_shutdown(handle, 1 + u32::from(byte()? % 3));
                check("dm_shutdown", code.into(), open, &[Kind::Stream]);
            }
            9 => {
                let (handle, open) = some_handle()?;
                close(handle, open);
            }
            10 | 11 => {
                let (handle, open) = some_handle()?;
                let side = side(byte()?);
                let waiter = wait(handle, side);
                let code = dm_when(handle, side, Some(called), waiter as *mut c_void);
                check("dm_when", code.into(), open, &[Kind::Listener, Kind::Stream]);
                if code != 0 {
                    with(|model| model.waiters[waiter].forgotten.set(true));
                }
            }
            12 => {
                let (handle, open) = some_handle()?;
                let side = side(byte()?);
                let waiter = wait(handle, side);
                let code = dm_watch(handle, side, waiter as u64);
                if !with(|model| model.run) {
                    check("dm_watch", code.into(), open, &[Kind::Listener, Kind::Stream]);
                }
                if code != 0 {
                    with(|model| model.waiters[waiter].forgotten.set(true));
                }
            }
            13 => {
                let (handle, open) = some_handle()?;
                let sides = 1 + u32::from(byte()? % 3);
                let code = dm_forget(handle, sides);
                check("dm_forget", code.into(), open, &[Kind::Listener, Kind::Stream]);
                if code == 0 {
                    forget(handle, sides);
                }
            }
            14 => {
                let (handle, open) = some_handle()?;
                let until = match byte()? {
                    0..100 => DM_FOREVER,
                    100..150 => DM_NOW,
                    more => dm_now() + u64::from(more) * 1000,
                };
                let code = dm_deadline(handle, DM_READ | DM_WRITE, until);
                check("dm_deadline", code.into(), open, &[Kind::Listener, Kind::Stream]);
            }
            15 => {
                let (mut timer, long) = (0, u64::from(byte()?) * 1000);
                let waiter = wait(0, 0);
                let code = dm_sleep(long, Some(called), waiter as *mut c_void, &mut timer);
                assert_eq!(code, 0);
                with(|model| {
                    let Some(last) = model.waiters.last_mut() else { return };
                    *last = Rc::new(Waiter { handle: timer, side: 0, told: Cell::new(0), forgotten: Cell::new(false) });
                });
                give(0, timer, Kind::Timer);
            }
            16 => {
                let (handle, open) = some_handle()?;
                check("dm_opened", dm_opened(handle).into(), open, &[Kind::Listener, Kind::Stream, Kind::Timer]);
                check("dm_peer_addr", dm_peer_addr(handle, &mut addr).into(), open, &[Kind::Stream]);
                check("dm_local_addr", dm_local_addr(handle, &mut addr).into(), open, &[Kind::Stream, Kind::Listener]);
                assert_eq!(i64::from(dm_local_addr(handle, null_mut())), EFAULT);
            }
            _ => {
                poll(if byte()? & 1 == 0 { DM_NOW } else { dm_now() + 1_000_000 });
            }
        }
    }
    Some(())
}
