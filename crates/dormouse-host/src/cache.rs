//! Cache. Compiled programs that are kept between runs: wasmtime's compile cache, in the directory and with the configuration file of the
//! `wasmtime` command.
//!
//! An entry is found by a hash of the program's bytes, of the version of wasmtime and of every setting that the code depends on. So the
//! directory is shared with other hosts, and a program that is counted, which is rewritten, has an entry of its own. An entry is written to
//! another name and renamed: two runners do not see each other's halves, and if both compile, one of them keeps nothing.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process;

use wasmtime::CacheConfig;

use crate::error::Error;

/// Where compiled programs are kept: see [`Source::cache`](crate::Source::cache).
///
/// What is in the directory is trusted as this process's own code is: its entries are machine code, and whoever can write to it decides what
/// runs outside of any sandbox. The default is a directory of the user.
#[derive(Clone, Debug)]
pub struct Cache(wasmtime::Cache);

impl Cache {
    /// The cache of the `wasmtime` command: in `$XDG_CACHE_HOME/wasmtime` or `$HOME/.cache/wasmtime`, unless the file
    /// `wasmtime/config.toml` in `$XDG_CONFIG_HOME` or `$HOME/.config` says otherwise
    /// ([its format](https://docs.wasmtime.dev/cli-cache.html)).
    ///
    /// # Errors
    ///
    /// [`Error::Cache`] if there is no such directory and it cannot be made, or if the file cannot be read or says what it may not.
    pub fn of_the_user() -> Result<Cache, Error> {
        wasmtime::Cache::from_file(None).map(Cache).map_err(|error| unusable(&error))
    }

    /// A cache in the directory `dir`, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Cache`] if it cannot be made.
    pub fn in_dir(dir: &Path) -> Result<Cache, Error> {
        let dir = std::path::absolute(dir).map_err(|error| Error::Cache { why: error.to_string() })?;
        let mut config = CacheConfig::new();
        config.with_directory(dir);
        wasmtime::Cache::new(config).map(Cache).map_err(|error| unusable(&error))
    }

    /// How many programs were found compiled.
    pub fn hits(&self) -> usize {
        self.0.cache_hits()
    }

    /// How many programs were compiled and kept.
    pub fn misses(&self) -> usize {
        self.0.cache_misses()
    }

    /// Tells why nothing is kept, if something was compiled and the directory takes no files. wasmtime goes on without a word then.
    ///
    /// # Errors
    ///
    /// [`Error::Cache`] with the directory and what the system says.
    pub fn check(&self) -> Result<(), Error> {
        if self.hits() + self.misses() > 0 {
            return Ok(());
        }
        let dir: &PathBuf = self.0.directory();
        let probe = dir.join(format!(".dormouse-{}", process::id()));
        let written =
            OpenOptions::new().write(true).create_new(true).open(&probe).and_then(|_| fs::remove_file(&probe));
        written.map_err(|error| Error::Cache { why: format!("{}: {error}", dir.display()) })
    }

    pub(crate) fn inner(&self) -> wasmtime::Cache {
        self.0.clone()
    }
}

fn unusable(error: &wasmtime::Error) -> Error {
    Error::Cache { why: crate::program::one_line(error) }
}
