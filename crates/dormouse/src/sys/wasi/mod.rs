//! What WASI backends have in common: one thread, and, up to 0.2, a list that they hand to the host at each wait.

mod abi;
pub(super) mod facts;
#[cfg(not(any(target_env = "p3", all(target_env = "p2", feature = "p3"))))]
pub(super) mod long;

pub(crate) use abi::spawn_local;

pub(crate) const THREADS: bool = false;

/// Bytes gathered into one write. The host takes no list of buffers, and two calls a buffer (on WASI 0.3 one) cost more than a copy.
#[cfg(not(target_env = "p1"))]
pub(super) const GATHER: usize = 16 * 1024;

/// Writes the first [`GATHER`] bytes of several buffers at once.
#[cfg(not(target_env = "p1"))]
pub(super) fn gathered<'a>(
    bufs: impl Iterator<Item = &'a std::io::IoSlice<'a>>,
    write: impl FnOnce(&[u8]) -> std::io::Result<usize>,
) -> std::io::Result<usize> {
    use std::cell::Cell;
    use std::mem::ManuallyDrop;

    thread_local! {
        /// Kept by the thread, so that a write neither allocates nor zeroes. Never dropped: there is one thread.
        static ROOM: ManuallyDrop<Cell<Vec<u8>>> = const { ManuallyDrop::new(Cell::new(Vec::new())) };
    }
    let mut all = ROOM.with(|room| room.take());
    all.clear();
    all.reserve_exact(GATHER);
    for buf in bufs {
        all.extend_from_slice(&buf[..buf.len().min(GATHER - all.len())]);
    }
    let result = write(&all);
    ROOM.with(|room| room.set(all));
    result
}

/// Refuses the name of an interface after an address (`fe80::1%eth0`): there is no call that knows it.
#[cfg(not(target_env = "p1"))]
pub(super) fn check_zone(host: &str) -> std::io::Result<()> {
    match host.contains('%') {
        true => Err(crate::base::error(
            std::io::ErrorKind::InvalidInput,
            "WASI does not know interfaces by name; give the number, as in fe80::1%2",
        )),
        false => Ok(()),
    }
}

/// An error of a file, with a kind that a caller can act on: std 1.95 has none for these numbers of WASI, which wasi-libc shares.
#[cold]
pub(crate) fn file_error(error: std::io::Error) -> std::io::Error {
    use std::io::ErrorKind;
    let kind = match error.raw_os_error() {
        Some(10) => ErrorKind::ResourceBusy,
        Some(19) => ErrorKind::QuotaExceeded,
        Some(22) => ErrorKind::FileTooLarge,
        Some(25) => ErrorKind::InvalidData, // a name that is not UTF-8
        Some(31) => ErrorKind::IsADirectory,
        Some(34) => ErrorKind::TooManyLinks,
        Some(37) => ErrorKind::InvalidFilename,
        Some(51) => ErrorKind::StorageFull,
        Some(54) => ErrorKind::NotADirectory,
        Some(55) => ErrorKind::DirectoryNotEmpty,
        Some(58) => ErrorKind::Unsupported,
        Some(69) => ErrorKind::ReadOnlyFilesystem,
        Some(70) => ErrorKind::NotSeekable,
        Some(75) => ErrorKind::CrossesDevices,
        Some(76) => ErrorKind::PermissionDenied, // a right that the host did not give
        _ => return error,
    };
    crate::base::error(kind, error.to_string())
}

/// Ends a wait of another thread; there is none.
#[derive(Clone)]
pub(crate) struct Notifier;

impl Notifier {
    pub(crate) fn notify(&self) {}
    pub(crate) fn sleeping(&self, _sleeping: bool) {}
}
