//! The promises of Go's `build_test.go`, `read_test.go` and `syslist_test.go`.

use dormouse_goroot::constraint::{Content, Header, Rule};
use dormouse_goroot::{Target, constraint::Constraint};

fn header(text: &str) -> Header {
    Header::parse(Content::Go, text.as_bytes()).unwrap()
}

/// The tags that are asked for, and whether the file is built if `yes` is the only one that is set.
fn asked(header: &Header) -> (Vec<&str>, bool) {
    let exprs = || header.constraint.lines().iter().map(|line| &line.expr);
    let mut tags: Vec<&str> = exprs().flat_map(|expr| expr.tags()).collect();
    tags.sort_unstable();
    (tags, exprs().all(|expr| expr.eval(|tag| tag == "yes")))
}

#[test]
fn the_lines_that_count_are_those_in_the_leading_comments() {
    let comment = "// Copyright The Go Authors.\n\n// This package implements parsing of tags like\n// +build tag1\npackage build";
    for (name, text, tags, built) in [
        ("plus", "// +build yes\n\npackage main\n", &["yes"][..], true),
        ("go", "//go:build yes\npackage main\n", &["yes"], true),
        ("plus, or", "// +build no yes\n\npackage main\n", &["no", "yes"], true),
        ("go, or", "//go:build no || yes\npackage main\n", &["no", "yes"], true),
        ("plus, and", "// +build no,yes\n\npackage main\n", &["no", "yes"], false),
        ("go, and", "//go:build no && yes\npackage main\n", &["no", "yes"], false),
        ("plus twice", "// +build yes\n// +build no\n\npackage main\n", &["no", "yes"], false),
        ("plus in documentation does not", &format!("// +build cgo\n\n{comment}"), &["cgo"], false),
        ("plus in documentation, after go", &format!("//go:build cgo\n{comment}"), &["cgo"], false),
        ("after package", "// C\n\npackage b\n\n// lines like\n// +build tag\n//go:build tag\nfunc f()\n", &[], true),
        ("plus close to the package clause", "// +build yes\npackage main\n", &[], true),
        ("go close to the package clause", "//go:build yes\npackage main\n", &["yes"], true),
        ("plus that would not hold, close", "// +build no\npackage main\n", &[], true),
        ("go that does not hold, close", "//go:build no\npackage main\n", &["no"], false),
        ("go decides alone", "// +build yes\n\n//go:build no\npackage main\n", &["no"], false),
        ("go after a comment", "/* */\n// +build yes\n\n//go:build no\npackage main\n", &["no"], false),
        ("in a comment", "/*\n//go:build no\n*/\n\npackage main\n", &[], true),
        ("after a comment", "/*\ntext\n*/\n\n//go:build no\npackage main\n", &["no"], false),
        ("after comments", "/*/*/ /* hi *//* \ntext\n*/\n\n//go:build no\npackage main\n", &["no"], false),
        ("on a comment's line", "/**///go:build no\npackage main\n", &[], true),
        ("on the line after a comment", "/**/\n//go:build no\npackage main\n", &["no"], false),
        ("plus after a comment", "/* */\n\n// +build no\n\npackage main\n", &[], true),
        ("with a byte order mark", "\u{feff}//go:build no\npackage main\n", &["no"], false),
        ("with Windows' line ends", "//go:build no\r\n\r\npackage main\r\n", &["no"], false),
        ("a plus line that is too complex", &format!("// +build no{}\n\npackage p", " no".repeat(101)), &[], true),
        ("nothing at all", "", &[], true),
    ] {
        assert_eq!(asked(&header(text)), (tags.to_vec(), built), "{name}");
    }
}

#[test]
fn a_binary_only_package_says_so_in_a_line() {
    for (text, built) in [
        ("//go:binary-only-package\n// +build yes\npackage main\n", true),
        ("//go:binary-only-package\n//go:build no\npackage main\n", false),
    ] {
        let header = header(text);
        assert!(header.binary_only);
        assert_eq!(asked(&header).1, built);
    }
    assert!(!header("/*\n//go:binary-only-package\n*/\npackage main\n").binary_only);
}

#[test]
fn a_malformed_file_is_told_with_its_line() {
    for (content, text, expected) in [
        (
            Content::Go,
            "// C\n\n//go:build a ||\n\npackage p",
            "line 3: parsing //go:build line: unexpected end of expression",
        ),
        (Content::Go, "//go:build a\n//go:build b\n\npackage p", "line 2: multiple //go:build comments"),
        (Content::Go, "package p\n\0\nimport `math`\n", "line 2: unexpected NUL in input"),
        (Content::Go, "package p; import (\n\n\0", "line 3: unexpected NUL in input"),
        (Content::Go, "/\0", "line 1: unexpected NUL in input"),
        (Content::Other, "// a\n/ b\n", "line 2: syntax error"),
        (Content::Other, "// a\n/* b\n", "line 3: syntax error"),
        (Content::Other, "// a\n\0\n/ b\n", "line 2: unexpected NUL in input"),
    ] {
        assert_eq!(Header::parse(content, text.as_bytes()).unwrap_err().to_string(), expected, "{text:?}");
    }
    // What is after the head does not matter, and Go source that is malformed is for the compiler to complain about.
    for (content, text) in [
        (Content::Go, "package p; import `math`\nvar x = 1\0"),
        (Content::Go, "package"),
        (Content::Go, "package p; import (\"x"),
        // Go reads on before it looks, once.
        (Content::Go, "/ \0"),
        (Content::Other, "TEXT\0"),
        (Content::Binary, "/\0"),
    ] {
        assert_eq!(Header::parse(content, text.as_bytes()).unwrap().constraint, Constraint::None, "{text:?}");
    }
}

#[test]
fn a_nul_behind_what_is_malformed_matters_to_go_before_1_26() {
    for (text, line) in [
        ("/ \0\0", Some(1)),
        ("package p; import (x\n\n\0", None),
        ("package p; import x\n\n/ \n\n\0", Some(5)),
        ("packet p\0", Some(1)),
        ("pack\0age p", None),
        ("package p; import \"x\n\0", Some(2)),
        ("package p; import `x\0", None),
        ("package p; import \"x\"", None),
    ] {
        let rule = Rule::of("x.go", text.as_bytes());
        let [before, after] = [25, 26].map(|minor| rule.matches(&Target::new("linux", "arm").with_releases(minor)));
        match line {
            Some(line) => {
                assert_eq!(
                    before.unwrap_err().to_string(),
                    format!("line {line}: unexpected NUL in input"),
                    "{text:?}"
                );
                assert!(after.unwrap(), "{text:?}");
            }
            None => assert_eq!(before.is_ok(), after.is_ok(), "{text:?}"),
        }
    }
}

#[test]
fn a_file_says_the_same_wherever_reading_it_pauses() {
    let source = "//go:build linux && arm\n/* a */\n\npackage p\n\nimport (\n\t_ `embed` // b\n)\n\nfunc f() {}\n";
    for (content, tail) in [
        (Content::Go, source),
        (Content::Go, "//go:build a\npackage p; import \"\0\""),
        (Content::Go, "package p; import (\"x\n\0"),
        (Content::Other, "// +build a\n\n/* c */ TEXT"),
        (Content::Other, "/* c\n */\n/ x \0"),
        (Content::Other, "/* c \0"),
    ] {
        // The head ends before, at and after the end of what is read at first.
        for padding in (3900..4110).chain([9000]) {
            let text = format!("// +build b\n{}\n{tail}", "\n".repeat(padding));
            let parsed = Header::parse(content, text.as_bytes());
            assert_eq!(Header::read(content, text.as_bytes()).unwrap(), parsed, "{padding} {tail}");
        }
    }
}

#[test]
fn a_file_matches_by_its_name_and_then_by_its_head() {
    let (plan9, android) = (Target::new("plan9", "arm"), Target::new("android", "arm"));
    for (target, name, text, matches) in [
        (&plan9, "foo_arm.go", "", true),
        (&plan9, "foo1_arm.go", "// +build linux\n\npackage main\n", false),
        (&plan9, "foo_darwin.go", "", false),
        (&plan9, "foo.go", "", true),
        (&plan9, "foo1.go", "// +build linux\n\npackage main\n", false),
        (&plan9, "foo.badsuffix", "", false),
        (&android, "foo_linux.go", "", true),
        (&android, "foo_android.go", "", true),
        (&android, "foo_plan9.go", "", false),
        (&android, "android.go", "", true),
        (&android, "plan9.go", "", true),
        (&android, "plan9_test.go", "", true),
        (&android, "arm.s", "", true),
        (&android, "amd64.s", "", true),
        (&android, "_foo.go", "", false),
        (&android, ".foo.go", "", false),
        (&android, "README", "", false),
        (&android, "foo.md", "", false),
        (&android, "foo_arm.linux.go", "", true),
        (&android, "foo_amd64.x.go", "", false),
        (&android, "foo_arm_plan9.go", "", false),
        (&android, "foo_plan9_x.go", "", true),
        (&android, "foo_plan9.syso", "", false),
        (&android, "foo_arm.syso", "\0", true),
    ] {
        assert_eq!(Rule::of(name, text.as_bytes()).matches(target).unwrap(), matches, "{name} for {}", target.name);
    }
}

#[test]
fn an_os_or_an_architecture_at_the_end_of_a_name_must_be_the_targets() {
    let target = Target::new("linux", "amd64");
    for (name, matches) in [
        ("file.go", true),
        ("file.c", true),
        ("file_foo.go", true),
        ("file_amd64.go", true),
        ("file_arm.go", false),
        ("file_linux.go", true),
        ("file_darwin.go", false),
        ("file_linux_amd64.go", true),
        ("file_darwin_amd64.go", false),
        ("file_linux_arm.go", false),
        ("file_darwin_arm.go", false),
        ("file_foo_amd64.go", true),
        ("file_foo_arm.go", false),
        ("file_linux.c", true),
        ("file_darwin.c", false),
        ("file_darwin_test.go", false),
    ] {
        assert_eq!(Rule::of(name, b"").matches(&target).unwrap(), matches, "{name}");
    }
}

#[test]
fn a_tag_may_be_the_os_of_a_name() {
    let target = Target { tags: vec!["linux".to_owned()], ..Target::new("darwin", "") };
    assert!(Rule::of("hello_linux.go", b"").matches(&target).unwrap());
}

#[test]
fn a_name_that_rules_a_file_out_hides_what_is_wrong_in_it() {
    let rule = Rule::of("x_windows.go", b"//go:build (\n\npackage p");
    assert!(!rule.matches(&Target::new("linux", "arm")).unwrap());
    let trouble = rule.matches(&Target::new("windows", "arm")).unwrap_err();
    assert_eq!(trouble.to_string(), "line 1: parsing //go:build line: missing close paren");
}

#[test]
fn verdicts_give_the_reason() {
    let target = Target { name: "wasip2".to_owned(), tags: vec!["wasip2".to_owned()], ..Target::new("linux", "arm") };
    for (name, text, because) in [
        ("a.go", "package p", "asks for nothing"),
        ("a.md", "", "has no extension of a file that Go builds"),
        ("a_wasip1.go", "", "has a name that ends in _wasip1, and wasip1 is not set"),
        (
            "a_linux_arm.go",
            "",
            "has a name that ends in _linux_arm (linux is the target's GOOS, arm is the target's GOARCH)",
        ),
        (
            "a.go",
            "//go:build wasip2\n",
            "says `//go:build wasip2` in line 1, which holds: wasip2 is one of the target's tags",
        ),
        (
            "a.go",
            "\n//go:build unix && !wasip2",
            "says `//go:build unix && !wasip2` in line 2, which does not hold: unix is set, as the target's GOOS is a Unix, wasip2 is one of the target's tags",
        ),
        (
            "a.go",
            "// +build linux\n// +build cgo\n// +build arm\n\n",
            "says `// +build cgo` in line 2, which does not hold: cgo is not set",
        ),
        (
            "a_arm.go",
            "// +build linux\n\n",
            "has a name that ends in _arm (arm is the target's GOARCH) and says `// +build linux` in line 1, which holds: linux is the target's GOOS",
        ),
    ] {
        assert_eq!(Rule::of(name, text.as_bytes()).verdict(&target).unwrap().because, because);
    }
}
