//! The tests, which have to be where the files can be seen from.

#[path = "../../../src/sys/p3/abi/mod.rs"]
#[allow(dead_code, unused_imports)]
pub mod abi;
#[path = "../../../src/sys/p3/set.rs"]
#[allow(dead_code)]
pub mod set;

use std::cell::Cell;
use std::ffi::c_void;
use std::mem::forget;

use abi::{Bytes, Connections, Mailbox, Outbox, SocketEnd};
use wasip3::sockets::types::{ErrorCode, TcpSocket};

use super::Side;
use crate::base::Key;
use crate::host;

/// A socket that the host does not look at. Never dropped: `wasip3` has no host here.
fn with_socket<T>(call: impl FnOnce(&TcpSocket) -> T) -> T {
    // SAFETY: the host of this test knows no sockets.
    let socket = unsafe { TcpSocket::from_handle(7) };
    let result = call(&socket);
    forget(socket);
    result
}

fn incoming() -> (Mailbox<Bytes>, Mailbox<SocketEnd>) {
    with_socket(abi::receive)
}

fn outgoing() -> (Outbox, Mailbox<SocketEnd>) {
    with_socket(abi::send)
}

const KEY: Key = Key { index: 3, generation: 1 };

/// Waits for one event, and tells whether it was reported to the side that is armed.
fn wait() -> bool {
    let mut ready = Vec::new();
    set::wait(&mut ready);
    set::tell();
    ready.iter().any(|ready| ready.key == KEY)
}

/// Nothing is left with the host, nor in what is known of it.
fn all_gone() {
    assert_eq!((host::ends(), set::awaited()), (0, 0));
}

#[test]
fn what_comes_later_lands_in_the_mailbox_wherever_that_has_moved() {
    let (mut mailbox, end) = incoming();
    assert!(mailbox.start().is_none());
    set::arm(mailbox.waitable(), KEY, Side::Read);
    host::feed(mailbox.waitable(), b"hello");
    let mut moved = Box::new((mailbox, end));
    assert!(wait());
    let came = moved.0.try_finish().unwrap();
    assert_eq!((came.count, came.ended), (5, false));
    let mut buf = [0; 3];
    assert_eq!((moved.0.take_bytes(&mut buf), &buf), (3, b"hel"));
    assert_eq!((moved.0.take_bytes(&mut buf), &buf[..2]), (2, &b"lo"[..]));
    assert_eq!(moved.0.take_bytes(&mut buf), 0);
    drop(moved);
    all_gone();
}

/// Before anything has come, when it has come and has not been told, when it has been told, and when it has been asked for.
#[test]
fn a_mailbox_may_go_at_any_time() {
    for step in 0..5 {
        let (mut mailbox, end) = incoming();
        if step > 0 {
            assert!(mailbox.start().is_none());
        }
        if step > 1 {
            host::feed(mailbox.waitable(), b"hello");
            host::happen();
        }
        if step > 2 {
            assert!(!wait());
        }
        if step > 3 {
            mailbox.try_finish().unwrap();
        }
        drop((mailbox, end));
        all_gone();
    }
}

#[test]
fn who_waits_for_what_goes_is_told() {
    let (mut mailbox, end) = incoming();
    assert!(mailbox.start().is_none());
    set::arm(mailbox.waitable(), KEY, Side::Read);
    assert_eq!(set::awaited(), 1);
    drop((mailbox, end));
    let mut ready = Vec::new();
    set::wait(&mut ready);
    assert_eq!(ready.len(), 1);
    all_gone();
}

#[test]
fn a_direct_read_leaves_nothing_with_the_host() {
    let (mut mailbox, end) = incoming();
    // It has been in the set.
    assert!(mailbox.start().is_none());
    host::feed(mailbox.waitable(), b"a");
    assert!(!wait());
    mailbox.try_finish().unwrap();
    assert_eq!(mailbox.take_bytes(&mut [0; 4]), 1);
    {
        let mut buf = vec![0; 8];
        let moved = mailbox.read(&mut buf);
        assert_eq!((moved.count, moved.ended), (0, false));
    }
    host::feed(mailbox.waitable(), b"bc");
    let mut buf = vec![0; 8];
    assert_eq!(mailbox.read(&mut buf).count, 2);
    assert_eq!(&buf[..2], b"bc");
    host::hang_up(mailbox.waitable());
    assert!(mailbox.read(&mut buf).ended);
    drop((mailbox, end));
    all_gone();
}

/// The host traps a guest that reads after it has been told of the end.
#[test]
fn what_has_ended_is_not_read_again() {
    let (mut mailbox, end) = incoming();
    host::hang_up(mailbox.waitable());
    assert!(mailbox.start().is_some_and(|moved| moved.ended));
    assert!(mailbox.start().is_some_and(|moved| moved.ended && moved.count == 0));
    assert!(mailbox.read(&mut [0; 8]).ended);
    drop((mailbox, end));
    all_gone();
}

#[test]
fn a_number_that_is_used_again_is_another() {
    let (mut first, end) = incoming();
    assert!(first.start().is_none());
    set::arm(first.waitable(), KEY, Side::Read);
    host::feed(first.waitable(), b"x");
    assert!(wait());
    let number = first.waitable();
    drop((first, end));
    let (mut second, end) = incoming();
    assert_eq!(second.waitable(), number);
    assert!(second.start().is_none());
    assert!(!abi::has_event(number), "that was the first's");
    host::feed(number, b"y");
    assert!(!wait(), "nobody is armed");
    second.try_finish().unwrap();
    drop((second, end));
    all_gone();
}

#[test]
fn what_is_written_later_is_read_from_where_it_is() {
    let (mut outbox, end) = outgoing();
    outbox.letters().extend_from_slice(b"hello");
    assert!(outbox.start().is_none());
    host::make_room(outbox.waitable(), 3);
    let mut moved = Box::new((outbox, end));
    wait();
    assert_eq!(moved.0.try_finish().unwrap().count, 3);
    assert_eq!(host::written(moved.0.waitable()), b"hel");
    // There is no room for the caller's: it is stopped.
    assert_eq!(moved.0.write(&vec![1; 10]).count, 0);
    // An empty one waits for room.
    moved.0.letters().clear();
    assert!(moved.0.start().is_none());
    host::make_room(moved.0.waitable(), 4);
    wait();
    assert_eq!(moved.0.try_finish().unwrap().count, 0);
    assert_eq!(moved.0.write(&vec![1; 10]).count, 4);
    drop(moved);
    all_gone();
}

#[test]
fn an_outbox_may_go_at_any_time() {
    for step in 0..4 {
        let (mut outbox, end) = outgoing();
        outbox.letters().extend_from_slice(b"hello");
        if step > 0 {
            assert!(outbox.start().is_none());
        }
        if step > 1 {
            host::make_room(outbox.waitable(), 100);
            host::happen();
        }
        if step > 2 {
            wait();
        }
        drop((outbox, end));
        all_gone();
    }
}

#[test]
fn a_verdict_is_read_as_the_canonical_abi_lays_it_out() {
    for (letter, expected) in [
        ([0; 20], "Ok(())".to_owned()),
        (letter(&[1, 0, 0, 0, 11]), format!("{:?}", Err::<(), _>(ErrorCode::ConnectionReset))),
        (letter(&[1, 0, 0, 0, 14]), format!("{:?}", Err::<(), _>(ErrorCode::Other(None)))),
    ] {
        let (mailbox, mut end) = incoming();
        assert!(end.start().is_none());
        host::feed(end.waitable(), &letter);
        wait();
        end.try_finish().unwrap();
        assert_eq!(format!("{:?}", end.take().unwrap()), expected);
        drop((mailbox, end));
    }
    all_gone();
}

fn letter(bytes: &[u8]) -> [u8; 20] {
    let mut letter = [0; 20];
    letter[..bytes.len()].copy_from_slice(bytes);
    letter
}

/// What is stopped has brought nothing, and nothing is opened.
#[test]
fn a_verdict_that_has_not_come_may_go() {
    let (mailbox, mut end) = incoming();
    assert!(end.start().is_none());
    drop((mailbox, end));
    all_gone();
}

#[test]
fn listening_gives_a_stream_of_connections_or_says_why_not() {
    let mut connections: Mailbox<Connections> = with_socket(abi::listen).unwrap();
    assert!(connections.start().is_none());
    host::feed(connections.waitable(), &41_u32.to_le_bytes());
    wait();
    connections.try_finish().unwrap();
    let connection = connections.take().unwrap();
    assert_eq!(connection.handle(), 41);
    forget(connection);
    drop(connections);
    all_gone();
    // SAFETY: the host of this test knows no sockets, but this one.
    let refused = unsafe { TcpSocket::from_handle(13) };
    assert!(matches!(abi::listen(&refused), Err(ErrorCode::InvalidState)));
    forget(refused);
}

#[test]
fn timers_fire_and_may_go_before() {
    assert!(abi::Timer::new(0).is_none(), "that has passed");
    for step in 0..3 {
        let mut timer = abi::Timer::new(1_000).unwrap();
        assert!(!timer.has_fired());
        if step > 0 {
            host::ring(1);
        }
        if step > 1 {
            assert!(!wait());
            assert!(timer.has_fired());
        }
        drop(timer);
        all_gone();
    }
}

/// As wit-bindgen's futures see us: version 3 of its structure.
#[repr(C)]
struct Task {
    version: u32,
    task: *mut c_void,
    register:
        unsafe extern "C" fn(*mut c_void, u32, unsafe extern "C" fn(*mut c_void, u32), *mut c_void) -> *mut c_void,
    unregister: unsafe extern "C" fn(*mut c_void, u32) -> *mut c_void,
}

unsafe extern "C" fn heard(data: *mut c_void, code: u32) {
    // SAFETY: a number of the test's.
    unsafe { *data.cast::<u32>() = code }
}

#[test]
fn a_future_of_others_is_told_once_and_may_leave() {
    assert!(host::task().is_null());
    let outer = abi::Entered::new();
    let task = host::task().cast::<Task>();
    // SAFETY: it is ours, and lives for ever.
    let Task { version, task, register, unregister } = unsafe { task.read() };
    assert_eq!(version, 3);
    let (waitable, mut code) = (host::foreign(), 0);
    let data = (&raw mut code).cast();
    // SAFETY: as wit-bindgen calls them; `code` outlives both.
    unsafe {
        assert!(register(task, waitable, heard, data).is_null());
        assert_eq!(set::awaited(), 1);
        assert!(register(task, waitable, heard, data) == data, "the one before it");
        host::ring(waitable);
        assert!(!wait());
        assert_eq!((data.cast::<u32>().read(), set::awaited()), (2, 0));
        assert!(register(task, waitable, heard, data).is_null());
        assert!(unregister(task, waitable) == data);
        assert!(unregister(task, waitable).is_null());
    }
    host::drop_foreign(waitable);
    // One of ours counts by the side that waits for it.
    let (waitable, watched) = (host::foreign(), Cell::default());
    let ((), registered) = abi::watched(|| {
        // SAFETY: as above.
        watched.set(unsafe { register(task, waitable, heard, data) });
    });
    assert_eq!((registered, set::awaited()), (waitable, 0));
    // SAFETY: as above.
    unsafe { unregister(task, waitable) };
    host::drop_foreign(waitable);
    drop(outer);
    assert!(host::task().is_null());
    all_gone();
}
