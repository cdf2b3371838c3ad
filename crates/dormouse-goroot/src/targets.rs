//! Targets by name: TinyGo's, also as its own files have them, and GOOS/GOARCH.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::tinygo::{Age, host_files, pair};
use crate::{Error, Target};

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
        let (_, pair, tags) = built_in().find(|(known, ..)| *known == name)?;
        let (goos, goarch) = pair.split_once('/')?;
        let tags = tags.split_whitespace();
        Some(Self { name: name.to_owned(), ..Self::new(goos, goarch).with_releases(minor).with_tinygo_tags(tags) })
    }

    /// The names that [`tinygo`](Self::tinygo) knows.
    pub fn tinygo_names() -> impl Iterator<Item = &'static str> {
        built_in().map(|(name, ..)| name)
    }

    /// The target `GOOS/GOARCH` as Go has it, without tags of TinyGo's, if Go knows both.
    pub fn pair(text: &str, minor: u32) -> Option<Self> {
        pair(text).map(|(goos, goarch)| Self::new(goos, goarch).with_releases(minor))
    }
}

/// Names, pairs and tags.
fn built_in() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let lines = include_str!("../data/tinygo.targets").lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).filter_map(|line| {
        let (name, rest) = line.split_once(' ')?;
        let (pair, tags) = rest.trim_start().split_once(' ')?;
        Some((name, pair, tags))
    })
}

/// Files that every target for WebAssembly has.
const WASM_FILES: [&str; 1] = ["src/runtime/asm_tinygowasm.S"];

/// What an overlay builds for: TinyGo's targets as its directory `targets` has them, those that are built in, and pairs.
#[derive(Debug)]
pub struct Targets {
    dir: PathBuf,
    minor: u32,
    age: Age,
    /// What each file says, or what is the matter with it.
    specs: BTreeMap<String, Result<Spec, String>>,
}

/// Why there is no such target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoTarget {
    /// There is none of that name.
    Unknown,
    /// Its file is a part of others: it names no GOOS.
    Part,
    /// Its file, and what is the matter with it or with what it inherits.
    Broken(PathBuf, String),
}

/// A file of TinyGo's directory `targets`, of which this is what matters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Spec {
    inherits: Vec<String>,
    /// Of this file alone: what inherits from it is no part of others for that.
    inheritable_only: bool,
    build_tags: Vec<String>,
    extra_files: Vec<String>,
    goos: String,
    goarch: String,
    gc: String,
    scheduler: String,
    serial: String,
}

impl Targets {
    /// Reads the targets of an overlay, with Go 1.`minor`. A malformed file is found out when its target is asked for.
    ///
    /// # Errors
    /// A directory that is there and cannot be read.
    pub fn read(overlay: &Path, minor: u32) -> Result<Self, Error> {
        let dir = overlay.join("targets");
        let failed = |source: io::Error| Error::Read { path: dir.clone(), source };
        let mut specs = BTreeMap::new();
        match fs::read_dir(&dir) {
            Ok(files) => {
                for file in files {
                    let path = file.map_err(failed)?.path();
                    if path.extension().is_some_and(|extension| extension == "json") {
                        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                        specs.insert(name, Spec::read(&path));
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        // What TinyGo names in its targets for systems since it has these.
        let has = |file: &str| overlay.join("src").join(file).is_file();
        let is_tinygo = has("runtime/runtime.go");
        let age = Age {
            boehm: !is_tinygo || has("runtime/gc_boehm.go"),
            linux_threads: !is_tinygo || has("internal/futex/futex_linux.c"),
            darwin_threads: !is_tinygo || has("internal/futex/futex_darwin.c"),
        };
        Ok(Self { dir, minor, age, specs })
    }

    /// The target of that name: one of the overlay's files, which TinyGo looks up in small letters, or a file `….json` of the
    /// caller's, which may inherit from them; one that is built in; or `GOOS/GOARCH`, as TinyGo builds for it.
    ///
    /// # Errors
    /// There is none, or its file is malformed, inherits from one that is not there or from itself, or has a value twice.
    pub fn get(&self, name: &str) -> Result<Target, NoTarget> {
        let file = name.ends_with(".json");
        let key = if file { name.to_owned() } else { name.to_lowercase() };
        if file || self.specs.contains_key(&key) {
            let path = if file { PathBuf::from(name) } else { self.path(&key) };
            let spec = self.inherit(&key, &mut Vec::new()).map_err(|what| NoTarget::Broken(path, what))?;
            return spec.target(&key, self.minor).ok_or(NoTarget::Part);
        }
        // TinyGo has these pairs by name.
        let named = match name {
            "js/wasm" => Some("wasm"),
            "wasip1/wasm" => Some("wasip1"),
            "wasip2/wasm" => Some("wasip2"),
            _ => None,
        };
        if let Some(named) = named {
            return self.get(named).map(|target| Target { name: name.to_owned(), ..target });
        }
        let host = pair(name).map(|(goos, goarch)| Target::host_of(self.age, goos, goarch, self.minor));
        host.or_else(|| Target::tinygo(name, self.minor)).ok_or(NoTarget::Unknown)
    }

    /// The names of all targets: those of files that are not for others to inherit from or are broken, and those that are built
    /// in.
    pub fn names(&self) -> Vec<&str> {
        let is_part = |name: &str, spec: &Result<Spec, String>| {
            spec.as_ref().is_ok_and(|spec| spec.inheritable_only) || self.get(name) == Err(NoTarget::Part)
        };
        let own = self.specs.iter().filter(|(name, spec)| !is_part(name, spec));
        let mut names: BTreeSet<&str> = own.map(|(name, _)| name.as_str()).collect();
        for name in Target::tinygo_names() {
            names.insert(name);
        }
        names.into_iter().collect()
    }

    /// All targets that have a name, without those of files that are broken.
    pub fn all(&self) -> Vec<Target> {
        self.names().into_iter().filter_map(|name| self.get(name).ok()).collect()
    }

    /// Files of the overlay that are compiled into programs because a target names them: no build constraint decides.
    pub fn extra_files(&self) -> BTreeSet<String> {
        let specs = self.specs.values().flatten().flat_map(|spec| spec.extra_files.iter().cloned());
        let schedulers = ["asyncify", "jspi"].map(|name| format!("src/internal/task/task_{name}_wasm.S"));
        let pairs = ["linux", "darwin", "windows"].into_iter().flat_map(|goos| {
            let arches = ["386", "amd64", "arm", "arm64", "mips", "mipsle"].into_iter();
            arches.flat_map(move |goarch| host_files(goos, goarch))
        });
        specs.chain(schedulers).chain(pairs).chain(WASM_FILES.map(str::to_owned)).collect()
    }

    /// The files that are broken, and what is the matter with each or with what it inherits.
    pub fn broken(&self) -> Vec<(PathBuf, String)> {
        let broken = self.specs.keys().filter_map(|name| match self.get(name) {
            Err(NoTarget::Broken(path, what)) => Some((path, what)),
            _ => None,
        });
        broken.collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }

    /// What a target is with what it inherits; what is said last counts, but for lists, of which all do. `within` are the ones
    /// that inherit from it.
    fn inherit(&self, name: &str, within: &mut Vec<String>) -> Result<Spec, String> {
        if within.iter().any(|other| other == name) {
            return Err(format!("it inherits from {name}, which inherits from it"));
        }
        let spec = match self.specs.get(name) {
            _ if name.ends_with(".json") => Spec::read(Path::new(name)),
            Some(spec) => spec.clone(),
            None => Err("it is not there".to_owned()),
        };
        let spec = spec.map_err(|what| match within.is_empty() {
            true => what,
            false => format!("it inherits from {name}: {what}"),
        })?;
        within.push(name.to_owned());
        let mut whole = Spec::default();
        for parent in &spec.inherits {
            let key = if parent.ends_with(".json") { parent.clone() } else { parent.to_lowercase() };
            whole.add(self.inherit(&key, within)?)?;
        }
        within.pop();
        whole.add(spec)?;
        Ok(whole)
    }
}

impl Spec {
    fn read(path: &Path) -> Result<Self, String> {
        let kind = fs::metadata(path).map_err(|error| error.to_string())?.file_type();
        if !kind.is_file() && !kind.is_dir() {
            // Reading it may take forever.
            return Err("it is no regular file".to_owned());
        }
        let text = fs::read(path).map_err(|error| error.to_string())?;
        Self::parse(&text).map_err(|error| error.to_string())
    }

    /// As Go reads JSON, it is the first value; a name may be in capitals, the last of several counts, and null says nothing.
    fn parse(text: &[u8]) -> serde_json::Result<Self> {
        let mut text = serde_json::Deserializer::from_slice(text);
        let fields = serde_json::Map::deserialize(&mut text)?;
        let said = fields.into_iter().filter(|(_, value)| !value.is_null());
        serde_json::from_value(said.map(|(name, value)| (name.to_lowercase(), value)).collect())
    }

    /// Overrides with what `other` says. TinyGo refuses a value that is in a list twice.
    fn add(&mut self, other: Self) -> Result<(), String> {
        let Self { inherits, inheritable_only: _, build_tags, extra_files, goos, goarch, gc, scheduler, serial } =
            other;
        let lists = [
            ("inherits", &mut self.inherits, inherits),
            ("build-tags", &mut self.build_tags, build_tags),
            ("extra-files", &mut self.extra_files, extra_files),
        ];
        for (field, list, new) in lists {
            for value in new {
                if list.contains(&value) {
                    return Err(format!("{value} is twice in {field}, with what it inherits"));
                }
                list.push(value);
            }
        }
        let fields = [&mut self.goos, &mut self.goarch, &mut self.gc, &mut self.scheduler, &mut self.serial];
        for (field, new) in fields.into_iter().zip([goos, goarch, gc, scheduler, serial]) {
            if !new.is_empty() {
                *field = new;
            }
        }
        Ok(())
    }

    fn target(&self, name: &str, minor: u32) -> Option<Target> {
        if self.goos.is_empty() || self.goarch.is_empty() {
            return None;
        }
        let chosen = [("gc", &self.gc), ("scheduler", &self.scheduler), ("serial", &self.serial)];
        let chosen = chosen.into_iter().filter(|(_, what)| !what.is_empty());
        let chosen: Vec<String> = chosen.map(|(kind, what)| format!("{kind}.{what}")).collect();
        let tags = self.build_tags.iter().chain(&chosen).map(String::as_str);
        let target = Target::new(&self.goos, &self.goarch).with_releases(minor).with_tinygo_tags(tags);
        Some(Target { name: name.to_owned(), ..target })
    }
}
