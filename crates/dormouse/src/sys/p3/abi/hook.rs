//! Futures of wit-bindgen's, and so of `wasip3`'s, wait here.
//!
//! Whatever version generated them, they ask one C function, `wasip3_task_set`, for the executor of the moment, a structure of
//! function pointers, and register the waitable that they wait for there (wit-bindgen 0.63.0, src/rt/async_support/cabi.rs, has the
//! definition and its versions; this is version 3, which has all of the others).
//!
//! The function is wit-bindgen's own; it is a cell, and is asked by putting another value in.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;

use super::{Waitable, known};

type Callback = unsafe extern "C" fn(data: *mut c_void, code: u32);
type Register =
    unsafe extern "C" fn(task: *mut c_void, waitable: u32, callback: Callback, data: *mut c_void) -> *mut c_void;
type Unregister = unsafe extern "C" fn(task: *mut c_void, waitable: u32) -> *mut c_void;

type Spawn = unsafe fn(task: *mut c_void, future: Box<dyn Future<Output = ()>>);

/// `wasip3_task` of version 3.
#[repr(C)]
struct Task {
    version: u32,
    task: *mut c_void,
    register: Register,
    unregister: Unregister,
    vtable: &'static Vtable,
}

/// `wasip3_task_vtable_v3`.
#[repr(C)]
struct Vtable {
    register: Register,
    unregister: Unregister,
    clone: unsafe extern "C" fn(task: *mut c_void) -> *mut c_void,
    drop: unsafe extern "C" fn(task: *mut c_void),
    spawn: Option<Spawn>,
}

// The definitions as they were read; `tests/targets.rs` says when the version of wit-bindgen is another one.
const _: () = assert!(size_of::<Task>() == 5 * size_of::<usize>() && align_of::<Task>() == align_of::<usize>());
const _: () = assert!(size_of::<Vtable>() == 5 * size_of::<usize>() && align_of::<Vtable>() == align_of::<usize>());

// SAFETY: nothing in it changes, and its pointer is null.
unsafe impl Sync for Task {}

static VTABLE: Vtable = Vtable {
    register,
    unregister,
    clone,
    drop,
    #[cfg(feature = "p3-spawn")]
    spawn: Some(spawn::spawn),
    #[cfg(not(feature = "p3-spawn"))]
    spawn: None,
};
static TASK: Task = Task { version: 3, task: ptr::null_mut(), register, unregister, vtable: &VTABLE };

thread_local! {
    /// What was registered last by the future of ours that is polled, 0 if nothing yet; `None` if none is.
    static REGISTERED: Cell<Option<Waitable>> = const { Cell::new(None) };
}

unsafe extern "C" fn register(_: *mut c_void, waitable: u32, callback: Callback, data: *mut c_void) -> *mut c_void {
    let is_ours = REGISTERED.get().is_some();
    if is_ours {
        REGISTERED.set(Some(waitable));
    }
    known::listen(waitable, Some(Listener { callback, data, is_ours })).map_or(ptr::null_mut(), |old| old.data)
}

unsafe extern "C" fn unregister(_: *mut c_void, waitable: u32) -> *mut c_void {
    known::listen(waitable, None).map_or(ptr::null_mut(), |old| old.data)
}

/// There is one executor, and it stays.
unsafe extern "C" fn clone(task: *mut c_void) -> *mut c_void {
    task
}

unsafe extern "C" fn drop(_: *mut c_void) {}

#[cfg(feature = "p3-spawn")]
mod spawn {
    use std::cell::Cell;
    use std::ffi::c_void;
    use std::pin::Pin;

    /// Starts a task.
    type Spawn = fn(Pin<Box<dyn Future<Output = ()>>>);

    thread_local! {
        static SPAWN: Cell<Option<Spawn>> = const { Cell::new(None) };
    }

    /// How `wit_bindgen::spawn_local` spawns. The first task sets it, so that a program without tasks links no scheduler.
    pub(crate) fn set_spawn(spawn: Spawn) {
        SPAWN.set(Some(spawn));
    }

    pub(super) unsafe fn spawn(_: *mut c_void, future: Box<dyn Future<Output = ()>>) {
        let spawn = SPAWN.get().expect("spawn_local of wit-bindgen needs a scheduler: dormouse::spawn a task first");
        spawn(Box::into_pin(future));
    }
}

#[cfg(feature = "p3-spawn")]
pub(crate) use spawn::set_spawn;

unsafe extern "C" {
    /// Gives the executor of the moment and puts another in its place.
    safe fn wasip3_task_set(task: *mut c_void) -> *mut c_void;
}

/// While this lives, futures of wit-bindgen's wait in our set.
pub(crate) struct Entered(*mut c_void);

impl Entered {
    pub(in crate::sys::p3) fn new() -> Self {
        Entered(wasip3_task_set((&raw const TASK).cast_mut().cast()))
    }

    /// Whether the program was called through another executor, that of an async export.
    #[cfg(target_env = "p2")]
    pub(in crate::sys::p3) fn is_inside_another(&self) -> bool {
        !self.0.is_null()
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        wasip3_task_set(self.0);
    }
}

/// Polls a future of ours, and tells what it waits for then; 0 if nothing.
pub(in crate::sys::p3) fn watched<T>(poll: impl FnOnce() -> T) -> (T, Waitable) {
    let _entered = Entered::new();
    let outer = REGISTERED.replace(Some(0));
    let result = poll();
    (result, REGISTERED.replace(outer).unwrap_or(0))
}

impl Listener {
    /// How many futures of others this is. One of ours waits for a side of a source, and that counts.
    pub(in crate::sys::p3) fn count(self) -> isize {
        isize::from(!self.is_ours)
    }

    /// True if it was registered for a future of ours, which is woken through its side, and not by this.
    pub(in crate::sys::p3) fn is_ours(self) -> bool {
        self.is_ours
    }

    /// Tells the future what has happened.
    pub(in crate::sys::p3) fn hear(self, code: u32) {
        // SAFETY: the future that registered promises that the data is there until this is called or it unregisters, and each of both
        // takes the listener out (wit-bindgen, `wasip3_task_vtable::waitable_register`).
        unsafe { (self.callback)(self.data, code) }
    }
}

/// What is to be called when a waitable has an event.
#[derive(Clone, Copy)]
pub(in crate::sys::p3) struct Listener {
    callback: Callback,
    data: *mut c_void,
    is_ours: bool,
}
