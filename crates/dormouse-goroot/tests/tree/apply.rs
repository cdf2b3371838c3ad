//! What is made of a plan.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::thread;

use dormouse_goroot::{Link, Plan};

use crate::support::{table, tinygo, write};

const UPSTREAM: [(&str, &str); 5] = [
    ("VERSION", "go1.24.1\n"),
    ("bin/go", "binary"),
    ("src/fmt/print.go", "package fmt // upstream"),
    ("src/net/net.go", "package net // upstream"),
    ("src/net/url/url.go", "package url // upstream"),
];
const OVERLAY: [(&str, &str); 2] = [
    ("src/net/net_wasip2.go", "//go:build wasip2\n\npackage net // overlay"),
    ("src/runtime/internal/r.go", "package internal // overlay"),
];
const TABLE: &str = "/ merge\nnet/ merge\nruntime/ overlay\n";

/// The trees and a directory for what is made, all named for the test.
struct Place {
    root: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let prefix = |dir: &str, (path, text): (&str, &'static str)| (format!("{dir}/{path}"), text);
        let files = UPSTREAM
            .map(|file| prefix("upstream", file))
            .into_iter()
            .chain(OVERLAY.map(|file| prefix("overlay", file)));
        let files: Vec<(String, &str)> = files.collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        Self { root: write(name, &files) }
    }

    fn plan(&self, target: &str) -> Plan {
        let [upstream, overlay] = ["upstream", "overlay"].map(|dir| self.root.join(dir));
        Plan::read(&upstream, &overlay, &table(TABLE), &tinygo(target)).unwrap()
    }

    fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// What there is beside the trees that are meant to be there.
    fn in_cache(&self) -> usize {
        fs::read_dir(self.cache()).unwrap().count()
    }
}

/// All files of a tree that is read through its links, with their content.
fn content(root: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => {
                    let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                    files.push((name, fs::read_to_string(&path).unwrap()));
                }
            }
        }
    }
    files.sort();
    files
}

const WASIP1: [(&str, &str); 5] = [
    ("bin/go", "binary"),
    ("src/fmt/print.go", "package fmt // upstream"),
    ("src/net/net.go", "package net // upstream"),
    ("src/net/url/url.go", "package url // upstream"),
    ("src/runtime/internal/r.go", "package internal // overlay"),
];

fn owned(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn the_tree_has_what_the_plan_says_however_it_is_linked() {
    let place = Place::new("apply-links");
    let mut paths = Vec::new();
    for link in [Link::Symbolic, Link::Hard, Link::Copy] {
        let applied = place.plan("wasip1").apply(&place.cache(), link).unwrap();
        assert!(applied.new);
        assert_eq!(content(&applied.path), owned(&WASIP1), "{link:?}");
        let is_link = fs::symlink_metadata(applied.path.join("src/net/net.go")).unwrap().is_symlink();
        assert_eq!(is_link, link == Link::Symbolic && cfg!(unix), "{link:?}");
        paths.push(applied.path);
    }
    paths.push(place.plan("wasip2").apply(&place.cache(), Link::Symbolic).unwrap().path);
    assert!(paths[3].join("src/net/net_wasip2.go").exists() && !paths[3].join("src/net/net.go").exists());
    paths.dedup();
    assert_eq!(
        (paths.len(), place.in_cache()),
        (4, 4),
        "each has a name of its own, and nothing else is left: {paths:?}"
    );
}

#[test]
fn a_tree_that_is_there_is_taken() {
    let place = Place::new("apply-again");
    let first = place.plan("wasip1").apply(&place.cache(), Link::Symbolic).unwrap();
    let again = place.plan("wasip1").apply(&place.cache(), Link::Symbolic).unwrap();
    assert_eq!((first.new, again.new, again.path), (true, false, first.path));
}

#[test]
fn a_tree_of_which_parts_are_gone_is_made_again() {
    let place = Place::new("apply-gone");
    let apply = |link| place.plan("wasip1").apply(&place.cache(), link).unwrap();
    for link in [Link::Symbolic, Link::Copy] {
        let first = apply(link);
        let whole = content(&first.path);
        fs::remove_file(first.path.join("src/net/net.go")).unwrap();
        assert_eq!((apply(link), content(&first.path)), (first.clone(), whole.clone()));
        fs::remove_dir_all(first.path.join("src/net")).unwrap();
        assert_eq!((apply(link), content(&first.path)), (first.clone(), whole.clone()));
        fs::remove_dir_all(&first.path).unwrap();
        fs::create_dir(&first.path).unwrap();
        assert_eq!((apply(link), content(&first.path)), (first.clone(), whole));
        assert!(!apply(link).new);
    }
    assert_eq!(place.in_cache(), 2);
}

#[test]
#[cfg(unix)]
fn what_a_process_that_was_ended_left_behind_is_deleted_after_a_day() {
    let place = Place::new("apply-left");
    let [old, new] = [".goroot-old", ".goroot-new"].map(|name| place.cache().join(name));
    for dir in [&old, &new] {
        fs::create_dir_all(dir.join("goroot/src")).unwrap();
    }
    let before = std::time::SystemTime::now() - std::time::Duration::from_secs(25 * 60 * 60);
    fs::File::open(&old).unwrap().set_modified(before).unwrap();
    assert!(place.plan("wasip1").apply(&place.cache(), Link::Symbolic).unwrap().new);
    assert!(!old.exists() && new.exists());
}

#[test]
fn a_tree_of_other_trees_has_another_name() {
    let (one, other) = (Place::new("apply-one"), Place::new("apply-other"));
    let paths = [&one, &other].map(|place| place.plan("wasip1").apply(&one.cache(), Link::Symbolic).unwrap().path);
    assert_ne!(paths[0], paths[1]);
}

#[test]
#[cfg(target_os = "linux")]
fn trees_whose_paths_are_not_utf_8_have_names_of_their_own() {
    use std::os::unix::ffi::OsStrExt;

    let place = Place::new("apply-utf8");
    let apply = |name: &[u8]| {
        let overlay = place.root.join(std::ffi::OsStr::from_bytes(name));
        std::os::unix::fs::symlink("overlay", &overlay).unwrap();
        let plan = Plan::read(&place.root.join("upstream"), &overlay, &table(TABLE), &tinygo("wasip2")).unwrap();
        plan.apply(&place.cache(), Link::Symbolic).unwrap()
    };
    let (one, other) = (apply(b"\xff"), apply(b"\xfe"));
    assert!(one.new && other.new && one.path != other.path);
}

#[test]
fn a_copy_is_made_again_when_a_file_has_changed_and_a_link_is_not() {
    let place = Place::new("apply-changed");
    let apply = |link| place.plan("wasip1").apply(&place.cache(), link).unwrap();
    let (copy, link) = (apply(Link::Copy), apply(Link::Symbolic));
    fs::write(place.root.join("upstream/src/net/url/url.go"), "package url // changed").unwrap();
    assert_ne!(apply(Link::Copy).path, copy.path);
    assert_eq!(apply(Link::Symbolic).path, link.path);
    assert_eq!(fs::read_to_string(link.path.join("src/net/url/url.go")).unwrap(), "package url // changed");
}

#[test]
fn threads_that_make_the_same_tree_all_get_it_and_one_made_it() {
    let place = Place::new("apply-threads");
    let plan = place.plan("wasip1");
    // Several times, as the others come too late for a race if one is quick.
    for _ in 0..20 {
        let _ = fs::remove_dir_all(place.cache());
        let start = Barrier::new(8);
        let make = || {
            start.wait();
            plan.apply(&place.cache(), Link::Symbolic).unwrap()
        };
        let applied = thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(applied.iter().filter(|applied| applied.new).count(), 1);
        assert!(applied.iter().all(|it| it.path == applied[0].path));
        assert_eq!((content(&applied[0].path), place.in_cache()), (owned(&WASIP1), 1));
    }
}

#[test]
fn processes_that_make_the_same_tree_all_get_it() {
    let place = Place::new("apply-processes");
    fs::write(place.root.join("table"), TABLE).unwrap();
    let makers: Vec<_> = (0..8)
        .map(|_| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_dormouse-goroot"));
            command
                .current_dir(&place.root)
                .args("apply --goroot upstream --overlay overlay --overrides table".split(' '));
            command
                .args("--target wasip1 --cache cache".split(' '))
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let said: Vec<_> = makers.into_iter().map(|maker| maker.wait_with_output().unwrap()).collect();
    assert!(said.iter().all(|output| output.status.success() && output.stdout == said[0].stdout), "{said:?}");
    let path = String::from_utf8(said[0].stdout.clone()).unwrap();
    // As GOROOT has to be, though the cache is not.
    assert!(Path::new(path.trim()).is_absolute(), "{path}");
    assert_eq!((content(&place.root.join(path.trim())), place.in_cache()), (owned(&WASIP1), 1));
}

#[test]
fn a_tree_that_cannot_be_made_leaves_nothing_behind() {
    let place = Place::new("apply-fails");
    let plan = place.plan("wasip1");
    fs::remove_file(place.root.join("upstream/src/net/net.go")).unwrap();
    let error = plan.apply(&place.cache(), Link::Copy).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::NotFound, "{error}");
    assert_eq!(fs::read_dir(place.cache()).map_or(0, Iterator::count), 0);
    // And where a file is in the way.
    fs::write(place.root.join("file"), "").unwrap();
    let error = place.plan("wasip1").apply(&place.root.join("file"), Link::Symbolic).unwrap_err().to_string();
    assert!(error.starts_with("write ") && error.contains("file"), "{error}");
}

#[test]
fn for_go_build_paths_are_absolute_also_of_trees_that_are_not() {
    let place = Place::new("apply-relative");
    fs::write(place.root.join("table"), TABLE).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_dormouse-goroot"))
        .current_dir(&place.root)
        .args("plan --goroot upstream --overlay overlay --overrides table --target wasip2 --go-overlay".split(' '))
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let replace = json["Replace"].as_object().unwrap();
    let paths = replace.iter().flat_map(|(from, to)| [from.as_str(), to.as_str().unwrap()]);
    let paths: Vec<&str> = paths.filter(|path| !path.is_empty()).collect();
    assert!(paths.len() == 5 && paths.iter().all(|path| Path::new(path).is_absolute()), "{paths:?}");
}

#[test]
fn for_go_build_the_same_merge_is_a_list_of_replacements() {
    let place = Place::new("apply-overlay");
    fs::create_dir_all(place.root.join("upstream/src/runtime/old")).unwrap();
    fs::write(place.root.join("upstream/src/runtime/old/o.go"), "package old").unwrap();
    let replace = |target: &str| -> Vec<(String, String)> {
        let json: serde_json::Value = serde_json::from_str(&place.plan(target).go_overlay().unwrap()).unwrap();
        let short = |path: &str| path.replace(place.root.to_str().unwrap(), "").replace('\\', "/");
        let replace = json["Replace"].as_object().unwrap().iter();
        replace.map(|(from, to)| (short(from), short(to.as_str().unwrap()))).collect()
    };
    let runtime = [
        ("/upstream/src/runtime/internal/r.go", "/overlay/src/runtime/internal/r.go"),
        ("/upstream/src/runtime/old/o.go", ""),
    ];
    assert_eq!(replace("wasip1"), owned(&runtime));
    let net = [("/upstream/src/net/net.go", ""), ("/upstream/src/net/net_wasip2.go", "/overlay/src/net/net_wasip2.go")];
    assert_eq!(replace("wasip2"), owned(&[&net[..], &runtime].concat()));
}

#[test]
#[cfg(unix)]
fn for_go_build_a_tree_behind_a_link_is_called_by_both_names() {
    let place = Place::new("apply-overlay-link");
    let root = fs::canonicalize(&place.root).unwrap();
    let link = root.join("go");
    std::os::unix::fs::symlink("upstream", &link).unwrap();
    let plan = Plan::read(&link, &root.join("overlay"), &table(TABLE), &tinygo("wasip2")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&plan.go_overlay().unwrap()).unwrap();
    for name in ["go", "upstream"] {
        let new = root.join(name).join("src/net/net_wasip2.go");
        assert!(json["Replace"][new.to_str().unwrap()].as_str().unwrap().ends_with("overlay/src/net/net_wasip2.go"));
        assert_eq!(json["Replace"][root.join(name).join("src/net/net.go").to_str().unwrap()], "");
    }
    assert_eq!(json["Replace"].as_object().unwrap().len(), 6);
}

#[test]
#[cfg(unix)]
fn a_copy_of_what_is_in_itself_is_a_mistake() {
    let place = Place::new("apply-loop");
    let url = place.root.join("upstream/src/net/url");
    // The cache in a directory that is copied, which would be copied into itself.
    let error = place.plan("wasip1").apply(&url.join("cache"), Link::Copy).unwrap_err().to_string();
    assert!(error.contains("which it is in or which is being made"), "{error}");
    assert_eq!(fs::read_dir(url.join("cache")).unwrap().count(), 0);
    // And a link that leads back.
    fs::remove_dir(url.join("cache")).unwrap();
    std::os::unix::fs::symlink(".", url.join("again")).unwrap();
    for link in [Link::Hard, Link::Copy] {
        let error = place.plan("wasip1").apply(&place.cache(), link).unwrap_err().to_string();
        assert!(error.starts_with(&format!("link {}/again to ", url.display())), "{error}");
        assert_eq!(place.in_cache(), 0);
    }
    assert!(place.plan("wasip1").apply(&place.cache(), Link::Symbolic).unwrap().new);
}

#[test]
#[cfg(unix)]
fn a_link_counts_as_a_file_wherever_it_leads() {
    let place = Place::new("apply-symlink");
    std::os::unix::fs::symlink("url", place.root.join("upstream/src/net/more")).unwrap();
    let upstream = dormouse_goroot::Listing::of_dirs(&place.root.join("upstream"), ["src/net"]).unwrap();
    assert!(!upstream.dir("src/net").unwrap()["more"].is_dir());
    let path = place.plan("wasip1").apply(&place.cache(), Link::Symbolic).unwrap().path;
    assert_eq!(fs::read_to_string(path.join("src/net/more/url.go")).unwrap(), "package url // upstream");
}
