//! Bell. A program with thousands of quiet sockets gives a poll only the busy ones, and the bell: it rings when another side has become
//! ready that an earlier poll found not ready (`BELL` in `crates/dormouse/FACTS.md`). So a poll costs nothing for those that are quiet.
//!
//! Each side has a watch, beside its state (`socket.rs`):
//!
//! ```text
//!            a poll finds the side not ready              it may have become ready: the bell counts it
//!   none ──────────────────────────────────▶ watched ────────────────────────────────────────────────▶ counted
//!     ▲                                        │  ▲                                                      │
//!     │  a poll tells of the side              │  └───── a poll finds it not ready: counted no more ─────┤
//!     └────────────────────────────────────────┴───── a poll tells of it: counted no more ───────────────┘
//! ```
//!
//! A poll looks at each side of its list, which takes them out of `counted`. So if the bell counts any after that, they are outside of
//! the list. A ring that is told begins a new round and counts from 0: each side rings once, until a poll looks at it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Of a program: how many sides are counted.
#[derive(Default)]
pub(crate) struct Bell {
    /// The program waits for it, or has. Before, nothing is watched.
    used: AtomicBool,
    /// The round in the upper half, and how many have been counted in it.
    counted: AtomicU64,
}

const NONE: u32 = 0;
const WATCHED: u32 = 1;
/// Added to a round, to be the watch of a side that is counted in it.
const COUNTED: u32 = 2;
/// Rounds are numbered below that. A side would have to be counted through all of them for one to be mistaken.
const ROUNDS: u32 = u32::MAX - COUNTED;

fn round(counted: u64) -> u32 {
    (counted >> 32) as u32
}

impl Bell {
    /// The program waits for it. The first time it rings at once: what was ready before has not been counted.
    pub(crate) fn use_it(&self) {
        if !self.used.swap(true, Ordering::SeqCst) {
            self.ring();
        }
    }

    pub(super) fn is_used(&self) -> bool {
        self.used.load(Ordering::SeqCst)
    }

    /// Something has become ready that no mark tells of, as a listener when there may be more sockets again.
    pub(crate) fn ring(&self) {
        if self.is_used() {
            self.counted.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whether it rings: asked after a look at each side in the list.
    pub(crate) fn rings(&self) -> bool {
        self.counted.load(Ordering::SeqCst) as u32 > 0
    }

    /// The same, of a poll that tells of it.
    pub(crate) fn tell(&self) -> bool {
        let next = |counted| (counted as u32 > 0).then(|| u64::from((round(counted) + 1) % ROUNDS) << 32);
        self.counted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).is_ok()
    }

    #[cfg(test)]
    pub(super) fn counted(&self) -> u32 {
        self.counted.load(Ordering::SeqCst) as u32
    }
}

/// Of a side.
#[derive(Default)]
pub(super) struct Watch(AtomicU32);

impl Watch {
    /// A poll looks at the side, and will say if it tells of it.
    pub(super) fn begin(&self, bell: &Bell) {
        if self.0.load(Ordering::SeqCst) != WATCHED {
            self.set(WATCHED, bell);
        }
    }

    /// A poll has told of the side, or it is no more.
    pub(super) fn end(&self, bell: &Bell) {
        if self.is_begun() {
            self.set(NONE, bell);
        }
    }

    /// Whether the last poll that looked at the side has found it not ready.
    pub(super) fn is_begun(&self) -> bool {
        self.0.load(Ordering::SeqCst) != NONE
    }

    fn set(&self, watch: u32, bell: &Bell) {
        let Some(counted_in) = self.0.swap(watch, Ordering::SeqCst).checked_sub(COUNTED) else { return };
        let less = |counted| (round(counted) == counted_in && counted as u32 > 0).then(|| counted - 1);
        let _ = bell.counted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    }

    /// The side may have become ready.
    pub(super) fn ring(&self, bell: &Bell) {
        let now_in = round(bell.counted.load(Ordering::SeqCst));
        let (watched, counted) = (WATCHED, COUNTED + now_in);
        if self.0.load(Ordering::SeqCst) != watched
            || self.0.compare_exchange(watched, counted, Ordering::SeqCst, Ordering::SeqCst).is_err()
        {
            return;
        }
        let counted_in = round(bell.counted.fetch_add(1, Ordering::SeqCst));
        if counted_in != now_in {
            // A ring has been told meanwhile. If a poll has looked at the side since, there is one ring too many.
            let _ = self.0.compare_exchange(counted, COUNTED + counted_in, Ordering::SeqCst, Ordering::SeqCst);
        }
    }
}
