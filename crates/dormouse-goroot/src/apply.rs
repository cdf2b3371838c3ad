//! Makes the tree that a plan describes. It is built aside and renamed into place, so who sees it sees all of it; its name
//! is a hash of what is in it, so whoever comes second takes what is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha512_256};

use crate::listing::join;
use crate::{Error, Listing, Plan, Side};

/// How what is linked is linked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// By a symbolic link, if the system has them for us; else as the next.
    #[default]
    Symbolic,
    /// By a hard link for each file, on the same file system; else as the next.
    Hard,
    /// By a copy of each file.
    Copy,
}

/// A tree that has been made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Where it is: a GOROOT.
    pub path: PathBuf,
    /// It was not there before, and is from this call.
    pub new: bool,
}

impl Plan {
    /// Makes the tree in the directory `cache`, which is made as well, unless it is there.
    ///
    /// # Errors
    /// Something cannot be written, or what is linked is not there any more. Nothing is left behind then.
    pub fn apply(&self, cache: &Path, link: Link) -> Result<Applied, Error> {
        let path = cache.join(self.name(link)?);
        if path.is_dir() {
            return Ok(Applied { path, new: false });
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Write { path, source }
        };
        fs::create_dir_all(cache).map_err(failed(cache))?;
        // It is deleted when this function ends. The tree is in it, and not it, as its permissions are for us alone.
        let aside = tempfile::Builder::new().prefix(".goroot-").tempdir_in(cache).map_err(failed(cache))?;
        let tree = aside.path().join("goroot");
        let own = fs::canonicalize(aside.path()).map_err(failed(aside.path()))?;
        for dir in std::iter::once("").chain(self.made()) {
            let dir = join(&tree, dir);
            fs::create_dir(&dir).map_err(failed(&dir))?;
        }
        for (path, side) in self.links() {
            let (from, to) = (self.source(path, side), join(&tree, path));
            link.link(&from, &to, &mut vec![own.clone()])?;
        }
        match fs::rename(&tree, &path) {
            Ok(()) => Ok(Applied { path, new: true }),
            // Somebody else made it meanwhile, and it is the same. Systems differ in what they call that.
            Err(_) if path.is_dir() => Ok(Applied { path, new: false }),
            Err(error) => Err(failed(&path)(error)),
        }
    }

    /// A name that another plan would not have. If files are copied it depends on what is in them, which is judged by size and
    /// time; a link always leads to what is there.
    fn name(&self, link: Link) -> Result<String, Error> {
        let mut hash = Sha512_256::new();
        hash.update(format!("{link:?}\0"));
        for dir in self.made() {
            hash.update(format!("{dir}\0"));
        }
        for (path, side) in self.links() {
            let source = self.source(path, side);
            let source = std::path::absolute(&source).unwrap_or(source);
            hash.update(format!("{path}\0{}\0", source.display()));
            if link != Link::Symbolic {
                self.stamp(&mut hash, path, side)?;
            }
        }
        let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("goroot-{hex}"))
    }

    /// Sizes and times of a file, or of all below a directory.
    fn stamp(&self, hash: &mut Sha512_256, path: &str, side: Side) -> Result<(), Error> {
        let source = self.source(path, side);
        let read = |path: &Path| fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source });
        let files: Vec<PathBuf> = match read(&source)?.is_dir() {
            true => Listing::of_tree(&source, "")?.files().map(|(file, _)| join(&source, &file)).collect(),
            false => vec![source],
        };
        for file in files {
            let metadata = read(&file)?;
            hash.update(format!("{}\0{}\0{:?}\0", file.display(), metadata.len(), metadata.modified().ok()));
        }
        Ok(())
    }
}

impl Link {
    /// Links, or does what comes nearest. `within` are the directories that are being copied, and the one that this is for.
    fn link(self, from: &Path, to: &Path, within: &mut Vec<PathBuf>) -> Result<(), Error> {
        let failed = |source| Error::Link { from: from.to_owned(), to: to.to_owned(), source };
        match self {
            Self::Symbolic => symlink(from, to).or_else(|_| Self::Hard.link(from, to, within)),
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
                    self.link(&entry.path(), &to.join(entry.file_name()), within)?;
                }
                within.pop();
                Ok(())
            }
            // Not a link to a link: that would lead elsewhere from here.
            Self::Hard => fs::canonicalize(from)
                .and_then(|real| fs::hard_link(real, to))
                .or_else(|_| Self::Copy.link(from, to, within)),
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
