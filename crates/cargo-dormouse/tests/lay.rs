//! The command, on small programs. What it lays is built and run by the cookbook's tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A program in a directory of its own, with these dependencies.
struct Program(PathBuf);

impl Program {
    fn new(name: &str, dependencies: &str) -> Program {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lay").join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("src")).unwrap();
        let program = Program(dir);
        // The versions that the workspace has, which are on this machine.
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
        fs::copy(lock, program.0.join("Cargo.lock")).unwrap();
        program.write("src/main.rs", "fn main() {}\n");
        program.manifest(dependencies, "");
        program
    }

    fn manifest(&self, dependencies: &str, patch: &str) {
        let manifest = format!(
            "[package]\nname = \"program\"\nversion = \"0.0.0\"\nedition = \"2018\"\n[workspace]\n[dependencies]\n{dependencies}\n{patch}"
        );
        self.write("Cargo.toml", &manifest);
    }

    fn write(&self, file: &str, contents: &str) {
        fs::write(self.0.join(file), contents).unwrap();
    }

    fn dormouse(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-dormouse"));
        // As cargo does, which names the subcommand.
        command.current_dir(self.0.join("src")).arg("dormouse").args(args).output().unwrap()
    }

    /// What it says when it has done it.
    fn done(&self, args: &[&str]) -> String {
        let output = self.dormouse(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it says when it has not.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.dormouse(args);
        assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    fn cargo(&self, args: &[&str]) -> String {
        let output = Command::new(env!("CARGO")).current_dir(&self.0).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn has(&self, file: &str) -> bool {
        self.0.join(file).exists()
    }
}

const TOKIO: &str = "tokio = { version = \"1\", features = [\"full\"] }";
const PATCH: &str = "[patch.crates-io]\ntokio = { path = \"dormouse-tokio/tokio\" }";

/// The packages that a build for a target takes, each once.
fn packages(tree: &str) -> Vec<&str> {
    let mut names: Vec<_> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn the_two_lines_that_it_says_replace_tokio_on_wasi_alone_and_undo_takes_it_away() {
    let program = Program::new("lines", TOKIO);
    let said = program.done(&["tokio"]);
    for line in PATCH.lines() {
        assert!(said.lines().any(|said| said == line), "{said}");
    }
    program.manifest(TOKIO, PATCH);
    // Edition 2018 has the old resolver, which unites the features of all targets.
    let tree = |target| program.cargo(&["tree", "--quiet", "--prefix", "none", "--target", target]);
    let (native, wasi) = (tree("x86_64-unknown-linux-gnu"), tree("wasm32-wasip2"));
    let (native, wasi) = (packages(&native), packages(&wasi));
    for (name, is_native) in [("tokio-native", true), ("mio", true), ("tokio-wasi", false), ("dormouse", false)] {
        assert_eq!((native.contains(&name), wasi.contains(&name)), (is_native, !is_native), "{name}");
    }

    let again = program.refused(&["tokio"]);
    assert!(again.contains("has it already"), "{again}");
    program.manifest(TOKIO, "");
    let undone = program.done(&["tokio", "--undo"]);
    assert!(undone.contains("is gone"), "{undone}");
    assert!(!program.has("dormouse-tokio"));
    let nothing = program.refused(&["tokio", "--undo"]);
    assert!(nothing.contains("nothing is taken away"), "{nothing}");
}

#[test]
fn what_is_laid_twice_is_written_once_and_what_is_not_laid_any_more_goes() {
    let program = Program::new("twice", TOKIO);
    program.done(&["tokio"]);
    let laid = program.0.join("dormouse-tokio");
    let written = || fs::metadata(laid.join("upstream/src/lib.rs")).unwrap().modified().unwrap();
    let first = written();
    fs::write(laid.join("dormouse/src/of_another_version.rs"), "").unwrap();
    program.done(&["tokio"]);
    assert_eq!(written(), first);
    assert!(!program.has("dormouse-tokio/dormouse/src/of_another_version.rs"));
}

#[test]
fn what_is_not_of_this_command_stays() {
    let program = Program::new("stays", TOKIO);
    fs::create_dir(program.0.join("dormouse-tokio")).unwrap();
    program.write("dormouse-tokio/mine", "");
    let refused = program.refused(&["tokio"]);
    assert!(refused.contains("--dir"), "{refused}");
    let undo = program.refused(&["tokio", "--undo"]);
    assert!(undo.contains("was not laid by this command"), "{undo}");
    assert!(program.has("dormouse-tokio/mine"));
    program.done(&["tokio", "--dir", "vendor/tokio-on-wasi"]);
    assert!(program.has("vendor/tokio-on-wasi/tokio/Cargo.toml"));
    program.done(&["tokio", "--undo", "--dir", "vendor/tokio-on-wasi"]);
    assert!(!program.has("vendor/tokio-on-wasi"));
}

#[test]
fn a_program_without_tokio_is_told_so() {
    let program = Program::new("without", "");
    let refused = program.refused(&["tokio"]);
    assert!(refused.contains("does not use tokio"), "{refused}");
    assert!(!program.has("dormouse-tokio"));
}

#[test]
fn a_directory_without_a_program_is_told_in_cargos_words() {
    let program = Program::new("broken", TOKIO);
    program.write("Cargo.toml", "[package]\nname =\n");
    let refused = program.refused(&["tokio"]);
    assert!(refused.contains("cargo cannot read the program"), "{refused}");
}

#[test]
fn each_feature_of_tokios_is_one() {
    let program = Program::new("features", TOKIO);
    program.done(&["tokio"]);
    for feature in
        ["fs", "io-std", "io-util", "macros", "net", "process", "rt", "rt-multi-thread", "signal", "sync", "time"]
    {
        let one = format!("tokio = {{ version = \"1\", features = [\"{feature}\"] }}");
        program.manifest(&one, PATCH);
        let tree = program.cargo(&["tree", "--quiet", "--prefix", "none", "--target", "wasm32-wasip1"]);
        assert!(packages(&tree).contains(&"dormouse-tokio"), "{feature}: {tree}");
    }
}
