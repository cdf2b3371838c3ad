//! What is written: streams of bytes.

use super::{BLOCKED, MOST, Moved, Waitable, known};

mod bytes {
    #[link(wasm_import_module = "wasi:cli/stdin@0.3.2")]
    unsafe extern "C" {
        #[link_name = "[stream-new-0]read-via-stream"]
        pub(super) safe fn new() -> u64;
        #[link_name = "[async-lower][stream-write-0]read-via-stream"]
        pub(super) fn write(handle: u32, from: *const u8, len: usize) -> u32;
        #[link_name = "[stream-cancel-write-0]read-via-stream"]
        pub(super) fn cancel(handle: u32) -> u32;
        #[link_name = "[stream-drop-writable-0]read-via-stream"]
        pub(super) fn drop(handle: u32);
    }
}

/// The writable end of a stream of bytes, and memory from which the host may go on taking.
pub(in crate::sys::p3) struct Outbox {
    handle: u32,
    /// The host has a pointer to this while a write is under way.
    letters: Vec<u8>,
    under_way: bool,
}

impl Outbox {
    /// A stream: the end that is written, and the handle of the other end, which is to be given away.
    pub(super) fn new() -> (Outbox, u32) {
        let ends = bytes::new();
        let (readable, handle) = (ends as u32, (ends >> 32) as u32);
        (Outbox { handle, letters: Vec::new(), under_way: false }, readable)
    }

    pub(in crate::sys::p3) fn waitable(&self) -> Waitable {
        self.handle
    }

    pub(in crate::sys::p3) fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// Writes some of `buf`, while nothing is under way. A count of 0 that is no end means that there is no room.
    pub(in crate::sys::p3) fn write(&mut self, buf: &[u8]) -> Moved {
        assert!(!self.under_way, "one write at a time");
        // SAFETY: a write that is not through is stopped before `buf` goes back to its owner.
        let mut code = unsafe { bytes::write(self.handle, buf.as_ptr(), buf.len().min(MOST)) };
        if code == BLOCKED {
            known::leave(self.handle);
            // SAFETY: a write is under way, and the handle is in no set.
            code = unsafe { bytes::cancel(self.handle) };
        }
        Moved::new(code)
    }

    /// What the next `start` writes.
    pub(in crate::sys::p3) fn letters(&mut self) -> &mut Vec<u8> {
        assert!(!self.under_way, "the host reads from it");
        &mut self.letters
    }

    /// Begins to write the letters. `None`: that is under way, and will be an event. A write of none waits for room.
    pub(in crate::sys::p3) fn start(&mut self) -> Option<Moved> {
        assert!(!self.under_way, "one write at a time");
        // SAFETY: the letters stay where they are until the write is through, which is when `under_way` is false again.
        let code = unsafe { bytes::write(self.handle, self.letters.as_ptr(), self.letters.len().min(MOST)) };
        if code == BLOCKED {
            self.under_way = true;
            known::join(self.handle);
            return None;
        }
        Some(Moved::new(code))
    }

    /// How the write that is under way went, if its event has come.
    pub(in crate::sys::p3) fn try_finish(&mut self) -> Option<Moved> {
        let code = known::take_event(self.handle)?;
        self.under_way = false;
        Some(Moved::new(code))
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        if self.under_way && self.try_finish().is_none() {
            known::leave(self.handle);
            // SAFETY: a write is under way, as the host sees it too, and the handle is in no set.
            unsafe { bytes::cancel(self.handle) };
        }
        known::forget(self.handle);
        // SAFETY: nothing is under way, and this was the last of the handle.
        unsafe { bytes::drop(self.handle) }
    }
}
