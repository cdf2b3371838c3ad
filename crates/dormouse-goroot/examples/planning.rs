//! Measures how long planning takes: `cargo run --release -p dormouse-goroot --example planning GOROOT [OVERLAY]`.
//!
//! By default the overlay is the Go tree itself, and its table merges every directory. So all files of Go are read and decided on,
//! which is more than any overlay has. OVERLAY names another overlay, which gets TinyGo's table.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dormouse_goroot::{Error, Listing, Overrides, Plan, Target};

const RUNS: usize = 20;

fn main() -> Result<(), Error> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let Some(goroot) = args.next() else { panic!("usage: planning GOROOT [OVERLAY]") };
    let (overlay, table) = match args.next() {
        Some(overlay) => (overlay, Overrides::tinygo()),
        None => (goroot.clone(), merge_all(&goroot)?),
    };
    let target = Target::tinygo("wasip2", 23).expect("it is built in");
    let mut runs: Vec<[Duration; 5]> =
        (0..RUNS).map(|_| run(&goroot, &overlay, &table, &target)).collect::<Result<_, _>>()?;
    runs.sort_by_key(|steps| steps[4]);
    let plan = Plan::read(&goroot, &overlay, &table, &target)?;
    println!("{} decisions, {} links, in ms of {RUNS} runs:", plan.decisions().count(), plan.links().count());
    println!("{:28} {:>8} {:>8}", "", "best", "median");
    let steps = ["list upstream's directories", "list the overlay's", "read the overlay's files", "decide", "in all"];
    for (nth, step) in steps.into_iter().enumerate() {
        let ms = |run: usize| runs[run][nth].as_secs_f64() * 1e3;
        println!("{step:28} {:8.1} {:8.1}", ms(0), ms(RUNS / 2));
    }
    Ok(())
}

/// The steps of `Plan::read`, and what it takes in all.
fn run(goroot: &Path, overlay: &Path, table: &Overrides, target: &Target) -> Result<[Duration; 5], Error> {
    let start = Instant::now();
    let dirs: Vec<String> =
        table.of(target).map(|line| format!("src/{}", line.dir).trim_end_matches('/').to_owned()).collect();
    let dirs = || dirs.iter().map(String::as_str);
    let upstream = Listing::of_dirs(goroot, dirs())?;
    let listed = start.elapsed();
    let overlay = Listing::of_dirs(overlay, dirs())?;
    let both_listed = start.elapsed();
    let overlay = overlay.with_rules();
    let read = start.elapsed();
    let plan = Plan::new(&upstream, &overlay, table, target)?;
    let decided = start.elapsed();
    assert!(plan.links().next().is_some());
    Ok([listed, both_listed - listed, read - both_listed, decided - read, decided])
}

/// A table that merges all directories of a tree but those with what is malformed on purpose.
fn merge_all(goroot: &Path) -> Result<Overrides, Error> {
    let tree = Listing::of_tree(goroot, "src")?;
    let dirs = tree.dirs().map(|(dir, _)| dir.trim_start_matches("src")).filter(|dir| !dir.contains("/testdata"));
    let lines: String = dirs.map(|dir| format!("{dir}/ merge\n")).collect();
    Overrides::parse(Path::new("everything"), &lines)
}
