//! Every chore of the workspace, in Rust: `cargo xtask setup | demo | test | fuzz | deny | mutants | size | cookbook | capi | header | proxy |
//! bench | outside | tokio-tests`.

mod bench;
mod capi;
mod compare;
mod cookbook;
mod demo;
mod deny;
mod fuzz;
mod miri;
mod mutants;
mod outside;
mod proxy;
mod report;
mod setup;
mod size;
mod test;
mod tokio_tests;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup     fetches the wasm targets and what the tests need
  demo      builds an echo server for WASI and shows it at work
  test      runs every check and every test; with --host wasmi: the battery on that host instead, which others wrote
  fuzz      NAME SECONDS: runs a target of fuzz/ or fuzz/host on what earlier runs have found; NAME FILE: on that input alone
  deny      checks the licences and the sources of all dependencies, and the advisories about them
  size      prints the sizes of the example components, and fails if one is over its budget
  cookbook  runs every test of the cookbook, the programs on the libraries that people use; cookbook compare [ROUNDS [WASMTIME]]:
            measures its HTTP server beside tokio's and `wasmtime serve`, with wrk
  capi      runs every test of the C ABI; capi build: puts its library, header and programs into target/c
  header    makes include/dormouse.h of the C ABI's sources
  proxy     passes 1 GiB on through the example proxy and through others, and prints how they compare; or MIB
  bench     measures servers on Dormouse beside those of others, and writes bench/report: [--quick] [--only SCENARIO,…]
            [--peers NAME,…] [--rounds N] [--wasmtime PATH] [--wasi-libc DIR]; bench draw: draws the report again
  outside   CHECKOUT… [--only PREFIX,…] [--wasmtime PATH] [--dormouse PATH]: runs test programs of wasmtime and of
            wasi-testsuite, of which checkouts are given, on our runner and on the `wasmtime` command, and writes
            conformance/OUTSIDE.md; fails if ours is worse
  tokio-tests  CHECKOUT [--only FILE,…] [--on native,p2,p3] [--dormouse PATH]: runs tokio's own tests, of which a checkout is given,
            on what takes the place of tokio, and writes crates/dormouse-tokio/TESTS.md; fails if a result is not as it is there
  mutants   puts the most tempting bugs into a copy of the sources, and fails if the tests do not notice
";

/// What went wrong and what to do about it, in a sentence.
type Result<T = ()> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["setup"] => setup::all(),
        ["demo"] => demo::run(),
        ["test"] => test::run(),
        ["test", "--host", "wasmi"] => test::on_wasmi(),
        ["fuzz", name, how] => fuzz::one(name, how),
        ["deny"] => deny::run(),
        ["size"] => size::run(),
        ["capi"] => capi::run(),
        ["capi", "build"] => capi::build(),
        ["header"] => capi::header(),
        ["cookbook"] => cookbook::run(),
        ["cookbook", "compare", ref args @ ..] if args.len() <= 2 => match args.first().unwrap_or(&"9").parse() {
            Ok(rounds) if rounds > 0 => compare::run(rounds, args.get(1).copied()),
            _ => Err(format!("{} is no number of rounds", args[0])),
        },
        ["proxy"] => proxy::run(None),
        ["proxy", "--loop"] => proxy::std_loop(None),
        ["proxy", "--loop", target] => proxy::std_loop(Some(target)),
        ["proxy", mib] => proxy::run(Some(mib)),
        ["bench", "draw"] => bench::draw(),
        ["bench", ref args @ ..] => bench::run(args),
        ["outside", ref args @ ..] => outside::run(args),
        ["tokio-tests", ref args @ ..] => tokio_tests::run(args),
        ["mutants"] => mutants::run(),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("that is no command of xtask\n\n{USAGE}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Says what is being done, while it is done.
fn say(what: &str) {
    eprintln!("── {what}");
}

/// The workspace's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace")
}

/// Where cargo builds to: three above this program's debug directory.
fn target_dir() -> Result<PathBuf> {
    let this = env::current_exe().map_err(|error| format!("cannot find this program's own path: {error}"))?;
    this.ancestors()
        .nth(2)
        .map(Path::to_owned)
        .ok_or_else(|| format!("{} is not in a target directory", this.display()))
}

/// Names to the runner the directory of a user's caches.
const CACHE_HOME: &str = "XDG_CACHE_HOME";

/// The directory of caches that the tests' runner has: what one test has compiled the others find, and the user's own is left alone.
fn cache_dir() -> Result<PathBuf> {
    Ok(target_dir()?.join("cache"))
}

/// The cargo that runs us, in the workspace.
fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    command
}

/// A step that takes so many seconds says how long it took.
const LONG: u64 = 10;

/// Runs a step to its end.
fn run(what: &str, mut command: Command) -> Result {
    say(what);
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let seconds = start.elapsed().as_secs();
    if seconds >= LONG {
        eprintln!("   {seconds} s: {what}");
    }
    if status.success() { Ok(()) } else { Err(format!("{what}: failed ({status}); its output is above")) }
}
