//! Compares the standard library of two builds: the files that belong to each, through the links of its plan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use crate::constraint::{FileName, Rule};
use crate::listing::{concat, files_through_links, join, split};
use crate::overrides::src;
use crate::{Error, Plan, Side};

/// The packages of the standard library in which two builds differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// The target of the first build.
    pub from: String,
    /// The target of the second build.
    pub to: String,
    /// The packages that differ, by path.
    pub packages: Vec<PackageChange>,
}

/// A package in which they differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// Its import path: `net/http`.
    pub package: String,
    /// Gained or lost with all its files, or changed.
    pub change: Change,
    /// The files that differ, by name.
    pub files: Vec<FileChange>,
}

/// A file in which they differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Its name.
    pub file: String,
    /// What becomes of it.
    pub change: Change,
    /// The tree that it comes from; the second build's if that has changed.
    pub of: Side,
}

/// How they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// The other has it.
    Gained,
    /// The other does not have it.
    Lost,
    /// Both have it. The file is of the other tree; of the package, files differ.
    Changed,
}

/// Files by package and name, and the tree that each is of.
type Packages = BTreeMap<String, BTreeMap<String, Side>>;

impl Diff {
    /// Compares two plans: for two targets, two versions of Go, or two overlays. Reads the trees that they link. Tests, test data and
    /// Go's commands are left out. A file that both have of the same tree is the same, whatever is in it.
    ///
    /// # Errors
    /// What cannot be read or is malformed.
    pub fn new(from: &Plan, to: &Plan) -> Result<Self, Error> {
        let (before, after) = (packages(from)?, packages(to)?);
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let empty = BTreeMap::new();
        let compare = |name: &String| {
            let change = match (before.contains_key(name), after.contains_key(name)) {
                (true, false) => Change::Lost,
                (false, _) => Change::Gained,
                (true, true) => Change::Changed,
            };
            let files = differ(before.get(name).unwrap_or(&empty), after.get(name).unwrap_or(&empty));
            PackageChange { package: name.clone(), change, files }
        };
        let packages = names.into_iter().map(compare).filter(|package| !package.files.is_empty());
        Ok(Self { from: title(from), to: title(to), packages: packages.collect() })
    }

    /// How many packages are gained, lost or changed.
    pub fn count(&self, change: Change) -> usize {
        self.packages.iter().filter(|package| package.change == change).count()
    }
}

fn title(plan: &Plan) -> String {
    let target = plan.target();
    let go = target.release_tags.last().and_then(|tag| tag.strip_prefix("go"));
    go.map_or_else(|| target.name.clone(), |go| format!("{} with Go {go}", target.name))
}

fn differ(before: &BTreeMap<String, Side>, after: &BTreeMap<String, Side>) -> Vec<FileChange> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let compare = |name: &String| {
        let (change, of) = match (before.get(name), after.get(name)) {
            (Some(was), Some(is)) if was == is => return None,
            (Some(_), Some(is)) => (Change::Changed, *is),
            (None, Some(is)) => (Change::Gained, *is),
            (Some(was), None) => (Change::Lost, *was),
            (None, None) => return None,
        };
        Some(FileChange { file: name.clone(), change, of })
    };
    names.into_iter().filter_map(compare).collect()
}

/// The files that a build has, of the packages that have Go source.
fn packages(plan: &Plan) -> Result<Packages, Error> {
    let mut packages = Packages::new();
    for (path, side) in plan.links().filter(|(path, _)| path.starts_with("src/")) {
        let root = plan.root(side);
        let files = match join(root, path).is_dir() {
            true => files_through_links(root, path)?,
            false => vec![path.to_owned()],
        };
        for file in files.into_iter().filter(|file| is_of_a_package(file)) {
            let (dir, name) = split(&file);
            // The name alone leaves out most.
            let FileName::Source { suffix, .. } = FileName::of(name) else { continue };
            if !suffix.iter().all(|tag| plan.target().has(tag)) {
                continue;
            }
            let path = join(root, &file);
            let matches = Rule::read(&path).matches(plan.target());
            let matches = matches.map_err(|trouble| Error::File { path: path.clone(), trouble })?;
            let lacks_cgo = || Ok::<_, Error>(!plan.target().cgo && name.ends_with(".go") && imports_c(path)?);
            if matches && !lacks_cgo()? {
                let package = dir.strip_prefix("src/").unwrap_or_default();
                packages.entry(package.to_owned()).or_default().insert(name.to_owned(), side);
            }
        }
    }
    packages.retain(|_, files| files.keys().any(|name| name.ends_with(".go")));
    for (package, files) in &mut packages {
        if files.keys().any(|name| is_assembly_for_cgo(name)) && !uses_cgo(plan, package, files)? {
            files.retain(|name, _| !is_assembly_for_cgo(name));
        }
    }
    Ok(packages)
}

/// Assembly for the C compiler. Go builds it in packages that use cgo alone; elsewhere it is for TinyGo, whose targets name it.
fn is_assembly_for_cgo(name: &str) -> bool {
    name.ends_with(".S") || name.ends_with(".sx")
}

/// Whether one of the files of a package has `import "C"`.
fn uses_cgo(plan: &Plan, package: &str, files: &BTreeMap<String, Side>) -> Result<bool, Error> {
    for (name, side) in files.iter().filter(|(name, _)| name.ends_with(".go")) {
        if imports_c(join(plan.root(*side), &concat(&src(package), name)))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a file of Go source has `import "C"`, alone or among others. Go leaves it out of a build without cgo.
fn imports_c(path: PathBuf) -> Result<bool, Error> {
    let text = fs::read(&path).map_err(|source| Error::Read { path, source })?;
    let is_c = |line: &str| line.trim().trim_start_matches("import").trim_start() == r#""C""#;
    Ok(String::from_utf8_lossy(&text).lines().any(is_c))
}

/// Not a test, nor of a directory that Go passes over, nor of a command.
fn is_of_a_package(path: &str) -> bool {
    let (dir, name) = split(path);
    let passed_over = |part: &str| part == "testdata" || part.starts_with(['_', '.']);
    !name.ends_with("_test.go") && !dir.starts_with("src/cmd/") && dir != "src/cmd" && !dir.split('/').any(passed_over)
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, packages } = self;
        let [gained, lost, changed] = [Change::Gained, Change::Lost, Change::Changed].map(|change| self.count(change));
        writeln!(f, "from {from} to {to}: packages: {gained} gained, {lost} lost, {changed} changed")?;
        for PackageChange { package, change, files } in packages {
            match change {
                Change::Changed => {
                    writeln!(f, "{} {package}", change.sign())?;
                    for FileChange { file, change, of } in files {
                        writeln!(f, "  {} {file} ({})", change.sign(), of.name())?;
                    }
                }
                _ => {
                    let sides: BTreeSet<&str> = files.iter().map(|file| file.of.name()).collect();
                    let sides: Vec<&str> = sides.into_iter().collect();
                    let count = files.len();
                    let noun = if count == 1 { "file" } else { "files" };
                    writeln!(f, "{} {package} ({count} {noun} of {})", change.sign(), sides.join(" and "))?;
                }
            }
        }
        Ok(())
    }
}

impl Change {
    fn sign(self) -> char {
        match self {
            Self::Gained => '+',
            Self::Lost => '-',
            Self::Changed => '~',
        }
    }
}
