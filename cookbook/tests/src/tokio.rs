//! Programs written for tokio. They are built as their users build them: in a copy of `cookbook/tokio`, beside which
//! `cargo dormouse tokio` has laid what takes tokio's place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use super::{Backend, build, root};

/// Where the copy is, and what is built of it.
fn dir() -> PathBuf {
    root().join("target/cookbook-tokio")
}

/// Where a backend's programs are.
pub(super) fn target_dir(backend: Backend) -> PathBuf {
    dir().join(if backend == Backend::P3 { "p3" } else { "target" })
}

/// What is built for wasip1: socket2 refuses that target, and with it those that others stand on.
const ON_P1: [&str; 3] = ["tokio-echo", "tokio-mini-redis", "tokio-web"];

/// Builds a package for a backend. Natively it has tokio itself, through the same patch. For a guest all packages are built at once, so
/// that what they share is built for none of them anew, with other features.
pub(super) fn build_package(package: &str, backend: Backend) {
    static GUESTS: Mutex<Vec<Backend>> = Mutex::new(Vec::new());
    let mut built = GUESTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if built.contains(&backend) {
        return;
    }
    let program = laid();
    let mut command = Command::new("cargo");
    command.current_dir(program).args(["build", "--quiet", "--release"]);
    match backend {
        Backend::Native => command.args(["-p", package]),
        Backend::P1 => command.args(["--target", "wasm32-wasip1"]).args(ON_P1.iter().flat_map(|name| ["-p", name])),
        Backend::P2 => command.args(["--target", "wasm32-wasip2", "--workspace"]),
        Backend::P3 => command.args(["--target", "wasm32-wasip2", "--workspace", "--features", "tokio/p3"]),
    };
    // What is between is in one place: on WASI 0.3 much is as it is on WASI 0.2, and is not built twice.
    command.arg("--target-dir").arg(target_dir(backend)).env("CARGO_BUILD_BUILD_DIR", dir().join("build"));
    build(&mut command);
    if backend != Backend::Native {
        built.push(backend);
    }
}

/// The copy, with the lines that it is said to add.
fn laid() -> &'static Path {
    static LAID: OnceLock<PathBuf> = OnceLock::new();
    LAID.get_or_init(|| {
        let program = dir().join("program");
        // As it is in the repository: its Cargo.lock names the tokio of crates.io.
        copy(&root().join("cookbook/tokio"), &program);
        // One of them takes a file from its neighbours.
        copy(&root().join("cookbook/apps/tls/src"), &dir().join("apps/tls/src"));
        let mut lay = Command::new(cargo_dormouse());
        lay.args(["dormouse", "tokio", "--manifest-path"]).arg(program.join("Cargo.toml"));
        let said = crate::output(&mut lay);
        let patch = said.find("[patch.crates-io]").map(|at| said[at..].lines().take_while(|line| !line.is_empty()));
        let patch: Vec<&str> = patch.expect("it says which lines to add").collect();
        let manifest = program.join("Cargo.toml");
        let patched = format!("{}\n{}\n", read(&manifest), patch.join("\n"));
        fs::write(&manifest, patched).unwrap_or_else(|error| panic!("write {}: {error}", manifest.display()));
        program
    })
}

/// The command: that of the environment variable CARGO_DORMOUSE, or the workspace's, built.
fn cargo_dormouse() -> PathBuf {
    if let Some(path) = std::env::var_os("CARGO_DORMOUSE") {
        return path.into();
    }
    build(Command::new("cargo").current_dir(root()).args(["build", "--quiet", "-p", "cargo-dormouse"]));
    root().join("target/debug/cargo-dormouse")
}

/// Copies what differs, so that cargo builds nothing anew that it has.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap_or_else(|error| panic!("create {}: {error}", to.display()));
    let entries = fs::read_dir(from).unwrap_or_else(|error| panic!("read {}: {error}", from.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("read {}: {error}", from.display())).path();
        let to = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &to);
            continue;
        }
        let contents = read(&path);
        if fs::read_to_string(&to).ok().as_ref() != Some(&contents) {
            fs::write(&to, contents).unwrap_or_else(|error| panic!("write {}: {error}", to.display()));
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}
