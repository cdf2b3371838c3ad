//! Sizes of the examples: what a user downloads. What a program does not use is not linked, and this is the guard.

use std::fs;

use crate::{Result, capi, cargo, root, setup};

/// The examples, and how many bytes each had on each of [`setup::GUESTS`] when it was last measured. On wasip2 a loop by hand with
/// std is 83 KB, wstd's echo 127 KB, tokio's 222 KB, with the same toolchain and profile.
const FIGURES: [(&str, [u64; 3]); 9] = [
    ("hello", [40_391, 53_943, 53_943]),
    ("one_future", [58_094, 73_252, 76_166]),
    ("sleep_only", [62_603, 77_940, 80_849]),
    ("synthetic_park", [71_504, 87_333, 90_248]),
    ("echo", [99_080, 119_395, 129_617]),
    ("stdin_upper", [112_781, 132_854, 143_324]),
    // These are given an address as text, which may be a name: looking names up and racing their addresses is 6 KB.
    ("ticker_echo", [129_796, 155_571, 171_372]),
    ("client", [124_199, 155_303, 174_680]),
    ("everything", [168_110, 233_304, 254_375]),
];

/// The example of the C ABI that is `ticker_echo` in C, by Debian 12's clang and wasi-libc.
const IN_C: (&str, [u64; 3]) = ("echo_ticker.c", [143_463, 165_417, 175_935]);

/// By how many hundredths one may grow.
const MORE: u64 = 2;
/// And one in C: compilers and wasi-libc differ.
const MORE_IN_C: u64 = 10;

pub fn run() -> Result {
    setup::targets()?;
    let mut over = Vec::new();
    let mut smaller = false;
    for (n, guest) in setup::GUESTS.iter().enumerate() {
        let mut build = cargo(&["build", "--quiet", "-p", "dormouse", "--examples", "--release"]);
        build.args(guest.args()?);
        crate::run(&format!("building the examples for {}, release", guest.name), build)?;
        let dir = guest.examples()?;
        println!("{:<16} {:>8} {:>8}", guest.name, "bytes", "before");
        for (name, figures) in FIGURES {
            let path = dir.join(format!("{name}.wasm"));
            let size = fs::metadata(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?.len();
            println!("{name:<16} {size:>8} {:>8}", figures[n]);
            if size * 100 > figures[n] * (100 + MORE) {
                over.push(format!("{name} on {}", guest.name));
            }
            smaller |= size * (100 + MORE) < figures[n] * 100;
        }
    }
    if let Some(dir) = capi::echo()? {
        println!("{:<16} {:>8} {:>8}", IN_C.0, "bytes", "before");
        for (guest, before) in setup::GUESTS.iter().zip(IN_C.1) {
            let path = dir.join(guest.name).join("bin/echo_ticker.wasm");
            let size = fs::metadata(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?.len();
            println!("{:<16} {size:>8} {before:>8}", guest.name);
            if size * 100 > before * (100 + MORE_IN_C) {
                over.push(format!("{} on {}", IN_C.0, guest.name));
            }
        }
    }
    if !over.is_empty() {
        return Err(format!(
            "more than {MORE} % larger than it was: {}. If it is worth it, put the new figures into xtask/src/size.rs",
            over.join(", ")
        ));
    }
    if smaller {
        println!("some are more than {MORE} % smaller: put the new figures into xtask/src/size.rs");
    }
    in_readme()
}

/// The README has the figures, in KB.
fn in_readme() -> Result {
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let row = |(name, sizes): &(&str, [u64; 3])| {
        let [p1, p2, p3] = sizes.map(|bytes| (bytes + 500) / 1000);
        format!("| `{name}` | {p1} | {p2} | {p3} |")
    };
    let rows = FIGURES.iter().chain([&IN_C]).map(row).collect::<Vec<_>>().join("\n");
    if readme.contains(&rows) {
        return Ok(());
    }
    Err(format!("the table of sizes in README.md is not that of xtask/src/size.rs, which is\n{rows}"))
}
