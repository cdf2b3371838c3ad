//! socket2, whose `set_nonblocking` fails on wasip2, and with it each client of hyper-util's.
//!
//! It goes by `fcntl`, which in the wasi-libc of Rust's toolchains (wasi-sdk 30) says EINVAL for sockets; `ioctl`, by which std does the
//! same, works. wasi-libc has it from d974bce0 on (February 2026), wasi-sdk 31: with a toolchain that has that this file can go.

use std::path::Path;

use cargo_metadata::{Metadata, Package};

use crate::Result;

/// The directory, and the name in `[patch.crates-io]`.
pub(crate) const NAME: &str = "socket2";

const FILE: &str = "sys/unix.rs";
const FIND: &str =
    "pub(crate) fn set_nonblocking(fd: RawSocket, nonblocking: bool) -> io::Result<()> {\n    if nonblocking {\n";
const PUT: &str = "\
pub(crate) fn set_nonblocking(fd: RawSocket, nonblocking: bool) -> io::Result<()> {
    // By `cargo dormouse`: the fcntl of wasi-libc knows no sockets.
    #[cfg(all(target_os = \"wasi\", target_env = \"p2\"))]
    {
        let mut nonblocking = c_int::from(nonblocking);
        return syscall!(ioctl(fd, libc::FIONBIO, &mut nonblocking as *mut c_int)).map(|_| ());
    }
    #[cfg(not(all(target_os = \"wasi\", target_env = \"p2\")))]
    if nonblocking {
";

/// Whether the program has it already from `dir`.
pub(crate) fn is_laid(metadata: &Metadata, dir: &Path) -> bool {
    metadata.packages.iter().any(|package| package.name.as_str() == NAME && package.manifest_path.starts_with(dir))
}

/// The socket2 that the program's Cargo.lock names, if it is one that builds for WASI and needs the change.
pub(crate) fn of(metadata: &Metadata) -> Option<&Package> {
    metadata.packages.iter().find(|package| {
        package.name.as_str() == NAME
            && (package.version.major, package.version.minor) == (0, 6)
            && package.source.as_ref().is_some_and(|source| source.is_crates_io())
            && std::fs::read_to_string(package.manifest_path.with_file_name("src").join(FILE))
                .is_ok_and(|text| text.contains(FIND))
    })
}

/// Makes the change to a file of it, named from `src`. None if there is none.
pub(crate) fn apply(file: &str, text: &str) -> Result<Option<String>> {
    Ok((file == FILE).then(|| text.replace(FIND, PUT)))
}
