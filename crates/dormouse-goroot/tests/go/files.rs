//! Which files belong to a build: what we say, file for file, against what Go says, over all of its own source and for every
//! GOOS and GOARCH.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::thread;

use dormouse_goroot::constraint::{FileName, Rule};
use dormouse_goroot::{Listing, Target};
use serde::Deserialize;

use crate::tool::{Go, both, current, installed, output};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tags {
    compiler: String,
    tool_tags: Vec<String>,
    release_tags: Vec<String>,
}

impl Tags {
    pub fn target(self, (goos, goarch): &(String, String), cgo: bool) -> Target {
        let Self { compiler, tool_tags, release_tags } = self;
        Target { cgo, compiler, tool_tags, release_tags, ..Target::new(goos, goarch) }
    }
}

/// `MatchFile` of go/build, of every file there is, testdata too.
#[test]
fn every_file_of_go_matches_as_match_file_says() {
    for go in both() {
        let (pairs, src) = (go.pairs(), go.root().join("src"));
        let listing = Listing::of_tree(&src, "").unwrap().with_rules();
        let files: Vec<(String, &Rule)> = listing.files().map(|(path, rule)| (path, rule.unwrap())).collect();
        let paths: String = files.iter().map(|(path, _)| format!("{path}\n")).collect();
        let names = pairs.iter().map(|(os, arch)| format!("{os}/{arch}"));
        let said = output(Command::new(go.build("oracle.go", "files-oracle")).arg(&src).args(names), &paths);
        let mut said = said.lines();
        let (mut builds, mut compared, mut matching, mut differences) = (0, 0, 0, Vec::new());
        for (pair, cgo) in pairs.iter().flat_map(|pair| [(pair, false), (pair, true)]) {
            let tags: Tags = serde_json::from_str(said.next().unwrap()).unwrap();
            let target = tags.target(pair, cgo);
            let verdicts = said.next().unwrap().bytes();
            assert_eq!(verdicts.len(), files.len());
            builds += 1;
            for ((path, rule), theirs) in files.iter().zip(verdicts) {
                let ours = rule.matches(&target).map_or(b'e', |matches| if matches { b'y' } else { b'n' });
                compared += 1;
                matching += u32::from(ours == b'y');
                if ours != theirs {
                    let (ours, theirs) = (ours as char, theirs as char);
                    differences.push(format!("{path} for {}: ours {ours}, theirs {theirs}", target.name));
                }
            }
        }
        assert_eq!(said.next(), None);
        let count = files.len();
        println!(
            "MatchFile of Go 1.{}: {count} files in {builds} builds, {compared} compared, {matching} of them match",
            go.minor
        );
        none(&differences);
        assert!(compared > 100_000, "{compared} is too few");
    }
}

/// `go list`, for the packages of the standard library and of the commands.
#[test]
fn every_package_of_go_has_the_files_that_go_list_says() {
    for go in both() {
        // Once for all of them: a pair takes a second, and what a current Go says of names it said to the test before.
        let few = go.minor == current().minor && go.minor != installed().minor;
        let wanted = |(os, arch): &(String, String)| {
            !few || [("wasip1", "wasm"), ("linux", "arm"), ("windows", "arm64")].contains(&(os.as_str(), arch.as_str()))
        };
        let (pairs, src) = (go.pairs().into_iter().filter(wanted).collect::<Vec<_>>(), go.root().join("src"));
        let listing = Listing::of_tree(&src, "").unwrap().with_rules();
        let each = pairs.len().div_ceil(thread::available_parallelism().map_or(1, |n| n.get()));
        let (compared, differences) = thread::scope(|scope| {
            let shares = pairs.chunks(each).map(|pairs| scope.spawn(|| lists(go, &listing, &src, pairs)));
            let shares: Vec<_> = shares.collect();
            let results = shares.into_iter().map(|share| share.join().unwrap());
            results.fold((0, Vec::new()), |(n, list), (more, others)| (n + more, [list, others].concat()))
        });
        println!("go list of Go 1.{}: {compared} files compared, for {} pairs", go.minor, pairs.len());
        none(&differences);
        assert!(compared > pairs.len() * 5_000, "{compared} is too few");
    }
}

fn none(differences: &[String]) {
    let some = &differences[..differences.len().min(20)];
    assert!(differences.is_empty(), "{} differences: {some:#?}", differences.len());
}

fn lists(go: &Go, listing: &Listing, src: &Path, pairs: &[(String, String)]) -> (usize, Vec<String>) {
    let results = pairs.iter().map(|pair| list(go, listing, src, pair));
    results.fold((0, Vec::new()), |(n, list), (more, others)| (n + more, [list, others].concat()))
}

/// A package as `go list` has it: its directory, and file names under what is made of them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Package {
    dir: String,
    #[serde(flatten)]
    files: BTreeMap<String, Vec<String>>,
}

const FIELDS: &str = "Dir,GoFiles,CgoFiles,CFiles,CXXFiles,MFiles,HFiles,FFiles,SFiles,SwigFiles,SwigCXXFiles,SysoFiles,\
    TestGoFiles,XTestGoFiles,IgnoredGoFiles,IgnoredOtherFiles,InvalidGoFiles";

/// Compares all packages for one pair. With cgo, because without it `go list` ignores what imports "C", and that is no
/// build constraint.
fn list(go: &Go, listing: &Listing, src: &Path, pair: &(String, String)) -> (usize, Vec<String>) {
    let list = |args: &[&str]| {
        let mut command = go.command();
        command.args(["list", "-e"]).args(args).args(["std", "cmd"]);
        output(command.env("GOOS", &pair.0).env("GOARCH", &pair.1).env("CGO_ENABLED", "1"), "")
    };
    let context = r#"{{with context}}{"Compiler":"{{.Compiler}}",
        "ToolTags":[{{range $n, $tag := .ToolTags}}{{if $n}},{{end}}"{{$tag}}"{{end}}],
        "ReleaseTags":[{{range $n, $tag := .ReleaseTags}}{{if $n}},{{end}}"{{$tag}}"{{end}}]}{{end}}"#;
    let tags =
        output(go.command().args(["list", "-f", context, "fmt"]).env("GOOS", &pair.0).env("GOARCH", &pair.1), "");
    let tags: Tags = serde_json::from_str(&tags).unwrap();
    let target = tags.target(pair, true);
    let (mut compared, mut differences) = (0, Vec::new());
    for package in serde_json::Deserializer::from_str(&list(&[&format!("-json={FIELDS}")])).into_iter::<Package>() {
        let Package { dir, files } = package.unwrap();
        let dir = Path::new(&dir).strip_prefix(src).unwrap().to_str().unwrap();
        let (ignored, used): (Vec<_>, Vec<_>) = files.into_iter().partition(|(what, _)| what.starts_with("Ignored"));
        let names = |lists: Vec<(String, Vec<String>)>| lists.into_iter().flat_map(|(_, names)| names).collect();
        let theirs: [BTreeSet<String>; 2] = [names(used), names(ignored)];
        let mut ours: [BTreeSet<String>; 2] = Default::default();
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        for name in listing.dir(dir).unwrap().keys() {
            let rule = listing.rule(&format!("{prefix}{name}"));
            let Some(rule) = rule.filter(|rule| !matches!(rule.name(), FileName::Never(_))) else { continue };
            ours[usize::from(!rule.matches(&target).unwrap())].insert(name.clone());
        }
        compared += theirs.iter().map(BTreeSet::len).sum::<usize>();
        if ours != theirs {
            let odd = |nth: usize| ours[nth].symmetric_difference(&theirs[nth]).collect::<Vec<_>>();
            differences.push(format!("{dir} for {}: used {:?}, ignored {:?}", target.name, odd(0), odd(1)));
        }
    }
    (compared, differences)
}
