//! The test command: every check and every test.

use std::process::Command;

use crate::{
    CACHE_HOME, Result, bench, cache_dir, capi, cargo, cookbook, deny, fuzz, miri, mutants, proxy, report, setup, size,
};

const OF_TOKIO: &str = "io-std,io-util,macros,net,process,rt,signal,sync,test-util,time";

pub fn run() -> Result {
    setup::targets()?;
    setup::tools()?;
    setup::clients()?;
    setup::go()?;
    setup::go_current()?;
    step("format", "fmt --all --check")?;
    step("format of the fuzz targets", "fmt --manifest-path fuzz/Cargo.toml --check")?;
    step("format of the benchmark", "fmt --manifest-path bench/Cargo.toml --all --check")?;
    step("and of those it compares with", "fmt --manifest-path bench/peers/Cargo.toml --all --check")?;
    deny::run()?;
    step("building everything (wasmtime is in it: some minutes the first time)", "test --workspace --no-run")?;
    step(
        "the guest crate's own tests, inside a wasip2 guest",
        "test -p dormouse --features hyper,tokio-io,tokio-rt --target wasm32-wasip2",
    )?;
    guest_step("and inside a guest of WASI 0.3", "test -p dormouse --lib --tests", &setup::GUESTS[2])?;
    // Not its examples in the docs, which bind: wasip1 has no call for that.
    step("and inside a wasip1 guest", "test -p dormouse --target wasm32-wasip1 --lib --tests")?;
    step("and natively, without a simulated host", "test -p dormouse --features hyper,tokio-io,tokio-rt")?;
    report::clear()?;
    step("all tests on this machine, and the battery on every backend", "test --workspace")?;
    report::write()?;
    mutants::run()?;
    miri::run()?;
    fuzz::all()?;
    for guest in &setup::GUESTS {
        let what = format!("lints of the guest crates on {}", guest.name);
        let mut lints = command("clippy --quiet -p dormouse -p dormouse-capi -p conformance --all-targets");
        lints.args(guest.args()?).args(["--", "-D", "warnings"]);
        crate::run(&what, lints)?;
    }
    // What stands in tokio's place is nothing natively. Files and threads are tokio's, which crates.io's refuses on WASI.
    for (target, features) in [("wasm32-wasip1", OF_TOKIO), ("wasm32-wasip2", OF_TOKIO), ("wasm32-wasip2", "net")] {
        let mut lints = command("clippy --quiet -p dormouse-tokio --all-targets --features");
        lints.args([features, "--target", target, "--", "-D", "warnings"]);
        crate::run(&format!("lints of what stands in tokio's place, for {target} ({features})"), lints)?;
    }
    step("lints of everything", "clippy --quiet --workspace --all-targets -- -D warnings")?;
    step(
        "the documentation",
        "doc --quiet --no-deps -p dormouse -p dormouse-macros -p dormouse-host -p dormouse-goroot -p dormouse-capi --features dormouse/sim,dormouse/hyper,dormouse/tokio-io,dormouse/tokio-rt",
    )?;
    size::run()?;
    capi::run()?;
    cookbook::run()?;
    proxy::smoke()?;
    bench::lint()?;
    bench::smoke()?;
    println!("everything passes");
    Ok(())
}

/// The battery and the examples on a host that we did not write.
pub fn on_wasmi() -> Result {
    setup::targets()?;
    setup::clients()?;
    let wasmi = setup::wasmi()?;
    report::clear()?;
    let mut command = command("test --package conformance --features wasmi -- cases::wasmi clients");
    command.env("WASMI", wasmi);
    crate::run("the battery on wasmi, and the examples", command)?;
    report::write_of_wasmi()?;
    println!("everything passes on wasmi");
    Ok(())
}

fn step(what: &str, args: &str) -> Result {
    crate::run(what, command(args))
}

fn guest_step(what: &str, args: &str, guest: &setup::Guest) -> Result {
    let mut command = command(args);
    command.args(guest.args()?).env(CACHE_HOME, cache_dir()?);
    crate::run(what, command)
}

fn command(args: &str) -> Command {
    let args: Vec<&str> = args.split_whitespace().collect();
    let mut command = cargo(&args);
    if args[0] == "doc" {
        // A warning there is a broken link.
        command.env("RUSTDOCFLAGS", "-D warnings");
    }
    if args.contains(&"--target")
        && let Ok(dir) = cache_dir()
    {
        // Of the runner, in which a guest's tests run.
        command.env(CACHE_HOME, dir);
    }
    // With a backtrace for each error, every would-block of the host would cost 30 µs.
    command.env_remove("RUST_BACKTRACE");
    command
}
