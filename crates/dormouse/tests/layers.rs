//! Which module may name which, read from the sources: what is below the seam names nothing above it.
#![cfg(not(target_family = "wasm"))]

use std::fs;
use std::path::{Path, PathBuf};

/// The sources in a folder of `src`, and in those below it.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    fn collect(dir: &Path, into: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).expect("a folder of the crate") {
            let path = entry.expect("an entry of it").path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source is text");
                into.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder), &mut found);
    assert!(found.len() > 1, "{folder} has no sources");
    found
}

/// The names that follow `root` in what is not a comment.
fn named<'a>(text: &'a str, root: &'a str) -> impl Iterator<Item = &'a str> {
    let code = text.lines().filter_map(|line| line.split("//").next());
    code.flat_map(move |line| line.split(root).skip(1)).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

#[track_caller]
fn names_only(folder: &str, root: &str, allowed: &[&str]) {
    for (path, text) in sources(folder) {
        for name in named(&text, root) {
            assert!(allowed.contains(&name), "{} names {root}{name}", path.display());
        }
    }
}

#[test]
fn what_is_named_is_found_in_code_and_not_in_comments() {
    let text =
        "use crate::io::error; // as crate::net does\n/// [`crate::time`]\nlet x = crate::base::Key { ..crate::{fs} };";
    assert_eq!(named(text, "crate::").collect::<Vec<_>>(), ["io", "base", ""]);
}

#[test]
fn a_backend_names_the_seam_and_the_ground_floor_and_nothing_above() {
    for backend in ["native", "p1", "p2", "p3", "wasi", "quirks"] {
        names_only(&format!("sys/{backend}"), "crate::", &["sys", "base"]);
    }
}

#[test]
fn the_ground_floor_names_nothing_of_the_crate_but_itself() {
    names_only("base", "crate::", &[]);
    names_only("base", "super::", &["", "exhausted"]);
}

#[test]
fn the_unsafe_code_of_wasi_0_3_names_nothing_of_its_backend_but_itself() {
    names_only("sys/p3/abi", "crate::sys::p3::", &["abi"]);
    for (path, text) in sources("sys/p3/abi") {
        let names_parent = path.ends_with("mod.rs") && named(&text, "super::").next().is_some();
        assert!(!names_parent, "{} names what is above it", path.display());
    }
}
