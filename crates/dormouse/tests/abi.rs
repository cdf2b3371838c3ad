//! The unsafe code of wasip2 under Miri: the very text of `sys/p2/abi.rs` and `sys/wasi/abi.rs`, on a host that is played by the functions
//! below. They know the canonical ABI, and nothing of the types by which the file sees it. `cargo xtask test` runs this
//! for a target with pointers of 32 bits, as wasm's are, so that the offsets are the real ones.
#![cfg(miri)]

#[path = "../src/sys/p2/abi.rs"]
mod abi;
#[path = "../src/sys/wasi/abi.rs"]
mod one_thread;

use std::alloc::{Layout, alloc, dealloc};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::mem::{MaybeUninit, forget};
use std::ptr;
use std::rc::Rc;
use std::task::{Poll, Waker};

use async_task::Builder;
use wasip2::io::streams::{InputStream, StreamError};

// ---- the host ----

/// What the host says next.
enum Answer {
    /// A list of these bytes, in memory that `cabi_realloc` gives.
    List(Vec<u8>),
    /// The same, but first it asks for something else, of this alignment and size.
    AfterAnother(usize, usize, Vec<u8>),
    /// A list in memory of another strong `cabi_realloc`, which has been linked instead of ours.
    Foreign(Vec<u8>),
    /// The operation has failed, and this is the error's handle.
    Failed(u32),
    Closed,
}

thread_local! {
    static ANSWER: RefCell<Option<Answer>> = const { RefCell::new(None) };
}

fn host_says(answer: Answer) {
    ANSWER.set(Some(answer));
}

unsafe extern "C" {
    fn cabi_realloc(old: *mut u8, old_len: usize, align: usize, new_len: usize) -> *mut u8;
}

/// The host writes a list of what it has: where, and how many bytes.
fn store(answer: Answer, align: usize) -> (*mut u8, usize) {
    let (bytes, start) = match answer {
        Answer::List(bytes) => {
            // SAFETY: as a host does it.
            let start = unsafe { cabi_realloc(ptr::null_mut(), 0, align, bytes.len()) };
            (bytes, start)
        }
        Answer::AfterAnother(align_of_other, len, bytes) => {
            // SAFETY: as a host does it; what it gets, it may write to, and the guest frees it.
            unsafe {
                let other = cabi_realloc(ptr::null_mut(), 0, align_of_other, len);
                other.write_bytes(0xaa, len);
                dealloc(other, Layout::from_size_align(len, align_of_other).unwrap());
            }
            return store(Answer::List(bytes), align);
        }
        Answer::Foreign(bytes) => {
            // SAFETY: the tests have no empty list of this kind.
            let start = unsafe { alloc(Layout::from_size_align(bytes.len(), align).unwrap()) };
            (bytes, start)
        }
        Answer::Failed(_) | Answer::Closed => unreachable!("no list"),
    };
    assert!(start.addr().is_multiple_of(align), "the host traps");
    // SAFETY: that much memory was asked for.
    unsafe { start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    (start, bytes.len())
}

/// `poll: func(in: list<borrow<pollable>>) -> list<u32>`. The name is also that of a function of libc, which is why this
/// file is for Miri alone.
#[unsafe(export_name = "wasi_io_poll")]
unsafe extern "C" fn host_poll(list: *const u32, len: usize, result: *mut u8) {
    // SAFETY: the guest gives a list.
    let list = unsafe { std::slice::from_raw_parts(list, len) };
    assert!(!list.is_empty(), "the host traps");
    let (start, bytes) = store(ANSWER.take().expect("the test has said what"), 4);
    // SAFETY: the guest gives room for a list.
    unsafe {
        result.cast::<*mut u8>().write(start);
        result.add(size_of::<usize>()).cast::<usize>().write(bytes / 4);
    }
}

/// `read: func(self: borrow<input-stream>, len: u64) -> result<list<u8>, stream-error>`.
#[unsafe(export_name = "[method]input-stream.read")]
unsafe extern "C" fn host_read(stream: u32, _len: u64, result: *mut u8) {
    assert_eq!(stream, STREAM);
    let answer = ANSWER.take().expect("the test has said what");
    let word = size_of::<usize>();
    // SAFETY: the guest gives room for the discriminant and two words.
    unsafe {
        match answer {
            Answer::Failed(error) => {
                result.write(1);
                result.add(word).write(0);
                result.add(2 * word).cast::<u32>().write(error);
            }
            Answer::Closed => {
                result.write(1);
                result.add(word).write(1);
            }
            list => {
                let (start, len) = store(list, 1);
                result.write(0);
                result.add(word).cast::<*mut u8>().write(start);
                result.add(2 * word).cast::<usize>().write(len);
            }
        }
    }
}

const STREAM: u32 = 7;

/// Reads once from a stream whose host gives `answer`.
fn read(buf: &mut [u8], answer: Answer) -> Result<usize, StreamError> {
    // SAFETY: the host knows this number.
    let stream = unsafe { InputStream::from_handle(STREAM) };
    host_says(answer);
    let result = abi::read(&stream, buf);
    // There is no host that it could be dropped in.
    forget(stream);
    result
}

fn indices(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

// ---- the tests ----

#[test]
fn a_read_goes_straight_into_the_buffer() {
    let mut buf = *b"........";
    assert_eq!(read(&mut buf[1..7], Answer::List(b"hello".to_vec())).unwrap(), 5);
    assert_eq!(&buf, b".hello..");
    assert_eq!(read(&mut buf, Answer::List(b"the rest".to_vec())).unwrap(), 8);
    assert_eq!(&buf, b"the rest");
}

#[test]
fn an_empty_list_reads_nothing() {
    assert_eq!(read(&mut [0; 4], Answer::List(vec![])).unwrap(), 0);
    assert_eq!(read(&mut [], Answer::List(vec![])).unwrap(), 0);
}

#[test]
fn a_list_that_has_no_room_is_cut_off_and_freed() {
    let mut buf = [0; 4];
    assert_eq!(read(&mut buf, Answer::List(b"too long".to_vec())).unwrap(), 4);
    assert_eq!(&buf, b"too ");
    assert_eq!(read(&mut [], Answer::List(b"x".to_vec())).unwrap(), 0);
}

#[test]
fn memory_that_the_buffer_cannot_be_is_allocated() {
    #[repr(align(8))]
    struct Aligned([u8; 17]);
    let mut aligned = Aligned([0; 17]);
    // The first is not aligned enough, the second too small.
    for (align, len) in [(8, 16), (1, 100)] {
        let buf = &mut aligned.0[1..];
        assert_eq!(read(buf, Answer::AfterAnother(align, len, b"kept".to_vec())).unwrap(), 4);
        assert_eq!(&buf[..5], b"kept\0");
    }
}

#[test]
fn a_list_of_a_foreign_allocator_is_copied_and_freed() {
    let mut buf = [0; 8];
    assert_eq!(read(&mut buf, Answer::Foreign(b"foreign".to_vec())).unwrap(), 7);
    assert_eq!(&buf, b"foreign\0");
    let mut ready = Vec::new();
    host_says(Answer::Foreign(indices(&[1, 0])));
    abi::poll(&[3, 4, 5], &mut ready);
    assert_eq!(ready, [1, 0]);
}

#[test]
fn errors_arrive_and_leave_no_destination_behind() {
    let mut buf = [0; 64];
    match read(&mut buf, Answer::Failed(42)) {
        // Taken out, since there is no host that it could be dropped in.
        Err(StreamError::LastOperationFailed(error)) => assert_eq!(error.take_handle(), 42),
        other => panic!("{other:?}"),
    }
    assert!(matches!(read(&mut buf, Answer::Closed), Err(StreamError::Closed)));
    // What the host asks for next is not in the buffer.
    let range = buf.as_ptr_range();
    // SAFETY: as a host does it, and the guest frees it.
    unsafe {
        let other = cabi_realloc(ptr::null_mut(), 0, 1, 8);
        assert!(!range.contains(&other.cast_const()));
        dealloc(other, Layout::from_size_align(8, 1).unwrap());
    }
}

#[test]
fn memory_is_allocated_grown_and_of_no_length() {
    // SAFETY: as a host does it, and the guest frees it.
    unsafe {
        let empty = cabi_realloc(ptr::null_mut(), 0, 8, 0);
        assert!(!empty.is_null() && empty.addr().is_multiple_of(8));
        let small = cabi_realloc(ptr::null_mut(), 0, 4, 4);
        small.cast::<u32>().write(0x0102_0304);
        let large = cabi_realloc(small, 4, 4, 4096);
        assert_eq!(large.cast::<u32>().read(), 0x0102_0304);
        dealloc(large, Layout::from_size_align(4096, 4).unwrap());
    }
}

#[test]
fn a_poll_overwrites_what_was_ready() {
    let mut ready = vec![9; 2];
    for expected in [&[0, 2][..], &[], &[1], &[0, 1, 2]] {
        host_says(Answer::List(indices(expected)));
        abi::poll(&[10, 11, 12], &mut ready);
        assert_eq!(ready, expected);
    }
    // The smallest of places, not on the heap.
    let mut place = [MaybeUninit::uninit()];
    host_says(Answer::List(indices(&[0])));
    assert_eq!(abi::poll_into(&[10], &mut place), 1);
    // SAFETY: one has been written.
    assert_eq!(unsafe { place[0].assume_init() }, 0);
    host_says(Answer::List(indices(&[0, 1])));
    assert_eq!(abi::poll_into(&[10, 11], &mut place), 1, "no more than there is room for");
}

#[test]
fn a_task_of_one_thread_runs_ends_and_is_dropped() {
    let queue = Rc::new(RefCell::new(Vec::new()));
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    let dropped = Rc::new(Cell::new(0));
    struct Counts(Rc<Cell<u32>>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    thread_local! {
        // A schedule has to be `Send`, so it may not own this.
        static WOKEN: RefCell<Vec<async_task::Runnable>> = const { RefCell::new(Vec::new()) };
    }
    let spawn = |turns: u32| {
        let (counts, waker, queue) = (Counts(Rc::clone(&dropped)), Rc::clone(&waker), Rc::clone(&queue));
        let mut turn = 0;
        let future = poll_fn(move |cx| {
            let _counts = &counts;
            queue.borrow_mut().push(turn);
            turn += 1;
            waker.replace(Some(cx.waker().clone()));
            if turn == turns { Poll::Ready(turn) } else { Poll::Pending }
        });
        one_thread::spawn_local(Builder::new(), future, |runnable| WOKEN.with_borrow_mut(|woken| woken.push(runnable)))
    };
    let run = || {
        for runnable in WOKEN.take() {
            runnable.run();
        }
    };
    // To its end, woken by a waker that outlives it.
    let (runnable, task) = spawn(3);
    runnable.run();
    for _ in 0..4 {
        waker.borrow().as_ref().unwrap().wake_by_ref();
        run();
    }
    assert!(task.is_finished());
    assert_eq!(futures_lite::future::block_on(task), 3);
    assert_eq!((dropped.get(), &queue.borrow()[..]), (1, &[0, 1, 2][..]));
    // Cancelled where it waits; detached and never run again; never run at all.
    let (runnable, task) = spawn(3);
    runnable.run();
    drop(task);
    run();
    assert_eq!(dropped.get(), 2);
    let (runnable, task) = spawn(3);
    task.detach();
    runnable.run();
    waker.take();
    run();
    assert_eq!(dropped.get(), 3, "its last waker has gone");
    let (runnable, task) = spawn(3);
    drop(runnable);
    drop(task);
    assert_eq!(dropped.get(), 4);
}
