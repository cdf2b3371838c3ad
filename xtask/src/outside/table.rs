//! `conformance/OUTSIDE.md`.

use std::fmt::Write as _;

use super::case::Host;
use super::programs::Skipped;
use super::{Row, known};
use crate::{Result, report};

const HEAD: &str = "\
# Programs that others wrote

Test programs of wasmtime and of wasi-testsuite, on our runner and on the stock `wasmtime` command: those about sockets, polling,
streams, standard input and output, and commands in general. `cargo xtask outside WASMTIME WASI-TESTSUITE` builds them, runs them, one
at a time, and writes this file; it fails if our runner fails where wasmtime passes and no reason is given below. `✓` means that the
program ended as the suite that it is of expects; else the cell has the first line of why not.
";

/// A row as one reads it while they run.
pub fn line(row: &Row) -> String {
    let cell = |outcome: &Option<String>| outcome.clone().unwrap_or_else(|| "✓".to_owned());
    let theirs = row.wasmtime.as_ref().map(|outcome| format!(" · wasmtime: {}", cell(outcome)));
    format!("{}: {}{}", row.case.label(), cell(&row.ours), theirs.unwrap_or_default())
}

/// Writes the table.
pub fn write(from: &[(&str, String)], hosts: &[&Host], rows: &[Row], skipped: &[Skipped]) -> Result {
    report::renew("conformance/OUTSIDE.md", &text(from, hosts, rows, skipped)).map(drop)
}

fn text(from: &[(&str, String)], hosts: &[&Host], rows: &[Row], skipped: &[Skipped]) -> String {
    let mut text = HEAD.to_owned();
    // Writing to a String does not fail.
    let _ = writeln!(text, "\n| what | version |\n|---|---|");
    for (name, commit) in from {
        let _ = writeln!(text, "| checkout of {name} | {commit} |");
    }
    for host in hosts {
        let _ = writeln!(text, "| `{}` | {} |", host.name, host.version);
    }
    for (suite, _) in from {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.case.suite == *suite).collect();
        let passed = rows.iter().filter(|row| row.ours.is_none()).count();
        let theirs = rows.iter().filter(|row| row.wasmtime == Some(None)).count();
        let _ =
            writeln!(text, "\n## {suite}: {} runs, of which ours passes {passed} and wasmtime {theirs}\n", rows.len());
        let _ = writeln!(text, "| program | `dormouse run` | `wasmtime run` |\n|---|---|---|");
        for row in rows {
            let theirs = row.wasmtime.as_ref().map_or_else(|| "–".to_owned(), cell);
            let _ = writeln!(text, "| `{}` | {} | {theirs} |", row.case.label(), cell(&row.ours));
        }
    }
    for (title, reasons) in
        [("Where ours fails and wasmtime does not", known::DIFFERENCES), ("Where both fail", known::ON_BOTH)]
    {
        let _ = writeln!(text, "\n## {title}\n\n| program | why |\n|---|---|");
        for (label, reason) in reasons {
            let _ = writeln!(text, "| `{label}` | {reason} |");
        }
    }
    let _ = writeln!(
        text,
        "\n## Not run\n\nThey need more than a command that runs a program.\n\n| program | why |\n|---|---|"
    );
    for Skipped { program, reason } in skipped {
        let _ = writeln!(text, "| `{program}` | {reason} |");
    }
    text
}

/// One line, not long, with nothing that a table would take for its own.
fn cell(outcome: &Option<String>) -> String {
    const MOST: usize = 160;
    let Some(why) = outcome else { return "✓".to_owned() };
    let short: String = why.chars().take(MOST).collect();
    let short = if short.len() < why.len() { format!("{short}…") } else { short };
    short.replace('|', "\\|").replace('<', "&lt;")
}
