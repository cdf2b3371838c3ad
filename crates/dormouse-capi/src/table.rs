//! Handles: serial numbers of the whole process, in 64 bits. None is given out twice, so a handle that is kept too long finds
//! nothing, and so does that of another thread. At a billion a second they last for five hundred years.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::dm_handle;
use crate::error::{Error, Result, STALE};

/// Handles of a thread at a time.
const MOST: usize = 1 << 24;

/// The next handle. Not 0, so that no handle is.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The handles of a thread.
pub(crate) struct Table<T> {
    values: HashMap<dm_handle, T, BuildHasherDefault<Spread>>,
}

impl<T> Table<T> {
    pub(crate) const fn new() -> Self {
        Table { values: HashMap::with_hasher(BuildHasherDefault::new()) }
    }

    pub(crate) fn insert(&mut self, value: T) -> Result<dm_handle> {
        const FULL: Error = Error::Misuse(libc::ENFILE, "there are no more handles");
        if self.values.len() >= MOST {
            return Err(FULL);
        }
        let handle = NEXT.fetch_add(1, Ordering::Relaxed);
        self.values.insert(handle, value);
        Ok(handle)
    }

    pub(crate) fn get(&mut self, handle: dm_handle) -> Result<&mut T> {
        self.values.get_mut(&handle).ok_or(STALE)
    }

    pub(crate) fn remove(&mut self, handle: dm_handle) -> Result<T> {
        self.values.remove(&handle).ok_or(STALE)
    }

    /// In no order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (dm_handle, &mut T)> {
        self.values.iter_mut().map(|(handle, value)| (*handle, value))
    }
}

/// Hashes numbers that follow each other. std's own hasher asks the host for randomness, against keys that a
/// peer chooses; no peer chooses these.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write_u64(&mut self, handle: u64) {
        // Fibonacci hashing: the table looks at the high bits as well as at the low ones.
        let spread = handle.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ spread >> 32;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_that_is_kept_too_long_finds_nothing() {
        let mut table = Table::new();
        let first = table.insert("first").ok().unwrap();
        assert_eq!(table.remove(first).ok(), Some("first"));
        let second = table.insert("second").ok().unwrap();
        assert!(table.get(first).is_err() && table.remove(first).is_err());
        assert_eq!(table.get(second).ok(), Some(&mut "second"));
    }

    #[test]
    fn there_are_more_handles_than_a_million_a_second_use_up() {
        // Where 40 bits end, and more than any process has.
        for used in [1 << 40, 1 << 63] {
            NEXT.store(used + 1, Ordering::Relaxed);
            let mut table = Table::new();
            let handles: Vec<_> = (0..1000).map(|n| table.insert(n).ok().unwrap()).collect();
            assert!(
                handles
                    .iter()
                    .enumerate()
                    .all(|(n, &handle)| handle > used && table.get(handle).is_ok_and(|of| *of == n))
            );
            assert_eq!(table.iter_mut().count(), 1000);
        }
    }

    #[test]
    fn the_handle_of_another_thread_finds_nothing() {
        let mut here = Table::new();
        let own = here.insert(()).ok().unwrap();
        let theirs = std::thread::spawn(|| Table::new().insert(()).ok().unwrap()).join().unwrap();
        assert!(here.get(theirs).is_err());
        assert!(here.get(own).is_ok());
        assert!(here.get(0).is_err() && here.get(u64::MAX).is_err());
    }
}
