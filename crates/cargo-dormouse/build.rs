//! Puts the sources of the crates that a program is given into the command, so that it works wherever it is installed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What is laid beside a program. Their manifests refer to the workspace's, which is carried as well.
const CRATES: [&str; 3] = ["dormouse", "dormouse-macros", "dormouse-tokio"];

fn main() {
    let crates = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    let mut list = String::from("pub(crate) const FILES: &[(&str, &str)] = &[\n");
    for name in CRATES {
        let dir = crates.join(name);
        println!("cargo::rerun-if-changed={}", dir.display());
        for file in ["Cargo.toml", "build.rs", "FACTS.md", "README.md", "examples/echo.rs"] {
            if dir.join(file).exists() {
                add(&mut list, &dir.join(file), &format!("{name}/{file}"));
            }
        }
        walk(&mut list, &dir.join("src"), &format!("{name}/src"));
    }
    let workspace = crates.join("../Cargo.toml").canonicalize().expect("the workspace has a manifest");
    println!("cargo::rerun-if-changed={}", workspace.display());
    let _ = writeln!(list, "];\npub(crate) const WORKSPACE: &str = include_str!({:?});", workspace.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("files.rs");
    fs::write(&out, list).unwrap_or_else(|error| panic!("write {}: {error}", out.display()));
}

fn walk(list: &mut String, dir: &Path, name: &str) {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("read {}: {error}", dir.display()));
    let mut entries: Vec<_> = entries.map(|entry| entry.expect("a directory can be read to its end").path()).collect();
    entries.sort();
    for path in entries {
        let file = path.file_name().expect("an entry has a name").to_string_lossy();
        let name = format!("{name}/{file}");
        if path.is_dir() {
            walk(list, &path, &name);
        } else {
            add(list, &path, &name);
        }
    }
}

fn add(list: &mut String, path: &Path, name: &str) {
    println!("cargo::rerun-if-changed={}", path.display());
    let path = path.canonicalize().unwrap_or_else(|error| panic!("find {}: {error}", path.display()));
    let _ = writeln!(list, "    ({name:?}, include_str!({:?})),", path.display());
}
