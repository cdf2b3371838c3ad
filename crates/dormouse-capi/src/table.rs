//! Handles: a place and a serial number, in 64 bits. The serial numbers are of the whole process and none is given out twice,
//! so a handle that is kept too long finds nothing, and so does that of another thread.
//!
//! ```text
//!   63 … 24          23 … 0
//!   serial number    place
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use crate::dm_handle;
use crate::error::{Error, Result, STALE};

/// Bits of a place: 16 million handles at a time.
const PLACE: u32 = 24;
/// The last serial number: at ten thousand connections a second, three years.
const LAST: u64 = (1 << (u64::BITS - PLACE)) - 1;

/// The serial number of the next handle. Not 0, so that no handle is.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The handles of a thread.
pub(crate) struct Table<T> {
    places: Vec<Place<T>>,
    free: Vec<usize>,
}

struct Place<T> {
    handle: dm_handle,
    value: Option<T>,
}

impl<T> Table<T> {
    pub(crate) const fn new() -> Self {
        Table { places: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn insert(&mut self, value: T) -> Result<dm_handle> {
        const FULL: Error = Error::Misuse(libc::ENFILE, "there are no more handles");
        let at = self.free.last().copied().unwrap_or(self.places.len());
        if at >= 1 << PLACE {
            return Err(FULL);
        }
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        if serial > LAST {
            NEXT.fetch_sub(1, Ordering::Relaxed);
            return Err(FULL);
        }
        let handle = serial << PLACE | at as u64;
        let place = Place { handle, value: Some(value) };
        match self.places.get_mut(at) {
            Some(old) => {
                self.free.pop();
                *old = place;
            }
            None => self.places.push(place),
        }
        Ok(handle)
    }

    pub(crate) fn get(&mut self, handle: dm_handle) -> Result<&mut T> {
        let at = handle & ((1 << PLACE) - 1);
        match self.places.get_mut(at as usize) {
            Some(Place { handle: of, value: Some(value) }) if *of == handle => Ok(value),
            _ => Err(STALE),
        }
    }

    pub(crate) fn remove(&mut self, handle: dm_handle) -> Result<T> {
        self.get(handle)?;
        let at = (handle & ((1 << PLACE) - 1)) as usize;
        let value = self.places.get_mut(at).and_then(|place| place.value.take()).ok_or(STALE)?;
        self.free.push(at);
        Ok(value)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (dm_handle, &mut T)> {
        self.places.iter_mut().filter_map(|place| Some((place.handle, place.value.as_mut()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_that_is_kept_too_long_finds_nothing_in_a_place_that_is_used_again() {
        let mut table = Table::new();
        let first = table.insert("first").ok().unwrap();
        assert_eq!(table.remove(first).ok(), Some("first"));
        let second = table.insert("second").ok().unwrap();
        assert_eq!(first & 0xff_ffff, second & 0xff_ffff, "the same place");
        assert!(table.get(first).is_err() && table.remove(first).is_err());
        assert_eq!(table.get(second).ok(), Some(&mut "second"));
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
