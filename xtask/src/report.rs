//! The table of the battery, `conformance/REPORT.md`, from what its tests leave behind
//! (`conformance/tests/battery/report.rs`). The same outcomes give the same bytes, so a difference is news.

use std::path::PathBuf;
use std::{env, fs, io};

use crate::{Result, root, say, target_dir};

const HEAD: &str = "\
# What works where

A row is a promise, a column a backend. Each cell is the outcome of a test, which asserts what it says. A stingy host
is wasmtime-wasi as the stock `wasmtime` command has it: it gives a guest little at a time, and leaves Nagle's algorithm on. A
contrary one answers `poll_oneoff` as other hosts do: by turns all is ready, nothing has happened, and no. `cargo xtask test`
writes this file.
";

const HEAD_OF_WASMI: &str = "\
# What works on wasmi

The wasip1 guests of the battery under `wasmi run --tcplisten`, a host that we did not write. It opens listeners and
nothing else: a promise about connections of which the program has both ends cannot be tested there.
`cargo xtask test --host wasmi` writes this file.
";

/// Forgets the cells of earlier runs, which may be of cases that are gone.
pub fn clear() -> Result {
    let dir = cells()?;
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(format!("cannot clear {}: {error}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Writes the table of the tests that have run since. In CI it must have been committed as it is.
pub fn write() -> Result {
    write_table("conformance/REPORT.md", HEAD, |_| true)
}

/// The same for the one column of wasmi.
pub fn write_of_wasmi() -> Result {
    write_table("conformance/WASMI.md", HEAD_OF_WASMI, |backend| backend == "wasmi")
}

fn write_table(name: &str, head: &str, has_column: impl Fn(&str) -> bool) -> Result {
    let table = format!("{head}{}", table(has_column)?);
    let is_news = renew(name, &table)?;
    match is_news && env::var_os("CI").is_some() {
        true => Err(format!("{name} was out of date: run the same on your machine and commit {name}")),
        false => Ok(()),
    }
}

/// Writes a file that is committed, unless it is up to date, and says so. Returns true if it was not.
pub fn renew(name: &str, text: &str) -> Result<bool> {
    let path = root().join(name);
    if fs::read_to_string(&path).is_ok_and(|committed| committed == text) {
        return Ok(false);
    }
    fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    say(&format!("{name} was out of date and has been written anew: commit it"));
    Ok(true)
}

fn table(has_column: impl Fn(&str) -> bool) -> Result<String> {
    let dir = cells()?;
    let outline = fs::read_to_string(dir.join("outline")).map_err(|error| {
        format!("the battery has left no outline in {} ({error}): none of its cases has run", dir.display())
    })?;
    let mut cases = outline.lines();
    let backends = cases.next().unwrap_or_default().split_whitespace();
    let backends: Vec<&str> = backends.filter(|backend| has_column(backend)).collect();
    let titles: Vec<String> = backends.iter().map(|backend| sentence(backend)).collect();
    let mut table = format!("\n| promise | {} |\n|---|{}\n", titles.join(" | "), "---|".repeat(titles.len()));
    for case in cases {
        table += &format!("| {} |", sentence(case));
        for backend in &backends {
            let cell = match fs::read_to_string(dir.join(backend).join(case)) {
                Ok(cell) if cell == "failed" => return Err(format!("{case} has failed on {backend}")),
                Ok(cell) => cell,
                Err(error) => return Err(format!("{case} has not run on {backend} ({error})")),
            };
            table += &format!(" {cell} |");
        }
        table.push('\n');
    }
    Ok(table)
}

fn sentence(name: &str) -> String {
    name.replace('_', " ")
}

fn cells() -> Result<PathBuf> {
    Ok(target_dir()?.join("conformance"))
}
