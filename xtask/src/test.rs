//! The test command: every check and every test, cheapest first.

use crate::{Result, cargo, setup, size};

pub fn run() -> Result {
    setup::target()?;
    setup::tools()?;
    setup::clients()?;
    step("format", &["fmt", "--all", "--check"])?;
    step(
        "lints of the guest crates on wasm32-wasip2",
        &[
            "clippy",
            "--quiet",
            "-p",
            "dormouse",
            "-p",
            "conformance",
            "--all-targets",
            "--target",
            "wasm32-wasip2",
            "--",
            "-D",
            "warnings",
        ],
    )?;
    step(
        "the guest crate's own tests, inside a guest (builds the runner first: some minutes)",
        &["test", "-p", "dormouse", "--target", "wasm32-wasip2"],
    )?;
    step("all tests on this machine, and the battery on every backend", &["test", "--workspace"])?;
    step("lints of everything", &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    step(
        "the documentation",
        &["doc", "--quiet", "--no-deps", "-p", "dormouse", "-p", "dormouse-macros", "-p", "dormouse-host"],
    )?;
    size::run()?;
    println!("everything passes");
    Ok(())
}

fn step(what: &str, args: &[&str]) -> Result {
    let mut command = cargo(args);
    // A warning in the documentation is a broken link: an error.
    command.env("RUSTDOCFLAGS", "-D warnings");
    // With a backtrace for each error, every would-block of the host would cost 30 µs.
    command.env_remove("RUST_BACKTRACE");
    crate::run(what, command)
}
