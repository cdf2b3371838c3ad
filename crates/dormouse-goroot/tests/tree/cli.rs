//! The command: what it says, and its exit codes.

use std::fs;

use dormouse_goroot::cli;

use crate::support::write;

/// The exit code, what is said and what is complained about.
fn run(args: &str) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = args.split_whitespace().map(Into::into);
    let code = cli::run("dormouse goroot", args, &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// Two trees and a table, and the options that name them.
fn trees(name: &str) -> (std::path::PathBuf, String) {
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
    let (_, text, _) = run(&format!("plan {trees} --target wasip2 --go-overlay"));
    assert!(text.contains(r#""Replace""#), "{text}");
}

#[test]
fn a_target_is_one_of_the_overlays_or_built_in_or_a_pair() {
    let (_, trees) = trees("cli-target");
    let linked = |options: &str| {
        let (code, text, complaints) = run(&format!("plan {trees} {options}"));
        assert_eq!(code, 0, "{complaints}");
        text.lines().last().unwrap().split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(linked("--target board"), "net_board.go");
    assert_eq!(linked("--target board --go 1.25"), "net.go");
    assert_eq!(linked("--target linux/amd64"), "net.go");
    assert_eq!(linked("--target linux/amd64 --tags other,board"), "net_board.go");
    let (code, _, complaints) = run(&format!("plan {trees} --target wasip9"));
    assert_eq!(code, 2);
    assert!(
        complaints.starts_with("dormouse: there is no target wasip9: write one of wasip1, wasip2, "),
        "{complaints}"
    );
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
fn a_check_is_clean_or_fails() {
    let (root, trees) = trees("cli-check");
    let check = format!("check {trees}");
    assert_eq!(run(&check).0, 0, "{}", run(&check).1);
    fs::write(root.join("tiny/src/net/other_wasip2.go"), "package net").unwrap();
    let (code, text, _) = run(&check);
    assert_eq!(code, 1);
    assert!(text.starts_with("src/net/other_wasip2.go: _wasip2 guards nothing"), "{text}");
    let (_, text, _) = run(&format!("{check} --json"));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["guards_nothing"][0][1], "wasip2");
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
        ("", "what to do is missing; see `dormouse goroot --help`"),
        ("walk", "unrecognized subcommand 'walk'"),
        ("plan", "required arguments were not provided"),
        (&format!("plan {trees} --target wasip1 --json --tree"), "cannot be used with"),
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
    let expected = format!("dormouse: {}:3: parsing //go:build line: unexpected end of expression\n", bad.display());
    assert_eq!(complaint(&plan, 1), expected);
    fs::write(root.join("table"), "/ merge\n\nnet/ both\n").unwrap();
    let expected =
        format!("dormouse: {}:3: a directory is `merge` or `overlay`, not `both`\n", root.join("table").display());
    assert_eq!(complaint(&plan, 1), expected);
    fs::write(root.join("table"), "/ merge\nnet/ merge\n/net overlay\n").unwrap();
    assert!(complaint(&plan, 1).ends_with("/table:3: net/ is in line 2 already\n"));
    fs::write(root.join("table"), "# nothing yet\n").unwrap();
    assert!(complaint(&plan, 1).contains("/table:1: no line for wasip1 is about the root, as `/ merge` is"));
    fs::write(root.join("table"), "/ merge\n").unwrap();
    fs::write(root.join("go/VERSION"), "devel\n").unwrap();
    assert!(complaint(&plan, 2).contains("say which it is with --go"));
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
        (1, format!("dormouse: read {}: No such file or directory (os error 2)\n", gone.display()))
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
}

#[test]
#[cfg(target_os = "linux")]
fn a_name_that_is_not_utf_8_is_a_mistake() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::{OsStrExt, OsStringExt};

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
        assert_eq!(cli::run("dormouse goroot", args, &mut out, &mut err), 1);
        let err = String::from_utf8(err).unwrap();
        assert!(err.contains("the path is not UTF-8") && out.is_empty(), "{err}");
    }

    fs::write(root.join("tiny/src/net").join(OsStr::from_bytes(b"\xff.go")), "package net").unwrap();
    let (code, _, complaint) = run(&format!("plan {trees} --target wasip2"));
    assert_eq!(code, 1);
    assert!(complaint.ends_with("tiny/src/net: the name \"\\xFF.go\" is not UTF-8\n"), "{complaint}");
}

#[test]
fn help_is_said_under_the_name_that_the_command_has() {
    let (code, text, _) = run("plan --help");
    assert_eq!(code, 0);
    assert!(text.contains("Usage: dormouse goroot plan [OPTIONS] --goroot <DIR>"), "{text}");
}
