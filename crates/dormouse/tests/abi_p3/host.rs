//! A host of the component model, as far as it is asked: streams, futures, timers, one waitable set. Where the canonical ABI traps
//! it panics.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::c_void;
use std::ptr;

const BLOCKED: u32 = u32::MAX;
const DROPPED: u32 = 1;
const CANCELLED: u32 = 2;
const RETURNED: u32 = 2;

/// What has been lent.
enum Lent {
    ToRead(*mut u8, usize),
    ToWrite(*const u8, usize),
}

#[derive(Default)]
struct End {
    /// A read or write that is under way.
    lent: Option<Lent>,
    /// Its end, which has not been told.
    event: Option<(u32, u32)>,
    is_in_set: bool,
    /// What can be read, or where what is written goes.
    bytes: VecDeque<u8>,
    /// How many bytes may be written.
    room: usize,
    /// The other end has gone.
    ended: bool,
    /// And that has been told.
    done: bool,
    /// How many bytes an element has.
    size: usize,
    future: bool,
}

#[derive(Default)]
struct Host {
    ends: BTreeMap<u32, End>,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
    static TASK: RefCell<*mut c_void> = const { RefCell::new(ptr::null_mut()) };
}

impl Host {
    /// Handles are used again, the lowest first.
    fn add(&mut self, size: usize, future: bool) -> u32 {
        let handle = (1..).find(|handle| !self.ends.contains_key(handle)).unwrap();
        self.ends.insert(handle, End { size, future, ..End::default() });
        handle
    }

    fn end(&mut self, handle: u32) -> &mut End {
        self.ends.get_mut(&handle).expect("trap: no such handle")
    }
}

impl End {
    /// Does what can be done of a read or write.
    fn step(&mut self, lent: &Lent) -> Option<u32> {
        assert!(!self.done, "trap: it was told that the other end has gone");
        let moved = match *lent {
            Lent::ToRead(to, len) => {
                let n = (self.bytes.len() / self.size).min(len);
                for at in 0..n * self.size {
                    let byte = self.bytes.pop_front().unwrap();
                    // SAFETY: the program has promised room for that many until it is told, and Miri looks.
                    unsafe { to.add(at).write(byte) };
                }
                n
            }
            Lent::ToWrite(from, len) => {
                let n = len.min(self.room);
                // SAFETY: as above.
                (0..n).for_each(|at| self.bytes.push_back(unsafe { from.add(at).read() }));
                self.room -= n;
                if len == 0 && self.room > 0 {
                    return Some(0);
                }
                n
            }
        };
        match (moved, self.ended) {
            (0, true) => {
                self.done = true;
                Some(DROPPED)
            }
            (0, false) => None,
            _ if self.future => Some(0),
            (moved, _) => Some((moved as u32) << 4),
        }
    }

    fn begin(&mut self, lent: Lent) -> u32 {
        assert!(self.lent.is_none() && self.event.is_none(), "trap: something is under way");
        self.step(&lent).unwrap_or_else(|| {
            self.lent = Some(lent);
            BLOCKED
        })
    }

    fn cancel(&mut self) -> u32 {
        assert!(!self.is_in_set, "trap: a synchronous cancel in a set");
        if let Some((_, code)) = self.event.take() {
            return code;
        }
        self.lent.take().expect("trap: nothing is under way");
        CANCELLED
    }
}

/// All that can go on does.
fn go_on() {
    HOST.with_borrow_mut(|host| {
        for end in host.ends.values_mut() {
            if let Some(lent) = end.lent.take() {
                let kind = if matches!(lent, Lent::ToRead(..)) { 2 } else { 3 };
                match end.step(&lent) {
                    Some(code) => end.event = Some((kind, code)),
                    None => end.lent = Some(lent),
                }
            }
        }
    });
}

// ---- what tests do on the other side ----

pub fn feed(handle: u32, bytes: &[u8]) {
    HOST.with_borrow_mut(|host| host.end(handle).bytes.extend(bytes));
}

pub fn make_room(handle: u32, room: usize) {
    HOST.with_borrow_mut(|host| host.end(handle).room += room);
}

pub fn written(handle: u32) -> Vec<u8> {
    HOST.with_borrow_mut(|host| host.end(handle).bytes.drain(..).collect())
}

pub fn hang_up(handle: u32) {
    HOST.with_borrow_mut(|host| host.end(handle).ended = true);
}

pub fn ring(timer: u32) {
    HOST.with_borrow_mut(|host| host.end(timer).event = Some((1, RETURNED)));
}

pub fn ends() -> usize {
    HOST.with_borrow(|host| host.ends.len())
}

/// The events come true, and are not told yet.
pub fn happen() {
    go_on();
}

/// A handle of something that a future of others waits for.
pub fn foreign() -> u32 {
    HOST.with_borrow_mut(|host| host.add(1, false))
}

pub fn drop_foreign(handle: u32) {
    HOST.with_borrow_mut(|host| host.ends.remove(&handle));
}

// ---- the built-ins ----

macro_rules! built_in {
    ($($link:literal fn $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)? $body:block)*) => {
        $(
            // SAFETY: nothing else defines it.
            #[unsafe(export_name = $link)]
            extern "C" fn $name($($arg: $ty),*) $(-> $ret)? $body
        )*
    };
}

fn read(handle: u32, to: *mut u8, len: usize) -> u32 {
    HOST.with_borrow_mut(|host| host.end(handle).begin(Lent::ToRead(to, len)))
}

fn cancel(handle: u32) -> u32 {
    HOST.with_borrow_mut(|host| host.end(handle).cancel())
}

fn drop(handle: u32) {
    let end = HOST.with_borrow_mut(|host| host.ends.remove(&handle)).expect("trap: no such handle");
    assert!(end.lent.is_none() && end.event.is_none(), "trap: something is under way");
}

fn next() -> Option<(u32, u32, u32)> {
    HOST.with_borrow_mut(|host| {
        let ready = host.ends.iter_mut().filter(|(_, end)| end.is_in_set);
        ready.filter_map(|(&handle, end)| end.event.take().map(|(kind, code)| (kind, handle, code))).next()
    })
}

fn tell(payload: *mut [u32; 2], event: Option<(u32, u32, u32)>) -> u32 {
    let Some((kind, handle, code)) = event else { return 0 };
    // SAFETY: room for two numbers.
    unsafe { payload.write([handle, code]) };
    kind
}

/// Two ends of the host's: a stream, and how it ends.
fn pair(result: *mut [u32; 2], size_of_result: usize) {
    let ends = HOST.with_borrow_mut(|host| [host.add(1, false), host.add(size_of_result, true)]);
    // SAFETY: room for two handles.
    unsafe { result.write(ends) };
}

const SOCKET_RESULT: usize = 20;
const STDIO_RESULT: usize = 2;

fn take(data: u32, size_of_result: usize) -> u32 {
    HOST.with_borrow_mut(|host| {
        // The readable end is the host's now.
        host.ends.remove(&data);
        host.add(size_of_result, true)
    })
}

built_in! {
    "[waitable-set-new]" fn waitable_set_new() -> u32 { 1_000 }
    "[waitable-set-wait]" fn waitable_set_wait(_set: u32, payload: *mut [u32; 2]) -> u32 {
        go_on();
        tell(payload, Some(next().expect("it would wait for ever")))
    }
    "[waitable-set-poll]" fn waitable_set_poll(_set: u32, payload: *mut [u32; 2]) -> u32 { tell(payload, next()) }
    "[waitable-join]" fn waitable_join(handle: u32, set: u32) {
        HOST.with_borrow_mut(|host| host.end(handle).is_in_set = set != 0);
    }
    "[thread-yield]" fn thread_yield() -> u32 {
        go_on();
        0
    }
    "[async-lower]wait-until" fn wait_until(when: u64) -> u32 {
        match when {
            0 => RETURNED,
            _ => HOST.with_borrow_mut(|host| host.add(1, false)) << 4 | 1,
        }
    }
    "[subtask-cancel]" fn subtask_cancel(subtask: u32) -> u32 {
        HOST.with_borrow_mut(|host| {
            let end = host.end(subtask);
            assert!(!end.is_in_set, "trap: a synchronous cancel in a set");
            end.event.take().map_or(4, |(_, state)| state)
        })
    }
    "[subtask-drop]" fn subtask_drop(subtask: u32) { drop(subtask) }

    "[async-lower][stream-read-0]read-via-stream" fn read_bytes(handle: u32, to: *mut u8, len: usize) -> u32 {
        read(handle, to, len)
    }
    "[stream-cancel-read-0]read-via-stream" fn cancel_read_bytes(handle: u32) -> u32 { cancel(handle) }
    "[stream-drop-readable-0]read-via-stream" fn drop_bytes(handle: u32) { drop(handle) }
    "[stream-new-0]read-via-stream" fn new_bytes() -> u64 {
        let [readable, writable] = HOST.with_borrow_mut(|host| [host.add(1, false), host.add(1, false)]);
        u64::from(writable) << 32 | u64::from(readable)
    }
    "[async-lower][stream-write-0]read-via-stream" fn write_bytes(handle: u32, from: *const u8, len: usize) -> u32 {
        HOST.with_borrow_mut(|host| host.end(handle).begin(Lent::ToWrite(from, len)))
    }
    "[stream-cancel-write-0]read-via-stream" fn cancel_write_bytes(handle: u32) -> u32 { cancel(handle) }
    "[stream-drop-writable-0]read-via-stream" fn drop_writable_bytes(handle: u32) { drop(handle) }

    "[async-lower][stream-read-0][method]tcp-socket.listen" fn read_sockets(handle: u32, to: *mut u32, len: usize) -> u32 {
        read(handle, to.cast(), len)
    }
    "[stream-cancel-read-0][method]tcp-socket.listen" fn cancel_sockets(handle: u32) -> u32 { cancel(handle) }
    "[stream-drop-readable-0][method]tcp-socket.listen" fn drop_sockets(handle: u32) { drop(handle) }
    "[async-lower][future-read-1][method]tcp-socket.receive" fn read_socket_end(handle: u32, to: *mut u8) -> u32 {
        read(handle, to, 1)
    }
    "[future-cancel-read-1][method]tcp-socket.receive" fn cancel_socket_end(handle: u32) -> u32 { cancel(handle) }
    "[future-drop-readable-1][method]tcp-socket.receive" fn drop_socket_end(handle: u32) { drop(handle) }
    "[async-lower][future-read-1]read-via-stream" fn read_stdio_end(handle: u32, to: *mut u8) -> u32 {
        read(handle, to, 1)
    }
    "[future-cancel-read-1]read-via-stream" fn cancel_stdio_end(handle: u32) -> u32 { cancel(handle) }
    "[future-drop-readable-1]read-via-stream" fn drop_stdio_end(handle: u32) { drop(handle) }

    "[method]tcp-socket.listen" fn listen(socket: u32, result: *mut [u32; 5]) {
        let stream = HOST.with_borrow_mut(|host| host.add(4, false));
        // A socket of this number may not listen: invalid-state.
        // SAFETY: room for the result.
        unsafe { result.write(if socket == 13 { [1, 5, 0, 0, 0] } else { [0, stream, 0, 0, 0] }) };
    }
    "[method]tcp-socket.receive" fn receive(_socket: u32, result: *mut [u32; 2]) { pair(result, SOCKET_RESULT) }
    "[method]tcp-socket.send" fn send(_socket: u32, data: u32) -> u32 { take(data, SOCKET_RESULT) }
    "read-via-stream" fn stdin(result: *mut [u32; 2]) { pair(result, STDIO_RESULT) }
    "write-via-stream" fn stdout(data: u32) -> u32 { take(data, STDIO_RESULT) }

    "wasip3_task_set" fn wasip3_task_set(task: *mut c_void) -> *mut c_void { TASK.replace(task) }
}

/// The executor of the moment, as wit-bindgen's futures ask for it.
pub fn task() -> *mut c_void {
    TASK.with_borrow(|task| *task)
}
