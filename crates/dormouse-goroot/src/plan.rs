//! The plan: what of which tree is linked where, and why. It is made of listings and does nothing.
//!
//! A directory that the table merges is made, and its entries are linked one by one; anything else that is linked is linked
//! whole. An entry is always linked to where it is in its own tree, so a link is a path and a side.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::constraint::FileName;
use crate::listing::{concat, join, split};
use crate::overrides::by_dir;
use crate::{Entry, Error, Listing, Override, Overrides, Target, Whose};

/// One of the two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The Go tree.
    Upstream,
    /// The tree that is laid over it.
    Overlay,
}

/// What becomes of something that is in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The tree.
    pub side: Side,
    /// It is in the merged tree.
    pub linked: bool,
    /// Why, or why not.
    pub reason: Reason,
}

/// Why something is linked, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is what a Go tree has beside its sources.
    BesideSources,
    /// A file of the overlay that belongs to the build: the end of a sentence that starts with it.
    Matches(String),
    /// A file of the overlay that does not, likewise.
    DoesNotMatch(String),
    /// A file of the overlay that Go does not build, where others claim the directory: `go:embed` may name it. Likewise.
    GoesAlong(String),
    /// A file of upstream, where no file of the overlay belongs to the build.
    Unclaimed,
    /// A file of upstream, where files of the overlay do. Those claim the directory.
    Claimed,
    /// A file of the overlay where upstream has a directory of that name, which the table does not have.
    Shadowed,
    /// A directory of upstream that the table does not have.
    NotInTable,
    /// A directory of the overlay that the table does not have.
    NeverLinked,
    /// A directory that is the overlay's, by this line of the table.
    Overlays(usize),
    /// A directory that both have part in, by this line of the table. It is made.
    Merged(usize),
}

/// What a merged tree consists of, for one target.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) target: Target,
    /// By path from the root of the trees; what is in the overlay first.
    pub(crate) decisions: BTreeMap<String, Vec<Decision>>,
    pub(crate) roots: [PathBuf; 2],
    pub(crate) table: PathBuf,
}

/// What a tree has beside `src` that builds need. What is not there is left out.
const BESIDE_SOURCES: [&str; 4] = ["bin", "go.env", "lib", "pkg"];

impl Plan {
    /// Reads the directories of two trees that matter, and plans.
    ///
    /// # Errors
    /// What cannot be read, a file of the overlay that is malformed, a line of the table that fits no directory.
    pub fn read(goroot: &Path, overlay: &Path, table: &Overrides, target: &Target) -> Result<Self, Error> {
        let dirs: Vec<String> = by_dir(table.of(target)).into_keys().collect();
        let dirs = || dirs.iter().map(String::as_str);
        let upstream = Listing::of_dirs(goroot, dirs().chain([""]))?;
        Self::new(&upstream, &Listing::of_dirs(overlay, dirs())?.with_rules(), table, target)
    }

    /// Makes a plan of two listings.
    ///
    /// ```
    /// # use std::path::Path;
    /// use dormouse_goroot::{Listing, Overrides, Plan, Side, Target};
    ///
    /// let upstream = Listing::of_files([("src/net/net.go", "package net"), ("src/net/http/http.go", "package http")]);
    /// let overlay = Listing::of_files([("src/net/net_wasip2.go", "//go:build wasip2\n\npackage net")]);
    /// let table = Overrides::parse(Path::new("table"), "/ merge\nnet/ merge")?;
    ///
    /// let wasip1 = Plan::new(&upstream, &overlay, &table, &Target::tinygo("wasip1", 24).unwrap())?;
    /// assert_eq!(wasip1.links().collect::<Vec<_>>(), [("src/net/http", Side::Upstream), ("src/net/net.go", Side::Upstream)]);
    ///
    /// let wasip2 = Plan::new(&upstream, &overlay, &table, &Target::tinygo("wasip2", 24).unwrap())?;
    /// assert_eq!(wasip2.links().collect::<Vec<_>>(), [("src/net/http", Side::Upstream), ("src/net/net_wasip2.go", Side::Overlay)]);
    /// # Ok::<(), dormouse_goroot::Error>(())
    /// ```
    ///
    /// # Errors
    /// A file of the overlay that cannot be read or is malformed, a line of the table that fits no directory.
    ///
    /// # Panics
    /// If the overlay's listing is one without rules, see [`Listing::with_rules`].
    pub fn new(upstream: &Listing, overlay: &Listing, table: &Overrides, target: &Target) -> Result<Self, Error> {
        let lines = applicable(upstream, overlay, table, target)?;
        let mut plan = Self {
            target: target.clone(),
            decisions: BTreeMap::new(),
            roots: [upstream.root().to_owned(), overlay.root().to_owned()],
            table: table.path().to_owned(),
        };
        for (dir, line) in &lines {
            match line.whose {
                Whose::Overlay => plan.add(dir, Side::Overlay, true, Reason::Overlays(line.line)),
                Whose::Merge => {
                    plan.add(dir, Side::Overlay, true, Reason::Merged(line.line));
                    plan.merge(dir, upstream, overlay, &lines)?;
                }
            }
        }
        for name in BESIDE_SOURCES.into_iter().filter(|name| upstream.has(name)) {
            plan.add(name, Side::Upstream, true, Reason::BesideSources);
        }
        plan.assert_that_it_can_be_made();
        Ok(plan)
    }

    /// What [`apply`](Self::apply) relies on: a path is linked or made once, and what it is in is made.
    fn assert_that_it_can_be_made(&self) {
        let made = |dir: &str| {
            self.decisions.get(dir).is_some_and(|list| list.iter().any(|it| matches!(it.reason, Reason::Merged(_))))
        };
        for (path, decisions) in &self.decisions {
            let linked = decisions.iter().filter(|decision| decision.linked).count();
            assert!(linked <= 1, "{path} is linked {linked} times: {decisions:?}");
            let parent = split(path).0;
            assert!(linked == 0 || parent.is_empty() || made(parent), "{path} is linked, and {parent} is not made");
        }
    }

    /// Decides on what is in a merged directory.
    fn merge<'a>(
        &mut self,
        dir: &str,
        upstream: &'a Listing,
        overlay: &'a Listing,
        lines: &BTreeMap<String, &Override>,
    ) -> Result<(), Error> {
        // The table is asked first, whatever an entry is: a link to a directory is listed as a file.
        let entries = |listing: &'a Listing| {
            let entries = listing.dir(dir).into_iter().flatten().map(|(name, entry)| (concat(dir, name), name, entry));
            entries.filter(|(path, ..)| !lines.contains_key(path))
        };
        let (mut claimed, mut along) = (false, Vec::new());
        for (path, name, entry) in entries(overlay) {
            match entry {
                Entry::Dir => self.add(&path, Side::Overlay, false, Reason::NeverLinked),
                Entry::File(None) => panic!("{path} is in a listing without rules"),
                Entry::File(Some(rule)) => {
                    let verdict = rule.verdict(&self.target).map_err(|trouble| overlay.error(&path, trouble))?;
                    claimed |= verdict.matches;
                    let shadowed = upstream.dir(dir).and_then(|entries| entries.get(name)).is_some_and(Entry::is_dir);
                    match verdict.matches {
                        true if shadowed => self.add(&path, Side::Overlay, false, Reason::Shadowed),
                        true => self.add(&path, Side::Overlay, true, Reason::Matches(verdict.because)),
                        false if !shadowed && matches!(rule.name(), FileName::Never(_)) => {
                            along.push((path, verdict.because));
                        }
                        false => self.add(&path, Side::Overlay, false, Reason::DoesNotMatch(verdict.because)),
                    }
                }
            }
        }
        for (path, because) in along {
            let reason = if claimed { Reason::GoesAlong } else { Reason::DoesNotMatch };
            self.add(&path, Side::Overlay, claimed, reason(because));
        }
        for (path, _, entry) in entries(upstream) {
            match entry {
                Entry::Dir => self.add(&path, Side::Upstream, true, Reason::NotInTable),
                Entry::File(_) if claimed => self.add(&path, Side::Upstream, false, Reason::Claimed),
                Entry::File(_) => self.add(&path, Side::Upstream, true, Reason::Unclaimed),
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &str, side: Side, linked: bool, reason: Reason) {
        self.decisions.entry(path.to_owned()).or_default().push(Decision { side, linked, reason });
    }

    /// What is linked, by path from the root, and to which tree's entry of the same path. Directories that are
    /// [made](Self::made) are not among them.
    pub fn links(&self) -> impl Iterator<Item = (&str, Side)> {
        self.decisions()
            .filter(|(_, it)| it.linked && !matches!(it.reason, Reason::Merged(_)))
            .map(|(path, it)| (path, it.side))
    }

    /// The directories that are made, each after the one that it is in.
    pub fn made(&self) -> impl Iterator<Item = &str> {
        self.decisions().filter(|(_, decision)| matches!(decision.reason, Reason::Merged(_))).map(|(path, _)| path)
    }

    /// Everything that has been decided, by path from the root.
    pub fn decisions(&self) -> impl Iterator<Item = (&str, &Decision)> {
        self.decisions.iter().flat_map(|(path, list)| list.iter().map(move |it| (path.as_str(), it)))
    }

    /// The target that it is for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Where a tree is.
    pub fn root(&self, side: Side) -> &Path {
        match side {
            Side::Upstream => &self.roots[0],
            Side::Overlay => &self.roots[1],
        }
    }

    /// Where something of a tree is on disk.
    pub fn source(&self, path: &str, side: Side) -> PathBuf {
        join(self.root(side), path)
    }
}

/// The lines of the table that count, by directory from the root of the trees. Each fits: a merged directory is in both
/// trees, one of the overlay's is there, and what they are in is merged.
fn applicable<'a>(
    upstream: &Listing,
    overlay: &Listing,
    table: &'a Overrides,
    target: &'a Target,
) -> Result<BTreeMap<String, &'a Override>, Error> {
    let mut lines = by_dir(table.of(target));
    lines.retain(|dir, line| !line.if_there || overlay.dir(dir).is_some());
    if !lines.contains_key("src") {
        let what = format!("no line for {} is about the root, as `/ merge` is, so there would be no src", target.name);
        return Err(table.mistake(1, what));
    }
    for (dir, line) in &lines {
        let missing = |side: &str, root: &Path, why: &str| {
            let dir = join(root, dir);
            Err(table.mistake(line.line, format!("{side} has no directory {}{why}", dir.display())))
        };
        if overlay.dir(dir).is_none() {
            return missing("the overlay", overlay.root(), &line.since());
        }
        if line.whose == Whose::Merge && upstream.dir(dir).is_none() {
            return missing("upstream", upstream.root(), "");
        }
        // Otherwise it would be linked into a directory of one of the trees.
        let parent = split(dir).0;
        if dir != "src" && lines.get(parent).is_none_or(|parent| parent.whose != Whose::Merge) {
            let what = format!("{dir} is in {parent}, which is not merged for {}", target.name);
            return Err(table.mistake(line.line, what));
        }
    }
    Ok(lines)
}
