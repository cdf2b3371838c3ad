//! From what the command takes to plans and reports.

use std::fs;
use std::io;
use std::path::Path;

use super::Refused;
use super::args::{CheckArgs, DiffArgs, Inputs, TargetsArgs, parse_release};
use crate::overrides::src;
use crate::tinygo::NEWEST;
use crate::{Allowed, Choices, Diff, Error, Expected, Listing, NoTarget, Overrides, Plan, Report, Target, Targets};

impl Inputs {
    pub(super) fn plan(&self) -> Result<Plan, Refused> {
        let table = table(self.overrides.as_deref(), &self.overlay)?;
        Ok(Plan::read(&self.goroot, &self.overlay, &table, &self.target()?)?)
    }

    fn target(&self) -> Result<Target, Refused> {
        let release = match self.go {
            Some(release) => release,
            None => release_of(&self.goroot)?,
        };
        let mut target = match self.plain {
            true => Target::pair(&self.target, release).ok_or_else(|| {
                let what = format!("--plain is for a target GOOS/GOARCH that Go knows, and {} is none", self.target);
                Refused::Usage(what)
            })?,
            false => {
                let targets = Targets::read(&self.overlay, release)?;
                targets.get(&self.target).map_err(|why| no_target(&self.target, &why, &targets, &self.overlay))?
            }
        };
        let choices = Choices { gc: self.gc.clone(), scheduler: self.scheduler.clone(), serial: self.serial.clone() };
        if choices != Choices::default() {
            target = target.with_choices(&choices);
        }
        target.tags.extend(words(&self.tags));
        target.tool_tags.extend(words(&self.tool_tags));
        target.cgo = self.cgo || target.cgo && !self.no_cgo;
        Ok(target)
    }
}

/// Tags, between which may be spaces as well as commas: TinyGo takes both.
fn words(tags: &[String]) -> impl Iterator<Item = String> {
    tags.iter().flat_map(|tags| tags.split_whitespace()).map(str::to_owned)
}

/// Why there is no such target, in a sentence, and what there is instead.
fn no_target(name: &str, why: &NoTarget, targets: &Targets, overlay: &Path) -> Refused {
    match why {
        NoTarget::Broken(path, what) => {
            Refused::Sentence(format!("the target {name} is broken: {}: {what}", path.display()))
        }
        NoTarget::Part => Refused::Usage(format!("{name} is a part of other targets: it names no GOOS and GOARCH")),
        NoTarget::Unknown => {
            let names = targets.names();
            let mut near: Vec<(f64, &str)> =
                names.iter().map(|known| (strsim::jaro_winkler(name, known), *known)).collect();
            near.sort_by(|a, b| b.0.total_cmp(&a.0));
            let near: Vec<&str> =
                near.into_iter().filter(|(near, _)| *near > 0.8).take(4).map(|(_, name)| name).collect();
            let hint = if near.is_empty() { String::new() } else { format!(" (similar are {})", near.join(", ")) };
            let (count, overlay) = (names.len(), overlay.display());
            Refused::Usage(format!(
                "there is no target {name} among {count}{hint}: write GOOS/GOARCH, or one that `dormouse-goroot targets \
                 --overlay {overlay}` lists"
            ))
        }
    }
}

impl CheckArgs {
    pub(super) fn report(&self) -> Result<Report, Refused> {
        let release = match (self.go, &self.goroot) {
            (Some(release), _) => release,
            (None, Some(goroot)) => release_of(goroot)?,
            (None, None) => NEWEST,
        };
        let targets = Targets::read(&self.overlay, release)?;
        let table = table(self.overrides.as_deref(), &self.overlay)?;
        let allowed = self.allow.as_deref().map(Allowed::read).transpose()?;
        let overlay = Listing::of_tree(&self.overlay, "src")?.with_rules();
        if overlay.dir("src").is_none() {
            return Err(Refused::Usage(format!("{} is no overlay: it has no directory src", self.overlay.display())));
        }
        let upstream = match &self.goroot {
            Some(goroot) => {
                let dirs: Vec<String> = table.lines().map(|line| src(&line.dir)).collect();
                Some(Listing::of_dirs(goroot, dirs.iter().map(String::as_str))?.with_rules())
            }
            None => None,
        };
        let expected =
            Expected { targets: targets.all(), extra_files: targets.extra_files(), tags: words(&self.tags).collect() };
        let mut report = Report::new(&overlay, upstream.as_ref(), &table, &expected);
        let relative = |path: &Path| path.strip_prefix(&self.overlay).unwrap_or(path).display().to_string();
        report.add_broken_targets(targets.broken().into_iter().map(|(path, what)| (relative(&path), what)));
        if let Some(allowed) = &allowed {
            report.allow(allowed);
        }
        Ok(report)
    }
}

impl DiffArgs {
    pub(super) fn diff(&self) -> Result<Diff, Refused> {
        let mut to = self.inputs.clone();
        let other = &self.to;
        if let Some(goroot) = &other.to_goroot {
            // Its own release, unless one is named.
            (to.goroot, to.go) = (goroot.clone(), None);
        }
        to.go = other.to_go.or(to.go);
        if let Some(overlay) = &other.to_overlay {
            to.overlay.clone_from(overlay);
        }
        if let Some(target) = &other.to_target {
            to.target.clone_from(target);
        }
        if let Some(tags) = &other.to_tool_tags {
            to.tool_tags.clone_from(tags);
        }
        Ok(Diff::new(&self.inputs.plan()?, &to.plan()?)?)
    }
}

impl TargetsArgs {
    pub(super) fn list(&self) -> Result<String, Refused> {
        if !self.overlay.is_dir() {
            return Err(Refused::Usage(format!("{} is no overlay: it is no directory", self.overlay.display())));
        }
        let targets = Targets::read(&self.overlay, NEWEST)?;
        let all = targets.all();
        if self.json {
            let json: Vec<_> = all
                .iter()
                .map(|Target { name, goos, goarch, tags, .. }| {
                    serde_json::json!({ "name": name, "goos": goos, "goarch": goarch, "tags": tags })
                })
                .collect();
            return Ok(serde_json::to_string_pretty(&json).expect("strings and lists can be written") + "\n");
        }
        let line = |Target { name, goos, goarch, tags, .. }: &Target| {
            format!("{name:31} {:15} {}\n", format!("{goos}/{goarch}"), tags.join(" "))
        };
        let broken = targets.broken().into_iter().map(|(path, what)| format!("{}: {what}\n", path.display()));
        Ok(all.iter().map(line).chain(broken).collect())
    }
}

/// The name of the table that an overlay may bring.
const OWN_TABLE: &str = "goroot.overrides";

fn table(path: Option<&Path>, overlay: &Path) -> Result<Overrides, Error> {
    let own = overlay.join(OWN_TABLE);
    let missing = |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    match (path, own.symlink_metadata()) {
        (Some(path), _) => Overrides::read(path),
        (None, Err(error)) if missing(&error) => Ok(Overrides::tinygo_of(overlay)),
        (None, _) => Overrides::read(&own),
    }
}

/// The N of the release 1.N that a Go tree is, by its file VERSION.
fn release_of(goroot: &Path) -> Result<u32, Refused> {
    let path = goroot.join("VERSION");
    let hint = "say which release it is with --go, for example --go 1.26";
    let text = fs::read_to_string(&path)
        .map_err(|error| Refused::Sentence(format!("cannot read {}: {error}; {hint}", path.display())))?;
    let first = text.lines().next().unwrap_or_default();
    let release = first.strip_prefix("go").and_then(|release| parse_release(release).ok());
    let unknown = || format!("{} says `{first}`, which is no release of Go: {hint}", path.display());
    release.ok_or_else(|| Refused::Usage(unknown()))
}
