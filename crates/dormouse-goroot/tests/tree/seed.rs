//! The bug of the seed, under the rule before it and under the one that it introduced.

use std::collections::BTreeMap;

use dormouse_goroot::{Side, Target};

use crate::support::{plan, tinygo};

const UPSTREAM: [(&str, &str); 3] = [
    ("src/net/net.go", "package net"),
    ("src/net/file_wasip1.go", "package net"),
    ("src/net/url/url.go", "package url"),
];
const OVERLAY: [(&str, &str); 2] =
    [("src/net/README.md", "Ours."), ("src/net/net_wasip2.go", "//go:build wasip2\n\npackage net")];
const TABLE: &str = "/ merge\nnet/ merge";

/// The rule before, for one directory: any file of the overlay claims it, and all are linked.
fn before(dir: &str) -> BTreeMap<String, Side> {
    let below = |path: &'static str| path.strip_prefix(dir)?.strip_prefix('/');
    let mut links = BTreeMap::new();
    for (path, _) in OVERLAY {
        if below(path).is_some_and(|name| !name.contains('/')) {
            links.insert(path.to_owned(), Side::Overlay);
        }
    }
    let claimed = !links.is_empty();
    for (path, _) in UPSTREAM {
        match below(path).map(|rest| rest.split_once('/')) {
            Some(Some((subdirectory, _))) => links.insert(format!("{dir}/{subdirectory}"), Side::Upstream),
            Some(None) if !claimed => links.insert(path.to_owned(), Side::Upstream),
            _ => None,
        };
    }
    links
}

/// The rule that we have.
fn after(dir: &str, target: &Target) -> BTreeMap<String, Side> {
    let plan = plan(&UPSTREAM, &OVERLAY, TABLE, target);
    plan.links()
        .filter(|(path, _)| path.starts_with(&format!("{dir}/")))
        .map(|(path, side)| (path.to_owned(), side))
        .collect()
}

fn links<const N: usize>(links: [(&str, Side); N]) -> BTreeMap<String, Side> {
    links.map(|(path, side)| (path.to_owned(), side)).into()
}

#[test]
fn before_a_file_for_wasip2_left_wasip1_without_the_package() {
    // The only Go file that is left is one that wasip1 does not build: `build constraints exclude all Go files in net`.
    assert_eq!(
        before("src/net"),
        links([
            ("src/net/README.md", Side::Overlay),
            ("src/net/net_wasip2.go", Side::Overlay),
            ("src/net/url", Side::Upstream),
        ])
    );
}

#[test]
fn a_file_for_wasip2_changes_nothing_for_wasip1() {
    assert_eq!(
        after("src/net", &tinygo("wasip1")),
        links([
            ("src/net/file_wasip1.go", Side::Upstream),
            ("src/net/net.go", Side::Upstream),
            ("src/net/url", Side::Upstream),
        ])
    );
}

#[test]
fn a_file_for_wasip2_claims_the_directory_for_wasip2() {
    assert_eq!(
        after("src/net", &tinygo("wasip2")),
        links([
            // Go does not build it, so it claims nothing, and goes along with what does.
            ("src/net/README.md", Side::Overlay),
            ("src/net/net_wasip2.go", Side::Overlay),
            ("src/net/url", Side::Upstream),
        ])
    );
}

#[test]
fn only_its_line_keeps_a_wasip2_file_from_wasip1() {
    // wasip2 is no GOOS that Go knows, so without the line the name says nothing.
    let overlay = [("src/net/net_wasip2.go", "package net")];
    let plan = plan(&UPSTREAM, &overlay, TABLE, &tinygo("wasip1"));
    assert!(plan.links().any(|link| link == ("src/net/net_wasip2.go", Side::Overlay)));
}

#[test]
fn to_wasip2_files_for_linux_and_arm_belong() {
    let overlay =
        [("src/net/a_linux.go", ""), ("src/net/b_arm.go", ""), ("src/net/c_wasip1.go", ""), ("src/net/d_wasm.go", "")];
    let plan = plan(&UPSTREAM, &overlay, TABLE, &tinygo("wasip2"));
    let linked: Vec<&str> = plan.links().filter(|(_, side)| *side == Side::Overlay).map(|(path, _)| path).collect();
    assert_eq!(linked, ["src/net/a_linux.go", "src/net/b_arm.go"]);
}
