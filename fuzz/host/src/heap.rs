//! The heap of this process, counted: what the host takes on a guest's behalf. Memories of guests are mappings, and not in it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// The largest growth that [`Growth::peak`] has told.
static MOST: AtomicUsize = AtomicUsize::new(0);

/// The bytes that were in use at some time.
pub struct Growth {
    before: usize,
}

impl Growth {
    /// Measures from now on. One measurement at a time.
    pub fn begin() -> Growth {
        let before = USED.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        Growth { before }
    }

    /// The most by which the heap has grown since the beginning.
    pub fn peak(&self) -> usize {
        let peak = PEAK.load(Ordering::Relaxed).saturating_sub(self.before);
        MOST.fetch_max(peak, Ordering::Relaxed);
        peak
    }
}

/// The most that any input has taken so far.
pub fn most() -> usize {
    MOST.load(Ordering::Relaxed)
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn add(bytes: usize) {
    let used = USED.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(used, Ordering::Relaxed);
}

// SAFETY: the system's allocator, with numbers beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Both may exist for a moment.
        add(new_size);
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(old, layout, new_size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}
