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
    crate::run("building the runner", cargo(&["build", "--quiet", "-p", "dormouse-host"]))?;
    step("format of the cookbook", &["fmt", "--all", "--check"])?;
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
        test.env(CACHE_HOME, cache_dir()?).env(variable, format!("{} run {network}", runner()?.display()));
        crate::run(&format!("tokio's and hyper's traits inside a guest of {}", guest.name), test)?;
    }
    Ok(())
}

fn step(what: &str, args: &[&str]) -> Result {
    crate::run(what, command(args))
}

fn command(args: &[&str]) -> Command {
    let mut command = cargo(args);
    command.current_dir(root().join("cookbook")).env_remove("RUST_BACKTRACE");
    if let Ok(runner) = runner() {
        command.env("DORMOUSE", runner);
    }
    command
}

fn runner() -> Result<std::path::PathBuf> {
    Ok(target_dir()?.join("debug/dormouse"))
}
