//! Trees with links, files where the other tree has directories, and directories where it has files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use dormouse_goroot::{Error, Expected, Link, Listing, Plan, Report, Side};

use crate::support::{table, tinygo, write};

/// Two trees on disk, in a directory named for the test.
struct Trees {
    root: PathBuf,
}

impl Trees {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        Self { root: write(name, files) }
    }

    /// A link at `path` that leads to `to`, from the directory that it is in.
    fn link(&self, path: &str, to: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(to, path).unwrap();
    }

    fn plan(&self, overrides: &str) -> Result<Plan, Error> {
        Plan::read(&self.root.join("go"), &self.root.join("tiny"), &table(overrides), &tinygo("wasip1"))
    }

    fn apply(&self, plan: &Plan) -> PathBuf {
        plan.apply(&self.root.join("cache"), Link::Symbolic).unwrap().path
    }
}

fn links(plan: &Plan) -> Vec<(&str, Side)> {
    plan.links().collect()
}

fn read(tree: &Path, path: &str) -> String {
    fs::read_to_string(tree.join(path)).unwrap()
}

#[test]
fn a_package_of_go_that_is_a_link_is_merged_like_any_other() {
    let trees = Trees::new(
        "links-upstream",
        &[
            ("real/net/net.go", "package net // upstream"),
            ("real/net/url/url.go", "package url"),
            ("real/fmt/fmt.go", "package fmt"),
            ("real/runtime/r.go", "package runtime // upstream"),
            ("tiny/src/net/net_wasip1.go", "package net // overlay"),
            ("tiny/src/runtime/r.go", "package runtime // overlay"),
        ],
    );
    for package in ["net", "fmt", "runtime"] {
        trees.link(&format!("go/src/{package}"), &format!("../../more/{package}"));
        trees.link(&format!("more/{package}"), &format!("../real/{package}"));
    }
    let plan = trees.plan("/ merge\nnet/ merge\nruntime/ overlay").unwrap();
    assert_eq!(plan.made().collect::<Vec<_>>(), ["src", "src/net"]);
    let expected = [
        ("src/fmt", Side::Upstream),
        ("src/net/net_wasip1.go", Side::Overlay),
        ("src/net/url", Side::Upstream),
        ("src/runtime", Side::Overlay),
    ];
    assert_eq!(links(&plan), expected);
    let tree = trees.apply(&plan);
    assert_eq!(read(&tree, "src/net/net_wasip1.go"), "package net // overlay");
    assert_eq!(read(&tree, "src/fmt/fmt.go"), "package fmt");
    assert_eq!(read(&tree, "src/runtime/r.go"), "package runtime // overlay");
    assert!(!tree.join("src/net/net.go").exists());
}

#[test]
fn a_package_of_the_overlay_that_is_a_link_is_merged_like_any_other() {
    let trees = Trees::new(
        "links-overlay",
        &[
            ("go/src/net/net.go", "package net // upstream"),
            ("go/src/os/os.go", "package os // upstream"),
            ("real/net/net.go", "package net // overlay"),
            ("real/machine/m.go", "package machine"),
        ],
    );
    trees.link("tiny/src/net", "../../real/net");
    trees.link("tiny/src/machine", "../../real/machine");
    let plan = trees.plan("/ merge\nnet/ merge\nmachine/ overlay").unwrap();
    let expected = [("src/machine", Side::Overlay), ("src/net/net.go", Side::Overlay), ("src/os", Side::Upstream)];
    assert_eq!(links(&plan), expected);
    let why = plan.why("src").unwrap();
    assert!(why.contains("The overlay has no files in it, so the files are upstream's."), "{why}");
    assert!(why.contains("  both      net/: merged for wasip1 (line 2 of table)\n"), "{why}");
    assert!(why.contains("  overlay   machine/: linked: it is the overlay's (line 3 of table)\n"), "{why}");
    assert_eq!(read(&trees.apply(&plan), "src/net/net.go"), "package net // overlay");
}

#[test]
fn a_package_that_is_left_out_because_it_is_a_link_is_named() {
    let files = [("go/src/a/a.go", ""), ("real/b/b.go", ""), ("tiny/src/a/a.go", "//go:build wasip2")];
    let trees = Trees::new("links-left-out", &files);
    trees.link("go/src/a/b", "../../../real/b");
    let [go, tiny] = ["go", "tiny"].map(|root| trees.root.join(root));
    let [upstream, overlay] = [go, tiny].map(|root| Listing::of_dirs(&root, ["src", "src/a"]).unwrap().with_rules());
    let expected = Expected { targets: ["wasip1", "wasip2"].map(tinygo).to_vec(), ..Expected::default() };
    let report = Report::new(&overlay, Some(&upstream), &table("/ merge\na/ merge"), &expected);
    let what = "it is a link to a directory, which counts as a file, and upstream's files are left out here";
    assert_eq!(report.to_string(), format!("src/a/b: warning: left-out: for wasip2: {what}\n1 warning\n"));
}

#[test]
fn a_file_of_the_overlay_gives_way_to_a_directory_of_upstream() {
    let files = [("go/src/a/x.go/file.go", "package x"), ("tiny/src/a/x.go", "package a"), ("go/src/a/a.go", "")];
    let trees = Trees::new("links-shadowed", &files);
    let plan = trees.plan("/ merge\na/ merge").unwrap();
    // As in TinyGo, which links what upstream has last: it claims the directory all the same.
    assert_eq!(links(&plan), [("src/a/x.go", Side::Upstream)]);
    let why = "src/a/x.go of overlay: not linked: upstream has a directory of that name, which the table does not have \
               for wasip1\nsrc/a/x.go of upstream: linked: the table does not have it for wasip1\n";
    assert_eq!(plan.why("src/a/x.go").unwrap(), why);
    assert_eq!(read(&trees.apply(&plan), "src/a/x.go/file.go"), "package x");
}

#[test]
fn a_directory_of_the_overlay_that_the_table_does_not_have_leaves_a_file_of_upstream() {
    let trees = Trees::new("links-directory", &[("go/src/a", "upstream"), ("tiny/src/a/a.go", "package a")]);
    assert_eq!(links(&trees.plan("/ merge").unwrap()), [("src/a", Side::Upstream)]);
}

#[test]
fn a_directory_of_the_table_that_is_a_file_or_leads_nowhere_is_missing() {
    let trees = Trees::new(
        "links-missing",
        &[("go/src/a", ""), ("go/src/b/b.go", ""), ("tiny/src/a/a.go", ""), ("tiny/src/b", "")],
    );
    trees.link("tiny/src/c", "nowhere");
    trees.link("tiny/src/d", "d");
    let missing = |table: &str| trees.plan(table).unwrap_err().to_string();
    let said = missing("/ merge\na/ merge");
    assert!(said.starts_with("table:2: upstream has no directory ") && said.ends_with("/go/src/a"), "{said}");
    for dir in ["b", "c", "d"] {
        let said = missing(&format!("/ merge\n{dir}/ overlay"));
        assert!(said.starts_with("table:2: the overlay has no directory "), "{said}");
        assert!(trees.plan(&format!("/ merge\n{dir}/ overlay?")).is_ok(), "the line does not count");
    }
    // A file of upstream is replaced by a directory.
    assert_eq!(links(&trees.plan("/ merge\na/ overlay").unwrap())[0], ("src/a", Side::Overlay));
}

#[test]
fn what_go_may_embed_goes_along_where_the_directory_is_claimed_and_is_no_link() {
    let files = [
        ("go/src/a/a.go", "package a"),
        ("go/src/b/b.go", "package b"),
        ("go/src/b/data.txt", "upstream"),
        ("tiny/src/a/a.go", "package a"),
        ("tiny/src/a/data.txt", "overlay"),
        ("tiny/src/a/.hidden", ""),
        ("tiny/src/a/only_linux.go", "package a"),
        ("tiny/src/b/data.txt", "overlay"),
    ];
    let trees = Trees::new("links-embed", &files);
    trees.link("tiny/src/a/to", "nowhere");
    let table = "/ merge\na/ merge\nb/ merge";
    let plan = trees.plan(table).unwrap();
    let expected = [
        ("src/a/.hidden", Side::Overlay),
        ("src/a/a.go", Side::Overlay),
        ("src/a/data.txt", Side::Overlay),
        ("src/a/to", Side::Overlay),
        ("src/b/b.go", Side::Upstream),
        ("src/b/data.txt", Side::Upstream),
    ];
    assert_eq!(links(&plan), expected);
    let why = "has no extension of a file that Go builds, and goes along with the files that claim the directory\n";
    assert_eq!(plan.why("src/a/data.txt").unwrap(), format!("src/a/data.txt of overlay: linked: {why}"));
    let tree = trees.apply(&plan);
    for (path, text) in [("src/a/data.txt", "overlay"), ("src/b/data.txt", "upstream")] {
        assert_eq!((read(&tree, path).as_str(), tree.join(path).is_symlink()), (text, false), "{path}");
    }
    assert!(tree.join("src/a/a.go").is_symlink() && tree.join("src/a/to").is_symlink());
    // It is there again when it has changed.
    let path = trees.root.join("tiny/src/a/data.txt");
    fs::remove_file(&path).unwrap();
    fs::write(&path, "changed").unwrap();
    assert_eq!(read(&trees.apply(&trees.plan(table).unwrap()), "src/a/data.txt"), "changed");
}

#[test]
fn a_copy_leaves_out_a_link_that_leads_nowhere() {
    let files = [("go/src/a/a.go", "package a"), ("tiny/src/b/b.go", "package b"), ("go/src/b/b.go", "package b")];
    let trees = Trees::new("links-nowhere", &files);
    trees.link("go/src/a/.#a.go", "someone@somewhere.1234");
    trees.link("tiny/src/b/.#b.go", "someone@somewhere.1234");
    trees.link("tiny/src/b/self", "self");
    for link in [Link::Hard, Link::Copy] {
        let plan = trees.plan("/ merge\nb/ merge").unwrap();
        let tree = plan.apply(&trees.root.join("cache"), link).unwrap().path;
        for (dir, file) in [("src/a", "a.go"), ("src/b", "b.go")] {
            let entries = fs::read_dir(tree.join(dir)).unwrap().map(|entry| entry.unwrap().file_name());
            assert_eq!(entries.collect::<Vec<_>>(), [file]);
        }
    }
    // It is made again when the link leads somewhere.
    let apply = || trees.plan("/ merge\nb/ merge").unwrap().apply(&trees.root.join("cache"), Link::Copy).unwrap();
    assert!(!apply().new);
    fs::write(trees.root.join("go/src/a/someone@somewhere.1234"), "").unwrap();
    assert!(apply().path.join("src/a/.#a.go").exists());
}

#[test]
fn a_copy_is_made_again_when_something_behind_a_link_has_changed() {
    let trees = Trees::new(
        "links-copied",
        &[("go/src/a/a.go", "package a"), ("real/b.go", "package b"), ("tiny/src/x.md", "")],
    );
    trees.link("go/src/a/b", "../../../real");
    let apply = || trees.plan("/ merge").unwrap().apply(&trees.root.join("cache"), Link::Copy).unwrap().path;
    let first = apply();
    fs::write(trees.root.join("real/b.go"), "package b // changed").unwrap();
    let again = apply();
    assert_ne!(first, again);
    assert_eq!(read(&again, "src/a/b/b.go"), "package b // changed");
}
