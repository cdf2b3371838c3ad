//! What is odd about an overlay, whatever it is built for: files that no build would use, names that look as if they kept a
//! file for one target and do not, and what of upstream is hidden.

mod allow;
mod files;
mod trees;

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

pub use allow::Allowed;

use crate::{Listing, Overrides, Target};

/// What an overlay is checked for.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The targets that have names. Other ones that are known are each GOOS with each GOARCH.
    pub targets: Vec<Target>,
    /// Files that targets name: they are used, and no build constraint decides.
    pub extra_files: BTreeSet<String>,
    /// Tags that a build may set or not, beside those of the targets.
    pub tags: BTreeSet<String>,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It is what an overlay is for, though perhaps more than intended.
    Note,
    /// It has no effect, or another effect than it seems to have.
    Warning,
    /// It makes a build fail.
    Error,
}

/// What kind of finding it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A file of the overlay that cannot be read or is malformed.
    Malformed,
    /// A target's file that is malformed, or what it inherits is.
    BrokenTarget,
    /// A line of the table that does not fit the trees.
    Misfit,
    /// A file of the overlay that no known target would ever use.
    NeverUsed,
    /// A directory of the overlay that the table does not have, so that nothing in it is ever linked.
    NeverLinked,
    /// A file whose name ends in a system that Go does not know, and that has no build constraint for it.
    GuardsNothing,
    /// A file of the overlay where upstream has a directory of that name.
    Shadowed,
    /// A package of upstream that is left out with the files beside it, because it is a link, which counts as a file.
    LeftOut,
    /// Files of upstream that are hidden.
    Hides,
    /// A line of the list of allowed findings that matches no finding.
    AllowsNothing,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What kind it is.
    pub kind: Kind,
    /// What it is about, from the root of the trees; for a target or a list its file.
    pub path: String,
    /// What is the matter.
    pub what: String,
    /// The targets for which it is so, if it is for some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// The files of upstream that are hidden: those that builds for these targets would have, and that the overlay has none of
    /// the same name for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// The result of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The findings, by kind and path.
    pub findings: Vec<Finding>,
    /// How many there are that a list allows.
    pub allowed: usize,
}

impl Report {
    /// Looks at all of an overlay.
    ///
    /// `overlay` has rules; `upstream`, if it is given, has the directories that the table merges, with rules as well.
    ///
    /// ```
    /// # use std::path::Path;
    /// use dormouse_goroot::{Expected, Listing, Overrides, Report, Target};
    ///
    /// let overlay = Listing::of_files([("src/net/x_wasip2.go", "package net")]);
    /// let table = Overrides::parse(Path::new("table"), "/ merge\nnet/ merge")?;
    /// let targets = ["wasip1", "wasip2"].map(|name| Target::tinygo(name, 26).unwrap()).to_vec();
    ///
    /// let report = Report::new(&overlay, None, &table, &Expected { targets, ..Expected::default() });
    /// assert!(report.to_string().starts_with("src/net/x_wasip2.go: warning: guards-nothing: _wasip2 guards nothing"));
    /// # Ok::<(), dormouse_goroot::Error>(())
    /// ```
    pub fn new(overlay: &Listing, upstream: Option<&Listing>, table: &Overrides, expected: &Expected) -> Self {
        let mut findings = files::findings(overlay, table, expected);
        if let Some(upstream) = upstream {
            // With a malformed file there is no plan, and it is said already.
            let malformed = findings.iter().any(|finding| finding.kind == Kind::Malformed);
            if !malformed {
                findings.extend(trees::findings(overlay, upstream, table, &expected.targets));
            }
        }
        let mut report = Self { findings, allowed: 0 };
        report.sort();
        report
    }

    /// Adds the files of targets that are broken, and what is the matter with each.
    pub fn add_broken_targets(&mut self, broken: impl IntoIterator<Item = (String, String)>) {
        let findings = broken.into_iter().map(|(path, what)| Finding::new(Kind::BrokenTarget, path, what));
        self.findings.extend(findings);
        self.sort();
    }

    /// Leaves out what is allowed. A line that allows nothing is a finding.
    pub fn allow(&mut self, allowed: &Allowed) {
        let before = self.findings.len();
        let stale = allowed.leave_out(&mut self.findings);
        self.allowed += before - self.findings.len();
        self.findings.extend(stale);
        self.sort();
    }

    /// The severity of the worst finding.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    fn sort(&mut self) {
        self.findings.sort_by(|a, b| (a.kind, &a.path, &a.targets).cmp(&(b.kind, &b.path, &b.targets)));
    }
}

impl Finding {
    fn new(kind: Kind, path: impl Into<String>, what: impl Into<String>) -> Self {
        let (path, what) = (path.into(), what.into());
        Self { severity: kind.severity(), kind, path, what, targets: Vec::new(), files: Vec::new() }
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::Malformed,
        Self::BrokenTarget,
        Self::Misfit,
        Self::NeverUsed,
        Self::NeverLinked,
        Self::GuardsNothing,
        Self::Shadowed,
        Self::LeftOut,
        Self::Hides,
        Self::AllowsNothing,
    ];

    /// How much one of this kind matters.
    pub fn severity(self) -> Severity {
        match self {
            Self::Malformed | Self::BrokenTarget | Self::Misfit => Severity::Error,
            Self::Hides => Severity::Note,
            _ => Severity::Warning,
        }
    }

    /// As it is written: `never-used`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::BrokenTarget => "broken-target",
            Self::Misfit => "misfit",
            Self::NeverUsed => "never-used",
            Self::NeverLinked => "never-linked",
            Self::GuardsNothing => "guards-nothing",
            Self::Shadowed => "shadowed",
            Self::LeftOut => "left-out",
            Self::Hides => "hides",
            Self::AllowsNothing => "allows-nothing",
        }
    }
}

impl Severity {
    /// As it is written: `warning`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, kind, path, what, targets, files } = self;
        write!(f, "{path}: {}: {}: ", severity.name(), kind.name())?;
        if !targets.is_empty() {
            write!(f, "for {}: ", some(targets))?;
        }
        f.write_str(what)?;
        if files.is_empty() { Ok(()) } else { write!(f, " {}", some(files)) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
        let mut counts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
            .into_iter()
            .map(|severity| (severity, self.findings.iter().filter(|finding| finding.severity == severity).count()))
            .filter(|(_, count)| *count > 0)
            .map(|(severity, count)| format!("{count} {}{}", severity.name(), if count == 1 { "" } else { "s" }))
            .collect();
        if self.allowed > 0 {
            counts.push(format!("{} allowed", self.allowed));
        }
        writeln!(f, "{}", if counts.is_empty() { "nothing found".to_owned() } else { counts.join(", ") })
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
