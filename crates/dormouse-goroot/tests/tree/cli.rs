//! The command: what it says, and its exit codes.

use std::fs;

use dormouse_goroot::cli;

use crate::support::write;

/// The exit code, what is said and what is complained about.
pub fn run(args: &str) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = args.split_whitespace().map(Into::into);
    let code = cli::run(args, &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// Two trees and a table, and the options that name them.
pub fn trees(name: &str) -> (std::path::PathBuf, String) {
    let root = write(
        name,
        &[
            ("go/VERSION", "go1.24.3\ntime 2025-05-01T00:00:00Z\n"),
            ("go/src/net/net.go", "package net"),
            ("tiny/src/net/net_wasip2.go", "//go:build wasip2\n\npackage net"),
            ("tiny/src/net/net_board.go", "//go:build board && go1.24 && !go1.25\n\npackage net"),
            ("tiny/targets/parent.json", r#"{"build-tags": ["board"], "scheduler": "tasks", "linker": "ld"}"#),
            ("tiny/targets/board.json", r#"{"inherits": ["parent"], "goos": "linux", "goarch": "arm"}"#),
            ("table", "/ merge\nnet/ merge\n"),
        ],
    );
    let at = |path: &str| root.join(path).display().to_string();
    let options = format!("--goroot {} --overlay {} --overrides {}", at("go"), at("tiny"), at("table"));
    (root, options)
}

#[test]
fn a_plan_is_a_tree_or_json_or_an_answer() {
    let (_, trees) = trees("cli-plan");
    let (code, text, complaints) = run(&format!("plan {trees} --target wasip1"));
    assert_eq!((code, complaints.as_str()), (0, ""));
    let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words, [["src/", "merged"], ["net/", "merged"], ["net.go", "upstream"]]);

    let (_, text, _) = run(&format!("plan {trees} --target wasip2 --json"));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["target"]["goos"], "linux");
    assert_eq!(json["made"], serde_json::json!(["src", "src/net"]));
    assert_eq!(json["links"][0]["path"], "src/net/net_wasip2.go");
    assert_eq!(json["links"][0]["of"], "overlay");
    assert_eq!(json["left_out"].as_array().unwrap().len(), 2);

    let (_, text, _) = run(&format!("plan {trees} --target wasip1 --why src/net"));
    assert!(text.contains("so none claims the directory and the files are upstream's."), "{text}");
    for path in ["./src/net", "src//net/", "/src/./net"] {
        assert_eq!(run(&format!("plan {trees} --target wasip1 --why {path}")).1, text, "{path}");
    }
    for path in ["src/net/../net", "..", "/"] {
        let (code, _, complaint) = run(&format!("plan {trees} --target wasip1 --why {path}"));
        assert_eq!(code, 1);
        assert!(complaint.contains(&format!("`{path}` is no path from the root of the trees")), "{complaint}");
    }
    let (_, text, _) = run(&format!("plan {trees} --target wasip2 --go-overlay"));
    assert!(text.contains(r#""Replace""#), "{text}");
}

#[test]
fn a_tree_is_made_where_the_command_says() {
    let (root, trees) = trees("cli-apply");
    let apply = format!("apply {trees} --target wasip2 --cache {}", root.join("cache").display());
    let (code, path, complaints) = run(&apply);
    assert_eq!((code, complaints.as_str()), (0, ""));
    assert!(fs::read_to_string(format!("{}/src/net/net_wasip2.go", path.trim())).unwrap().contains("wasip2"));
    assert_eq!(run(&apply), (0, path, String::new()));
}

#[test]
#[cfg(target_os = "linux")]
fn the_path_of_a_tree_is_said_as_it_is() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    let (root, trees) = trees("cli-apply-utf8");
    let cache = root.join(OsStr::from_bytes(b"c\xff"));
    let apply = format!("apply {trees} --target wasip2 --cache");
    let args = apply.split(' ').map(OsString::from).chain([cache.into()]);
    let mut out = Vec::new();
    assert_eq!(cli::run(args, &mut out, &mut Vec::new()), 0);
    assert!(Path::new(OsStr::from_bytes(out.trim_ascii_end())).join("src/net").is_dir());
}

#[test]
fn a_check_is_clean_or_fails() {
    let (root, trees) = trees("cli-check");
    let check = format!("check {trees}");
    assert_eq!(run(&check).0, 0, "{}", run(&check).1);
    assert_eq!(run(&format!("{check} --fail-on note")).0, 3, "what is hidden is a note");
    fs::write(root.join("tiny/src/net/other_wasip2.go"), "package net").unwrap();
    let (code, text, _) = run(&check);
    assert_eq!(code, 3);
    assert!(text.starts_with("src/net/other_wasip2.go: warning: guards-nothing: _wasip2 guards nothing"), "{text}");
    assert_eq!(run(&format!("{check} --fail-on error")).0, 0);
    let (_, text, _) = run(&format!("{check} --json"));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["findings"][0]["kind"], "guards-nothing");
    assert_eq!(json["findings"][0]["severity"], "warning");
    fs::write(root.join("allowed"), "guards-nothing src/net/other_wasip2.go\n").unwrap();
    let (code, text, _) = run(&format!("{check} --allow {}", root.join("allowed").display()));
    assert_eq!((code, text.ends_with("1 allowed\n")), (0, true), "{text}");
    // One target's file is broken: it is named, and the others are checked.
    fs::write(root.join("tiny/targets/broken.json"), r#"{"inherits": ["gone"]}"#).unwrap();
    let (code, text, _) = run(&check);
    assert_eq!(code, 4);
    let expected = "targets/broken.json: error: broken-target: it inherits from gone: it is not there\n";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn what_goes_wrong_is_one_sentence_with_its_place() {
    let (root, trees) = trees("cli-wrong");
    let complaint = |args: &str, code: u8| {
        let (got, said, complaint) = run(args);
        assert_eq!((got, said.as_str(), complaint.lines().count()), (code, "", 1), "{complaint}");
        complaint
    };
    for (args, expected) in [
        ("", "what to do is missing; see `dormouse-goroot --help`"),
        ("walk", "unrecognized subcommand 'walk'"),
        ("plan", "required arguments were not provided"),
        (&format!("plan {trees} --target wasip1 --json --tree"), "cannot be used with"),
        ("targets --overlay nowhere", "nowhere is no overlay: it is no directory"),
        ("check --overlay nowhere", "nowhere is no overlay: it has no directory src"),
        (&format!("plan {trees} --target wasip1 --go 2"), "a release of Go is written 1.N"),
        (&format!("plan {trees} --target wasip1 --go 1.4294967295"), "a release of Go is written 1.N"),
    ] {
        let said = complaint(args, 2);
        assert!(said.contains(expected), "{said}");
    }
    let plan = format!("plan {trees} --target wasip1");
    fs::write(root.join("tiny/src/net/bad.go"), "// Copyright\n\n//go:build wasip1 ||\n\npackage net").unwrap();
    let bad = root.join("tiny/src/net/bad.go");
    let expected =
        format!("dormouse-goroot: {}:3: parsing //go:build line: unexpected end of expression\n", bad.display());
    assert_eq!(complaint(&plan, 1), expected);
    fs::write(root.join("table"), "/ merge\n\nnet/ both\n").unwrap();
    let expected = format!(
        "dormouse-goroot: {}:3: a directory is `merge` or `overlay`, not `both`\n",
        root.join("table").display()
    );
    assert_eq!(complaint(&plan, 1), expected);
    fs::write(root.join("table"), "/ merge\nnet/ merge\n/net overlay\n").unwrap();
    assert!(complaint(&plan, 1).ends_with("/table:3: net/ is in line 2 already\n"));
    fs::write(root.join("table"), "# nothing yet\n").unwrap();
    assert!(complaint(&plan, 1).contains("/table:1: no line for wasip1 is about the root, as `/ merge` is"));
    fs::write(root.join("table"), "/ merge\n").unwrap();
    fs::write(root.join("go/VERSION"), "devel\n").unwrap();
    assert!(complaint(&plan, 2).contains("say which release it is with --go"));
    fs::remove_file(root.join("go/VERSION")).unwrap();
    let said = complaint(&plan, 1);
    assert!(
        said.contains("/go/VERSION: ")
            && said.ends_with("; say which release it is with --go, for example --go 1.26\n"),
        "{said}"
    );
    let said = complaint(&format!("{plan} --go 1.24 --why src/net/none.go"), 1);
    assert_eq!(said, "dormouse-goroot: src/net/none.go is in neither tree; src/net is upstream's\n");
}

#[test]
fn two_builds_are_compared() {
    let (root, trees) = trees("cli-diff");
    for (path, text) in [
        ("go/src/net/url/url.go", "package url"),
        ("go/src/net/url/url_linux.go", "package url"),
        ("go/src/only/only_wasip1.go", "package only"),
        ("go/src/cmd/x/x_linux.go", "package main"),
        ("go/src/net/url/testdata/t_linux.go", "package t"),
        ("new/src/net/net.go", "package net"),
        ("new/src/net/http/http.go", "//go:build go1.25\n\npackage http"),
        ("new/VERSION", "go1.25"),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let diff = format!("diff {trees} --target wasip1");
    let (code, text, complaints) = run(&format!("{diff} --to-target wasip2"));
    let expected = "from wasip1 with Go 1.24 to wasip2 with Go 1.24: packages: 0 gained, 1 lost, 2 changed\n\
                    ~ net\n  - net.go (upstream)\n  + net_wasip2.go (overlay)\n\
                    ~ net/url\n  + url_linux.go (upstream)\n\
                    - only (1 file of upstream)\n";
    assert_eq!((code, text.as_str(), complaints.as_str()), (0, expected, ""));
    let (_, text, _) = run(&format!("{diff} --to-target wasip2 --json"));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let file = serde_json::json!({ "file": "net_wasip2.go", "change": "gained", "of": "overlay" });
    assert_eq!(json["packages"][0]["files"][1], file);
    assert_eq!(json["packages"][2]["change"], "lost");
    let (_, text, _) = run(&format!("{diff} --to-goroot {}", root.join("new").display()));
    assert!(
        text.starts_with("from wasip1 with Go 1.24 to wasip1 with Go 1.25: packages: 1 gained, 2 lost, 0 changed\n"),
        "{text}"
    );
    assert!(text.contains("+ net/http (1 file of upstream)\n"), "{text}");
    let (_, text, _) = run(&format!("{diff} --to-goroot {} --to-go 1.24", root.join("new").display()));
    assert!(!text.contains("net/http"), "{text}");
    assert_eq!(run(&diff).0, 2, "nothing is different");
    fs::write(root.join("go/src/only/v2.go"), "//go:build goexperiment.v2\n\npackage only").unwrap();
    let (_, text, complaints) = run(&format!("{diff} --tool-tags old --to-tool-tags goexperiment.v2"));
    assert!(text.ends_with("\n~ only\n  + v2.go (upstream)\n"), "{text}{complaints}");
}

#[test]
fn assembly_for_the_c_compiler_counts_in_packages_with_cgo_alone() {
    let (root, trees) = trees("cli-diff-assembly");
    for (path, text) in [
        ("task/task.go", "package task"),
        ("task/task_arm.S", ""),
        ("task/task_arm.s", ""),
        ("gate/gate.go", "package gate\n\nimport \"C\"\n"),
        ("gate/gate_arm.S", ""),
    ] {
        let path = root.join("go/src").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let (_, text, complaints) = run(&format!("diff {trees} --target wasip1 --to-target wasip2"));
    assert!(text.contains("~ gate\n  + gate_arm.S (upstream)\n"), "{text}{complaints}");
    assert!(text.contains("~ task\n  + task_arm.s (upstream)\n"), "{text}");
    assert!(!text.contains("task_arm.S"), "{text}");
    // Without cgo nothing is left of the other package.
    let (_, text, complaints) = run(&format!("diff {trees} --target wasip1 --to-target wasip2 --no-cgo"));
    assert!(text.contains("~ task\n") && !text.contains("gate"), "{text}{complaints}");
}

#[test]
fn the_command_says_its_version() {
    assert_eq!(run("--version"), (0, format!("dormouse-goroot {}\n", env!("CARGO_PKG_VERSION")), String::new()));
}

#[test]
#[cfg(unix)]
fn a_file_that_cannot_be_read_is_named() {
    let (root, trees) = trees("cli-unreadable");
    std::os::unix::fs::symlink("nowhere", root.join("tiny/src/net/gone.go")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.join("tiny/src/net/gone_windows.go")).unwrap();
    let (code, _, complaint) = run(&format!("plan {trees} --target wasip1"));
    let gone = root.join("tiny/src/net/gone.go");
    assert_eq!(
        (code, complaint),
        (1, format!("dormouse-goroot: read {}: No such file or directory (os error 2)\n", gone.display()))
    );
}

#[test]
#[cfg(unix)]
fn a_file_that_may_have_no_end_is_not_read() {
    let (root, trees) = trees("cli-device");
    std::os::unix::fs::symlink("/dev/null", root.join("tiny/src/net/device.go")).unwrap();
    let (code, _, complaint) = run(&format!("plan {trees} --target wasip1"));
    assert_eq!(code, 1);
    assert!(complaint.ends_with("tiny/src/net/device.go: it is no regular file\n"), "{complaint}");
    std::os::unix::fs::symlink("/dev/null", root.join("tiny/targets/device.json")).unwrap();
    let (_, text, _) = run(&format!("targets --overlay {}", root.join("tiny").display()));
    assert!(text.ends_with("tiny/targets/device.json: it is no regular file\n"), "{text}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_name_that_is_not_utf_8_is_a_mistake() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::Path;

    let (root, trees) = trees("cli-utf8");
    let odd = root.join(OsStr::from_bytes(b"tiny\xff"));
    std::os::unix::fs::symlink("tiny", &odd).unwrap();
    for form in ["--json", "--go-overlay"] {
        let args = trees.replace("/tiny ", "/tiny\u{1} ");
        let args = format!("plan {args} --target wasip2 {form}");
        let args = args.split(' ').map(|arg| {
            let bytes = arg.bytes().map(|byte| if byte == 1 { 0xff } else { byte });
            OsString::from_vec(bytes.collect())
        });
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(cli::run(args, &mut out, &mut err), 1);
        let err = String::from_utf8(err).unwrap();
        assert!(err.contains("the path is not UTF-8") && out.is_empty(), "{err}");
    }

    // What a link leads to may have such a name as well.
    fs::write(root.join(OsStr::from_bytes(b"\xff.go")), "package net").unwrap();
    let link = root.join("tiny/src/net/link.go");
    std::os::unix::fs::symlink(Path::new("../../..").join(OsStr::from_bytes(b"\xff.go")), &link).unwrap();
    let (code, _, complaint) = run(&format!("plan {trees} --target wasip2 --go-overlay"));
    assert_eq!(code, 1);
    assert!(complaint.contains("the path is not UTF-8"), "{complaint}");
    fs::remove_file(link).unwrap();

    fs::write(root.join("tiny/src/net").join(OsStr::from_bytes(b"\xff.go")), "package net").unwrap();
    let (code, _, complaint) = run(&format!("plan {trees} --target wasip2"));
    assert_eq!(code, 1);
    assert!(complaint.ends_with("tiny/src/net: the name \"\\xFF.go\" is not UTF-8\n"), "{complaint}");
}

#[test]
fn help_names_the_command() {
    let (code, text, _) = run("plan --help");
    assert_eq!(code, 0);
    assert!(text.contains("Usage: dormouse-goroot plan [OPTIONS] --goroot <DIR>"), "{text}");
}
