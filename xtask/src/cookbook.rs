//! The cookbook: its programs on every backend, with the clients and servers that people have.
//!
//! A workspace of its own. What it builds is under `target/cookbook`, where its own `.cargo/config.toml` says.

use std::process::Command;

use crate::{CACHE_HOME, Result, cache_dir, cargo, root, setup, target_dir};

/// The package whose tests run inside guests as well.
const TRAITS: &str = "cookbook-traits";

/// Every test of the cookbook.
pub fn run() -> Result {
    setup::targets()?;
    setup::cookbook()?;
    crate::run("building the runner", cargo(&["build", "--quiet", "-p", "dormouse-host", "-p", "cargo-dormouse"]))?;
    step("format of the cookbook", &["fmt", "--all", "--check"])?;
    of_tokio("format of the programs for tokio", &["fmt", "--all", "--check"])?;
    of_tokio(
        "lints of the programs for tokio",
        &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"],
    )?;
    step("lints of the cookbook", &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    step(
        "the cookbook's programs on every backend, with real clients and servers",
        &["test", "--release", "--workspace"],
    )?;
    for guest in &setup::GUESTS {
        let mut test = command(&["test", "--release", "-p", TRAITS, "--target", guest.target]);
        if let Some(features) = guest.features {
            let dir = target_dir()?.join("cookbook");
            test.args(["--features", features]).args(setup::apart(&dir, &dir.join(features)));
        }
        // The workspace's own runner is a package that this workspace does not have.
        let variable = format!("CARGO_TARGET_{}_RUNNER", guest.target.to_uppercase().replace('-', "_"));
        let network = if guest.name == "wasip1" { "--listen 127.0.0.1:0" } else { "--allow-net --allow-dns" };
        test.env(CACHE_HOME, cache_dir()?)
            .env(variable, format!("{} run {network}", target_dir()?.join("debug/dormouse").display()));
        crate::run(&format!("tokio's and hyper's traits inside a guest of {}", guest.name), test)?;
    }
    Ok(())
}

fn step(what: &str, args: &[&str]) -> Result {
    crate::run(what, command(args))
}

/// In the workspace of the programs that are written for tokio, which are tokio's there.
fn of_tokio(what: &str, args: &[&str]) -> Result {
    let mut command = command(args);
    command.current_dir(root().join("cookbook/tokio"));
    crate::run(what, command)
}

fn command(args: &[&str]) -> Command {
    let mut command = cargo(args);
    command.current_dir(root().join("cookbook")).env_remove("RUST_BACKTRACE");
    // What they do is tested, and not how fast: so they are built in half of the time. The builds of the tests inherit it.
    command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_PROFILE_RELEASE_LTO", "off");
    if let Ok(dir) = target_dir() {
        command.env("DORMOUSE", dir.join("debug/dormouse")).env("CARGO_DORMOUSE", dir.join("debug/cargo-dormouse"));
    }
    command
}
