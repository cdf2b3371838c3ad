//! What is C in the manual: each program as it stands there, and a program of each table of misuse, a line of which is a call and
//! what it returns.

use std::path::{Path, PathBuf};

use super::{CRATE, read};
use crate::{Result, root};

/// Writes the sources, and tells where they are.
pub(super) fn write(dir: &Path) -> Result<Vec<PathBuf>> {
    let manual = read(&root().join(CRATE).join("README.md"))?;
    let mut sources = Vec::new();
    for (n, program) in programs(&manual).into_iter().enumerate() {
        sources.push((format!("manual_{}.c", n + 1), program));
    }
    let [inside, outside] = &tables(&manual)[..] else {
        return Err(format!("{CRATE}/README.md has two tables of misuse, inside and outside of a loop"));
    };
    let frame = read(&root().join(CRATE).join("tests/c/misuse.c"))?;
    let filled = frame.replace("    /* INSIDE */", &checks(inside)).replace("    /* OUTSIDE */", &checks(outside));
    sources.push(("misuse.c".to_owned(), filled));
    sources.into_iter().map(|(name, text)| super::write(&dir.join(&name), &text).map(|()| dir.join(name))).collect()
}

/// The blocks that are C.
fn programs(manual: &str) -> Vec<String> {
    let blocks = manual.split("```c\n").skip(1);
    blocks.filter_map(|block| Some(block.split_once("```")?.0.to_owned())).collect()
}

/// Of each table of misuse its calls and results.
fn tables(manual: &str) -> Vec<Vec<(String, String)>> {
    let tables = manual.split("| call | returns | |\n|---|---|---|\n").skip(1);
    let row = |line: &str| {
        // In a table, a bar is written with a backslash.
        let line = line.replace("\\|", "\u{1}");
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let code = |cell: Option<&str>| Some(cell?.trim_matches('`').replace('\u{1}', "|"));
        Some((code(cells.next())?, code(cells.next())?))
    };
    tables.map(|table| table.lines().map_while(row).collect()).collect()
}

fn checks(rows: &[(String, String)]) -> String {
    let mut text = String::new();
    for (call, result) in rows {
        text += &format!("    CHECK({call}, {result});\n");
    }
    text
}
