//! Dependencies: their licences, their sources, and the advisories about them. `cargo deny` checks every Cargo.lock of this
//! repository by `deny.toml`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Result, root, run as run_step, say, setup};

/// One for each Cargo.lock.
const WORKSPACES: [&str; 7] = [".", "fuzz", "bench", "bench/peers", "cookbook", "cookbook/peers", "cookbook/tokio"];

/// The version that `deny.toml` is written for.
pub const VERSION: &str = "0.20.2";

pub fn run() -> Result {
    let deny = setup::cargo_deny(VERSION)?;
    for workspace in WORKSPACES {
        let what = format!("licences, bans and sources of the dependencies of {workspace}");
        run_step(&what, check(&deny, workspace, &["bans", "licenses", "sources"]))?;
    }
    advisories(&deny)
}

/// Needs the RustSec database, which `cargo deny` fetches with git. A machine that cannot reach it goes without: CI has no network
/// but the package registries.
fn advisories(deny: &Path) -> Result {
    let mut fetch = Command::new(deny);
    fetch.current_dir(root()).args(["--config", "deny.toml", "fetch", "db"]);
    fetch.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !fetch.status().is_ok_and(|status| status.success()) {
        say("advisories were not checked: the RustSec database cannot be fetched from here");
        return Ok(());
    }
    for workspace in WORKSPACES {
        run_step(
            &format!("advisories about the dependencies of {workspace}"),
            check(deny, workspace, &["advisories"]),
        )?;
    }
    Ok(())
}

fn check(deny: &Path, workspace: &str, checks: &[&str]) -> Command {
    let mut command = Command::new(deny);
    command.current_dir(root()).args(["--log-level", "error", "--locked", "--config", "deny.toml", "--manifest-path"]);
    command.arg(Path::new(workspace).join("Cargo.toml")).args(["check", "--hide-inclusion-graph"]).args(checks);
    command
}
