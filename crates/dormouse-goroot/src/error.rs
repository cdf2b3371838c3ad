//! What can go wrong, each with the path that it is about.

use std::path::PathBuf;
use std::{fmt, io};

use crate::constraint::Trouble;

/// Why there is no plan, or no tree.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Something could not be read.
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something could not be written.
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something of a tree could not be linked, or copied.
    Link {
        /// What.
        from: PathBuf,
        /// To where.
        to: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// One cannot tell whether a file of the overlay belongs to the build.
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        trouble: Trouble,
    },
    /// The table of directories is malformed, or does not fit the trees.
    Table {
        /// The table.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is the matter.
        what: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(f, "read {}: {source}", path.display()),
            Self::Write { path, source } => write!(f, "write {}: {source}", path.display()),
            Self::Link { from, to, source } => write!(f, "link {} to {}: {source}", from.display(), to.display()),
            Self::File { path, trouble: Trouble::Unreadable(error) } => write!(f, "read {}: {error}", path.display()),
            Self::File { path, trouble: Trouble::Malformed(malformed) } => {
                write!(f, "{}:{}: {}", path.display(), malformed.line, malformed.what)
            }
            Self::Table { path, line, what } => write!(f, "{}:{line}: {what}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } | Self::Link { source, .. } => Some(source),
            Self::File { trouble, .. } => Some(trouble),
            Self::Table { .. } => None,
        }
    }
}
