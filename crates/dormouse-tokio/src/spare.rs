//! Reads into room that is not initialised.
//!
//! Dormouse reads into bytes, so room of others would have to be zeroed first: all of it for each read, of which most find little or
//! nothing. So what comes is read into a buffer of ours, and copied. Room that is initialised already is read into as it is.

use std::cell::Cell;
use std::io;
use std::task::Poll;

use upstream::io::ReadBuf;

/// How much is read at a time: hosts of WASI give no more in one call.
const MOST: usize = 64 * 1024;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Calls `read` with room for up to `room` bytes, and passes on what it tells to have read.
fn read<T>(room: usize, read: impl FnOnce(&mut [u8]) -> T, put: impl FnOnce(&T, &[u8])) -> T {
    let room = room.min(MOST);
    // Taken: `read` may be code of others, which reads in this way as well.
    let mut spare = SPARE.take();
    if spare.len() < room {
        spare.resize(room, 0);
    }
    let done = read(&mut spare[..room]);
    put(&done, &spare[..room]);
    SPARE.set(spare);
    done
}

/// The same, for tokio's buffer.
pub(crate) fn fill(
    buf: &mut ReadBuf<'_>,
    read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<usize>> {
    if buf.initialized().len() == buf.capacity() {
        let done = read(buf.initialize_unfilled());
        if let Poll::Ready(Ok(n)) = done {
            buf.advance(n);
        }
        return done;
    }
    self::read(buf.remaining(), read, |done, bytes| {
        if let Poll::Ready(Ok(n)) = done {
            buf.put_slice(&bytes[..*n]);
        }
    })
}

/// The same, for what the crate `bytes` fills; as much as it has room for without growing.
#[cfg(all(feature = "net", feature = "io-util"))]
pub(crate) fn fill_mut<B: bytes::BufMut, T>(
    buf: &mut B,
    read: impl FnOnce(&mut [u8]) -> io::Result<T>,
    len: impl FnOnce(&T) -> usize,
) -> io::Result<T> {
    let room = buf.chunk_mut().len();
    self::read(room, read, |done, bytes| {
        if let Ok(done) = done {
            buf.put_slice(&bytes[..len(done)]);
        }
    })
}
