//! Makes the tree that a plan describes. It is built aside and renamed into place, so it is seen whole or not at all; its name
//! is a hash of what is in it, so a second call takes what is there, if that is whole.
//!
//! A link leads to what is there now, and a copy does not: the name depends on sizes and times of what is copied, and on how
//! things are linked, which is found out before.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha512_256};

use crate::constraint::{Content, FileName};
use crate::listing::{files_through_links, join, leads_nowhere, split};
use crate::{Error, Plan, Side};

/// How what is linked is linked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// By a symbolic link. Where the system refuses those, as Windows may, directories are linked by junctions if it has them,
    /// and all else as in the next. A file that Go does not build, beside Go source, is linked as in the next in any case:
    /// `go:embed` takes no symbolic link.
    #[default]
    Symbolic,
    /// By a hard link for each file, on the same file system; else as the next. A link that leads nowhere is left out.
    Hard,
    /// By a copy of each file. A link that leads nowhere is left out.
    Copy,
}

/// A tree that has been made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its path: a GOROOT.
    pub path: PathBuf,
    /// True if this call made it.
    pub new: bool,
}

/// The edition of what is in a tree and how it is linked. The first had copies under the name of links.
const RULES: u32 = 2;

/// How the name of a directory starts in which a tree is built.
const ASIDE: &str = ".goroot-";

/// The age at which such a directory has been left behind by a process that was ended. Building a tree takes seconds.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 60 * 60);

/// How one thing is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Means {
    Symbolic,
    /// A directory by a junction, a file as by `Hard`.
    Junction,
    Hard,
    Copy,
}

/// Links of the system, which may refuse them.
struct System {
    symlink: fn(&Path, &Path) -> io::Result<()>,
    junction: fn(&Path, &Path) -> io::Result<()>,
}

impl System {
    const OURS: Self = Self { symlink, junction };

    /// What `link` comes to for us, tried in an empty directory.
    fn means(&self, link: Link, dir: &Path) -> Means {
        match link {
            Link::Symbolic if (self.symlink)(dir, &dir.join("symbolic")).is_ok() => Means::Symbolic,
            Link::Symbolic if (self.junction)(dir, &dir.join("junction")).is_ok() => Means::Junction,
            Link::Symbolic | Link::Hard => Means::Hard,
            Link::Copy => Means::Copy,
        }
    }
}

impl Plan {
    /// Makes the tree in the directory `cache`, which is made as well, unless it is there.
    ///
    /// # Errors
    /// Something cannot be written, or what is linked is not there any more. Nothing is left behind then.
    pub fn apply(&self, cache: &Path, link: Link) -> Result<Applied, Error> {
        self.apply_with(&System::OURS, cache, link)
    }

    fn apply_with(&self, system: &System, cache: &Path, link: Link) -> Result<Applied, Error> {
        // There may be nothing to write, and no permission to.
        let hoped = match link {
            Link::Symbolic => Means::Symbolic,
            Link::Hard => Means::Hard,
            Link::Copy => Means::Copy,
        };
        let there = |means| Ok::<_, Error>(Some(cache.join(self.name(means)?)).filter(|path| self.is_whole(path)));
        if let Some(path) = there(hoped)? {
            return Ok(Applied { path, new: false });
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Write { path, source }
        };
        fs::create_dir_all(cache).map_err(failed(cache))?;
        // It is deleted when this function ends. The tree is built inside of it, since its own permissions are for us alone.
        sweep(cache);
        let aside = tempfile::Builder::new().prefix(ASIDE).tempdir_in(cache).map_err(failed(cache))?;
        let means = system.means(link, aside.path());
        if let Some(path) = there(means)? {
            return Ok(Applied { path, new: false });
        }
        let path = cache.join(self.name(means)?);
        let tree = aside.path().join("goroot");
        let own = fs::canonicalize(aside.path()).map_err(failed(aside.path()))?;
        for dir in std::iter::once("").chain(self.made()) {
            let dir = join(&tree, dir);
            fs::create_dir(&dir).map_err(failed(&dir))?;
        }
        let packages = self.packages();
        for (path, side) in self.links() {
            let (from, to) = (self.source(path, side), join(&tree, path));
            means.of(path, &from, &packages).link(system, &from, &to, &mut vec![own.clone()])?;
        }
        let mut placed = fs::rename(&tree, &path);
        if placed.is_err() && path.is_dir() && !self.is_whole(&path) {
            // What is left of a tree makes room.
            placed = fs::rename(&path, aside.path().join("rest")).and_then(|()| fs::rename(&tree, &path));
        }
        match placed {
            Ok(()) => Ok(Applied { path, new: true }),
            // Another process made it meanwhile, and it is the same. Systems differ in what they call that.
            Err(_) if self.is_whole(&path) => Ok(Applied { path, new: false }),
            Err(error) => Err(failed(&path)(error)),
        }
    }

    /// Whether a tree is there with all that is made and linked. Something that tidies caches may have deleted parts of it.
    fn is_whole(&self, tree: &Path) -> bool {
        let mut made = std::iter::once("").chain(self.made());
        let is_there = |(path, side): (&str, Side)| {
            join(tree, path).symlink_metadata().is_ok() || leads_nowhere(&self.source(path, side))
        };
        made.all(|dir| join(tree, dir).is_dir()) && self.links().all(is_there)
    }

    /// Directories that are made and have Go source linked into them.
    fn packages(&self) -> BTreeSet<&str> {
        let source = |name| matches!(FileName::of(name), FileName::Source { content: Content::Go, .. });
        self.links().map(|(path, _)| split(path)).filter(|(_, name)| source(name)).map(|(dir, _)| dir).collect()
    }

    /// A name that another plan would not have, nor the same one after something that is copied or linked hard has changed.
    fn name(&self, means: Means) -> Result<String, Error> {
        let mut hash = Sha512_256::new();
        // A tree of the same name that was made by other rules is not taken.
        hash.update(format!("{RULES}\0{means:?}\0"));
        for dir in self.made() {
            hash.update(format!("{dir}\0"));
        }
        let packages = self.packages();
        for (path, side) in self.links() {
            let source = self.source(path, side);
            let means = means.of(path, &source, &packages);
            let whole = std::path::absolute(&source).unwrap_or_else(|_| source.clone());
            hash.update(format!("{path}\0"));
            hash.update(whole.as_os_str().as_encoded_bytes());
            hash.update("\0");
            if !means.leads_to(&source) {
                stamp(&mut hash, source)?;
            }
        }
        let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("goroot-{hex}"))
    }
}

/// Deletes what processes that were ended have left behind. What cannot be deleted stays.
fn sweep(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if entry.file_name().as_encoded_bytes().starts_with(ASIDE.as_bytes())
            && age().is_some_and(|age| age > LEFT_BEHIND)
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Sizes and times of a file, or of all below a directory.
fn stamp(hash: &mut Sha512_256, source: PathBuf) -> Result<(), Error> {
    if leads_nowhere(&source) {
        return Ok(());
    }
    let read = |path: &Path| fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source });
    let files: Vec<PathBuf> = match read(&source)?.is_dir() {
        true => files_through_links(&source, "")?.iter().map(|file| join(&source, file)).collect(),
        false => vec![source],
    };
    for file in files.into_iter().filter(|file| !leads_nowhere(file)) {
        let metadata = read(&file)?;
        hash.update(file.as_os_str().as_encoded_bytes());
        hash.update(format!("\0{}\0{:?}\0", metadata.len(), metadata.modified().ok()));
    }
    Ok(())
}

impl Means {
    /// How the link at `path` is made. A regular file that Go does not build, in a directory with Go source, may be embedded.
    fn of(self, path: &str, source: &Path, packages: &BTreeSet<&str>) -> Self {
        let (dir, name) = split(path);
        let may_be_embedded =
            matches!(FileName::of(name), FileName::Never(_)) && packages.contains(dir) && source.is_file();
        if self == Self::Symbolic && may_be_embedded { Self::Hard } else { self }
    }

    /// Whether a link to `source` shows what is there whenever it is followed.
    fn leads_to(self, source: &Path) -> bool {
        self == Self::Symbolic || self == Self::Junction && source.is_dir()
    }

    /// Links, or does what comes nearest. `within` are the directories that are being copied, and the one that this is for.
    fn link(self, system: &System, from: &Path, to: &Path, within: &mut Vec<PathBuf>) -> Result<(), Error> {
        let failed = |source| Error::Link { from: from.to_owned(), to: to.to_owned(), source };
        match self {
            Self::Symbolic => (system.symlink)(from, to).map_err(failed),
            // Editors make such links beside a file that is open.
            _ if leads_nowhere(from) => Ok(()),
            Self::Junction if from.is_dir() => (system.junction)(from, to).map_err(failed),
            Self::Hard | Self::Copy if from.is_dir() => {
                let real = fs::canonicalize(from).map_err(failed)?;
                if within.contains(&real) {
                    let what = format!("it leads to {}, which it is in or which is being made", real.display());
                    return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, what)));
                }
                within.push(real);
                fs::create_dir(to).map_err(failed)?;
                for entry in fs::read_dir(from).map_err(failed)? {
                    let entry = entry.map_err(failed)?;
                    self.link(system, &entry.path(), &to.join(entry.file_name()), within)?;
                }
                within.pop();
                Ok(())
            }
            // Not a link to a link: that would lead elsewhere from here.
            Self::Junction | Self::Hard => fs::canonicalize(from)
                .and_then(|real| fs::hard_link(real, to))
                .or_else(|_| Self::Copy.link(system, from, to, within)),
            Self::Copy => match fs::metadata(from).map_err(failed)?.is_file() {
                true => fs::copy(from, to).map(drop).map_err(failed),
                // Reading it may take forever.
                false => Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))),
            },
        }
    }
}

#[cfg(unix)]
fn symlink(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(std::path::absolute(from)?, to)
}

/// Users may not make them unless they are developers.
#[cfg(windows)]
fn symlink(from: &Path, to: &Path) -> io::Result<()> {
    let from = std::path::absolute(from)?;
    match from.is_dir() {
        true => std::os::windows::fs::symlink_dir(from, to),
        false => std::os::windows::fs::symlink_file(from, to),
    }
}

#[cfg(not(any(unix, windows)))]
fn symlink(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(windows)]
fn junction(from: &Path, to: &Path) -> io::Result<()> {
    junction::create(std::path::absolute(from)?, to)
}

#[cfg(not(windows))]
fn junction(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::{Overrides, Target};

    fn refused(_from: &Path, _to: &Path) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    /// As on Windows: a directory only.
    fn as_junction(from: &Path, to: &Path) -> io::Result<()> {
        if from.is_dir() { symlink(from, to) } else { refused(from, to) }
    }

    /// A tree with one file in a merged directory and one in a directory that is linked whole.
    fn plan(root: &Path) -> Plan {
        for (path, text) in
            [("go/src/net/net.go", "package net"), ("go/src/fmt/fmt.go", "package fmt"), ("tiny/src/net/README", "")]
        {
            let path = root.join(path);
            if !path.exists() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
        }
        let table = Overrides::parse(Path::new("table"), "/ merge\nnet/ merge").unwrap();
        Plan::read(&root.join("go"), &root.join("tiny"), &table, &Target::new("linux", "arm")).unwrap()
    }

    #[test]
    fn where_links_are_refused_a_tree_is_made_again_when_a_file_has_changed() {
        let root = tempfile::tempdir().unwrap();
        let system = System { symlink: refused, junction: refused };
        let apply = || plan(root.path()).apply_with(&system, &root.path().join("cache"), Link::Symbolic).unwrap();
        let first = apply();
        assert_eq!((first.new, apply()), (true, Applied { new: false, ..first.clone() }));
        for (file, text) in [("net/net.go", "package net // changed"), ("fmt/fmt.go", "package fmt // changed")] {
            // By rename, as editors do: a hard link would keep the old one.
            fs::write(root.path().join("new"), text).unwrap();
            fs::rename(root.path().join("new"), root.path().join("go/src").join(file)).unwrap();
            let again = apply();
            assert!(again.new && again.path != first.path);
            assert_eq!(fs::read_to_string(again.path.join("src").join(file)).unwrap(), text);
        }
    }

    #[test]
    fn where_there_are_junctions_a_directory_is_one_and_a_file_is_none() {
        let root = tempfile::tempdir().unwrap();
        let system = System { symlink: refused, junction: as_junction };
        let apply = || plan(root.path()).apply_with(&system, &root.path().join("cache"), Link::Symbolic).unwrap();
        let first = apply();
        let is_link = |path: &str| first.path.join(path).is_symlink();
        assert!(is_link("src/fmt") && !is_link("src/net/net.go"));
        // Below a junction there is nothing to make again.
        let change = |file: &str| fs::write(root.path().join("go/src").join(file), "package p // changed").unwrap();
        change("fmt/fmt.go");
        assert_eq!(apply(), Applied { new: false, ..first.clone() });
        assert_eq!(fs::read_to_string(first.path.join("src/fmt/fmt.go")).unwrap(), "package p // changed");
        change("net/net.go");
        assert!(apply().new);
    }

    #[test]
    fn a_tree_of_links_is_taken_where_it_is_though_links_are_refused_now() {
        let root = tempfile::tempdir().unwrap();
        let apply =
            |system: &System| plan(root.path()).apply_with(system, &root.path().join("cache"), Link::Symbolic).unwrap();
        let first = apply(&System::OURS);
        assert_eq!(apply(&System { symlink: refused, junction: refused }), Applied { new: false, ..first });
    }
}
