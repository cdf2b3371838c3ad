//! TCP_NODELAY, which WASI does not have. Our runner sets it on every socket and says so with an environment variable, to programs that
//! have its name in them and to no others (`crates/dormouse-host/src/nodelay.rs`); without that nothing is known. It is no [`Setting`](crate::sys::Setting), so that only a
//! program that asks for it links the reading of the environment.

use std::io;

pub(in crate::sys) fn set(nodelay: bool) -> io::Result<()> {
    match (get()?, nodelay) {
        (true, true) => Ok(()),
        _ => Err(crate::base::error(io::ErrorKind::Unsupported, "the runner's sockets always send at once")),
    }
}

pub(in crate::sys) fn get() -> io::Result<bool> {
    // As data in one piece, and not as numbers in the code: the runner looks for it.
    let name = std::hint::black_box("DORMOUSE_TCP_NODELAY");
    match std::env::var_os(name).is_some_and(|value| value == "1") {
        true => Ok(true),
        false => Err(crate::base::error(io::ErrorKind::Unsupported, "WASI has no such option for sockets")),
    }
}
