//! What is done with paths: std's functions, with an error that says what was tried. None of them waits for a peer.

use std::fmt;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::Path;

use super::{context, of_read};

/// Returns the metadata of a file or directory; follows symbolic links.
///
/// # Errors
/// `NotFound` and what else the host says.
pub async fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    on(path, "look at", |path| fs::metadata(path))
}

/// Reads the whole of a file.
///
/// ```
/// # dormouse::block_on(async {
/// let error = dormouse::fs::read("no/such").await.unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
/// assert!(error.to_string().starts_with("read no/such: "));
/// # });
/// ```
///
/// # Errors
/// `NotFound`, `PermissionDenied` and what else the host says.
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    on(path, "read", |path| fs::read(path))
}

/// Reads the whole of a file, as text.
///
/// # Errors
/// As [`read`], and `InvalidData` if it is not UTF-8.
pub async fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    on(path, "read", |path| fs::read_to_string(path))
}

/// Writes a file with this content; it replaces a file that is there.
///
/// # Errors
/// `NotFound`, `PermissionDenied` and what else the host says.
pub async fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<()> {
    on(path, "write", |path| fs::write(path, contents.as_ref()))
}

/// Makes a directory.
///
/// # Errors
/// `AlreadyExists`, `NotFound` if its parent does not exist, and what else the host says.
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    on(path, "create the directory", |path| fs::create_dir(path))
}

/// Makes a directory, and its parents, unless they are there.
///
/// # Errors
/// What the host says.
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    on(path, "create the directory", |path| fs::create_dir_all(path))
}

/// Removes a file.
///
/// # Errors
/// `NotFound` and what else the host says.
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    on(path, "remove", |path| fs::remove_file(path))
}

/// Removes an empty directory.
///
/// # Errors
/// `DirectoryNotEmpty`, `NotFound` and what else the host says.
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    on(path, "remove the directory", |path| fs::remove_dir(path))
}

/// Renames a file or directory. What has the new name is replaced, as the system does it.
///
/// # Errors
/// `NotFound` and what else the host says.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let to = to.as_ref();
    on(from, "rename", |from| fs::rename(from, to))
}

/// Lists a directory, in no particular order.
///
/// ```no_run
/// # dormouse::block_on(async {
/// let mut entries = dormouse::fs::read_dir(".").await?;
/// while let Some(entry) = entries.next_entry().await? {
///     println!("{}", entry.path().display());
/// }
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// Files may be made and removed meanwhile: an entry that is there before and after is given once. On WASI the directory is read as a
/// whole, before the first entry, since hosts of wasip1 count entries from the beginning anew, and would leave one out for each that has
/// gone. There a name that is not UTF-8 ends the listing with `InvalidData`, on wasip1 from the start: hosts or std give nothing that
/// comes after it.
///
/// # Errors
/// `NotFound`, `NotADirectory` and what else the host says.
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    on(path, "list", |path| fs::read_dir(path).map(entries)).map(ReadDir)
}

#[cfg(not(target_os = "wasi"))]
type Entries = fs::ReadDir;
#[cfg(target_os = "wasi")]
type Entries = std::vec::IntoIter<io::Result<DirEntry>>;

#[cfg(not(target_os = "wasi"))]
fn entries(listed: fs::ReadDir) -> Entries {
    listed
}

/// wasmtime-wasi 48.0.8 reads the directory in each `fd_readdir` and skips as many entries as have been given (p1.rs).
#[cfg(target_os = "wasi")]
fn entries(listed: fs::ReadDir) -> Entries {
    listed.map(|entry| entry.map_err(crate::sys::file_error)).collect::<Vec<_>>().into_iter()
}

/// The entries of a directory; made by [`read_dir`].
pub struct ReadDir(Entries);

impl ReadDir {
    /// The next entry; `None` after the last.
    ///
    /// # Errors
    /// What the host says.
    pub async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        self.0.next().transpose()
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadDir")
    }
}

fn on<T>(path: impl AsRef<Path>, what: &str, call: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = path.as_ref();
    call(path).map_err(|error| {
        let error = of_read(error, || fs::metadata(path).is_ok_and(|found| found.is_dir()));
        context(error, what, path)
    })
}
