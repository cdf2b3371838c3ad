//! The go command.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Go, with nothing of the environment that would change what it says.
pub fn go() -> Command {
    static TOOL: OnceLock<OsString> = OnceLock::new();
    let tool = TOOL.get_or_init(|| {
        let tool = std::env::var_os("GO").unwrap_or_else(|| "go".into());
        let how = "run `cargo xtask setup`, or install Go 1.21 or later from https://go.dev/dl and name it in the variable GO";
        let version = Command::new(&tool).args(["env", "GOVERSION"]).output();
        let version = version.unwrap_or_else(|error| panic!("cannot start {}: {error}; {how}", tool.display()));
        let version = String::from_utf8(version.stdout).unwrap();
        let minor = version.strip_prefix("go1.").and_then(|rest| rest.split(['.', '\n', 'r', '-', ' ']).next()?.parse::<u32>().ok());
        // Before that it did not know wasip1.
        assert!(minor.is_some_and(|minor| minor >= 21), "{} is {}, which is too old; {how}", tool.display(), version.trim());
        tool
    });
    let mut command = Command::new(tool);
    for name in ["GOOS", "GOARCH", "GOFLAGS", "GOEXPERIMENT", "CGO_ENABLED", "GOROOT"] {
        command.env_remove(name);
    }
    command.env("GOTOOLCHAIN", "local").env("GO111MODULE", "off");
    command
}

/// What a command writes, given `input`.
pub fn output(command: &mut Command, input: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

pub fn goroot() -> PathBuf {
    output(go().args(["env", "GOROOT"]), "").trim().into()
}

/// Every GOOS/GOARCH that Go builds for.
pub fn pairs() -> Vec<(String, String)> {
    let list = output(go().args(["tool", "dist", "list"]), "");
    list.lines().map(|pair| pair.split_once('/').unwrap()).map(|(os, arch)| (os.to_owned(), arch.to_owned())).collect()
}

/// A program of ours in Go, built under a name that no other test has.
pub fn build(source: &str, name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go").join(source);
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    output(go().arg("build").arg("-o").args([&program, &source]), "");
    program
}
