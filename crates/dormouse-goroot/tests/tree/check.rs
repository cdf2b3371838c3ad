//! What is said of an overlay.

use std::path::Path;

use dormouse_goroot::{Allowed, Expected, Finding, Kind, Listing, Overrides, Report, Severity, Target};

use crate::support::{table, tinygo};

fn expected() -> Expected {
    Expected { targets: ["wasip1", "wasip2", "cortex-m"].map(tinygo).to_vec(), ..Expected::default() }
}

fn report_of(upstream: &[(&str, &str)], overlay: &[(&str, &str)], overrides: &str, expected: &Expected) -> Report {
    let [upstream, overlay] = [upstream, overlay].map(|files| Listing::of_files(files.iter().copied()));
    Report::new(&overlay, Some(&upstream), &table(overrides), expected)
}

fn report(upstream: &[(&str, &str)], overlay: &[(&str, &str)], overrides: &str) -> Report {
    report_of(upstream, overlay, overrides, &expected())
}

/// The findings of a kind: what each is about, and what is the matter.
fn found(report: &Report, kind: Kind) -> Vec<(&str, &str)> {
    let findings = report.findings.iter().filter(|finding| finding.kind == kind);
    findings.map(|finding| (finding.path.as_str(), finding.what.as_str())).collect()
}

#[test]
fn a_file_that_no_target_would_use_is_named_with_the_tag_that_none_has() {
    let overlay = [
        ("src/a/a.go", "package a"),
        ("src/a/misspelled.go", "//go:build wasip2 && !tinygo_wasm || wasi_p2\n\npackage a"),
        ("src/a/never.go", "//go:build linux && tynygo\n\npackage a"),
        ("src/a/both.go", "//go:build wasip1 && windows\n\npackage a"),
        ("src/a/both_wasip1.go", "//go:build baremetal\n\npackage a"),
        // All of these are used by a target, or are unused on purpose.
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
    assert_eq!(found(&report, Kind::NeverUsed), expected);
    assert_eq!(report.worst(), Some(Severity::Warning));
}

#[test]
fn a_tag_that_one_file_asks_for_and_another_rules_out_is_the_users_to_set() {
    let overlay = [
        ("src/a/fast.go", "//go:build linux && fast_hash"),
        ("src/a/slow.go", "//go:build !(linux && fast_hash)"),
        ("src/a/tiny.go", "//go:build tiny_hash"),
        ("src/a/typo.go", "//go:build tiny_hush"),
    ];
    let mut expected = Expected::default();
    let at =
        |report: &Report| found(report, Kind::NeverUsed).iter().map(|(path, _)| (*path).to_owned()).collect::<Vec<_>>();
    let report = report_of(&[("src/a/a.go", "")], &overlay, "/ merge\na/ merge", &expected);
    assert_eq!(at(&report), ["src/a/tiny.go", "src/a/typo.go"]);
    // One that is named may be set or not, for every target.
    expected.tags.insert("tiny_hash".to_owned());
    let report = report_of(&[("src/a/a.go", "")], &overlay, "/ merge\na/ merge", &expected);
    assert_eq!(at(&report), ["src/a/typo.go"]);
    let overlay = [("src/a/a.go", "//go:build tiny_hash"), ("src/a/b.go", "//go:build !tiny_hash")];
    let report = report_of(&[("src/a/a.go", "")], &overlay, "/ merge\na/ merge", &expected);
    assert_eq!(report.findings, []);
}

#[test]
fn a_file_that_a_target_names_is_used_whatever_it_says() {
    let overlay = [("src/a/start_wasip2.S", ""), ("src/a/old.S", "//go:build no_such\n\n")];
    let mut expected = expected();
    let check = |expected: &Expected| report_of(&[("src/a/a.md", "")], &overlay, "/ merge\na/ merge", expected);
    assert_eq!(check(&expected).findings.len(), 2);
    expected.extra_files.extend(overlay.map(|(path, _)| path.to_owned()));
    assert_eq!(check(&expected).findings, []);
}

#[test]
fn what_is_allowed_is_left_out_and_a_line_that_allows_nothing_is_named() {
    let overlay = [("src/a/x_wasip2.go", ""), ("src/a/y_wasip2.go", ""), ("src/b/b.go", "")];
    let mut report = report(&[("src/a/a.md", "")], &overlay, "/ merge\na/ merge");
    let text = "# Known.\nguards-nothing  src/a/*_wasip2.go  # for a while\nnever-linked src/c/\n";
    report.allow(&Allowed::parse(Path::new("allowed"), text).unwrap());
    assert_eq!(report.allowed, 2);
    let expected = "src/b/: warning: never-linked: the table does not have it\n\
                    allowed:3: warning: allows-nothing: there is no finding never-linked src/c/\n\
                    2 warnings, 2 allowed\n";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn a_table_that_does_not_fit_is_an_error_for_its_targets() {
    let overlay = [("src/a/a.go", ""), ("src/d/x.go", "")];
    let lines = "/ merge\na/ merge\nb/ overlay if wasip2 || baremetal\nc/ overlay if go1.24\nd/ merge";
    let upstream = [("src/a/a.go", ""), ("src/d/x.go/x.go", "")];
    let report = report(&upstream, &overlay, &lines.replace("c/ overlay if go1.24\n", ""));
    assert_eq!(report.worst(), Some(Severity::Error));
    let misfit = report.findings.iter().find(|finding| finding.kind == Kind::Misfit).unwrap();
    assert_eq!(
        misfit.to_string(),
        "src/b/: error: misfit: for wasip2, cortex-m: table:3: the overlay has no directory src/b"
    );
    assert_eq!(found(&report, Kind::Shadowed), [("src/d/x.go", "upstream has a directory of that name")]);
    // A directory that the overlay needs since a release of Go.
    let report =
        report_of(&upstream, &overlay, lines, &Expected { targets: vec![tinygo("wasip1")], ..Expected::default() });
    let expected = "table:4: the overlay has no directory src/c, which it needs from Go 1.24 on: it is made for an older Go than \
                    this one";
    assert_eq!(found(&report, Kind::Misfit), [("src/c/", expected)]);
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
    let words: Vec<(&str, &str)> = found(&report, Kind::GuardsNothing)
        .into_iter()
        .map(|(path, what)| (path, what.split(' ').next().unwrap().trim_start_matches('_')))
        .collect();
    assert_eq!(words, expected);
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
    let why = "the table does not have it";
    assert_eq!(found(&report, Kind::NeverLinked), [("src/a/b/", why), ("src/wholesale/", why)]);
    // Its files are not named one by one.
    assert_eq!(found(&report, Kind::NeverUsed), []);
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
        "src/a: note: hides: for wasip1, wasip2: hides b.go",
        "src/e: note: hides: for wasip1: hides e_wasip1.go",
        "src/e: note: hides: for wasip2, cortex-m: hides e_linux.go",
        "3 notes",
    ];
    assert_eq!(report.worst(), Some(Severity::Note), "hiding is what an overlay is for");
    assert_eq!(report.to_string().lines().collect::<Vec<_>>(), expected);
    let Finding { targets, files, .. } = &report.findings[0];
    assert_eq!((targets.join(" "), files.join(" ")), ("wasip1 wasip2".to_owned(), "b.go".to_owned()));
}

#[test]
fn a_malformed_file_is_named_with_its_line() {
    let report = report(&[("src/a.go", "")], &[("src/a.go", "\n//go:build (\n\npackage a")], "/ merge");
    let expected = "src/a.go: error: malformed: line 2: parsing //go:build line: missing close paren\n1 error\n";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn the_built_in_table_names_no_target_that_is_not_known() {
    // Each condition of TinyGo's table holds for one of its targets and for another not, or is about a release.
    let targets: Vec<Target> = Target::tinygo_names().map(tinygo).collect();
    let (old, new) = (Target::tinygo("wasip1", 18).unwrap(), Target::tinygo("wasip1", 26).unwrap());
    let host = Target::host("linux", "amd64", 26);
    for line in Overrides::tinygo().lines() {
        let Some(condition) = &line.condition else { continue };
        let holds = |target: &Target| condition.eval(|tag| target.has(tag));
        let by_target = targets.iter().any(holds) && !holds(&host);
        assert!(by_target || holds(&new) && !holds(&old), "{line:?}");
    }
}
