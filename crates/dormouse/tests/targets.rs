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

/// `src/sys/p3/abi/hook.rs` repeats structures of wit-bindgen's `rt/async_support/cabi.rs` that it does not export.
#[test]
fn the_hook_of_wit_bindgen_is_that_of_the_versions_that_were_read() {
    const READ: [&str; 2] = ["0.57.1", "0.63.0"];
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
    let lock = std::fs::read_to_string(lock).expect("the workspace has a lock file");
    let mut lines = lock.lines();
    let mut found = 0;
    while lines.any(|line| line == r#"name = "wit-bindgen""#) {
        let version = lines.next().and_then(|line| line.strip_prefix(r#"version = ""#)?.strip_suffix('"')).unwrap();
        assert!(
            READ.contains(&version),
            "wit-bindgen {version} is new here: compare `wasip3_task` and its vtables in its src/rt/async_support/cabi.rs \
             with src/sys/p3/abi/hook.rs, and add it to READ"
        );
        found += 1;
    }
    assert!(found > 0, "wit-bindgen is in no line of the lock file");
}
