//! Fuzzing on stable: the flags by which `cargo fuzz`, which has the same layout, instruments for coverage, and no
//! sanitizer, which is what it needs nightly for.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Result, cargo, root, setup, target_dir};

const COVERAGE: &str = "\
    --cfg fuzzing -Cdebug-assertions -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// How many inputs each target gets in the tests: a few seconds.
const RUNS: &str = "-runs=20000";

/// A bounded run of each target, from nothing.
pub fn all() -> Result {
    let dir = root().join("fuzz/fuzz_targets");
    let files = fs::read_dir(&dir).map_err(|error| format!("cannot read {}: {error}", dir.display()))?;
    let mut names: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    names.sort();
    for name in names.iter().filter_map(|path| path.file_stem()?.to_str()) {
        run(name, &format!("fuzzing {name}, 20,000 runs"), &[RUNS, "-seed=1", "-verbosity=0", "-print_funcs=0"])?;
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
    // With a target, even if it is this machine, the flags are not for build scripts and macros.
    let mut command = cargo(&["run", "--quiet", "--release", "--manifest-path", "fuzz/Cargo.toml"]);
    command.args(["--target", "host-tuple", "--bin", name, "--", "-timeout=10"]);
    command.arg(format!("-artifact_prefix={}/", found.display())).args(args);
    command.env("RUSTFLAGS", COVERAGE).env("CARGO_TARGET_DIR", work()?).env_remove("RUST_BACKTRACE");
    crate::run(what, command)
        .map_err(|problem| format!("{problem}; `cargo xtask fuzz {name} FILE` runs what was found again"))
}

/// Everything about fuzzing that is made: builds, inputs worth keeping, inputs that failed.
fn work() -> Result<PathBuf> {
    Ok(target_dir()?.join("fuzz"))
}
