//! The table of the battery, `conformance/REPORT.md`, from what its tests leave behind
//! (`conformance/tests/battery/report.rs`). The same outcomes give the same bytes, so a difference is news.

use std::path::PathBuf;
use std::{env, fs, io};

use crate::{Result, root, say, target_dir};

const HEAD: &str = "\
# What works where

A row is a promise, a column a backend. Each cell is the outcome of a test, which asserts what it says. A stingy host
gives a guest as little at a time as the stock `wasmtime` command does. `cargo xtask test` writes this file.
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
    let table = table()?;
    let path = root().join("conformance/REPORT.md");
    if fs::read_to_string(&path).is_ok_and(|committed| committed == table) {
        return Ok(());
    }
    fs::write(&path, table).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    let news = "conformance/REPORT.md was out of date and has been written anew";
    if env::var_os("CI").is_some() {
        return Err(format!("{news}: run `cargo xtask test` and commit conformance/REPORT.md"));
    }
    say(&format!("{news}: commit it"));
    Ok(())
}

fn table() -> Result<String> {
    let dir = cells()?;
    let outline = fs::read_to_string(dir.join("outline")).map_err(|error| {
        format!("the battery has left no outline in {} ({error}): none of its cases has run", dir.display())
    })?;
    let mut cases = outline.lines();
    let backends: Vec<&str> = cases.next().unwrap_or_default().split_whitespace().collect();
    let titles: Vec<String> = backends.iter().map(|backend| sentence(backend)).collect();
    let mut table = format!("{HEAD}\n| promise | {} |\n|---|{}\n", titles.join(" | "), "---|".repeat(titles.len()));
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
