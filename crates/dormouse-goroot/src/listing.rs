//! What is in a source tree: directories, their entries, and what each file asks for. It is read once; a plan looks at it
//! only, so a plan is the same for the same listings.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;

use crate::constraint::{Rule, Trouble};
use crate::{Error, Target};

/// A source tree, or some directories of one. Paths in it are relative, with slashes, and `""` is its root.
///
/// ```
/// use dormouse_goroot::{Listing, Target};
///
/// let tree = Listing::of_files([("net/net.go", "package net"), ("net/x_wasip2.go", "//go:build wasip2\n\npackage net")]);
/// assert_eq!(tree.matching("net", &Target::new("wasip1", "wasm"))?, ["net.go"]);
/// # Ok::<(), dormouse_goroot::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Listing {
    root: PathBuf,
    dirs: BTreeMap<String, BTreeMap<String, Entry>>,
}

/// An entry of a directory.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A directory.
    Dir,
    /// Anything else: also a link, wherever it leads. What it asks for, if that has been read.
    File(Option<Rule>),
}

impl Entry {
    /// It is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self, Self::Dir)
    }
}

impl Listing {
    /// Makes a listing of files that are on no disk, by path and content.
    pub fn of_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut listing = Self::default();
        listing.dirs.entry(String::new()).or_default();
        for (path, text) in files {
            let (dir, name) = split(path);
            listing.add_dir(dir);
            let file = Entry::File(Some(Rule::of(name, text.as_bytes())));
            listing.dirs.entry(dir.to_owned()).or_default().insert(name.to_owned(), file);
        }
        listing
    }

    fn add_dir(&mut self, dir: &str) {
        self.dirs.entry(dir.to_owned()).or_default();
        if !dir.is_empty() {
            let (parent, name) = split(dir);
            self.add_dir(parent);
            self.dirs.entry(parent.to_owned()).or_default().insert(name.to_owned(), Entry::Dir);
        }
    }

    /// Lists the directories `dirs` below `root`. Those that are not there are not in the listing.
    ///
    /// # Errors
    /// A directory that is there and cannot be read.
    pub fn of_dirs<'a>(root: &Path, dirs: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let mut listing = Self { root: root.to_owned(), ..Self::default() };
        for dir in dirs {
            if let Some(entries) = read_dir(&join(root, dir))? {
                listing.dirs.insert(dir.to_owned(), entries);
            }
        }
        Ok(listing)
    }

    /// Lists everything below the directory `dir` of `root`, which may be missing.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn of_tree(root: &Path, dir: &str) -> Result<Self, Error> {
        let mut listing = Self { root: root.to_owned(), ..Self::default() };
        let mut open = vec![dir.to_owned()];
        while let Some(dir) = open.pop() {
            let Some(entries) = read_dir(&join(root, &dir))? else { continue };
            open.extend(entries.iter().filter(|(_, entry)| entry.is_dir()).map(|(name, _)| concat(&dir, name)));
            listing.dirs.insert(dir, entries);
        }
        Ok(listing)
    }

    /// Adds what each file asks for. What is wrong with a file is found out when it is asked whether the file matches.
    #[must_use]
    pub fn with_rules(mut self) -> Self {
        let mut files: Vec<(PathBuf, &mut Option<Rule>)> = Vec::new();
        for (dir, entries) in &mut self.dirs {
            let dir = join(&self.root, dir);
            for (name, entry) in entries {
                if let Entry::File(rule) = entry {
                    files.push((dir.join(name), rule));
                }
            }
        }
        // It is the opening of files that takes the time, and that goes on side by side. A thread for a few would be dearer.
        let threads = thread::available_parallelism().map_or(1, |n| n.get()).min(1 + files.len() / 64);
        let share = files.len().div_ceil(threads).max(1);
        thread::scope(|scope| {
            for share in files.chunks_mut(share) {
                scope.spawn(|| share.iter_mut().for_each(|(path, rule)| **rule = Some(Rule::read(path))));
            }
        });
        self
    }

    /// Where it was read.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The entries of a directory, if that is in the listing.
    pub fn dir(&self, dir: &str) -> Option<&BTreeMap<String, Entry>> {
        self.dirs.get(dir)
    }

    /// All directories and their entries.
    pub fn dirs(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, Entry>)> {
        self.dirs.iter().map(|(dir, entries)| (dir.as_str(), entries))
    }

    /// All files, with their paths and what they ask for if that has been read.
    pub fn files(&self) -> impl Iterator<Item = (String, Option<&Rule>)> {
        self.dirs().flat_map(|(dir, entries)| {
            entries.iter().filter_map(move |(name, entry)| match entry {
                Entry::File(rule) => Some((concat(dir, name), rule.as_ref())),
                Entry::Dir => None,
            })
        })
    }

    /// What the file at that path asks for.
    pub fn rule(&self, path: &str) -> Option<&Rule> {
        let (dir, name) = split(path);
        match self.dirs.get(dir)?.get(name)? {
            Entry::File(rule) => rule.as_ref(),
            Entry::Dir => None,
        }
    }

    /// Whether something is at that path.
    pub fn has(&self, path: &str) -> bool {
        let (dir, name) = split(path);
        self.dirs.contains_key(path) || self.dirs.get(dir).is_some_and(|entries| entries.contains_key(name))
    }

    /// The files of a directory that a build for `target` would have in it.
    ///
    /// # Errors
    /// A file that cannot be read or is malformed.
    pub fn matching(&self, dir: &str, target: &Target) -> Result<Vec<&str>, Error> {
        let mut names = Vec::new();
        for (name, entry) in self.dir(dir).into_iter().flatten() {
            let Entry::File(Some(rule)) = entry else { continue };
            if rule.matches(target).map_err(|trouble| self.error(&concat(dir, name), trouble))? {
                names.push(name.as_str());
            }
        }
        Ok(names)
    }

    /// What is wrong with one of its files.
    pub(crate) fn error(&self, path: &str, trouble: Trouble) -> Error {
        Error::File { path: join(&self.root, path), trouble }
    }
}

fn read_dir(path: &Path) -> Result<Option<BTreeMap<String, Entry>>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let found = match fs::read_dir(path) {
        Ok(found) => found,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        // Nor is a link that leads back to itself.
        Err(_) if path.ancestors().any(leads_nowhere) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let entries = found.map(|entry| {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().into_string();
        let name = name.map_err(|name| failed(std::io::Error::other(format!("the name {name:?} is not UTF-8"))))?;
        let is_dir = entry.file_type().map_err(failed)?.is_dir();
        Ok((name, if is_dir { Entry::Dir } else { Entry::File(None) }))
    });
    entries.collect::<Result<_, Error>>().map(Some)
}

/// The paths of all files below the directory `dir` of `root`, which may be missing. A link to a directory counts as that
/// directory, unless it leads back to one that it is in.
pub(crate) fn files_through_links(root: &Path, dir: &str) -> Result<Vec<String>, Error> {
    fn walk(root: &Path, dir: &str, within: &mut Vec<PathBuf>, files: &mut Vec<String>) -> Result<(), Error> {
        let path = join(root, dir);
        let Some(entries) = read_dir(&path)? else { return Ok(()) };
        let real = fs::canonicalize(&path).map_err(|source| Error::Read { path, source })?;
        if within.contains(&real) {
            return Ok(());
        }
        within.push(real);
        for (name, entry) in entries {
            let path = concat(dir, &name);
            match entry.is_dir() || join(root, &path).is_dir() {
                true => walk(root, &path, within, files)?,
                false => files.push(path),
            }
        }
        within.pop();
        Ok(())
    }
    let mut files = Vec::new();
    walk(root, dir, &mut Vec::new(), &mut files)?;
    Ok(files)
}

/// Whether it is a link to nothing, or to itself.
pub(crate) fn leads_nowhere(path: &Path) -> bool {
    let denied = |error: std::io::Error| error.kind() == ErrorKind::PermissionDenied;
    path.is_symlink() && fs::metadata(path).is_err_and(|error| !denied(error))
}

/// A path's directory and name.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The path of an entry of a directory.
pub(crate) fn concat(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// A path below a root, as it is on disk.
pub(crate) fn join(root: &Path, path: &str) -> PathBuf {
    let mut joined = root.to_owned();
    joined.extend(path.split('/').filter(|part| !part.is_empty()));
    joined
}
