//! What the overlay does to upstream, for each target that has a name.

use std::collections::BTreeMap;

use super::{Finding, Kind};
use crate::listing::{concat, join, split};
use crate::overrides::src;
use crate::{Error, Listing, Overrides, Plan, Reason, Side, Target};

/// Findings that may be the same for several targets: kind, path, what, files.
type Found = BTreeMap<(Kind, String, String, Vec<String>), Vec<String>>;

pub(super) fn findings(overlay: &Listing, upstream: &Listing, table: &Overrides, targets: &[Target]) -> Vec<Finding> {
    let mut found = Found::new();
    for target in targets {
        let mut add = |kind, path: &str, what: &str, files| {
            found.entry((kind, path.to_owned(), what.to_owned(), files)).or_default().push(target.name.clone());
        };
        let plan = match Plan::new(upstream, overlay, table, target) {
            Ok(plan) => plan,
            Err(error) => {
                // Which target it is for is said beside it.
                let what = error.to_string().replace(&format!(" for {}", target.name), "");
                let of_table = |number| table.lines().find(|line| line.line == number);
                let dir = match &error {
                    Error::Table { line, .. } => of_table(*line).map_or("", |line| line.dir.as_str()),
                    _ => "",
                };
                add(Kind::Misfit, &concat(&src(dir), ""), &what, Vec::new());
                continue;
            }
        };
        let mut hidden: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (path, decision) in plan.decisions() {
            let (dir, name) = split(path);
            match decision.reason {
                Reason::Shadowed => add(Kind::Shadowed, path, "upstream has a directory of that name", Vec::new()),
                Reason::Claimed if !upstream.root().as_os_str().is_empty() && join(upstream.root(), path).is_dir() => {
                    let what =
                        "it is a link to a directory, which counts as a file, and upstream's files are left out here";
                    add(Kind::LeftOut, path, what, Vec::new());
                }
                Reason::Claimed => {
                    let replaced = plan.decisions[path].iter().any(|it| it.side == Side::Overlay && it.linked);
                    // Upstream may well be malformed where it is hidden, and tests are no part of a build.
                    let built = upstream.rule(path).is_some_and(|rule| rule.matches(target).unwrap_or(false));
                    if built && !replaced && !name.ends_with("_test.go") {
                        hidden.entry(dir).or_default().push(name.to_owned());
                    }
                }
                _ => {}
            }
        }
        for (dir, files) in hidden {
            add(Kind::Hides, dir, "hides", files);
        }
    }
    let finding = |((kind, path, what, files), targets)| Finding { targets, files, ..Finding::new(kind, path, what) };
    found.into_iter().map(finding).collect()
}
