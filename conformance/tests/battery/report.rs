//! What the battery leaves for the table in `conformance/REPORT.md`: under the target directory, in `conformance/`, a
//! file for each cell, `BACKEND/CASE`, and the order of columns and rows in `outline`. `cargo xtask test` makes the table
//! of them.

use std::fs;
use std::path::Path;
use std::sync::Once;

use crate::drivers::target_dir;

/// What a case returns is the text of its cell.
pub trait Outcome {
    fn text(self) -> String;
}

impl Outcome for () {
    fn text(self) -> String {
        "✓".into()
    }
}

impl Outcome for &str {
    fn text(self) -> String {
        self.into()
    }
}

impl Outcome for String {
    fn text(self) -> String {
        self
    }
}

/// Runs a case for its cell, which says "failed" until the case has passed.
pub fn record(backends: &[&str], cases: &[&str], backend: &str, case: &str, run: impl FnOnce() -> String) {
    static OUTLINE: Once = Once::new();
    let dir = target_dir().join("conformance");
    // A line of the backends, and then a line for each case.
    OUTLINE.call_once(|| write(&dir.join("outline"), &format!("{}\n{}", backends.join(" "), cases.join("\n"))));
    let cell = dir.join(backend).join(case);
    write(&cell, "failed");
    let text = run();
    write(&cell, &text);
}

fn write(path: &Path, text: &str) {
    let written = fs::create_dir_all(path.parent().expect("it is in a directory")).and_then(|()| fs::write(path, text));
    written.unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
}
