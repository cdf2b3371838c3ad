//! What holds of any two trees, links and all: the plan is what the rule says, and it can be made.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use dormouse_goroot::constraint::Rule;
use dormouse_goroot::{Link, Plan, Side, Target};
use proptest::prelude::*;

use crate::support::{table, tinygo};

/// What may be at a path.
#[derive(Clone, Debug)]
enum Kind {
    Dir,
    File(&'static str),
    /// To another of the paths, perhaps a link as well, perhaps one that leads back.
    Link(&'static str),
}

const NAMES: [&str; 6] = ["a", "b", "x.go", "y_wasip1.go", "z_linux.go", "data"];
const TEXTS: [&str; 3] = ["package p\n", "//go:build wasip2\n\npackage p\n", "//go:build !wasip2\n\npackage p\n"];
const LINKED: [&str; 7] = ["a", "a/b", "b", "b/x.go", "x.go", "nowhere", "data"];
const LINES: [&str; 8] = [
    "a/ merge",
    "a/ merge?",
    "a/ overlay",
    "a/b/ merge?",
    "a/b/ overlay?",
    "b/ overlay?",
    "x.go/ overlay?",
    "b/ merge?",
];

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => Just(Kind::Dir),
        4 => proptest::sample::select(&TEXTS).prop_map(Kind::File),
        3 => proptest::sample::select(&LINKED).prop_map(Kind::Link),
    ]
}

/// Paths below `src` and what is there.
fn tree() -> impl Strategy<Value = Vec<(String, Kind)>> {
    let path = proptest::collection::vec(proptest::sample::select(&NAMES), 1..4).prop_map(|names| names.join("/"));
    proptest::collection::vec((path, kind()), 0..9)
}

fn lines() -> impl Strategy<Value = String> {
    proptest::sample::subsequence(&LINES[..], 0..4).prop_map(|lines| {
        let mut dirs = BTreeSet::new();
        let lines: Vec<&str> = lines.into_iter().filter(|line| dirs.insert(line.split(' ').next())).collect();
        format!("/ merge\n{}\n", lines.join("\n"))
    })
}

fn make(root: &Path, entries: &[(String, Kind)]) {
    let src = root.join("src");
    fs::create_dir_all(&src).unwrap();
    for (path, kind) in entries {
        let path = src.join(path);
        // What is in the way stays: a file where a directory would be, and what is there already.
        if fs::create_dir_all(path.parent().unwrap()).is_err() || fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        match kind {
            Kind::Dir => fs::create_dir(&path).unwrap(),
            Kind::File(text) => fs::write(&path, text).unwrap(),
            Kind::Link(to) => symlink(src.join(to), &path).unwrap(),
        }
    }
}

/// Names and whether each is a directory itself, not by a link; nothing if there is no such directory.
fn entries(dir: &Path) -> Option<BTreeMap<String, bool>> {
    let entries = fs::read_dir(dir).ok()?.map(|entry| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), entry.file_type().unwrap().is_dir())
    });
    Some(entries.collect())
}

/// The rule: TinyGo's merge, in which only files that belong to the build count. Nothing if the table does not fit.
fn model(go: &Path, tiny: &Path, text: &str, target: &Target) -> Option<(BTreeSet<String>, BTreeMap<String, Side>)> {
    let (mut made, mut links) = (BTreeSet::new(), BTreeMap::new());
    let mut whose = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (dir, word) = line.split_once(' ').unwrap();
        let dir = format!("src/{}", dir.trim_matches('/')).trim_end_matches('/').to_owned();
        let there = tiny.join(&dir).is_dir();
        match word.strip_suffix('?') {
            Some(word) if there => drop(whose.insert(dir, word)),
            Some(_) => {}
            None => drop(whose.insert(dir, word)),
        }
    }
    for (dir, word) in &whose {
        let fits = dir == "src" || whose.get(dir.rsplit_once('/')?.0) == Some(&"merge");
        if !fits || !tiny.join(dir).is_dir() || *word == "merge" && !go.join(dir).is_dir() {
            return None;
        }
    }
    for (dir, word) in &whose {
        if *word == "overlay" {
            links.insert(dir.clone(), Side::Overlay);
            continue;
        }
        made.insert(dir.clone());
        let files = |root: &Path, dirs: bool| {
            let all = entries(&root.join(dir)).unwrap().into_iter().filter(move |(_, is_dir)| *is_dir == dirs);
            let paths = all.map(|(name, _)| format!("{dir}/{name}"));
            paths.filter(|path| !whose.contains_key(path)).collect::<Vec<_>>()
        };
        let (mut claimed, mut along) = (false, Vec::new());
        for path in files(tiny, false) {
            if Rule::read(&tiny.join(&path)).matches(target).ok()? {
                claimed = true;
                links.insert(path, Side::Overlay);
            } else if !path.ends_with(".go") {
                along.push((path, Side::Overlay));
            }
        }
        if claimed {
            links.extend(along);
        }
        let upstream = if claimed { Vec::new() } else { files(go, false) };
        links.extend(upstream.into_iter().chain(files(go, true)).map(|path| (path, Side::Upstream)));
    }
    Some((made, links))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_of_any_trees_is_what_the_rule_says_and_can_be_made(go in tree(), tiny in tree(), lines in lines()) {
        let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let [upstream, overlay] = [("go", &go), ("tiny", &tiny)].map(|(name, entries)| {
            let root = root.path().join(name);
            make(&root, entries);
            root
        });
        let target = tinygo("wasip1");
        let plan = Plan::read(&upstream, &overlay, &table(&lines), &target);
        let Some((made, links)) = model(&upstream, &overlay, &lines, &target) else {
            prop_assert!(plan.is_err(), "{:?}", plan.unwrap().tree());
            return Ok(());
        };
        let plan = plan.unwrap();
        prop_assert_eq!(plan.made().map(str::to_owned).collect::<BTreeSet<_>>(), made.clone());
        let planned: Vec<(String, Side)> = plan.links().map(|(path, side)| (path.to_owned(), side)).collect();
        prop_assert_eq!(planned.iter().cloned().collect::<BTreeMap<_, _>>(), links.clone());
        let paths: Vec<&str> = plan.made().chain(plan.links().map(|(path, _)| path)).collect();
        let unique: BTreeSet<&str> = paths.iter().copied().collect();
        prop_assert_eq!(paths.len(), unique.len());

        let tree = plan.apply(&root.path().join("cache"), Link::Symbolic).unwrap().path;
        let mut found = BTreeMap::new();
        walk(&tree, &made, "src", &mut found);
        prop_assert_eq!(found.keys().collect::<Vec<_>>(), links.keys().collect::<Vec<_>>());
        for (path, to) in found {
            let source = plan.source(&path, links[&path]);
            match to {
                Some(to) => prop_assert_eq!(to, source),
                // What may be embedded is no link.
                None => prop_assert_eq!(fs::read(tree.join(&path)).unwrap(), fs::read(source).unwrap()),
            }
        }

        // For go build it is the same, without the tree.
        let overlaid = plan.go_overlay().unwrap();
        let replaced: serde_json::Value = serde_json::from_str(&overlaid).unwrap();
        let replaced = replaced["Replace"].as_object().unwrap();
        for (from, to) in replaced.iter().filter(|(_, to)| **to != "") {
            let to = Path::new(to.as_str().unwrap());
            prop_assert!(fs::symlink_metadata(to).unwrap().is_file(), "{from}: {to:?} is no file");
            let below = |other: &&String| Path::new(other).starts_with(from) && *other != from;
            prop_assert_eq!(replaced.keys().find(below), None, "{} is a file and a directory", from);
        }
        if let (Some(mut seen), Some(made)) = (files(&upstream.join("src")), files(&tree.join("src"))) {
            for (from, to) in replaced {
                let from = Path::new(from).strip_prefix(upstream.join("src")).unwrap();
                if to == "" {
                    seen.remove(from);
                    continue;
                }
                seen.retain(|path, _| !path.starts_with(from) && !from.starts_with(path));
                seen.insert(from.to_owned(), fs::read_to_string(to.as_str().unwrap()).unwrap());
            }
            prop_assert_eq!(seen, made, "{}", overlaid);
        }
    }
}

/// All files below a directory, through links, and what is in each; nothing if a link leads back. What leads nowhere is none.
fn files(root: &Path) -> Option<BTreeMap<PathBuf, String>> {
    fn walk(root: &Path, dir: &Path, within: &mut Vec<PathBuf>, files: &mut BTreeMap<PathBuf, String>) -> Option<()> {
        let real = fs::canonicalize(root.join(dir)).unwrap();
        if within.contains(&real) {
            return None;
        }
        within.push(real);
        for name in entries(&root.join(dir)).unwrap().into_keys() {
            let path = dir.join(name);
            let whole = root.join(&path);
            if whole.is_dir() {
                walk(root, &path, within, files)?;
            } else if whole.exists() {
                files.insert(path, fs::read_to_string(whole).unwrap());
            }
        }
        within.pop();
        Some(())
    }
    let mut found = BTreeMap::new();
    walk(root, Path::new(""), &mut Vec::new(), &mut found)?;
    Some(found)
}

/// What is below a directory that was made, and where each leads if it is a link.
fn walk(tree: &Path, made: &BTreeSet<String>, dir: &str, found: &mut BTreeMap<String, Option<PathBuf>>) {
    for name in entries(&tree.join(dir)).unwrap().into_keys() {
        let path = format!("{dir}/{name}");
        match made.contains(&path) {
            true => walk(tree, made, &path, found),
            false => drop(found.insert(path.clone(), fs::read_link(tree.join(path)).ok())),
        }
    }
}
