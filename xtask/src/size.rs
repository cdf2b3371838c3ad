//! Sizes of the examples: what a user downloads.

use std::fs;

use crate::{Result, cargo, setup, target_dir};

/// The examples, and how many bytes each may have on each of [`setup::TARGETS`]. On wasip2 a hand-written loop with std is
/// 83 KB, wstd's echo 127 KB, tokio's 222 KB, with the same toolchain and profile.
const BUDGETS: [(&str, [u64; 2]); 6] = [
    ("echo", [92_500, 112_000]),
    // These are given an address as text, which may be a name: looking names up and racing their addresses is 6 KB.
    ("ticker_echo", [121_000, 145_500]),
    ("client", [116_500, 144_500]),
    ("stdin_upper", [107_500, 125_500]),
    ("sleep", [84_000, 99_000]),
    ("synthetic_park", [69_000, 84_000]),
];

pub fn run() -> Result {
    setup::targets()?;
    let mut over = Vec::new();
    for (n, target) in setup::TARGETS.iter().enumerate() {
        let build = cargo(&["build", "--quiet", "-p", "dormouse", "--examples", "--target", target, "--release"]);
        crate::run(&format!("building the examples for {target}, release"), build)?;
        let dir = target_dir()?.join(target).join("release/examples");
        println!("{target:<16} {:>8} {:>8}", "bytes", "budget");
        for (name, budgets) in BUDGETS {
            let path = dir.join(format!("{name}.wasm"));
            let size = fs::metadata(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?.len();
            println!("{name:<16} {size:>8} {:>8}", budgets[n]);
            if size >= budgets[n] {
                over.push(format!("{name} on {target}"));
            }
        }
    }
    if over.is_empty() { Ok(()) } else { Err(format!("over budget: {}", over.join(", "))) }
}
