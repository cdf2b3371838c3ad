//! Small trees, in memory and on disk.

use std::fs;
use std::path::{Path, PathBuf};

use dormouse_goroot::{Listing, Overrides, Plan, Target};

pub fn table(text: &str) -> Overrides {
    Overrides::parse(Path::new("table"), text).unwrap()
}

/// TinyGo's target, with Go 1.24.
pub fn tinygo(name: &str) -> Target {
    Target::tinygo(name, 24).unwrap_or_else(|| panic!("there is no target {name}"))
}

/// Writes a tree to a new directory of that name.
pub fn write(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).unwrap();
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

/// The plan for a listing in memory.
pub fn plan(upstream: &[(&str, &str)], overlay: &[(&str, &str)], overrides: &str, target: &Target) -> Plan {
    let [upstream, overlay] = [upstream, overlay].map(|files| Listing::of_files(files.iter().copied()));
    Plan::new(&upstream, &overlay, &table(overrides), target).unwrap()
}
