//! What is said of an overlay.

use dormouse_goroot::{Hidden, Listing, Report, Target};

use crate::support::{table, tinygo};

fn report(upstream: &[(&str, &str)], overlay: &[(&str, &str)], overrides: &str) -> Report {
    let targets = ["wasip1", "wasip2", "cortex-m"].map(tinygo);
    let [upstream, overlay] = [upstream, overlay].map(|files| Listing::of_files(files.iter().copied()));
    Report::new(&overlay, Some(&upstream), &table(overrides), &targets).unwrap()
}

#[test]
fn a_file_that_no_target_would_use_is_named_with_the_tag_that_none_has() {
    let overlay = [
        ("src/a/a.go", "package a"),
        ("src/a/misspelled.go", "//go:build wasip2 && !tinygo_wasm || wasi_p2\n\npackage a"),
        ("src/a/never.go", "//go:build linux && tynygo\n\npackage a"),
        ("src/a/both.go", "//go:build wasip1 && windows\n\npackage a"),
        ("src/a/both_wasip1.go", "//go:build baremetal\n\npackage a"),
        // All of these are used by somebody, or are not on purpose.
        ("src/a/on_purpose.go", "//go:build ignore\n\npackage main"),
        ("src/a/choice.go", "//go:build gc.leaking && !scheduler.tasks && go1.99\n\npackage a"),
        ("src/a/other.go", "//go:build plan9 && mips\n\npackage a"),
        ("src/a/cgo.go", "//go:build !cgo && wasip2\n\npackage a"),
        ("src/a/README.md", ""),
    ];
    let report = report(&[("src/a/a.go", "")], &overlay, "/ merge\na/ merge");
    let expected = [
        ("src/a/both.go", "no known target has what it asks for together"),
        ("src/a/both_wasip1.go", "no known target has what it asks for together"),
        ("src/a/never.go", "no known target has the tag tynygo"),
    ];
    assert_eq!(report.never_used, expected.map(|(path, why)| (path.to_owned(), why.to_owned())));
    assert!(!report.is_clean());
}

#[test]
fn a_name_that_looks_like_a_guard_and_is_none_is_named() {
    let overlay = [
        ("src/a/bare_wasip2.go", "package a"),
        ("src/a/bare_wasip2_test.go", "package a"),
        ("src/a/line_wasip2.go", "//go:build !baremetal\n\npackage a"),
        ("src/a/x_wasip3.go", "package a"),
        ("src/a/x_unix.go", "package a"),
        // Guarded: by the tag, by one that only its targets have, by Go, by a line about something else.
        ("src/a/good_wasip2.go", "//go:build wasip2\n\npackage a"),
        ("src/a/good_baremetal.go", "//go:build cortexm\n\npackage a"),
        ("src/a/good_wasip1.go", "package a"),
        ("src/a/good_unix.go", "//go:build !windows\n\npackage a"),
        ("src/a/wasip2.go", "package a"),
        ("src/a/some_other.go", "package a"),
    ];
    let report = report(&[("src/a/a.go", "")], &overlay, "/ merge\na/ merge");
    let expected = [
        ("src/a/bare_wasip2.go", "wasip2"),
        ("src/a/bare_wasip2_test.go", "wasip2"),
        ("src/a/line_wasip2.go", "wasip2"),
        ("src/a/x_unix.go", "unix"),
        ("src/a/x_wasip3.go", "wasip3"),
    ];
    assert_eq!(report.guards_nothing, expected.map(|(path, word)| (path.to_owned(), word.to_owned())));
}

#[test]
fn a_directory_that_the_table_does_not_have_is_named() {
    let overlay = [
        ("src/a/a.go", ""),
        ("src/a/b/b.go", ""),
        ("src/a/b/c/c.go", "//go:build no_such_tag\n"),
        ("src/whole/x/y.go", ""),
        ("src/wholesale/x.go", ""),
        ("targets/x.go", ""),
    ];
    let report = report(&[("src/a/a.go", "")], &overlay, "/ merge\na/ merge\nwhole/ overlay");
    assert_eq!(report.never_linked, ["src/a/b", "src/wholesale"]);
    // Its files are not named one by one.
    assert_eq!(report.never_used, []);
}

#[test]
fn what_is_hidden_is_told_by_directory_and_by_target() {
    let upstream = [
        ("src/a/a.go", ""),
        ("src/a/b.go", ""),
        // What a build would not have anyway is not hidden.
        ("src/a/b_windows.go", ""),
        ("src/a/b_test.go", ""),
        ("src/a/c/c.go", ""),
        ("src/a/malformed.go", "//go:build ("),
        ("src/d/d.go", ""),
        ("src/e/e_linux.go", ""),
        ("src/e/e_wasip1.go", ""),
    ];
    let overlay = [("src/a/a.go", "//go:build tinygo.wasm\n"), ("src/d/d.go", ""), ("src/e/e.go", "")];
    let report = report(&upstream, &overlay, "/ merge\na/ merge\nd/ merge\ne/ merge");
    let expected = [
        "src/a: for wasip1, wasip2 it hides b.go",
        "src/e: for wasip2, cortex-m it hides e_linux.go",
        "src/e: for wasip1 it hides e_wasip1.go",
    ];
    assert!(report.is_clean(), "hiding is what an overlay is for");
    assert_eq!(report.to_string().lines().collect::<Vec<_>>(), expected);
    let targets = ["wasip1", "wasip2"].map(str::to_owned).to_vec();
    assert_eq!(report.hides[0], Hidden { dir: "src/a".to_owned(), targets, files: vec!["b.go".to_owned()] });
}

#[test]
fn a_malformed_file_is_named_with_its_line() {
    let report = report(&[("src/a.go", "")], &[("src/a.go", "\n//go:build (\n\npackage a")], "/ merge");
    assert_eq!(report.to_string(), "src/a.go: line 2: parsing //go:build line: missing close paren\n");
}

#[test]
fn the_built_in_table_names_no_target_that_is_not_known() {
    // Each condition of TinyGo's table holds for one of its targets and for another not, or is about a release.
    let targets: Vec<Target> = Target::tinygo_names().map(tinygo).collect();
    let (old, new) = (Target::tinygo("wasip1", 18).unwrap(), Target::tinygo("wasip1", 26).unwrap());
    let host = Target::new("linux", "amd64").with_tinygo_tags([]);
    for line in dormouse_goroot::Overrides::tinygo().lines() {
        let Some(condition) = &line.condition else { continue };
        let holds = |target: &Target| condition.eval(|tag| target.has(tag));
        let by_target = targets.iter().any(holds) && !holds(&host);
        assert!(by_target || holds(&new) && !holds(&old), "{line:?}");
    }
}
