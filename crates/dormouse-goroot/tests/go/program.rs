//! A merged tree is a GOROOT: real Go builds a program with it for wasip1, and our runner runs that.
//!
//! The runner is target/debug/dormouse, which `cargo test --workspace` builds, or what the variable DORMOUSE names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dormouse_goroot::{Link, Overrides, Plan, Target};

use crate::tool::installed;

const TABLE: &str = "
/           merge
dormouse/   overlay
html/       merge
net/        merge
";

/// For wasip1, of `html` the overlay's file counts, and of `net` none of the overlay's does: that is the case of the seed.
const OVERLAY: [(&str, &str); 4] = [
    ("dormouse/dormouse.go", "package dormouse\n\nconst Name = \"dormouse\"\n"),
    ("html/html_wasip1.go", "package html\n\nfunc EscapeString(s string) string { return \"<\" + s + \">\" }\n"),
    ("html/html_wasip2.go", "//go:build wasip2\n\npackage html\n\nthis is not Go\n"),
    ("net/net_wasip2.go", "//go:build wasip2\n\npackage net\n"),
];

const PROGRAM: &str = r#"package main

import (
	"dormouse"
	"fmt"
	"html"
	"net"
	"os"
)

func main() {
	fmt.Println(html.EscapeString(dormouse.Name), net.ParseIP("::1").IsLoopback(), os.Args[1])
}
"#;

/// What the program says: with upstream's html it would be &lt; and &gt;, or nothing that is escaped.
const SAYS: &str = "<dormouse> true hello\n";

/// An overlay and a program, in a directory of that name.
fn place(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&root);
    for (path, text) in OVERLAY {
        let path = root.join("overlay/src").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::write(root.join("main.go"), PROGRAM).unwrap();
    root
}

fn plan(root: &Path) -> Plan {
    let table = Overrides::parse(Path::new("table"), TABLE).unwrap();
    Plan::read(&installed().root(), &root.join("overlay"), &table, &Target::new("wasip1", "wasm")).unwrap()
}

/// `go build` of the program; without paths in it, so that what is built is kept for the next tree.
fn build(root: &Path, change: impl FnOnce(&mut Command)) -> Output {
    let mut command = installed().command();
    command
        .args(["build", "-trimpath", "-o", "program.wasm"])
        .current_dir(root)
        .env("GOOS", "wasip1")
        .env("GOARCH", "wasm");
    change(&mut command);
    command.arg("main.go").output().unwrap()
}

/// What a program that has been built says.
fn run(root: &Path, built: &Output) -> String {
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let built_here = || target.join("debug").join(format!("dormouse{}", std::env::consts::EXE_SUFFIX));
    let runner = std::env::var_os("DORMOUSE").map_or_else(built_here, PathBuf::from);
    let how = "build it with `cargo build -p dormouse-host`, or name it in the variable DORMOUSE";
    assert!(runner.exists(), "there is no runner {}: {how}", runner.display());
    let output =
        Command::new(runner).args(["run", "--no-cache"]).arg(root.join("program.wasm")).arg("hello").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn go_builds_a_program_with_a_merged_tree_and_the_runner_runs_it() {
    let root = place("merged");
    let tree = plan(&root).apply(&root.join("cache"), Link::Symbolic).unwrap().path;
    let with_tree = |command: &mut Command| {
        command.env("GOROOT", &tree);
    };
    assert_eq!(run(&root, &build(&root, with_tree)), SAYS);

    // Under the rule before, any file of the overlay claimed its directory, and all of them were linked.
    let net = tree.join("src/net");
    for entry in fs::read_dir(&net).unwrap().map(Result::unwrap).filter(|entry| !entry.path().is_dir()) {
        fs::remove_file(entry.path()).unwrap();
    }
    fs::copy(root.join("overlay/src/net/net_wasip2.go"), net.join("net_wasip2.go")).unwrap();
    let failed = build(&root, with_tree);
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(said.contains("build constraints exclude all Go files in"), "{said}");
}

#[test]
fn go_builds_the_same_program_with_its_own_tree_and_a_list_of_replacements() {
    let root = place("replaced");
    fs::write(root.join("overlay.json"), plan(&root).go_overlay().unwrap()).unwrap();
    let built = build(&root, |command| {
        command.args(["-overlay", "overlay.json"]);
    });
    assert_eq!(run(&root, &built), SAYS);
}
