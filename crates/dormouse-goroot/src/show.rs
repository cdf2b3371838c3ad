//! A plan for people and for programs: as a tree, as JSON, and as what `go build -overlay` takes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::PathBuf;

use serde::Serialize;

use crate::listing::split;
use crate::{Decision, Error, Listing, Plan, Reason, Side, Target};

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
        self.check_roots()?;
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

    /// Whether JSON can say where the trees are. What is in them has names that are UTF-8.
    fn check_roots(&self) -> Result<(), Error> {
        match self.roots.iter().find(|root| root.to_str().is_none()) {
            None => Ok(()),
            Some(root) => {
                let source =
                    io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8, and JSON has no other");
                Err(Error::Read { path: root.clone(), source })
            }
        }
    }

    /// The same merge without a tree of its own: what `go build -overlay` takes, which then sees upstream's tree changed.
    /// Reads the directories that are linked whole.
    ///
    /// # Errors
    /// A directory that cannot be read, and a tree at a path that is not UTF-8.
    pub fn go_overlay(&self) -> Result<String, Error> {
        self.check_roots()?;
        // Where a file is, or nothing to have it not there.
        let mut replace: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
        for (path, decision) in self.decisions() {
            let at = self.source(path, Side::Upstream);
            match (&decision.reason, decision.linked) {
                (Reason::Claimed, _) => {
                    replace.entry(at).or_default();
                }
                (Reason::Matches(_), _) => {
                    replace.insert(at, self.source(path, Side::Overlay));
                }
                (Reason::Overlays(_), _) => {
                    for (file, _) in Listing::of_tree(self.root(Side::Upstream), path)?.files() {
                        replace.insert(self.source(&file, Side::Upstream), PathBuf::new());
                    }
                    for (file, _) in Listing::of_tree(self.root(Side::Overlay), path)?.files() {
                        replace.insert(self.source(&file, Side::Upstream), self.source(&file, Side::Overlay));
                    }
                }
                _ => {}
            }
        }
        let json = BTreeMap::from([("Replace", replace)]);
        Ok(serde_json::to_string_pretty(&json).expect("paths are UTF-8"))
    }
}
