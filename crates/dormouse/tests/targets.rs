//! What Dormouse is not built for.
#![cfg(not(target_family = "wasm"))]

#[path = "../build.rs"]
#[allow(dead_code)]
mod build;

#[test]
fn a_target_with_threads_is_refused_with_a_sentence() {
    let sentence = build::refusal("wasm32-wasip1-threads").unwrap();
    assert!(sentence.starts_with("dormouse has no backend for wasm32-wasip1-threads: "), "{sentence}");
    for supported in ["wasm32-wasip1", "wasm32-wasip2", "wasm32-wasip3", "x86_64-unknown-linux-gnu"] {
        assert_eq!(build::refusal(supported), None, "{supported}");
    }
}
