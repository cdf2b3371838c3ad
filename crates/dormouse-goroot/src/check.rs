//! What is odd about an overlay, whatever it is built for: files that nobody would use, names that look as if they kept a
//! file for one target and do not, and what of upstream is hidden.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::constraint::{Expr, FileName, Rule, words};
use crate::listing::{concat, split};
use crate::overrides::src;
use crate::{Error, KNOWN_ARCH, KNOWN_OS, Listing, Overrides, Plan, Reason, Target, Whose};

/// What has been found. All paths are from the root of the trees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Files of the overlay that cannot be read or are malformed, and why.
    pub malformed: Vec<(String, String)>,
    /// Files of the overlay that no known target would ever use, and why.
    pub never_used: Vec<(String, String)>,
    /// Directories of the overlay that the table does not have, so that nothing in them is ever linked.
    pub never_linked: Vec<String>,
    /// Files with a name that ends in what is no system that Go knows, and that nothing in them limits to it; with that word.
    pub guards_nothing: Vec<(String, String)>,
    /// What the overlay hides of upstream. That is what it is for, but it may be more than was meant.
    pub hides: Vec<Hidden>,
}

/// A directory in which files of upstream are hidden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hidden {
    /// The directory.
    pub dir: String,
    /// The targets for which they are.
    pub targets: Vec<String>,
    /// The files: those that builds for these targets would have, and that the overlay has none of the same name for.
    pub files: Vec<String>,
}

/// Words that look like an OS or an architecture to people, and not to Go.
const LOOKALIKES: [&str; 10] =
    ["aarch64", "macos", "unix", "wasi", "wasip2", "wasip3", "wasm32", "wasm64", "win32", "win64"];

/// Tags by which a file says that it is not built, and means it.
const ON_PURPOSE: [&str; 2] = ["ignore", "none"];

/// Kinds of tags of which whoever builds chooses one: releases, and what TinyGo has options for.
const CHOSEN: [&str; 4] = ["go1.", "gc.", "scheduler.", "serial."];

impl Report {
    /// Looks at all of an overlay, for targets of which `targets` are those with names. Other ones that are known are each
    /// GOOS with each GOARCH.
    ///
    /// `overlay` has rules; `upstream`, if it is given, has the directories that the table merges, with rules as well.
    ///
    /// # Errors
    /// A table that does not fit the trees. What is wrong with files is in the report.
    pub fn new(
        overlay: &Listing,
        upstream: Option<&Listing>,
        table: &Overrides,
        targets: &[Target],
    ) -> Result<Self, Error> {
        let mut report = Self { never_linked: never_linked(overlay, table), ..Self::default() };
        let pairs = KNOWN_OS.iter().flat_map(|os| KNOWN_ARCH.iter().map(|arch| Target::new(os, arch)));
        let known: Vec<Target> = targets.iter().cloned().chain(pairs.map(|pair| pair.with_tinygo_tags([]))).collect();
        for (path, rule) in overlay.files() {
            let Some(rule) = rule else { continue };
            if let Some(trouble) = known.first().and_then(|target| rule.trouble(target)) {
                report.malformed.push((path, trouble.to_string()));
                continue;
            }
            if report.never_linked.iter().any(|dir| path.starts_with(&format!("{dir}/"))) {
                continue;
            }
            if !matches!(rule.name(), FileName::Never(_)) && !known.iter().any(|target| may_match(rule, target)) {
                let why = why_never(rule, &known);
                report.never_used.push((path.clone(), why));
            }
            if let Some(word) = guards_nothing(split(&path).1, rule, targets) {
                report.guards_nothing.push((path, word));
            }
        }
        if let Some(upstream) = upstream.filter(|_| report.malformed.is_empty()) {
            report.hides = hides(overlay, upstream, table, targets)?;
        }
        Ok(report)
    }

    /// Whether there is something to be put right. What is hidden is not.
    pub fn is_clean(&self) -> bool {
        let Self { malformed, never_used, never_linked, guards_nothing, hides: _ } = self;
        malformed.is_empty() && never_used.is_empty() && never_linked.is_empty() && guards_nothing.is_empty()
    }
}

/// The outermost directories that no line is about, whatever the target.
fn never_linked(overlay: &Listing, table: &Overrides) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let below =
        |dir: &str, other: &str| dir.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    for (dir, _) in overlay.dirs() {
        let listed = table.lines().any(|line| match line.whose {
            Whose::Merge => src(&line.dir) == dir,
            Whose::Overlay => below(dir, &src(&line.dir)),
        });
        if !listed && below(dir, "src") && !found.iter().any(|outer| below(dir, outer)) {
            found.push(dir.to_owned());
        }
    }
    found
}

/// Whether the file may belong to a build for the target, however that is done.
fn may_match(rule: &Rule, target: &Target) -> bool {
    let suffix_matches = match rule.name() {
        FileName::Source { suffix, .. } => suffix.iter().all(|tag| target.has(tag)),
        FileName::Never(_) => false,
    };
    suffix_matches && rule.exprs().all(|expr| may_be(expr, target).0)
}

/// Whether it may hold, and whether it may not hold.
fn may_be(expr: &Expr, target: &Target) -> (bool, bool) {
    match expr {
        Expr::Tag(tag) if tag == "cgo" || ON_PURPOSE.contains(&tag.as_str()) => (true, true),
        Expr::Tag(tag) if CHOSEN.iter().any(|kind| tag.starts_with(kind)) => (true, true),
        Expr::Tag(tag) => (target.has(tag), !target.has(tag)),
        Expr::Not(x) => {
            let (may, may_not) = may_be(x, target);
            (may_not, may)
        }
        Expr::And(x, y) => {
            let (x, y) = (may_be(x, target), may_be(y, target));
            (x.0 && y.0, x.1 || y.1)
        }
        Expr::Or(x, y) => {
            let (x, y) = (may_be(x, target), may_be(y, target));
            (x.0 || y.0, x.1 && y.1)
        }
    }
}

fn why_never(rule: &Rule, known: &[Target]) -> String {
    let unknown: Vec<&str> =
        rule.tags().into_iter().filter(|tag| !known.iter().any(|target| target.has(tag))).collect();
    match &unknown[..] {
        [] => "no known target has what it asks for together".to_owned(),
        [tag] => format!("no known target has the tag {tag}"),
        tags => format!("no known target has one of the tags {}", tags.join(", ")),
    }
}

/// The word that a name ends in, if it looks as if it kept the file for one kind of target, and neither Go nor a line in the
/// file does: a target that has no such tag would use it. If the word is no tag of any, it is the line that is missing.
fn guards_nothing(name: &str, rule: &Rule, targets: &[Target]) -> Option<String> {
    let word = words(name).pop()?;
    if KNOWN_OS.contains(&word) || KNOWN_ARCH.contains(&word) || matches!(rule.name(), FileName::Never(_)) {
        return None;
    }
    let is_tag = targets.iter().any(|target| target.tags.iter().any(|tag| tag == word));
    let guards_nothing = match is_tag {
        true => !rule.tags().contains(&word) && targets.iter().any(|it| !it.has(word) && may_match(rule, it)),
        false => LOOKALIKES.contains(&word) && rule.exprs().next().is_none(),
    };
    guards_nothing.then(|| word.to_owned())
}

fn hides(overlay: &Listing, upstream: &Listing, table: &Overrides, targets: &[Target]) -> Result<Vec<Hidden>, Error> {
    // Targets by directory and what is hidden there.
    let mut found: BTreeMap<(String, Vec<String>), Vec<String>> = BTreeMap::new();
    for target in targets {
        let plan = Plan::new(upstream, overlay, table, target)?;
        let mut hidden: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (path, decision) in plan.decisions().filter(|(_, decision)| decision.reason == Reason::Claimed) {
            let (dir, name) = split(path);
            let replaced = plan.decisions[path].iter().any(|other| other.side != decision.side && other.linked);
            // Upstream may well be malformed where it is hidden, and tests are no part of a build.
            let built = upstream.rule(path).is_some_and(|rule| rule.matches(target).unwrap_or(false));
            if built && !replaced && !name.ends_with("_test.go") {
                hidden.entry(dir).or_default().push(name.to_owned());
            }
        }
        for (dir, files) in hidden {
            found.entry((dir.to_owned(), files)).or_default().push(target.name.clone());
        }
    }
    Ok(found.into_iter().map(|((dir, files), targets)| Hidden { dir, targets, files }).collect())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, why) in &self.malformed {
            writeln!(f, "{path}: {why}")?;
        }
        for (path, why) in &self.never_used {
            writeln!(f, "{path}: never used: {why}")?;
        }
        for dir in &self.never_linked {
            writeln!(f, "{}: never linked: the table does not have it", concat(dir, ""))?;
        }
        for (path, word) in &self.guards_nothing {
            writeln!(
                f,
                "{path}: _{word} guards nothing, as {word} is no GOOS or GOARCH that Go knows: it needs a `//go:build` line"
            )?;
        }
        for Hidden { dir, targets, files } in &self.hides {
            writeln!(f, "{dir}: for {} it hides {}", some(targets), some(files))?;
        }
        Ok(())
    }
}

/// The first few of a list.
fn some(all: &[String]) -> String {
    const FEW: usize = 6;
    match all.get(FEW..) {
        None | Some([]) | Some([_]) => all.join(", "),
        Some(more) => format!("{} and {} more", all[..FEW].join(", "), more.len()),
    }
}
