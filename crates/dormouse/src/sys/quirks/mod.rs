//! What is done because of one host's behaviour, and would not be done if every host did what the specification says. One file a
//! quirk: the host and its versions, the issue, what it does, what is done about it, what that costs, and when it can go.
//!
//! | quirk | host | how it is told that the host has it |
//! |---|---|---|
//! | `budget.rs` | wasmtime up to 48 | [`are_needed`] |
//! | `short_read.rs` | wasmtime up to 49 | [`are_needed`] |
//! | `slow_close.rs` | wasmtime up to 49 | [`are_needed`] |
//! | `lowest_first.rs` | wasmtime with WASI 0.3 | it is not: the cost is too small |
//! | `no_sockets.rs` | wazero | [`are_needed`], and then by a question at the first socket |
//! | `relative_time.rs` | wazero | by its refusal |
//! | `refused_call.rs` | wasi-common | by its refusal |

#[cfg(all(target_env = "p2", not(feature = "p3")))]
pub(super) mod budget;
#[cfg(all(target_env = "p2", not(feature = "p3")))]
pub(super) mod short_read;
#[cfg(all(target_env = "p2", not(feature = "p3")))]
pub(super) mod slow_close;

#[cfg(any(target_env = "p3", all(target_env = "p2", feature = "p3")))]
pub(super) mod lowest_first;
#[cfg(target_env = "p1")]
pub(super) mod no_sockets;
#[cfg(target_env = "p1")]
pub(super) mod refused_call;
#[cfg(target_env = "p1")]
pub(super) mod relative_time;

/// A host whose readiness is exact says so before the program begins (`wasi/facts.rs`). All others are taken for hosts that have the
/// quirks; so on those nothing depends on a guess.
#[cfg(not(any(target_env = "p3", all(target_env = "p2", feature = "p3"))))]
fn are_needed() -> bool {
    use super::wasi::facts;
    !facts::is_told(facts::EXACT)
}
