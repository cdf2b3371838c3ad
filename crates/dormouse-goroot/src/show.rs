//! A plan for people and for programs: as a tree, as JSON, and as what `go build -overlay` takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::listing::{files_through_links, join, split};
use crate::{Decision, Error, Plan, Reason, Side, Target};

impl Plan {
    /// All that is made and linked, as a tree.
    pub fn tree(&self) -> String {
        let mut text = String::new();
        for (path, decision) in self.decisions().filter(|(_, decision)| decision.linked) {
            let slash = match decision.reason {
                Reason::Merged(_) | Reason::Overlays(_) | Reason::NotInTable => "/",
                _ => "",
            };
            let (depth, name) = (path.matches('/').count(), split(path).1);
            let whose = if matches!(decision.reason, Reason::Merged(_)) { "merged" } else { decision.side.name() };
            let entry = format!("{:indent$}{name}{slash}", "", indent = 2 * depth);
            writeln!(text, "{entry:39} {whose}").expect("a string takes everything");
        }
        text
    }

    /// Everything that is decided, with its reason, as JSON.
    ///
    /// # Errors
    /// A tree at a path that is not UTF-8, which JSON cannot say.
    pub fn json(&self) -> Result<String, Error> {
        self.roots.iter().try_for_each(|root| check_utf8(root))?;
        #[derive(Serialize)]
        struct Json<'a> {
            target: JsonTarget<'a>,
            made: Vec<&'a str>,
            links: Vec<Item<'a>>,
            left_out: Vec<Item<'a>>,
        }
        #[derive(Serialize)]
        struct JsonTarget<'a> {
            name: &'a str,
            goos: &'a str,
            goarch: &'a str,
            tags: &'a [String],
        }
        #[derive(Serialize)]
        struct Item<'a> {
            path: &'a str,
            of: Side,
            source: PathBuf,
            why: String,
        }
        let items = |linked: bool| {
            let decisions =
                self.decisions().filter(|(_, it)| it.linked == linked && !matches!(it.reason, Reason::Merged(_)));
            let item = |path, Decision { side, reason, .. }: &Decision| Item {
                path,
                of: *side,
                source: self.source(path, *side),
                why: self.because(reason),
            };
            decisions.map(|(path, decision)| item(path, decision)).collect()
        };
        let Target { name, goos, goarch, tags, .. } = self.target();
        let target = JsonTarget { name, goos, goarch, tags };
        let json = Json { target, made: self.made().collect(), links: items(true), left_out: items(false) };
        Ok(serde_json::to_string_pretty(&json).expect("paths are UTF-8, and the rest are strings and lists"))
    }

    /// The same merge without a tree of its own: what `go build -overlay` takes, which then sees upstream's tree changed. All
    /// paths are absolute, as go takes others from where it is started. Reads the directories that are linked whole: go takes
    /// files only, so a link in them stands for what it leads to. If a link leads to upstream's tree, each path is said by the
    /// link and without it.
    ///
    /// # Errors
    /// A directory that cannot be read, and a tree at a path that is not UTF-8.
    pub fn go_overlay(&self) -> Result<String, Error> {
        let [upstream, overlay] = &self.roots;
        let [upstream, overlay] = [absolute(upstream)?, absolute(overlay)?];
        let here = |path: &str| join(&upstream, path);
        // A link to a file is an irregular file to go.
        let there = |path: &str| match join(&overlay, path) {
            link if link.is_symlink() => {
                let real = fs::canonicalize(&link).map_err(|source| Error::Read { path: link, source })?;
                check_utf8(&real)?;
                Ok(real)
            }
            file => Ok(file),
        };
        // Where a file is, or nothing to have it not there.
        let mut replace: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
        for (path, decision) in self.decisions() {
            match &decision.reason {
                Reason::Claimed => {
                    for file in files_at(self.root(Side::Upstream), path)? {
                        replace.entry(here(&file)).or_default();
                    }
                }
                Reason::Matches(_) | Reason::GoesAlong(_) => {
                    for file in files_at(self.root(Side::Overlay), path)? {
                        replace.insert(here(&file), there(&file)?);
                    }
                }
                // A directory, which is on disk or has nothing to replace.
                Reason::Overlays(_) if self.roots.iter().all(|root| !root.as_os_str().is_empty()) => {
                    for file in files_at(self.root(Side::Upstream), path)? {
                        replace.insert(here(&file), PathBuf::new());
                    }
                    for file in files_at(self.root(Side::Overlay), path)? {
                        replace.insert(here(&file), there(&file)?);
                    }
                }
                _ => {}
            }
        }
        let mut replace = without_conflicts(replace);
        // go calls its own tree by a path without links, unless the environment's GOROOT names it otherwise.
        if cfg!(unix) && !upstream.as_os_str().is_empty() {
            let real = fs::canonicalize(&upstream).map_err(|source| Error::Read { path: upstream.clone(), source })?;
            check_utf8(&real)?;
            let again =
                |(path, to): (&PathBuf, &PathBuf)| Some((real.join(path.strip_prefix(&upstream).ok()?), to.clone()));
            let again: Vec<_> = replace.iter().filter_map(again).collect();
            replace.extend(again);
        }
        let json = BTreeMap::from([("Replace", replace)]);
        Ok(serde_json::to_string_pretty(&json).expect("paths are UTF-8"))
    }
}

/// The files below a directory, or the file itself; not what leads nowhere. A tree that is on no disk has single files alone.
fn files_at(root: &Path, path: &str) -> Result<Vec<String>, Error> {
    let whole = join(root, path);
    if whole.is_dir() {
        let files = files_through_links(root, path)?;
        return Ok(files.into_iter().filter(|file| join(root, file).exists()).collect());
    }
    let there = whole.exists() || root.as_os_str().is_empty();
    Ok(if there { vec![path.to_owned()] } else { Vec::new() })
}

/// Without files that are taken away where a directory comes, or in a directory that gives way to a file: what comes hides
/// them, and go refuses a path that is a file and a directory.
fn without_conflicts(replace: BTreeMap<PathBuf, PathBuf>) -> BTreeMap<PathBuf, PathBuf> {
    let comes = |path: &Path| replace.get(path).is_some_and(|to| !to.as_os_str().is_empty());
    let parents: BTreeSet<&Path> =
        replace.keys().filter(|path| comes(path)).flat_map(|path| path.ancestors().skip(1)).collect();
    let hidden = |path: &Path| parents.contains(path) || path.ancestors().skip(1).any(comes);
    let kept = replace.iter().filter(|(path, _)| comes(path) || !hidden(path));
    kept.map(|(path, to)| (path.clone(), to.clone())).collect()
}

/// The path from the root of the file system, if JSON can say it. A tree that is on no disk has none.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    if path.as_os_str().is_empty() {
        return Ok(PathBuf::new());
    }
    let whole = std::path::absolute(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    check_utf8(&whole)?;
    Ok(whole)
}

/// Whether JSON can say a path. What is in a listing has names that are UTF-8.
fn check_utf8(path: &Path) -> Result<(), Error> {
    let source = || io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8, and JSON has no other");
    path.to_str().map(drop).ok_or_else(|| Error::Read { path: path.to_owned(), source: source() })
}
