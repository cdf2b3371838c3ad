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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(drained: &Drained, is_believed: bool, n: usize) -> Option<usize> {
        drained.read(10, is_believed, || Ok(n)).ok()
    }

    #[test]
    fn after_a_short_read_the_next_one_does_not_ask_once() {
        let drained = Drained::default();
        let reads = [3, 4, 10, 5, 0, 6].map(|n| read(&drained, true, n));
        assert_eq!(reads, [Some(3), None, Some(10), Some(5), None, Some(6)]);
        assert_eq!(read(&drained, true, 1), None);
        // The end is told each time, and so is what is not believed.
        assert_eq!([0, 0].map(|n| read(&drained, true, n)), [Some(0), Some(0)]);
        assert_eq!([1, 2].map(|n| read(&drained, false, n)), [Some(1), Some(2)]);
    }

    #[test]
    fn a_read_that_fails_tells_nothing() {
        let drained = Drained::default();
        assert!(drained.read(10, true, || Err(io::ErrorKind::Interrupted.into())).is_err());
        assert_eq!(read(&drained, true, 3), Some(3));
    }
}
