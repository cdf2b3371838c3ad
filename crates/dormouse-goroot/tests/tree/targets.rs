//! Targets by name, the tags of each, and the table, as the command takes them.

use std::fs;

use crate::cli::{run, trees};

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
    let expected = "dormouse-goroot: there is no target wasip9 among 7 (similar are wasip1, wasip2, wasm): write GOOS/GOARCH, or one \
                    that `dormouse-goroot targets --overlay ";
    assert!(complaints.starts_with(expected), "{complaints}");
}

#[test]
fn a_broken_target_is_a_mistake_for_itself_alone() {
    let (root, trees) = trees("cli-broken");
    for (name, text) in [
        ("syntax", "{"),
        ("again", r#"{"inherits": ["again"]}"#),
        ("twice", r#"{"inherits": ["parent", "parent"], "goos": "linux", "goarch": "arm"}"#),
        ("tags", r#"{"inherits": ["board"], "build-tags": ["board"]}"#),
        ("from", r#"{"inherits": ["syntax"]}"#),
    ] {
        fs::write(root.join(format!("tiny/targets/{name}.json")), text).unwrap();
    }
    assert_eq!(run(&format!("plan {trees} --target board")).0, 0);
    for (name, expected) in [
        ("syntax", "targets/syntax.json: EOF while parsing an object at line 1 column 1\n"),
        ("again", "targets/again.json: it inherits from again, which inherits from it\n"),
        ("twice", "targets/twice.json: board is twice in build-tags, with what it inherits\n"),
        ("tags", "targets/tags.json: board is twice in build-tags, with what it inherits\n"),
        ("from", "targets/from.json: it inherits from syntax: EOF while parsing an object at line 1 column 1\n"),
    ] {
        let (code, _, said) = run(&format!("plan {trees} --target {name}"));
        assert_eq!((code, said.ends_with(expected)), (1, true), "{said}");
        assert!(said.starts_with(&format!("dormouse-goroot: the target {name} is broken: ")), "{said}");
    }
    let (code, _, said) = run(&format!("plan {trees} --target parent"));
    assert_eq!(
        (code, said.as_str()),
        (2, "dormouse-goroot: parent is a part of other targets: it names no GOOS and GOARCH\n")
    );
    let part = r#"{"inheritable-only": true, "goos": "linux", "goarch": "arm"}"#;
    fs::write(root.join("tiny/targets/part.json"), part).unwrap();
    let child = r#"{"inherits": ["part"]}"#;
    fs::write(root.join("tiny/targets/child.json"), child).unwrap();
    let (code, text, _) = run(&format!("targets --overlay {}", root.join("tiny").display()));
    assert_eq!((code, text.lines().count()), (0, 8 + 5), "{text}");
    assert!(text.contains("\nchild ") && !text.contains("\npart "), "{text}");
    assert!(
        text.starts_with("board                           linux/arm       board scheduler.tasks tinygo "),
        "{text}"
    );
}

#[test]
fn a_target_is_read_as_go_reads_json() {
    let (root, trees) = trees("cli-json");
    let odd = r#"{"Inherits": null, "goos": "linux", "GOARCH": "arm", "gc": "none", "gc": "leaking"} {"#;
    fs::write(root.join("tiny/targets/odd.json"), odd).unwrap();
    let (code, text, complaints) = run(&format!("plan {trees} --target odd --json"));
    assert_eq!((code, complaints.as_str()), (0, ""));
    assert!(text.contains("\"gc.leaking\"") && !text.contains("\"gc.none\""), "{text}");
    fs::write(root.join("tiny/targets/odd.json"), r#"{"goos": 5}"#).unwrap();
    let (code, _, complaints) = run(&format!("plan {trees} --target odd"));
    assert_eq!(code, 1);
    assert!(complaints.ends_with("odd.json: invalid type: integer `5`, expected a string\n"), "{complaints}");
}

#[test]
fn a_target_has_the_tags_that_tinygo_gives_it() {
    let (root, trees) = trees("cli-tags");
    let custom = root.join("custom.json");
    fs::write(&custom, r#"{"inherits": ["board"], "build-tags": ["mine"], "gc": "none"}"#).unwrap();
    fs::write(root.join("tiny/targets/wasip1.json"), r#"{"goos": "wasip1", "goarch": "wasm", "build-tags": ["own"]}"#)
        .unwrap();
    let tags = |options: &str| {
        let (code, text, complaints) = run(&format!("plan {trees} --json {options}"));
        assert_eq!(code, 0, "{complaints}");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let tags: Vec<String> = serde_json::from_value(json["target"]["tags"].clone()).unwrap();
        tags.join(" ")
    };
    let all = "tinygo purego osusergo math_big_pure_go";
    let board = format!("board scheduler.tasks {all} gc.conservative serial.none tinygo.unicore");
    assert_eq!(tags("--target BOARD"), board);
    let custom = format!("--target {}", custom.display());
    assert_eq!(tags(&custom), format!("board mine gc.none scheduler.tasks {all} serial.none tinygo.unicore"));
    let chosen = "--target board --gc leaking --scheduler threads --serial usb --tags a,gc.none";
    assert_eq!(tags(chosen), format!("board {all} gc.leaking scheduler.threads serial.usb a gc.none"));
    let mut out = Vec::new();
    let spaced = format!("plan {trees} --json --target board --tags");
    let args = spaced.split(' ').chain(["b  c,d, "]).map(Into::into);
    assert_eq!(dormouse_goroot::cli::run(args, &mut out, &mut Vec::new()), 0);
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let tags_of = json["target"]["tags"].as_array().unwrap();
    assert_eq!(tags_of[tags_of.len() - 3..], ["b", "c", "d"]);
    // A pair is what TinyGo builds for it; for WebAssembly the target of that name.
    assert_eq!(tags("--target linux/amd64"), format!("linux amd64 gc.boehm scheduler.threads {all} serial.none"));
    let windows = format!("windows arm64 gc.boehm scheduler.tasks {all} serial.none tinygo.unicore");
    assert_eq!(tags("--target windows/arm64"), windows);
    let none = format!("plan9 mips {all} gc.conservative scheduler.none serial.none tinygo.unicore");
    assert_eq!(tags("--target plan9/mips"), none);
    assert_eq!(tags("--target linux/amd64 --plain"), "");
    assert!(tags("--target wasip1/wasm").starts_with("own tinygo "));
    assert!(tags("--target wasip2/wasm").starts_with("tinygo.wasm wasip2 gc.boehm scheduler.asyncify "));
    // A TinyGo that has neither the Boehm collector nor threads yet.
    fs::create_dir_all(root.join("tiny/src/runtime")).unwrap();
    fs::write(root.join("tiny/src/runtime/runtime.go"), "package runtime").unwrap();
    let old = format!("linux amd64 gc.precise scheduler.tasks {all} serial.none tinygo.unicore");
    assert_eq!(tags("--target linux/amd64"), old);
    for (options, expected) in [
        ("--target board --gc leeking", "invalid value 'leeking' for '--gc <GC>'"),
        ("--target board --plain", "--plain is for a target GOOS/GOARCH that Go knows, and board is none"),
        ("--target linux/amd64 --plain --gc none", "cannot be used with"),
    ] {
        let (code, _, said) = run(&format!("plan {trees} {options}"));
        assert_eq!((code, said.contains(expected)), (2, true), "{said}");
    }
}

#[test]
fn an_overlay_may_bring_its_table() {
    let (root, trees) = trees("cli-own-table");
    let trees = trees.split(" --overrides").next().unwrap();
    fs::write(root.join("tiny/goroot.overrides"), "/ merge\nnet/ overlay\n").unwrap();
    let (_, text, complaints) = run(&format!("plan {trees} --target wasip1 --why src/net"));
    assert!(
        text.ends_with("/tiny/goroot.overrides)\n") && text.contains("it is the overlay's (line 2 of "),
        "{text}{complaints}"
    );
    let table = root.join("table");
    let (_, text, _) = run(&format!("plan {trees} --target wasip1 --why src/net --overrides {}", table.display()));
    assert!(text.starts_with("src/net is merged for wasip1"), "{text}");
    // As an editor on Windows writes it.
    fs::write(root.join("tiny/goroot.overrides"), "\u{feff}/ merge\r\nnet/ overlay\r\n").unwrap();
    let (code, _, complaints) = run(&format!("plan {trees} --target wasip1"));
    assert_eq!((code, complaints.as_str()), (0, ""));
    let allowed = root.join("allowed");
    fs::write(&allowed, "\u{feff}never-used src/net/net_board.go\r\n").unwrap();
    let tiny = root.join("tiny");
    let (code, text, complaints) = run(&format!("check --overlay {} --allow {}", tiny.display(), allowed.display()));
    assert!(code == 3 && text.contains("there is no finding never-used src/net/net_board.go"), "{text}{complaints}");
    // One that cannot be read is not as if there were none.
    #[cfg(unix)]
    {
        fs::remove_file(root.join("tiny/goroot.overrides")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("tiny/goroot.overrides")).unwrap();
        let (code, _, complaints) = run(&format!("plan {trees} --target wasip1"));
        assert_eq!(code, 1);
        assert!(complaints.contains("/tiny/goroot.overrides: No such file"), "{complaints}");
    }
}
