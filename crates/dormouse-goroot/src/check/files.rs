//! What is odd about the files of an overlay, each by itself.

use std::collections::BTreeSet;

use super::{Expected, Finding, Kind};
use crate::constraint::{Expr, FileName, Rule, words};
use crate::listing::{concat, split};
use crate::overrides::src;
use crate::tinygo::{NEWEST, is_chosen};
use crate::{KNOWN_ARCH, KNOWN_OS, Listing, Overrides, Target, Whose};

/// Words that look like an OS or an architecture to people, and not to Go.
const LOOKALIKES: [&str; 10] =
    ["aarch64", "macos", "unix", "wasi", "wasip2", "wasip3", "wasm32", "wasm64", "win32", "win64"];

/// Tags by which a file says on purpose that it is not built.
const ON_PURPOSE: [&str; 2] = ["ignore", "none"];

/// What a file may be built for.
struct Known<'a> {
    /// Those with names, and each GOOS with each GOARCH.
    targets: Vec<Target>,
    named: &'a [Target],
    /// Tags that are set or not as the user likes.
    optional: BTreeSet<&'a str>,
}

pub(super) fn findings(overlay: &Listing, table: &Overrides, expected: &Expected) -> Vec<Finding> {
    let pairs = KNOWN_OS.iter().flat_map(|os| KNOWN_ARCH.iter().map(|arch| Target::host(os, arch, 0)));
    let targets: Vec<Target> = expected.targets.iter().cloned().chain(pairs).collect();
    let mut optional = options(overlay, &targets);
    optional.extend(expected.tags.iter().map(String::as_str));
    let known = Known { targets, named: &expected.targets, optional };
    let never_linked = never_linked(overlay, table);
    let mut findings: Vec<Finding> = never_linked
        .iter()
        .map(|dir| Finding::new(Kind::NeverLinked, concat(dir, ""), "the table does not have it"))
        .collect();
    // Malformed to the Go that the targets are for.
    let go = known.named.first().cloned().unwrap_or_else(|| Target::new("", "").with_releases(NEWEST));
    for (path, rule) in overlay.files() {
        let Some(rule) = rule else { continue };
        if let Some(trouble) = rule.trouble(&go) {
            findings.push(Finding::new(Kind::Malformed, path, trouble.to_string()));
            continue;
        }
        let is_never_linked = never_linked.iter().any(|dir| path.starts_with(&format!("{dir}/")));
        if is_never_linked || expected.extra_files.contains(&path) || matches!(rule.name(), FileName::Never(_)) {
            continue;
        }
        if !known.targets.iter().any(|target| known.may_match(rule, target)) {
            findings.push(Finding::new(Kind::NeverUsed, path.clone(), known.why_never(rule)));
        }
        if let Some(word) = known.guards_nothing(split(&path).1, rule) {
            let what = format!(
                "_{word} guards nothing: {word} is no GOOS or GOARCH that Go knows, and no `//go:build` line asks for it"
            );
            findings.push(Finding::new(Kind::GuardsNothing, path, what));
        }
    }
    findings
}

/// Tags that no target has and that some file asks for and another rules out: the user chooses between the two.
fn options<'a>(overlay: &'a Listing, targets: &[Target]) -> BTreeSet<&'a str> {
    let (mut asked, mut ruled_out) = (BTreeSet::new(), BTreeSet::new());
    for expr in overlay.files().filter_map(|(_, rule)| rule).flat_map(Rule::exprs) {
        signs(expr, true, &mut asked, &mut ruled_out);
    }
    let both = asked.intersection(&ruled_out).copied();
    both.filter(|tag| !targets.iter().any(|target| target.has(tag))).collect()
}

/// The tags that an expression asks for, and those that it rules out.
fn signs<'a>(expr: &'a Expr, positive: bool, asked: &mut BTreeSet<&'a str>, ruled_out: &mut BTreeSet<&'a str>) {
    match expr {
        Expr::Tag(tag) => drop(if positive { &mut *asked } else { &mut *ruled_out }.insert(tag.as_str())),
        Expr::Not(x) => signs(x, !positive, asked, ruled_out),
        Expr::And(x, y) | Expr::Or(x, y) => {
            signs(x, positive, asked, ruled_out);
            signs(y, positive, asked, ruled_out);
        }
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

impl Known<'_> {
    /// Whether the file may belong to a build for the target, however that is done.
    fn may_match(&self, rule: &Rule, target: &Target) -> bool {
        let suffix_matches = match rule.name() {
            FileName::Source { suffix, .. } => suffix.iter().all(|tag| target.has(tag)),
            FileName::Never(_) => false,
        };
        suffix_matches && rule.exprs().all(|expr| self.may_be(expr, target).0)
    }

    /// Whether it may hold, and whether it may not hold.
    fn may_be(&self, expr: &Expr, target: &Target) -> (bool, bool) {
        match expr {
            Expr::Tag(tag) if self.is_free(tag) => (true, true),
            Expr::Tag(tag) => (target.has(tag), !target.has(tag)),
            Expr::Not(x) => {
                let (may, may_not) = self.may_be(x, target);
                (may_not, may)
            }
            Expr::And(x, y) => {
                let (x, y) = (self.may_be(x, target), self.may_be(y, target));
                (x.0 && y.0, x.1 || y.1)
            }
            Expr::Or(x, y) => {
                let (x, y) = (self.may_be(x, target), self.may_be(y, target));
                (x.0 || y.0, x.1 && y.1)
            }
        }
    }

    /// Whether a build for any target may have the tag set or not.
    fn is_free(&self, tag: &str) -> bool {
        tag == "cgo" || ON_PURPOSE.contains(&tag) || is_chosen(tag) || self.optional.contains(tag)
    }

    fn why_never(&self, rule: &Rule) -> String {
        let known = |tag: &str| self.is_free(tag) || self.targets.iter().any(|target| target.has(tag));
        let unknown: Vec<&str> = rule.tags().into_iter().filter(|tag| !known(tag)).collect();
        match &unknown[..] {
            [] => "no known target has what it asks for together".to_owned(),
            [tag] => format!("no known target has the tag {tag}"),
            tags => format!("no known target has one of the tags {}", tags.join(", ")),
        }
    }

    /// The word that a name ends in, if it looks as if it kept the file for one kind of target, and neither Go nor a line in
    /// the file does: a target that has no such tag would use it. If the word is no tag of any, it is the line that is missing.
    fn guards_nothing(&self, name: &str, rule: &Rule) -> Option<String> {
        let word = words(name).pop()?;
        if KNOWN_OS.contains(&word) || KNOWN_ARCH.contains(&word) {
            return None;
        }
        let is_tag = self.named.iter().any(|target| target.tags.iter().any(|tag| tag == word));
        let guards_nothing = match is_tag {
            true => {
                let others = self.named.iter().filter(|target| !target.has(word));
                !rule.tags().contains(&word) && others.into_iter().any(|target| self.may_match(rule, target))
            }
            false => LOOKALIKES.contains(&word) && rule.exprs().next().is_none(),
        };
        guards_nothing.then(|| word.to_owned())
    }
}
