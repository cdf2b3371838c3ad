//! Nothing but tests: `tests/tokio.rs` and `tests/hyper.rs`.
