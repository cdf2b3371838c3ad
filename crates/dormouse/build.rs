//! Refuses a target that the compiler cannot tell from one that is supported: on stable Rust 1.95, `cfg` says the same of
//! wasm32-wasip1-threads as of wasm32-wasip1. All other targets `src/sys/mod.rs` sees to.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(sentence) = env::var("TARGET").ok().and_then(|target| refusal(&target)) {
        println!("cargo::error={sentence}");
    }
}

/// Why there is no Dormouse for a target.
pub fn refusal(target: &str) -> Option<String> {
    target.ends_with("-threads").then(|| {
        format!(
            "dormouse has no backend for {target}: its one thread sleeps in the host, and a wake from another thread could not end that; \
             build for wasm32-wasip1 or wasm32-wasip2"
        )
    })
}
