//! Reads into room that is not initialised.
//!
//! `futures-io` reads into bytes, so room of others would have to be zeroed first: all of it for each read, of which most find
//! little or nothing. Zeroing what hyper has room for at most takes 21 µs. So what comes is read into a buffer of ours, and copied.

use std::cell::Cell;
use std::io;
use std::task::Poll;

/// How much is read at a time: hosts of WASI give no more in one call.
const MOST: usize = 64 * 1024;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Reads up to `room` bytes, and passes them on.
pub(super) fn read(
    room: usize,
    read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
    put: impl FnOnce(&[u8]),
) -> Poll<io::Result<()>> {
    let room = room.min(MOST);
    // Taken: `read` may be code of others, which reads in this way as well.
    let mut spare = SPARE.take();
    if spare.len() < room {
        spare.resize(room, 0);
    }
    let done = read(&mut spare[..room]).map_ok(|n| put(&spare[..room][..n]));
    SPARE.set(spare);
    done
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn what_is_read_is_passed_on_and_the_buffer_is_kept() {
        let got = RefCell::new(Vec::new());
        let mut places = Vec::new();
        for (room, n) in [(8, 8), (8, 3), (8, 0), (4, 4)] {
            got.borrow_mut().clear();
            let polled = read(
                room,
                |buf| {
                    assert_eq!(buf.len(), room);
                    buf[..n].fill(7);
                    places.push(buf.as_ptr());
                    Poll::Ready(Ok(n))
                },
                |bytes| got.borrow_mut().extend_from_slice(bytes),
            );
            assert!(polled.is_ready());
            assert_eq!(*got.borrow(), vec![7; n]);
        }
        assert!(places.iter().all(|place| *place == places[0]));
        // No more than is worth it, and nothing is passed on that has not come.
        let pending = read(
            1 << 20,
            |buf| if buf.len() == MOST { Poll::Pending } else { panic!("too long") },
            |_| panic!("nothing came"),
        );
        assert!(pending.is_pending());
    }

    #[test]
    fn a_read_within_a_read_has_a_buffer_of_its_own() {
        let mut got = Vec::new();
        let outer = read(
            4,
            |buf| {
                buf.fill(1);
                let inner = read(
                    4,
                    |buf| {
                        buf.fill(2);
                        Poll::Ready(Ok(4))
                    },
                    |bytes| assert_eq!(bytes, [2; 4]),
                );
                assert!(inner.is_ready());
                Poll::Ready(Ok(4))
            },
            |bytes| got.extend_from_slice(bytes),
        );
        assert!(outer.is_ready());
        assert_eq!(got, [1; 4]);
    }
}
