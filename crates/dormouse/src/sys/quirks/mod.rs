//! What is done because of one host's behaviour, and would not be done if every host did what the specification says. One file a
//! quirk: the host and its versions, the issue, what it does, what is done about it, what that costs, and when it can go.
//!
//! A host whose readiness is exact says so before the program begins (`wasi/facts.rs`), and then none of p2's is needed. All others are
//! taken for hosts that have them.

#[cfg(all(target_env = "p2", not(feature = "p3")))]
pub(super) mod budget;
#[cfg(all(target_env = "p2", not(feature = "p3")))]
pub(super) mod short_read;
#[cfg(all(target_env = "p2", not(feature = "p3")))]
pub(super) mod slow_close;

#[cfg(all(target_env = "p2", not(feature = "p3")))]
fn are_needed() -> bool {
    use super::wasi::facts;
    !facts::is_told(facts::EXACT)
}
