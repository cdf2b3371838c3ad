//! Files, pipes and devices.
//!
//! A regular file is always ready: a read or write of it takes the time that the disk takes, with the whole program, and
//! never waits for a peer. What has a peer is a pipe, a FIFO, a terminal or another device. There, natively on Unix, a
//! task that would have to wait is parked, and the others run on. On wasip2 and on Windows it waits with the whole
//! program: there std's descriptor cannot be asked whether it is ready. Sockets ([`crate::net`]) and standard streams
//! ([`crate::io`]) park everywhere on WASI.
//!
//! If another process reads the same pipe and is faster, the read waits with the whole program for what comes next; and so
//! does a write if another process fills the pipe first.

mod file;
mod paths;

use std::io;
use std::path::Path;

pub use std::fs::{DirEntry, Metadata};

use crate::sys::file_error;

pub use file::File;
pub use paths::{
    ReadDir, create_dir, create_dir_all, metadata, read, read_dir, read_to_string, remove_dir, remove_file, rename,
    write,
};

/// An error of a read, with the kind that it has everywhere: of a directory wasmtime-wasi 48.0.8 says EBADF on wasip1 (p1.rs).
#[cold]
fn of_read(error: io::Error, is_directory: impl FnOnce() -> bool) -> io::Error {
    const BADF: Option<i32> = Some(8);
    match cfg!(target_os = "wasi") && error.raw_os_error() == BADF && is_directory() {
        true => io::ErrorKind::IsADirectory.into(),
        false => error,
    }
}

/// Says what was tried, before what went wrong: `open notes.txt: no such file`.
#[cold]
fn context(error: io::Error, what: &str, path: &Path) -> io::Error {
    let error = file_error(error);
    crate::io::error(error.kind(), format!("{what} {}: {error}", path.display()))
}
