//! Fuzzing on stable: the flags by which `cargo fuzz`, which has the same layout, instruments for coverage, and no
//! sanitizer, which is what it needs nightly for.
//!
//! Targets that embed the runner are in `fuzz/host`, a member of the main workspace, so that wasmtime is built once. There they are
//! programs that make their inputs of a seed, which is what the tests run. For a longer run libFuzzer, as built for the other
//! targets, is linked to them, and the runner's crate alone is built again, instrumented.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, cargo, root, setup, target_dir};

const COVERAGE: &str = "\
    --cfg fuzzing -Cdebug-assertions -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// How many inputs each target gets in the tests: a few seconds.
const RUNS: &str = "-runs=20000";

/// The targets of `fuzz/host`, and how many inputs each gets in the tests: a few seconds.
const HOST: [(&str, &str); 3] = [("components", "300"), ("p1", "1500"), ("sockets", "150")];

/// A bounded run of each target, from nothing.
pub fn all() -> Result {
    let dir = root().join("fuzz/fuzz_targets");
    let files = fs::read_dir(&dir).map_err(|error| format!("cannot read {}: {error}", dir.display()))?;
    let mut names: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    names.sort();
    for name in names.iter().filter_map(|path| path.file_stem()?.to_str()) {
        run(name, &format!("fuzzing {name}, 20,000 runs"), &[RUNS, "-seed=1", "-verbosity=0", "-print_funcs=0"])?;
    }
    for (name, runs) in HOST {
        let mut command = cargo(&["run", "--quiet", "--package", HOST_PACKAGE, "--bin", name, "--", runs, "1"]);
        name_guests(&mut command)?;
        command.env_remove("RUST_BACKTRACE");
        crate::run(&format!("fuzzing {name}, {runs} inputs"), command)?;
    }
    Ok(())
}

/// A longer run, on what earlier ones have found; or one input again, if that is what `how` names.
pub fn one(name: &str, how: &str) -> Result {
    if how.parse::<u32>().is_err() {
        let input = Path::new(how).canonicalize();
        let input = input.map_err(|error| format!("{how} is no number of seconds, and no input: {error}"))?;
        return run(name, &format!("fuzzing {name}, one input"), &[&input.display().to_string()]);
    }
    let corpus = work()?.join("corpus").join(name);
    fs::create_dir_all(&corpus).map_err(|error| format!("cannot create {}: {error}", corpus.display()))?;
    let (time, corpus) = (format!("-max_total_time={how}"), corpus.display().to_string());
    run(name, &format!("fuzzing {name} for {how} s"), &[&time, &corpus])
}

/// Runs a target with arguments of libFuzzer's.
fn run(name: &str, what: &str, args: &[&str]) -> Result {
    setup::cpp()?;
    let found = work()?.join("found").join(name);
    fs::create_dir_all(&found).map_err(|error| format!("cannot create {}: {error}", found.display()))?;
    let mut command = match HOST.iter().any(|(of, _)| *of == name) {
        true => of_host(name)?,
        false => {
            let mut command = instrumented("run")?;
            command.args(["--bin", name]);
            command
        }
    };
    command.args(["--", "-timeout=10"]).arg(format!("-artifact_prefix={}/", found.display())).args(args);
    command.env_remove("RUST_BACKTRACE");
    crate::run(what, command)
        .map_err(|problem| format!("{problem}; `cargo xtask fuzz {name} FILE` runs what was found again"))
}

/// A command of cargo's on the workspace `fuzz`.
fn instrumented(command: &str) -> Result<Command> {
    let mut cargo = cargo(&[command, "--quiet", "--release", "--manifest-path", "fuzz/Cargo.toml"]);
    // With a target, even if it is this machine, the flags are not for build scripts and macros.
    cargo.args(["--target", "host-tuple"]).env("RUSTFLAGS", COVERAGE).env("CARGO_TARGET_DIR", work()?);
    Ok(cargo)
}

const HOST_PACKAGE: &str = "dormouse-host-fuzz";

/// Builds and runs a target of `fuzz/host` with libFuzzer. The flags are for one crate, so a wrapper of rustc's adds them; cargo
/// calls it for members of the workspace only, and keeps what it makes beside what is made without.
fn of_host(name: &str) -> Result<Command> {
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in\n*\" --crate-name dormouse_host \"*) exec \"$@\" {COVERAGE} ;;\nesac\nexec \"$@\"\n"
    );
    // Cargo knows the wrapper by its path: other flags are another.
    let mut hasher = DefaultHasher::new();
    script.hash(&mut hasher);
    let wrapper = work()?.join(format!("rustc-{:016x}", hasher.finish()));
    fs::write(&wrapper, script)
        .and_then(|()| fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)))
        .map_err(|error| format!("cannot write {}: {error}", wrapper.display()))?;
    let mut command = cargo(&["run", "--package", HOST_PACKAGE, "--features", "libfuzzer", "--bin", name]);
    command.env("RUSTC_WORKSPACE_WRAPPER", wrapper).env("LIBFUZZER", libfuzzer()?);
    name_guests(&mut command)?;
    Ok(command)
}

/// Builds what the targets `components` and `sockets` run, and tells them where it is.
fn name_guests(command: &mut Command) -> Result {
    const TARGET: &str = "wasm32-wasip2";
    let build = cargo(&["build", "--quiet", "--release", "--package", "dormouse-fuzz-guest", "--target", TARGET]);
    crate::run("building the guest of the fuzz targets", build)?;
    let built = target_dir()?.join(TARGET).join("release");
    command.env("GUEST", built.join("fuzz-guest.wasm")).env("GUEST_SOCKETS", built.join("fuzz-sockets.wasm"));
    Ok(())
}

/// Builds libFuzzer as the other targets have it, unless it is there; its path.
fn libfuzzer() -> Result<PathBuf> {
    let mut build = instrumented("build")?;
    build.args(["--package", "libfuzzer-sys", "--message-format", "json"]);
    let built = build.output().map_err(|error| format!("cannot start cargo: {error}"))?;
    let said = String::from_utf8_lossy(&built.stdout);
    // One line for what its build script has made.
    let line = said.lines().find(|line| line.contains("\"build-script-executed\"") && line.contains("libfuzzer-sys"));
    let dir = line.and_then(|line| line.split("\"out_dir\":\"").nth(1)?.split('"').next());
    match dir {
        Some(dir) if built.status.success() => Ok(Path::new(dir).join("libfuzzer.a")),
        _ => Err(format!("libFuzzer cannot be built: {}", String::from_utf8_lossy(&built.stderr))),
    }
}

/// Everything about fuzzing that is made: builds, inputs worth keeping, inputs that failed.
fn work() -> Result<PathBuf> {
    Ok(target_dir()?.join("fuzz"))
}
