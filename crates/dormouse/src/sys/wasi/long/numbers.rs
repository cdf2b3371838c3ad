//! What long lists go by: places in the list, counts of entries, and times in nanoseconds. Those that depend on each other are tied below.

/// Where the clock of the next review is in the list.
pub(in crate::sys) const REVIEW: usize = 0;
/// Where the clock of the earliest timer is.
pub(in crate::sys) const CLOCK: usize = 1;
/// Where the sockets begin.
pub(in crate::sys) const SOCKETS: usize = 2;

/// From so many armed sides on, a list is long, and there are reviews.
pub(in crate::sys) const LONG: usize = 128;

/// What a host may take to look at an entry: rather too much than too little. wasmtime 48 takes half a microsecond.
pub(in crate::sys) const EACH: u64 = 500;
/// The shortest time from one review to the next.
pub(in crate::sys) const SHORTEST: u64 = 1_000_000;
/// Where there is a bell: after so many looks in vain at busy entries those that are idle are marked as quiet, or after as many as there are
/// entries in the list, if that is more. So keeping a busy entry costs no more than the review that finds it again.
pub(in crate::sys) const IN_VAIN: usize = (SHORTEST / EACH) as usize;
/// Reviews take one part in this many of the time, at the most.
pub(in crate::sys) const SHARE: u64 = 10;

/// A poll that reports so many sides begins to take the busy ones in parts.
pub(in crate::sys) const MANY: usize = 64;
/// A part that reports fewer than that is the last.
pub(in crate::sys) const FEW: usize = 16;
/// So many are in a part at the most.
pub(in crate::sys) const PART: usize = 96;

// The two clocks come first.
const _: () = assert!(REVIEW < CLOCK && CLOCK < SOCKETS);
// A review of a list that is just long fits into its share of the shortest period.
const _: () = assert!(SHARE * EACH * LONG as u64 <= SHORTEST);
// What begins with one poll does not end with the next: a part can report MANY, and FEW is well below.
const _: () = assert!(2 * FEW <= MANY && MANY <= PART);
// A list that has a second part is long.
const _: () = assert!(PART < LONG);
