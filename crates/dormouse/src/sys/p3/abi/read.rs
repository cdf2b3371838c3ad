//! What is read: streams of bytes and of connections, and futures that tell how a stream has ended.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

use wasip3::sockets::types::{ErrorCode, TcpSocket};

use super::{BLOCKED, Moved, Waitable, known};

/// A type of stream or future that is read, with its built-ins.
pub(in crate::sys::p3) trait Readable {
    /// As the canonical ABI lays it out.
    type Letter;
    type Item;
    /// A future: what is read is one, and is not counted.
    const FUTURE: bool = false;
    /// # Safety
    /// `to` has room for `len` letters until the host is through.
    unsafe fn read(handle: u32, to: *mut Self::Letter, len: usize) -> u32;
    /// # Safety
    /// A read is under way, and the handle is in no set.
    unsafe fn cancel(handle: u32) -> u32;
    /// # Safety
    /// No read is under way, and the handle is not used again.
    unsafe fn drop(handle: u32);
    /// # Safety
    /// The letter was written by the host, and is opened once.
    unsafe fn open(letter: Self::Letter) -> Self::Item;
}

/// The built-ins of a type. Which one that is, the function says that has it in its signature, and at which place.
macro_rules! built_ins {
    ($letter:ty, $module:literal, $read:literal, $cancel:literal, $drop:literal $(, $len:ident)?) => {
        unsafe fn read(handle: u32, to: *mut $letter, _len: usize) -> u32 {
            #[link(wasm_import_module = $module)]
            unsafe extern "C" {
                #[link_name = $read]
                fn read(handle: u32, to: *mut $letter $(, $len: usize)?) -> u32;
            }
            $(let $len = _len;)?
            // SAFETY: as the caller promises.
            unsafe { read(handle, to $(, $len)?) }
        }

        unsafe fn cancel(handle: u32) -> u32 {
            #[link(wasm_import_module = $module)]
            unsafe extern "C" {
                #[link_name = $cancel]
                fn cancel(handle: u32) -> u32;
            }
            // SAFETY: as the caller promises.
            unsafe { cancel(handle) }
        }

        unsafe fn drop(handle: u32) {
            #[link(wasm_import_module = $module)]
            unsafe extern "C" {
                #[link_name = $drop]
                fn drop(handle: u32);
            }
            // SAFETY: as the caller promises.
            unsafe { drop(handle) }
        }
    };
}

/// `stream<u8>`. There is one such type, however many functions have it: standard input's, since every host has that.
pub(in crate::sys::p3) enum Bytes {}

impl Readable for Bytes {
    type Letter = u8;
    type Item = u8;
    built_ins!(
        u8,
        "wasi:cli/stdin@0.3.2",
        "[async-lower][stream-read-0]read-via-stream",
        "[stream-cancel-read-0]read-via-stream",
        "[stream-drop-readable-0]read-via-stream",
        len
    );
    unsafe fn open(letter: u8) -> u8 {
        letter
    }
}

/// `stream<tcp-socket>`, of a listener.
pub(in crate::sys::p3) enum Connections {}

impl Readable for Connections {
    type Letter = u32;
    type Item = TcpSocket;
    built_ins!(
        u32,
        "wasi:sockets/types@0.3.2",
        "[async-lower][stream-read-0][method]tcp-socket.listen",
        "[stream-cancel-read-0][method]tcp-socket.listen",
        "[stream-drop-readable-0][method]tcp-socket.listen",
        len
    );
    unsafe fn open(letter: u32) -> TcpSocket {
        // SAFETY: a handle that the host has given us.
        unsafe { TcpSocket::from_handle(letter) }
    }
}

/// `future<result<_, error-code>>` of wasi:sockets.
pub(in crate::sys::p3) enum SocketEnd {}

/// `result<_, error-code>` of wasi:sockets, with the `option<string>` of the last case of `error-code`.
#[repr(C)]
pub(in crate::sys::p3) struct SocketResult {
    pub(super) is_err: u8,
    /// One byte of it, or the handle of a stream.
    pub(super) case: MaybeUninit<u32>,
    /// One byte of it.
    is_some: MaybeUninit<u32>,
    start: MaybeUninit<*mut u8>,
    len: MaybeUninit<usize>,
}

const _: () = assert!(size_of::<SocketResult>() == 8 + 3 * size_of::<usize>());

impl Readable for SocketEnd {
    type Letter = SocketResult;
    type Item = Result<(), ErrorCode>;
    const FUTURE: bool = true;
    built_ins!(
        SocketResult,
        "wasi:sockets/types@0.3.2",
        "[async-lower][future-read-1][method]tcp-socket.receive",
        "[future-cancel-read-1][method]tcp-socket.receive",
        "[future-drop-readable-1][method]tcp-socket.receive"
    );
    unsafe fn open(letter: SocketResult) -> Result<(), ErrorCode> {
        if letter.is_err == 0 {
            return Ok(());
        }
        // SAFETY: an error has a case.
        Err(match unsafe { case(&letter.case) } {
            0 => ErrorCode::AccessDenied,
            1 => ErrorCode::NotSupported,
            2 => ErrorCode::InvalidArgument,
            3 => ErrorCode::OutOfMemory,
            4 => ErrorCode::Timeout,
            5 => ErrorCode::InvalidState,
            6 => ErrorCode::AddressNotBindable,
            7 => ErrorCode::AddressInUse,
            8 => ErrorCode::RemoteUnreachable,
            9 => ErrorCode::ConnectionRefused,
            10 => ErrorCode::ConnectionBroken,
            11 => ErrorCode::ConnectionReset,
            12 => ErrorCode::ConnectionAborted,
            13 => ErrorCode::DatagramTooLarge,
            // SAFETY: the last case has an option, and that a string if it is some: UTF-8, allocated by cabi_realloc with the
            // global allocator, as wit-bindgen relies on too.
            _ => ErrorCode::Other(unsafe {
                (case(&letter.is_some) != 0).then(|| {
                    let (start, len) = (letter.start.assume_init(), letter.len.assume_init());
                    String::from_raw_parts(start, len, len)
                })
            }),
        })
    }
}

/// # Safety
/// The host has written the first byte. The others it need not have.
unsafe fn case(case: &MaybeUninit<u32>) -> u8 {
    // SAFETY: as the caller promises.
    unsafe { *case.as_ptr().cast::<u8>() }
}

/// `future<result<_, error-code>>` of wasi:cli.
pub(in crate::sys::p3) enum StdioEnd {}

/// `result<_, error-code>` of wasi:cli.
#[repr(C)]
pub(in crate::sys::p3) struct StdioResult {
    is_err: u8,
    case: MaybeUninit<u8>,
}

impl Readable for StdioEnd {
    type Letter = StdioResult;
    /// The case of the error.
    type Item = Result<(), u8>;
    const FUTURE: bool = true;
    built_ins!(
        StdioResult,
        "wasi:cli/stdin@0.3.2",
        "[async-lower][future-read-1]read-via-stream",
        "[future-cancel-read-1]read-via-stream",
        "[future-drop-readable-1]read-via-stream"
    );
    unsafe fn open(letter: StdioResult) -> Result<(), u8> {
        match letter.is_err {
            0 => Ok(()),
            // SAFETY: an error has a case.
            _ => Err(unsafe { letter.case.assume_init() }),
        }
    }
}

/// The readable end of a stream or future, and memory in which the host puts what comes.
pub(in crate::sys::p3) struct Mailbox<R: Readable> {
    handle: u32,
    /// The host has a pointer to these while a read is under way. No `Box`: when a `Box` moves, no other pointer to its contents may be
    /// used.
    letters: Vec<MaybeUninit<R::Letter>>,
    /// Written by the host and not yet taken.
    filled: Range<usize>,
    under_way: bool,
    /// Nothing more comes. A host may trap on a read then; wasmtime 48 does not.
    over: bool,
    kind: PhantomData<R>,
}

impl<R: Readable> Mailbox<R> {
    /// # Safety
    /// The handle is a readable end of this type, and is used here only.
    pub(super) unsafe fn new(handle: u32, room: usize) -> Self {
        let letters = Vec::from(Box::new_uninit_slice(room));
        Mailbox { handle, letters, filled: 0..0, under_way: false, over: false, kind: PhantomData }
    }

    pub(in crate::sys::p3) fn waitable(&self) -> Waitable {
        self.handle
    }

    pub(in crate::sys::p3) fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// How many have room in it.
    pub(in crate::sys::p3) fn room(&self) -> usize {
        self.letters.len()
    }

    /// Begins to read into the mailbox, which is empty. `None`: the read is under way, and will be an event.
    pub(in crate::sys::p3) fn start(&mut self) -> Option<Moved> {
        assert!(!self.under_way && self.filled.is_empty(), "one read at a time");
        if self.over {
            return Some(Moved { count: 0, ended: true });
        }
        // SAFETY: the letters stay where they are until the read is through, which is when `under_way` is false again.
        let code = unsafe { R::read(self.handle, self.letters.as_mut_ptr().cast(), self.letters.len()) };
        if code == BLOCKED {
            self.under_way = true;
            known::join(self.handle);
            return None;
        }
        Some(self.through(code))
    }

    /// How the read that is under way went, if its event has come.
    pub(in crate::sys::p3) fn try_finish(&mut self) -> Option<Moved> {
        let code = known::take_event(self.handle)?;
        Some(self.through(code))
    }

    fn through(&mut self, code: u32) -> Moved {
        self.under_way = false;
        let mut moved = Moved::new(code);
        if R::FUTURE {
            // One, if it has been read to the end: 0 is that, and neither dropped nor stopped.
            moved.count = usize::from(code == 0);
        }
        self.over = moved.ended || R::FUTURE && moved.count > 0;
        self.filled = 0..moved.count.min(self.letters.len());
        moved
    }

    /// Takes the next of what has come.
    pub(in crate::sys::p3) fn take(&mut self) -> Option<R::Item> {
        let letter = self.letters[self.filled.next()?].as_ptr();
        // SAFETY: the host has written it, and it is taken once: `filled` begins after it now.
        Some(unsafe { R::open(letter.read()) })
    }

    /// Stops the read that is under way, and tells what it has brought.
    pub(in crate::sys::p3) fn stop(&mut self) -> Moved {
        self.try_finish().unwrap_or_else(|| {
            known::leave(self.handle);
            // SAFETY: a read is under way, as the host sees it too, and the handle is in no set.
            let code = unsafe { R::cancel(self.handle) };
            self.through(code)
        })
    }
}

impl<R: Readable> Drop for Mailbox<R> {
    fn drop(&mut self) {
        if self.under_way {
            self.stop();
        }
        while self.take().is_some() {}
        known::forget(self.handle);
        // SAFETY: nothing is under way, and this was the last of the handle.
        unsafe { R::drop(self.handle) }
    }
}

impl Mailbox<Bytes> {
    /// Whether all that has come was taken.
    pub(in crate::sys::p3) fn is_empty(&self) -> bool {
        self.filled.is_empty()
    }

    /// Moves what has come to `buf`, and tells how much that was.
    pub(in crate::sys::p3) fn take_bytes(&mut self, buf: &mut [u8]) -> usize {
        let n = buf.len().min(self.filled.len());
        let taken = self.filled.start..self.filled.start + n;
        self.filled.start += n;
        // SAFETY: the host has written these bytes.
        buf[..n].copy_from_slice(unsafe { self.letters[taken].assume_init_ref() });
        n
    }

    /// Reads straight into `buf`, of at most [`MOST`] bytes, while nothing is under way. A count of 0 that is no end means that nothing
    /// is there.
    pub(in crate::sys::p3) fn read(&mut self, buf: &mut [u8]) -> Moved {
        assert!(!self.under_way && self.filled.is_empty(), "one read at a time");
        if self.over {
            return Moved { count: 0, ended: true };
        }
        // SAFETY: a read that is not through is stopped before `buf` goes back to its owner.
        let mut code = unsafe { Bytes::read(self.handle, buf.as_mut_ptr(), buf.len()) };
        if code == BLOCKED {
            known::leave(self.handle);
            // SAFETY: a read is under way, and the handle is in no set.
            code = unsafe { Bytes::cancel(self.handle) };
        }
        let moved = Moved::new(code);
        self.over = moved.ended;
        moved
    }
}
