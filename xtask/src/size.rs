//! Sizes of the examples: what a user downloads.

use std::fs;

use crate::{Result, cargo, setup};

/// The examples, and how many bytes each may have on each of [`setup::GUESTS`]. On wasip2 a hand-written loop with std is
/// 83 KB, wstd's echo 127 KB, tokio's 222 KB, with the same toolchain and profile.
const BUDGETS: [(&str, [u64; 3]); 6] = [
    ("echo", [94_500, 114_000, 125_500]),
    // These are given an address as text, which may be a name: looking names up and racing their addresses is 6 KB.
    ("ticker_echo", [122_500, 147_000, 164_500]),
    ("client", [118_000, 146_000, 167_000]),
    ("stdin_upper", [109_000, 127_000, 139_500]),
    ("sleep", [85_500, 100_500, 105_000]),
    ("synthetic_park", [70_000, 84_000, 88_500]),
];

pub fn run() -> Result {
    setup::targets()?;
    let mut over = Vec::new();
    for (n, guest) in setup::GUESTS.iter().enumerate() {
        let mut build = cargo(&["build", "--quiet", "-p", "dormouse", "--examples", "--release"]);
        build.args(guest.args()?);
        crate::run(&format!("building the examples for {}, release", guest.name), build)?;
        let dir = guest.examples()?;
        println!("{:<16} {:>8} {:>8}", guest.name, "bytes", "budget");
        for (name, budgets) in BUDGETS {
            let path = dir.join(format!("{name}.wasm"));
            let size = fs::metadata(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?.len();
            println!("{name:<16} {size:>8} {:>8}", budgets[n]);
            if size >= budgets[n] {
                over.push(format!("{name} on {}", guest.name));
            }
        }
    }
    if over.is_empty() { Ok(()) } else { Err(format!("over budget: {}", over.join(", "))) }
}
