//! The boundary: what comes from C is looked at here, and nothing but a number goes back.

use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;

use crate::error::{Error, NULL, Result, STALE};
use crate::state;

/// Runs what gives nothing: 0, or a negative errno.
pub(crate) fn status(body: impl FnOnce() -> Result<()>) -> c_int {
    number(|| body().map(|()| 0))
}

/// Runs what gives a small number.
pub(crate) fn number(body: impl FnOnce() -> Result<c_int>) -> c_int {
    run(body).unwrap_or_else(Error::report)
}

/// Runs what gives a number of bytes.
pub(crate) fn length(body: impl FnOnce() -> Result<usize>) -> i64 {
    match run(body) {
        Ok(length) => length as i64,
        Err(error) => error.report().into(),
    }
}

/// A panic of ours is an error. Under WASI it is the end of the program, as everywhere in Rust there.
fn run<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    if state::is_gone() {
        return Err(STALE);
    }
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(payload) => {
            // It may be of a waker or destructor of others, and panic in turn.
            if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(again);
            }
            Err(Error::PANIC)
        }
    }
}

/// The largest buffer: what a `ptrdiff_t` can count.
const LONGEST: usize = isize::MAX as usize;

fn check_length(len: usize) -> Result<()> {
    if len > LONGEST { Err(Error::Misuse(libc::EINVAL, "no buffer is that long")) } else { Ok(()) }
}

/// Bytes to be read.
///
/// # Safety
/// `buf` is null, or points to `len` bytes that do not change for `'a`.
pub(crate) unsafe fn bytes<'a>(buf: *const u8, len: usize) -> Result<&'a [u8]> {
    check_length(len)?;
    match (buf.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(NULL),
        // SAFETY: it is not null, it is not too long, and the rest the caller promises.
        (false, _) => Ok(unsafe { slice::from_raw_parts(buf, len) }),
    }
}

/// Bytes to be written to.
///
/// # Safety
/// `buf` is null, or points to `len` bytes that are used through this slice only for `'a`.
pub(crate) unsafe fn bytes_mut<'a>(buf: *mut u8, len: usize) -> Result<&'a mut [u8]> {
    check_length(len)?;
    match (buf.is_null(), len) {
        (_, 0) => Ok(&mut []),
        (true, _) => Err(NULL),
        // SAFETY: it is not null, it is not too long, and the rest the caller promises. C may not have written to it before: the
        // bytes are whatever they are, and are only written to.
        (false, _) => Ok(unsafe { slice::from_raw_parts_mut(buf, len) }),
    }
}

/// A text that ends with a 0.
///
/// # Safety
/// `text` is null, or points to such a text, which does not change for `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Result<&'a str> {
    if text.is_null() {
        return Err(NULL);
    }
    // SAFETY: as the caller promises.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| Error::Misuse(libc::EINVAL, "the text is not UTF-8"))
}

/// Writes a text and a 0, as far as there is room, and tells how long it is.
///
/// # Safety
/// `buf` is null, or points to `len` bytes.
pub(crate) unsafe fn put_text(text: &str, buf: *mut c_char, len: usize) -> Result<usize> {
    // SAFETY: as the caller promises.
    let buf = unsafe { bytes_mut(buf.cast(), len) }?;
    if let Some(room) = buf.len().checked_sub(1) {
        let fits = text.len().min(room);
        buf[..fits].copy_from_slice(&text.as_bytes()[..fits]);
        buf[fits] = 0;
    }
    Ok(text.len())
}

/// Where a result goes: not null.
///
/// # Safety
/// `out` is null, or points to memory of a `T`, which need not be one yet.
pub(crate) unsafe fn out<'a, T>(out: *mut T) -> Result<Out<'a, T>> {
    if out.is_null() { Err(NULL) } else { Ok(Out(out, std::marker::PhantomData)) }
}

/// Where a result goes.
pub(crate) struct Out<'a, T>(*mut T, std::marker::PhantomData<&'a mut T>);

impl<T> Out<'_, T> {
    pub(crate) fn put(self, value: T) {
        // SAFETY: `out` has looked that it is not null, and its caller has promised the rest.
        unsafe { self.0.write(value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_whose_payload_panics_is_an_error() {
        struct Payload;
        impl Drop for Payload {
            fn drop(&mut self) {
                std::panic::panic_any(7);
            }
        }
        assert_eq!(status(|| std::panic::panic_any(Payload)), -libc::EIO);
    }

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(status(|| panic!("on purpose")), -libc::EIO);
        let mut text = [1; 64];
        // SAFETY: it has as many bytes.
        let length = unsafe { crate::error::dm_message(text.as_mut_ptr(), text.len()) };
        // SAFETY: it ends with a 0.
        let said = unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().unwrap();
        assert_eq!((said, said.len() as i64), ("the library has panicked: that is a bug of Dormouse's", length));
    }
}
