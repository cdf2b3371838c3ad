//! Each thread has its own loop and its own handles.

use std::ffi::c_void;
use std::ptr::null_mut;

use dormouse_capi::addr::{dm_addr, dm_addr_format, dm_addr_parse};
use dormouse_capi::poll::{dm_begin, dm_end};
use dormouse_capi::run::dm_run;
use dormouse_capi::socket::{dm_close, dm_local_addr};
use dormouse_capi::tcp::dm_tcp_listen;
use dormouse_capi::wait::dm_when;
use dormouse_capi::{DM_READ, dm_handle};

fn listen() -> dm_handle {
    let (mut addr, mut handle) = (dm_addr { family: 0, port: 0, ip: [0; 16], scope: 0, flow: 0 }, 0);
    // SAFETY: a text that ends with a 0, an address and a handle.
    unsafe {
        assert_eq!(dm_addr_parse(c"127.0.0.1:0".as_ptr(), &mut addr), 0);
        assert_eq!(dm_tcp_listen(&addr, &mut handle), 0);
    }
    handle
}

#[test]
fn a_handle_of_another_thread_is_stale() {
    assert_eq!(dm_begin(), 0);
    let mine = listen();
    let theirs = std::thread::spawn(move || {
        // This thread is in no loop yet, whatever the other one is in.
        assert_eq!(dm_begin(), 0);
        let own = listen();
        assert_ne!(own, mine);
        assert_eq!(dm_close(mine), -libc::EBADF);
        assert_eq!(dm_end(), 0);
        own
    });
    let theirs = theirs.join().unwrap();
    assert_eq!(dm_close(theirs), -libc::EBADF);
    assert_eq!(dm_close(mine), 0);
    assert_eq!(dm_end(), 0);
}

/// What a loop leaves open is there in the next.
#[test]
fn sockets_outlive_their_loop_and_who_waits_does_not() {
    unsafe extern "C" fn never(_: *mut c_void) {
        panic!("somebody was told after the end of the loop in which he waited");
    }
    unsafe extern "C" fn look(arg: *mut c_void) {
        let mut addr = dm_addr { family: 0, port: 0, ip: [0; 16], scope: 0, flow: 0 };
        // SAFETY: the test gives a handle, and there is an address.
        unsafe { assert_eq!(dm_local_addr(*arg.cast::<dm_handle>(), &mut addr), 0) };
        // SAFETY: it is no longer than 64 bytes with its 0.
        assert!(unsafe { dm_addr_format(&addr, [0; 64].as_mut_ptr(), 64) } > 10);
    }
    assert_eq!(dm_begin(), 0);
    let mut listener = listen();
    // SAFETY: `never` may be called.
    assert_eq!(unsafe { dm_when(listener, DM_READ, Some(never), null_mut()) }, 0);
    assert_eq!(dm_end(), 0);
    // SAFETY: `look` gets the handle.
    assert_eq!(unsafe { dm_run(Some(look), (&raw mut listener).cast()) }, 0);
    assert_eq!(dm_close(listener), 0);
}
