//! tokio's own integration tests, on what takes the place of tokio: `crates/dormouse-tokio/TESTS.md`.
//!
//! They come from a checkout of tokio, or from the package as cargo unpacks it. They are copied, changed a little so that WASI builds
//! them (`package.rs`), built and run, and not committed. A panic on WASI ends the program: `run.rs` goes on with the tests after it.
//! Each result is a pass, or `known.rs` has the reason; the command fails if a result is another one.

mod known;
mod package;
mod run;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use self::package::{File, Package};
use crate::{Result, cargo, setup, target_dir};

const WHERE: &str = "\
name a checkout of tokio, or the package as cargo unpacks it:
  git clone --depth 1 --branch tokio-1.54.1 https://github.com/tokio-rs/tokio
  ~/.cargo/registry/src/*/tokio-1.54.1";

/// What the tests run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum On {
    Native,
    P2,
    P3,
}

impl On {
    const ALL: [On; 3] = [On::Native, On::P2, On::P3];

    fn name(self) -> &'static str {
        match self {
            On::Native => "native",
            On::P2 => "p2",
            On::P3 => "p3",
        }
    }
}

/// The tests of one file on one backend: `None` where a test passed, else why not.
type Outcomes = BTreeMap<String, Option<String>>;
/// What came of each file on each backend; the error is that of a file that does not build or does not run.
type Results = BTreeMap<(String, On), Result<Outcomes>>;

#[derive(Default)]
struct Options<'a> {
    checkout: Option<&'a Path>,
    only: Vec<&'a str>,
    on: Vec<On>,
    /// A runner that is built already.
    dormouse: Option<PathBuf>,
    /// How many files run at a time.
    jobs: usize,
}

/// `cargo xtask tokio-tests CHECKOUT [--only FILE,…] [--on native,p2,p3] [--jobs N] [--dormouse PATH]`.
pub fn run(args: &[&str]) -> Result {
    let options = Options::parse(args)?;
    setup::targets()?;
    if options.dormouse.is_none() {
        crate::run("building the runner", cargo(&["build", "--quiet", "-p", "dormouse-host"]))?;
    }
    crate::run("building the command that lays", cargo(&["build", "--quiet", "-p", "cargo-dormouse"]))?;
    let debug = target_dir()?.join("debug");
    let dormouse = options.dormouse.clone().unwrap_or_else(|| debug.join("dormouse"));
    let checkout = options.checkout.ok_or(WHERE)?;
    let package = Package::prepare(checkout, &target_dir()?.join("tokio-tests"))?;
    package.lay(&debug.join("cargo-dormouse"))?;
    let mut results = Results::new();
    for on in options.on.iter().copied() {
        let wanted: Vec<&File> = package.files.iter().filter(|file| options.wants(&file.name)).collect();
        let built = package.build(on, &wanted)?;
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(&mut results);
        thread::scope(|scope| {
            for _ in 0..options.jobs {
                scope.spawn(|| {
                    while let Some(file) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let of_file = match built.get(&file.name) {
                            Some(binary) => run::file(on, &dormouse, binary, file, &package),
                            None => Err("does not build".to_owned()),
                        };
                        println!("{}", table::line(on, &file.name, &of_file));
                        package.record(on, &file.name, &of_file);
                        let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                        outcomes.insert((file.name.clone(), on), of_file);
                    }
                });
            }
        });
    }
    table::write(&package, &results)?;
    verdict(&results)
}

impl<'a> Options<'a> {
    fn parse(args: &[&'a str]) -> Result<Self> {
        let mut options = Options { on: On::ALL.to_vec(), jobs: 2, ..Options::default() };
        let mut args = args.iter().copied();
        while let Some(arg) = args.next() {
            match arg {
                "--only" => options.only = args.next().ok_or("--only names files")?.split(',').collect(),
                "--on" => {
                    let names = args.next().ok_or("--on names native, p2 or p3")?;
                    options.on =
                        On::ALL.into_iter().filter(|on| names.split(',').any(|name| name == on.name())).collect();
                }
                "--jobs" => {
                    let jobs = args.next().and_then(|jobs| jobs.parse().ok());
                    options.jobs = jobs.filter(|jobs| *jobs > 0).ok_or("--jobs is a number of files")?;
                }
                "--dormouse" => options.dormouse = Some(args.next().ok_or("--dormouse names a runner")?.into()),
                _ if arg.starts_with('-') => return Err(format!("{arg} is no option of `cargo xtask tokio-tests`")),
                _ => options.checkout = Some(Path::new(arg)),
            }
        }
        if options.checkout.is_some() { Ok(options) } else { Err(WHERE.to_owned()) }
    }

    fn wants(&self, file: &str) -> bool {
        self.only.is_empty() || self.only.contains(&file)
    }
}

/// Fails if a test does not pass and no reason is listed, and if one is listed and the test passes.
fn verdict(results: &Results) -> Result {
    let mut news = Vec::new();
    for ((file, on), outcomes) in results.iter().filter(|((_, on), _)| *on != On::Native) {
        let on = *on;
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(problem) => {
                news.push(format!("{file} on {}: {problem}", on.name()));
                continue;
            }
        };
        for (test, why) in outcomes {
            match (why, known::find(file, test, on)) {
                (Some(why), None) => news.push(format!("{file}::{test} on {}: {why}", on.name())),
                (None, Some(known)) => {
                    news.push(format!("{file}::{test} on {}: passes, and known.rs has: {}", on.name(), known.reason));
                }
                _ => {}
            }
        }
        for known in known::NOT_A_PASS.iter().filter(|known| known.file == file && known.is_on(on)) {
            for name in known.tests {
                if !outcomes.keys().any(|test| known::matches(name, test)) {
                    news.push(format!("{file}::{name} on {}: is in known.rs, and there is no such test", on.name()));
                }
            }
        }
    }
    if news.is_empty() {
        return Ok(());
    }
    Err(format!("results are not as xtask/src/tokio_tests/known.rs has them:\n{}", news.join("\n")))
}
