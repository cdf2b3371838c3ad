//! Targets by name: TinyGo's, also as its own files have them, and GOOS/GOARCH.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::{Error, KNOWN_ARCH, KNOWN_OS, Target};

/// Tags of every TinyGo build.
const TINYGO_TAGS: [&str; 4] = ["tinygo", "purego", "osusergo", "math_big_pure_go"];

/// What TinyGo builds with unless the target or the user says otherwise; tags as well.
const CHOICES: [&str; 3] = ["gc.conservative", "scheduler.asyncify", "serial.none"];

impl Target {
    /// TinyGo's target of that name, with Go 1.`minor`.
    ///
    /// ```
    /// use dormouse_goroot::Target;
    ///
    /// let target = Target::tinygo("wasip2", 24).unwrap();
    /// assert!(["linux", "arm", "wasip2", "tinygo.wasm", "tinygo", "go1.24"].into_iter().all(|tag| target.has(tag)));
    /// assert!(!target.has("wasip1") && !target.has("wasm"));
    /// ```
    pub fn tinygo(name: &str, minor: u32) -> Option<Self> {
        let (_, pair, tags) = tinygo().find(|(known, ..)| *known == name)?;
        let (goos, goarch) = pair.split_once('/')?;
        let tags = tags.split_whitespace();
        Some(Self { name: name.to_owned(), ..Self::new(goos, goarch).with_releases(minor).with_tinygo_tags(tags) })
    }

    /// With `tags` and those that every build of TinyGo has. One of each `gc.…`, `scheduler.…` and `serial.…` is chosen, if
    /// `tags` have none.
    #[must_use]
    pub fn with_tinygo_tags<'a>(mut self, tags: impl IntoIterator<Item = &'a str>) -> Self {
        self.tags.extend(tags.into_iter().chain(TINYGO_TAGS).map(str::to_owned));
        for choice in CHOICES {
            let kind = choice.split('.').next();
            if !self.tags.iter().any(|tag| tag.contains('.') && tag.split('.').next() == kind) {
                self.tags.push(choice.to_owned());
            }
        }
        // TinyGo can do it everywhere.
        self.cgo = true;
        self
    }

    /// The names that [`tinygo`](Self::tinygo) knows.
    pub fn tinygo_names() -> impl Iterator<Item = &'static str> {
        tinygo().map(|(name, ..)| name)
    }

    /// The target `GOOS/GOARCH`, if Go knows both.
    pub fn pair(text: &str, minor: u32) -> Option<Self> {
        let (goos, goarch) = text.split_once('/')?;
        let known = KNOWN_OS.contains(&goos) && KNOWN_ARCH.contains(&goarch);
        known.then(|| Self::new(goos, goarch).with_releases(minor))
    }
}

/// Names, pairs and tags.
fn tinygo() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let lines = include_str!("../data/tinygo.targets").lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).filter_map(|line| {
        let (name, rest) = line.split_once(' ')?;
        let (pair, tags) = rest.trim_start().split_once(' ')?;
        Some((name, pair, tags))
    })
}

/// A file of TinyGo's directory `targets`, of which this is what matters.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Spec {
    inherits: Vec<String>,
    build_tags: Vec<String>,
    goos: String,
    goarch: String,
    gc: String,
    scheduler: String,
    serial: String,
}

/// TinyGo's targets as its directory `targets` has them, by name, with Go 1.`minor`. One that names no GOOS is a part of others.
/// None, if there is no such directory.
///
/// # Errors
/// A file that cannot be read or is malformed, or inherits from one that is not there or from itself.
pub fn tinygo_targets(dir: &Path, minor: u32) -> Result<BTreeMap<String, Target>, Error> {
    let failed = |path: &Path, source: io::Error| Error::Read { path: path.to_owned(), source };
    let files = match fs::read_dir(dir) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(failed(dir, error)),
    };
    let mut specs = BTreeMap::new();
    for file in files {
        let path = file.map_err(|error| failed(dir, error))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = fs::read(&path).map_err(|error| failed(&path, error))?;
            let spec: Spec = serde_json::from_slice(&text).map_err(|error| failed(&path, error.into()))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            specs.insert(name, spec);
        }
    }
    let mut targets = BTreeMap::new();
    for name in specs.keys() {
        let spec = inherit(name, &specs, 0).map_err(|what| failed(&dir.join(format!("{name}.json")), what))?;
        if spec.goos.is_empty() || spec.goarch.is_empty() {
            continue;
        }
        let chosen = [("gc", &spec.gc), ("scheduler", &spec.scheduler), ("serial", &spec.serial)];
        let chosen =
            chosen.into_iter().filter(|(_, what)| !what.is_empty()).map(|(kind, what)| format!("{kind}.{what}"));
        let tags: Vec<String> = spec.build_tags.iter().cloned().chain(chosen).collect();
        let target = Target::new(&spec.goos, &spec.goarch).with_releases(minor);
        let target = target.with_tinygo_tags(tags.iter().map(String::as_str));
        targets.insert(name.clone(), Target { name: name.clone(), ..target });
    }
    Ok(targets)
}

/// What a target is with what it inherits; what is said last counts, but for tags, of which all do.
fn inherit(name: &str, specs: &BTreeMap<String, Spec>, depth: usize) -> io::Result<Spec> {
    let spec = specs.get(name).filter(|_| depth <= specs.len());
    let spec = spec
        .ok_or_else(|| io::Error::other(format!("it inherits from {name}, which is not there or inherits from it")))?;
    let mut whole = Spec::default();
    for parent in &spec.inherits {
        whole.add(inherit(parent, specs, depth + 1)?);
    }
    whole.add(spec.clone());
    Ok(whole)
}

impl Spec {
    fn add(&mut self, other: Self) {
        let Self { inherits: _, build_tags, goos, goarch, gc, scheduler, serial } = other;
        self.build_tags.extend(build_tags);
        let fields = [&mut self.goos, &mut self.goarch, &mut self.gc, &mut self.scheduler, &mut self.serial];
        for (field, new) in fields.into_iter().zip([goos, goarch, gc, scheduler, serial]) {
            if !new.is_empty() {
                *field = new;
            }
        }
    }
}
