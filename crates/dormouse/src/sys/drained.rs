//! What a short read tells: there is nothing more for now.

use std::cell::Cell;

thread_local! {
    /// How many waits there have been.
    static TURN: Cell<u32> = const { Cell::new(1) };
}

/// A wait begins: what is known of sockets is old.
pub(in crate::sys) fn next_turn() {
    TURN.set(TURN.get().wrapping_add(1).max(1));
}

/// The turn in which a read of a socket took all there was, or 0. Then the next one in that turn says `WouldBlock`, once, without asking
/// the host. So the reader parks; should more have come meanwhile, the poller says so at once, as it does of whatever *is* ready.
#[derive(Default)]
pub(crate) struct Drained(Cell<u32>);

impl Drained {
    /// Reads, unless there is nothing. A read that takes less than there is `room` for is believed to have taken all.
    #[cfg(not(any(target_env = "p3", all(target_env = "p2", feature = "p3"))))]
    pub(in crate::sys) fn read(
        &self,
        room: usize,
        is_believed: bool,
        read: impl FnOnce() -> std::io::Result<usize>,
    ) -> std::io::Result<usize> {
        if self.is_drained() {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        let n = read()?;
        self.set(is_believed && 0 < n && n < room);
        Ok(n)
    }

    /// True once, after it was set, until there is a wait.
    pub(in crate::sys) fn is_drained(&self) -> bool {
        self.0.take() == TURN.get()
    }

    pub(in crate::sys) fn set(&self, is_drained: bool) {
        self.0.set(if is_drained { TURN.get() } else { 0 });
    }
}

#[cfg(test)]
#[cfg(not(any(target_env = "p3", all(target_env = "p2", feature = "p3"))))]
mod tests {
    use std::io;

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
    fn after_a_wait_it_asks() {
        let drained = Drained::default();
        assert_eq!(read(&drained, true, 3), Some(3));
        next_turn();
        assert_eq!(read(&drained, true, 4), Some(4));
        assert_eq!(read(&drained, true, 5), None);
    }

    #[test]
    fn a_read_that_fails_tells_nothing() {
        let drained = Drained::default();
        assert!(drained.read(10, true, || Err(io::ErrorKind::Interrupted.into())).is_err());
        assert_eq!(read(&drained, true, 3), Some(3));
    }
}
