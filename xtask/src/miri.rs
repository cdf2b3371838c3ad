//! Miri: the unsafe code of the guest crate on an interpreter that knows what is undefined. It needs nightly, and is the
//! only step that does, so a machine that cannot have nightly goes without.

use std::process::Command;

use crate::{Result, root, say, setup, target_dir};

/// Pointers of 32 bits, as wasm's are. Nothing is linked, so no C compiler for it is needed.
pub const TARGET: &str = "i686-unknown-linux-gnu";

pub fn run() -> Result {
    if let Err(why) = setup::miri(TARGET) {
        say(&format!("the Miri step was not run: {why}"));
        return Ok(());
    }
    // Not the tests in the library: natively its unsafe code is the poller's, which calls what Miri does not know.
    test(
        "the unsafe code of the guest crate, under Miri",
        &["--test", "abi", "--test", "abi_p3"],
        "-Zmiri-strict-provenance",
    )?;
    // Not tests/runtime.rs: it is of the system's sockets. A simulation needs none.
    // Trees, because async-task looks at a whole future through a shared reference (4.7.1, src/runnable.rs, `Checked`),
    // which stacks forbid if the future borrows from itself.
    test(
        "tasks and handles in a simulation, under Miri",
        &["--features", "sim", "--test", "handle", "--", "cases::", "programs::"],
        "-Zmiri-strict-provenance -Zmiri-tree-borrows",
    )
}

fn test(what: &str, args: &[&str], flags: &str) -> Result {
    let mut test = Command::new("cargo");
    test.current_dir(root())
        .args(["+nightly", "miri", "test", "--quiet", "-p", "dormouse", "--target", TARGET])
        .args(args)
        .env("CARGO_TARGET_DIR", target_dir()?.join("miri"))
        .env("MIRIFLAGS", flags)
        .env_remove("RUST_BACKTRACE");
    crate::run(what, test)
}
