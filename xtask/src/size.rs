//! Sizes of the example components: what a user downloads.

use std::fs;

use crate::{Result, cargo, setup, target_dir};

/// The examples, and how many bytes each may have. A hand-written loop with std is 83 KB, wstd's echo 127 KB, tokio's
/// 222 KB, on the same toolchain and with the same profile.
const BUDGETS: [(&str, u64); 5] =
    [("echo", 112_000), ("ticker_echo", 139_000), ("client", 132_000), ("sleep", 99_000), ("synthetic_park", 84_000)];

pub fn run() -> Result {
    setup::target()?;
    let build = cargo(&["build", "--quiet", "-p", "dormouse", "--examples", "--target", "wasm32-wasip2", "--release"]);
    crate::run("building the examples for wasm32-wasip2, release", build)?;
    let dir = target_dir()?.join("wasm32-wasip2/release/examples");
    let mut over = Vec::new();
    println!("{:<16} {:>8} {:>8}", "component", "bytes", "budget");
    for (name, budget) in BUDGETS {
        let path = dir.join(format!("{name}.wasm"));
        let size = fs::metadata(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?.len();
        println!("{name:<16} {size:>8} {budget:>8}");
        if size >= budget {
            over.push(name);
        }
    }
    if over.is_empty() { Ok(()) } else { Err(format!("over budget: {}", over.join(", "))) }
}
