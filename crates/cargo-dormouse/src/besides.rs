//! The crates besides tokio that meet the system in a way that fails or blocks on WASI. They are laid as tokio is, each with one change
//! that natively is switched off, if the program's Cargo.lock has them.

use std::path::Path;

use cargo_metadata::{Metadata, Package};

use crate::Result;

/// A crate of which a copy is laid.
pub(crate) struct Besides {
    pub(crate) name: &'static str,
    /// The versions that are compatible with one another, of which the change is known.
    version: (u64, u64),
    /// The file, named from `src`, and the text in it that gets another one.
    file: &'static str,
    find: &'static str,
    put: &'static str,
}

const ALL: &[Besides] = &[
    // `set_nonblocking` goes by `fcntl`, which in the wasi-libc of Rust's toolchains (wasi-sdk 30) says EINVAL for sockets; `ioctl`, by
    // which std does the same, works. hyper-util's client, and so reqwest's and tonic's, calls it. wasi-libc d974bce0 (February 2026,
    // wasi-sdk 31) has `fcntl` for sockets: with a toolchain that has it this can go.
    Besides {
        name: "socket2",
        version: (0, 6),
        file: "sys/unix.rs",
        find: "pub(crate) fn set_nonblocking(fd: RawSocket, nonblocking: bool) -> io::Result<()> {\n    if nonblocking {\n",
        put: "\
pub(crate) fn set_nonblocking(fd: RawSocket, nonblocking: bool) -> io::Result<()> {
    // By `cargo dormouse`: the fcntl of wasi-libc knows no sockets.
    #[cfg(all(target_os = \"wasi\", target_env = \"p2\"))]
    {
        let mut nonblocking = c_int::from(nonblocking);
        return syscall!(ioctl(fd, libc::FIONBIO, &mut nonblocking as *mut c_int)).map(|_| ());
    }
    #[cfg(not(all(target_os = \"wasi\", target_env = \"p2\")))]
    if nonblocking {
",
    },
    // Its resolver calls std's in `spawn_blocking`, which on one thread stops all tasks until the host has answered.
    Besides {
        name: "hyper-util",
        version: (0, 1),
        file: "client/legacy/connect/dns.rs",
        find: "        let blocking = tokio::task::spawn_blocking(move || {\n            (&*name.host, 0)\n",
        put: "        // By `cargo dormouse`: on the one thread a call that blocks would stop all tasks.
        #[cfg(target_os = \"wasi\")]
        let blocking = tokio::spawn(async move {
            let found = tokio::net::lookup_host((&*name.host, 0)).await?;
            Ok::<_, io::Error>(SocketAddrs { iter: found.collect::<Vec<_>>().into_iter() })
        });
        #[cfg(not(target_os = \"wasi\"))]
        let blocking = tokio::task::spawn_blocking(move || {
            (&*name.host, 0)
",
    },
];

/// Whether the program has one of them already from `dir`.
pub(crate) fn is_laid(metadata: &Metadata, dir: &Path) -> bool {
    let is_one = |package: &Package| ALL.iter().any(|besides| besides.name == package.name.as_str());
    metadata.packages.iter().any(|package| is_one(package) && package.manifest_path.starts_with(dir))
}

/// Those that the program's Cargo.lock names, if the place of the change is in them. A later version may not need it.
pub(crate) fn of(metadata: &Metadata) -> Vec<(&'static Besides, &Package)> {
    ALL.iter()
        .filter_map(|besides| {
            let package = metadata.packages.iter().find(|package| besides.is(package))?;
            Some((besides, package))
        })
        .collect()
}

impl Besides {
    fn is(&self, package: &Package) -> bool {
        package.name.as_str() == self.name
            && (package.version.major, package.version.minor) == self.version
            && package.source.as_ref().is_some_and(|source| source.is_crates_io())
            && std::fs::read_to_string(package.manifest_path.with_file_name("src").join(self.file))
                .is_ok_and(|text| text.contains(self.find))
    }

    /// Makes the change to a file of it, named from `src`. None if there is none.
    pub(crate) fn apply(&self, file: &str, text: &str) -> Result<Option<String>> {
        Ok((file == self.file).then(|| text.replace(self.find, self.put)))
    }
}
