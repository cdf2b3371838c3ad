//! The benchmark: builds the servers of `bench/`, ours and those of others, and has `bench/load` measure them and draw the report.
//!
//! What is built is in directories of its own, `target/bench`. The others' programs are in a workspace of their own too, so that
//! a test does not need their dependencies.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::{CACHE_HOME, Result, cache_dir, cargo, root, say, setup, target_dir};

/// As built for speed, and as built for size.
const PROFILES: [&str; 2] = ["release", "small"];

/// For servers of which nothing is measured: no optimisation at the end, over all crates at once.
const HASTILY: [(&str, &str); 2] =
    [("CARGO_PROFILE_RELEASE_LTO", "off"), ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")];

/// Where Debian's wasi-libc has the libraries for wasip2.
const WASI_LIBC: &str = "/usr/lib/wasm32-wasip2";

/// `cargo xtask bench`.
pub fn run(args: &[&str]) -> Result {
    let (mut wasmtime, mut libc) = (None, None);
    let (mut is_quick, mut is_partial) = (false, false);
    let mut rest = Vec::new();
    let mut args = args.iter();
    while let Some(&arg) = args.next() {
        if arg == "--quick" {
            is_quick = true;
            continue;
        }
        let value = *args.next().ok_or(format!("{arg} needs a value"))?;
        match arg {
            "--wasmtime" => wasmtime = Some(PathBuf::from(value)),
            "--wasi-libc" => libc = Some(PathBuf::from(value)),
            "--only" | "--peers" | "--rounds" | "--seconds" => rest.extend([arg, value]),
            _ => return Err(format!("{arg} is no option of bench")),
        }
        is_partial |= arg == "--peers";
    }
    if is_quick {
        return quick(&rest);
    }
    ours(&PROFILES, &[])?;
    let build = cargo(&["build", "--quiet", "-p", "dormouse-host", "--profile", "runner"]);
    crate::run("building the runner as one installs it (some minutes the first time)", build)?;
    others(libc.as_deref())?;
    // What is of some servers only is no report.
    let report = if is_partial { built()?.join("report") } else { root().join("bench/report") };
    let mut command = load(&rest, "runner")?;
    command.arg("--report").arg(&report);
    match wasmtime.or_else(stock) {
        Some(wasmtime) => drop(command.arg("--wasmtime").arg(wasmtime)),
        None => say("there is no `wasmtime` command (or name it with --wasmtime): our runner only"),
    }
    crate::run("measuring", command)?;
    println!("the report is {}", report.join("README.md").display());
    Ok(())
}

/// Tests that all of it works, on our servers alone. It asserts only that what comes back is what was sent.
pub fn smoke() -> Result {
    quick(&["--peers", "dormouse"])
}

/// Runs the lints of the load; the others' servers need what others have written.
pub fn lint() -> Result {
    let mut command =
        cargo(&["clippy", "--quiet", "--manifest-path", "bench/Cargo.toml", "--all-targets", "--target-dir"]);
    command.arg(built()?).args(["--", "-D", "warnings"]);
    crate::run("lints of the benchmark", command)
}

fn quick(rest: &[&str]) -> Result {
    ours(&PROFILES[..1], &HASTILY)?;
    crate::run("building the runner", cargo(&["build", "--quiet", "-p", "dormouse-host"]))?;
    let mut command = load(rest, "debug")?;
    command.arg("--quick");
    crate::run("the benchmark, in short", command)
}

/// Draws the report again.
pub fn draw() -> Result {
    build("bench", "building the load", &["-p", "bench-load", "--release"], &built()?)?;
    let mut command = Command::new(built()?.join("release/bench-load"));
    command.arg("draw").arg("--report").arg(root().join("bench/report"));
    crate::run("drawing the report", command)
}

/// The load, with the runner of a profile.
fn load(rest: &[&str], profile: &str) -> Result<Command> {
    let mut command = Command::new(built()?.join("release/bench-load"));
    command
        .arg("run")
        .arg("--programs")
        .arg(built()?)
        .arg("--dormouse")
        .arg(target_dir()?.join(profile).join("dormouse"));
    command.args(rest).current_dir(root()).env(CACHE_HOME, cache_dir()?);
    Ok(command)
}

// ---- what is measured ----

/// With these variables for cargo.
fn ours(profiles: &[&str], how: &[(&str, &str)]) -> Result {
    setup::targets()?;
    let mut native = command("bench", &["--release"], &built()?);
    native.envs(how.iter().copied());
    crate::run("building the load and the native servers", native)?;
    for guest in setup::GUESTS {
        for profile in profiles {
            let mut args = vec!["-p", "bench-ours", "--profile", profile, "--target", guest.target];
            let mut build = command("bench", &[], &built()?);
            if let Some(features) = guest.features {
                args.extend(["--features", features]);
                build = command("bench", &[], &built()?.join(features));
                build.env("CARGO_BUILD_BUILD_DIR", built()?);
            }
            build.args(&args).envs(how.iter().copied());
            crate::run(&format!("building our servers for {}, {profile}", guest.name), build)?;
        }
    }
    Ok(())
}

/// Programs are named, since each is for its targets alone.
fn others(libc: Option<&Path>) -> Result {
    let dir = built()?;
    let peers = |what: &str, profile: &str, target: &[&str], names: &[&str]| {
        let names = names.iter().flat_map(|name| ["--bin", name]);
        let args: Vec<&str> = ["--profile", profile].into_iter().chain(target.iter().copied()).chain(names).collect();
        build("bench/peers", &format!("building {what}, {profile}"), &args, &dir)
    };
    peers(
        "tokio's and the loop by hand, natively",
        PROFILES[0],
        &[],
        &["tokio-echo", "tokio-more", "hand-native-echo"],
    )?;
    let libc = libc.or(Some(Path::new(WASI_LIBC))).filter(|libc| libc.join("libc.a").is_file());
    for profile in PROFILES {
        peers("the loop by hand for wasip1", profile, &["--target", "wasm32-wasip1"], &["hand-p1-echo"])?;
        let others = ["hand-p2-echo", "hand-p3-echo", "wstd-echo", "wstd-more", "wasip3-echo", "wasip3-more"];
        peers(
            "the loops by hand for wasip2 and WASI 0.3, wstd's and wasip3's",
            profile,
            &["--target", "wasm32-wasip2"],
            &others,
        )?;
        let Some(libc) = libc else { continue };
        let args = ["-p", "bench-tokio", "--profile", profile, "--target", "wasm32-wasip2"];
        let mut command = command("bench/peers", &args, &dir.join("tokio"));
        command.env("RUSTFLAGS", linked_with(libc));
        crate::run(&format!("building tokio's for wasip2, {profile}"), command)?;
    }
    laid(&dir.join("laid"))?;
    if libc.is_none() {
        say(&format!(
            "tokio is left out on wasip2: it needs a wasi-libc of 2026-04 or later, since its first accept fails with that of Rust 1.95. \
             Debian's package wasi-libc of forky has one ({WASI_LIBC}); or name its directory with --wasi-libc"
        ));
    }
    Ok(())
}

/// Builds the servers on tokio with Dormouse in its place, as a user does: in a copy, whose Cargo.lock may change.
fn laid(dir: &Path) -> Result {
    crate::run(
        "building the command that lays Dormouse in tokio's place",
        cargo(&["build", "--quiet", "-p", "cargo-dormouse"]),
    )?;
    let program = dir.join("program");
    for file in ["Cargo.toml", "src/bin/tokio-echo.rs", "src/bin/tokio-more.rs"] {
        copy(&root().join("bench/peers/tokio").join(file), &program.join("tokio").join(file))?;
    }
    copy(&root().join("bench/peers/Cargo.lock"), &program.join("Cargo.lock"))?;
    let manifest = root().join("bench/peers/Cargo.toml");
    let manifest = fs::read_to_string(&manifest).map_err(|error| format!("read {}: {error}", manifest.display()))?;
    let manifest = manifest.replace(r#"members = ["hand", "tokio", "wasip3", "wstd"]"#, r#"members = ["tokio"]"#);
    let to = program.join("Cargo.toml");
    fs::write(&to, manifest).map_err(|error| format!("write {}: {error}", to.display()))?;
    let mut lay = Command::new(target_dir()?.join("debug/cargo-dormouse"));
    lay.args(["dormouse", "tokio", "--manifest-path"]).arg(&to).stdout(Stdio::null());
    crate::run("laying Dormouse in tokio's place", lay)?;
    for profile in PROFILES {
        for (features, target_dir) in [(None, dir.to_owned()), (Some("tokio/p3"), dir.join("p3"))] {
            let mut command =
                cargo(&["build", "--quiet", "-p", "bench-tokio", "--target", "wasm32-wasip2", "--profile", profile]);
            command
                .args(features.iter().flat_map(|features| ["--features", features]))
                .arg("--target-dir")
                .arg(target_dir);
            command.args(["--config", r#"patch.crates-io.tokio.path="dormouse-tokio/tokio""#]).current_dir(&program);
            crate::run(&format!("building tokio's with Dormouse in its place, {profile}"), command)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result {
    let made = to.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::copy(from, to))
        .map(drop)
        .map_err(|error| format!("copy {} to {}: {error}", from.display(), to.display()))
}

/// With another libc than rustc's own. The flag `tokio_unstable` is what tokio wants for sockets on WASI.
fn linked_with(libc: &Path) -> String {
    let libc = libc.display();
    format!("--cfg tokio_unstable -Clink-self-contained=no -Lnative={libc} -Clink-arg={libc}/crt1-command.o")
}

fn build(workspace: &str, what: &str, args: &[&str], target_dir: &Path) -> Result {
    crate::run(what, command(workspace, args, target_dir))
}

fn command(workspace: &str, args: &[&str], target_dir: &Path) -> Command {
    let mut command = cargo(&["build", "--quiet", "--manifest-path"]);
    command.arg(root().join(workspace).join("Cargo.toml")).args(args).arg("--target-dir").arg(target_dir);
    command
}

fn built() -> Result<PathBuf> {
    Ok(target_dir()?.join("bench"))
}

/// The `wasmtime` command on the path.
fn stock() -> Option<PathBuf> {
    let found = env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join("wasmtime")).find(|path| path.is_file())?;
    let mut command = Command::new(&found);
    let quiet = command.arg("-V").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success()).then_some(found)
}
