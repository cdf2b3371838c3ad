//! What a short read tells: there is nothing more for now.

use std::cell::Cell;
use std::io;

/// Whether the last read of a socket took all there was. Then the next one says `WouldBlock`, once, and the host is not asked for the
/// same. Whoever reads parks; should more have come meanwhile, the poller says so at once, as it does of whatever *is* ready.
#[derive(Default)]
pub(crate) struct Drained(Cell<bool>);

impl Drained {
    /// Reads, unless there is nothing. A read that takes less than there is `room` for is believed to have taken all.
    pub(in crate::sys) fn read(
        &self,
        room: usize,
        is_believed: bool,
        read: impl FnOnce() -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.0.take() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = read()?;
        self.0.set(is_believed && 0 < n && n < room);
        Ok(n)
    }
}
