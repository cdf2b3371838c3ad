//! A plan in words.

use std::fmt::Write;

use crate::listing::split;
use crate::{Decision, Plan, Reason, Side};

impl Plan {
    /// Why something is, or is not, in the merged tree: what is decided of it, and if it is a merged directory what is in it.
    /// `path` is from the root of the trees: `src/net`.
    ///
    /// # Errors
    /// A sentence that says so, if it is in neither tree.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use dormouse_goroot::{Listing, Overrides, Plan, Side, Target};
    /// # let upstream = Listing::of_files([("src/net/net.go", "package net"), ("src/net/http/http.go", "package http")]);
    /// # let overlay = Listing::of_files([("src/net/net_wasip2.go", "//go:build wasip2\n\npackage net")]);
    /// # let table = Overrides::parse(Path::new("table"), "/ merge\nnet/ merge")?;
    /// # let plan = Plan::new(&upstream, &overlay, &table, &Target::tinygo("wasip1", 24).unwrap())?;
    /// assert_eq!(plan.why("src/net").unwrap(), "\
    /// src/net is merged for wasip1 (line 2 of table).
    /// None of the overlay's files in it belongs to a build for wasip1, so none claims the directory and the files are upstream's.
    ///   overlay   net_wasip2.go: not linked: says `//go:build wasip2` in line 1, which does not hold: wasip2 is not set
    ///   upstream  1 file: linked
    ///   upstream  1 directory not in the table: linked: http
    /// ");
    /// # Ok::<(), dormouse_goroot::Error>(())
    /// ```
    pub fn why(&self, path: &str) -> Result<String, String> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.is_empty() || parts.contains(&"..") {
            return Err(format!("`{path}` is no path from the root of the trees, as src/net is"));
        }
        let path = parts.join("/");
        match self.decisions.get(&path) {
            Some(decisions) => Ok(self.why_decided(&path, decisions)),
            None => self.why_not_decided(&path),
        }
    }

    fn why_decided(&self, path: &str, decisions: &[Decision]) -> String {
        let mut text = String::new();
        for Decision { side, linked, reason } in decisions {
            match reason {
                Reason::Merged(_) => self.why_merged(&mut text, path, reason),
                _ => line(&mut text, &format!("{path} of {}: {}", side.name(), self.sentence(*linked, reason))),
            }
        }
        text
    }

    /// Whether it is linked, and why.
    fn sentence(&self, linked: bool, reason: &Reason) -> String {
        let linked = if linked { "linked" } else { "not linked" };
        format!("{linked}: {}", self.because(reason))
    }

    /// A reason in words.
    pub fn because(&self, reason: &Reason) -> String {
        let target = &self.target.name;
        let table = self.table.display();
        match reason {
            Reason::BesideSources => "every merged tree has upstream's".to_owned(),
            Reason::Matches(because) | Reason::DoesNotMatch(because) => because.clone(),
            Reason::Unclaimed => {
                format!("none of the overlay's files in this directory belongs to a build for {target}")
            }
            Reason::Claimed => format!("files of the overlay that belong to a build for {target} claim the directory"),
            Reason::GoesAlong(because) => format!("{because}, and goes along with the files that claim the directory"),
            Reason::Shadowed => {
                "upstream has a directory of that name, which the table does not have for ".to_owned() + target
            }
            Reason::NotInTable => format!("the table does not have it for {target}"),
            Reason::NeverLinked => format!("the table does not have it for {target}"),
            Reason::Overlays(number) => format!("it is the overlay's (line {number} of {table})"),
            Reason::Merged(number) => format!("merged for {target} (line {number} of {table})"),
        }
    }

    /// The overlay's files, upstream's, and then directories.
    fn why_merged(&self, text: &mut String, path: &str, merged: &Reason) {
        line(text, &format!("{path} is {}.", self.because(merged)));
        let mut files = String::new();
        let mut dirs = String::new();
        let (mut matching, mut others, mut upstream, mut not_in_table) = (0, 0, Vec::new(), Vec::new());
        for (entry, Decision { side, linked, reason }) in self.decisions().filter(|(it, _)| split(it).0 == path) {
            let name = split(entry).1;
            let entry = |slash: &str| format!("  {:9} {name}{slash}: {}", side.name(), self.sentence(*linked, reason));
            match reason {
                Reason::Matches(_) | Reason::Shadowed | Reason::GoesAlong(_) | Reason::DoesNotMatch(_) => {
                    let matches = matches!(reason, Reason::Matches(_) | Reason::Shadowed);
                    *if matches { &mut matching } else { &mut others } += 1;
                    line(&mut files, &entry(""));
                }
                Reason::Unclaimed | Reason::Claimed => upstream.push(*linked),
                Reason::NotInTable => not_in_table.push(name),
                Reason::Merged(_) => line(&mut dirs, &format!("  {:9} {name}/: {}", "both", self.because(reason))),
                Reason::Overlays(_) | Reason::NeverLinked => line(&mut dirs, &entry("/")),
                Reason::BesideSources => {}
            }
        }
        line(text, &self.who_claims(matching, others));
        text.push_str(&files);
        if let Some(linked) = upstream.first() {
            let linked = if *linked { "linked" } else { "not linked" };
            line(text, &format!("  {:9} {}: {linked}", Side::Upstream.name(), count(upstream.len(), "file")));
        }
        text.push_str(&dirs);
        if !not_in_table.is_empty() {
            let (side, dirs) = (Side::Upstream.name(), count(not_in_table.len(), "directory"));
            line(text, &format!("  {side:9} {dirs} not in the table: linked: {}", not_in_table.join(", ")));
        }
    }

    fn who_claims(&self, matching: usize, others: usize) -> String {
        let target = &self.target.name;
        match (matching, others) {
            (0, 0) => "The overlay has no files in it, so the files are upstream's.".to_owned(),
            (0, _) => format!(
                "None of the overlay's files in it belongs to a build for {target}, so none claims the directory and the files \
                 are upstream's."
            ),
            (1, _) => format!(
                "One of the overlay's files in it belongs to a build for {target} and claims the directory: upstream's files are \
                 left out."
            ),
            (some, _) => format!(
                "{some} of the overlay's files in it belong to a build for {target} and claim the directory: upstream's files \
                 are left out."
            ),
        }
    }

    /// Of something below what is linked whole, or that is in neither tree.
    fn why_not_decided(&self, path: &str) -> Result<String, String> {
        let parents = std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(parent, _)| parent));
        let decided = parents.skip(1).find_map(|parent| Some((parent, self.decisions.get(parent)?)));
        let Some((parent, decisions)) = decided else {
            return Err(format!(
                "{path} is no part of a merged tree: that has src, bin, lib, pkg and go.env; a package is below src"
            ));
        };
        let linked = decisions.iter().find(|decision| decision.linked && !matches!(decision.reason, Reason::Merged(_)));
        // In a tree that is on no disk there is nothing to look for below what is linked whole.
        let on_disk = self.roots.iter().all(|root| !root.as_os_str().is_empty());
        let has = |side: Side| self.source(path, side).symlink_metadata().is_ok();
        let first = match linked {
            Some(_) if !on_disk => format!("{path} comes with {parent}, if that has it."),
            Some(linked) if has(linked.side) => format!("{path} comes with {parent}."),
            Some(linked) => match [Side::Upstream, Side::Overlay].into_iter().find(|side| has(*side)) {
                Some(other) => {
                    let (other, side) = (other.with_article(), linked.side.with_article());
                    format!("{path} is in {other} alone, and is left out: {parent} is {side}'s.")
                }
                None => {
                    let side = linked.side.with_article();
                    return Err(format!("{path} is in neither tree; {parent} is {side}'s"));
                }
            },
            None if on_disk && [Side::Upstream, Side::Overlay].into_iter().any(has) => {
                format!("{path} is left out with {parent}.")
            }
            None => return Err(format!("{path} is in neither tree; {parent} is merged")),
        };
        Ok(format!("{first}\n{}", self.why_decided(parent, decisions)))
    }
}

impl Side {
    /// `upstream` or `overlay`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Overlay => "overlay",
        }
    }

    /// As a sentence has it.
    fn with_article(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Overlay => "the overlay",
        }
    }
}

fn count(number: usize, of: &str) -> String {
    match (number, of.strip_suffix('y')) {
        (1, _) => format!("1 {of}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {of}s"),
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes everything");
}
