//! The two calls that are made for every byte, without an allocation, and the allocator hook that makes that possible.
//!
//! A component receives a list by having its `cabi_realloc` called for the memory. [`cabi_realloc`] below can be told
//! where the next list goes: into the caller's buffer. wit-bindgen and wasi-libc define the same symbol weakly
//! (wit-bindgen 0.57.1, src/rt/wit_bindgen_cabi_realloc.c), so this one wins; should another strong one be linked
//! instead, lists still arrive, with a copy.
//!
//! `tests/abi.rs` runs this file under Miri.
//!
//! The version in the module names is a semver track, not a pin: the linker accepts any 0.2 for any 0.2.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, handle_alloc_error, realloc};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;

use wasip2::io::error::Error;
use wasip2::io::streams::{InputStream, StreamError};

/// A number by which the host knows a pollable; borrowed from a `Pollable`.
pub(super) type RawPollable = u32;

thread_local! {
    /// Where the next list goes, and how many bytes have room there.
    static DESTINATION: Cell<(*mut u8, usize)> = const { Cell::new((ptr::null_mut(), 0)) };
}

/// `realloc` of the canonical ABI.
///
/// # Safety
/// As the canonical ABI says: `old` is null, or came from here with `old_len` and `align`.
#[unsafe(no_mangle)]
unsafe extern "C" fn cabi_realloc(old: *mut u8, old_len: usize, align: usize, new_len: usize) -> *mut u8 {
    if old_len == 0 {
        let (destination, room) = DESTINATION.get();
        if !destination.is_null() && new_len <= room && destination.addr().is_multiple_of(align) {
            DESTINATION.set((ptr::null_mut(), 0));
            return destination;
        }
        if new_len == 0 {
            return ptr::without_provenance_mut(align);
        }
        // SAFETY: the host passes the alignment of a WIT type, a power of two, and new_len is not 0.
        let layout = unsafe { Layout::from_size_align_unchecked(new_len, align) };
        // SAFETY: new_len is not 0.
        let new = unsafe { alloc(layout) };
        if new.is_null() { handle_alloc_error(layout) } else { new }
    } else {
        // SAFETY: as the caller promises, this is the layout that `old` was allocated with. It is not a destination: the
        // lists that have one are of elements of a fixed size, and the canonical ABI asks once for all of such a list.
        let layout = unsafe { Layout::from_size_align_unchecked(old_len, align) };
        // SAFETY: as above; the host asks for more, so new_len is not 0.
        let new = unsafe { realloc(old, layout, new_len) };
        if new.is_null() { handle_alloc_error(layout) } else { new }
    }
}

/// Runs a host call that returns one list, and has it written to `into`.
///
/// # Safety
/// `call` must return pointer and length of a list of `T` that the host has just written.
unsafe fn receive<T: Copy, E>(
    into: &mut [MaybeUninit<T>],
    call: impl FnOnce() -> Result<(*mut T, usize), E>,
) -> Result<usize, E> {
    let start = into.as_mut_ptr();
    DESTINATION.set((start.cast(), size_of_val(into)));
    let result = call();
    DESTINATION.set((ptr::null_mut(), 0));
    let (list, len) = result?;
    if !ptr::eq(list, start.cast()) && len > 0 {
        // Another cabi_realloc was linked. SAFETY: then it is of the global allocator, as wit-bindgen relies on too,
        // and the caller promises that the host has written `len` items there.
        let list = unsafe { Vec::from_raw_parts(list, len, len) };
        for (to, from) in into.iter_mut().zip(&list) {
            to.write(*from);
        }
    }
    Ok(len.min(into.len()))
}

/// `wasi:io/poll.poll`: blocks until at least one pollable is ready; puts the indices of the ready ones into `ready`
/// (overwritten). `list` must not be empty: the host traps.
pub(super) fn poll(list: &[RawPollable], ready: &mut Vec<u32>) {
    ready.clear();
    ready.reserve(list.len());
    let len = poll_into(list, ready.spare_capacity_mut());
    // SAFETY: that many items have been written to the spare capacity.
    unsafe { ready.set_len(len) }
}

/// [`poll`] that writes the indices to the front of `ready`, and tells how many there are.
pub(super) fn poll_into(list: &[RawPollable], ready: &mut [MaybeUninit<u32>]) -> usize {
    #[repr(C)]
    struct List {
        start: *mut u32,
        len: usize,
    }
    #[link(wasm_import_module = "wasi:io/poll@0.2.0")]
    unsafe extern "C" {
        // Miri has a `poll` of its own, libc's.
        #[cfg_attr(not(miri), link_name = "poll")]
        fn wasi_io_poll(list: *const RawPollable, len: usize, result: *mut List);
    }
    let mut result = List { start: ptr::null_mut(), len: 0 };
    // SAFETY: the list is of handles whose pollables the caller borrows; the host writes a pointer and a length.
    let len = unsafe {
        receive(ready, || {
            wasi_io_poll(list.as_ptr(), list.len(), &raw mut result);
            Ok::<_, std::convert::Infallible>((result.start, result.len))
        })
    };
    match len {
        Ok(len) => len,
        Err(never) => match never {},
    }
}

/// `[method]input-stream.read`: what is there now, straight into `buf`. `Ok(0)`: nothing yet.
pub(super) fn read(stream: &InputStream, buf: &mut [u8]) -> Result<usize, StreamError> {
    #[repr(C)]
    struct ReadResult {
        is_err: u8,
        /// The list's start, or in the lowest byte 0 for last-operation-failed and 1 for closed.
        start: MaybeUninit<*mut u8>,
        /// The list's length, or the handle of the error.
        len: MaybeUninit<usize>,
    }
    #[link(wasm_import_module = "wasi:io/streams@0.2.0")]
    unsafe extern "C" {
        #[link_name = "[method]input-stream.read"]
        fn wasi_io_read(stream: u32, len: u64, result: *mut ReadResult);
    }
    let mut result = ReadResult { is_err: 0, start: MaybeUninit::uninit(), len: MaybeUninit::uninit() };
    let (start, room) = (buf.as_mut_ptr().cast::<MaybeUninit<u8>>(), buf.len());
    // SAFETY: initialised memory may be looked at as possibly uninitialised; only `receive` and the host write to it,
    // and they write bytes.
    let into = unsafe { std::slice::from_raw_parts_mut(start, room) };
    // SAFETY: the handle is borrowed from `stream`; the host fills `result` by the canonical ABI of
    // result<list<u8>, stream-error>: with `is_err` 0 the list, with 1 the error's kind in the first byte at offset 4,
    // and for last-operation-failed an owned error handle at offset 8.
    unsafe {
        receive(into, || {
            wasi_io_read(stream.handle(), room as u64, &raw mut result);
            if result.is_err == 0 {
                Ok((result.start.assume_init(), result.len.assume_init()))
            } else if *result.start.as_ptr().cast::<u8>() == 0 {
                Err(StreamError::LastOperationFailed(Error::from_handle(result.len.assume_init() as u32)))
            } else {
                Err(StreamError::Closed)
            }
        })
    }
}
