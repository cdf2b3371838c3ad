//! What WASI backends have in common: one thread, and, up to 0.2, a list that they hand to the host at each wait.

mod abi;
#[cfg(not(target_env = "p1"))]
pub(super) mod nodelay;
#[cfg(not(any(target_env = "p3", all(target_env = "p2", feature = "p3"))))]
pub(super) mod review;
#[cfg(not(any(target_env = "p3", all(target_env = "p2", feature = "p3"))))]
pub(super) mod watched;

pub(crate) use abi::spawn_local;

pub(crate) const THREADS: bool = false;

/// Refuses the name of an interface after an address (`fe80::1%eth0`): there is no call that knows it.
#[cfg(not(target_env = "p1"))]
pub(super) fn check_zone(host: &str) -> std::io::Result<()> {
    match host.contains('%') {
        true => Err(crate::io::error(
            std::io::ErrorKind::InvalidInput,
            "WASI does not know interfaces by name; give the number, as in fe80::1%2",
        )),
        false => Ok(()),
    }
}

/// Ends a wait of another thread; there is none.
#[derive(Clone)]
pub(crate) struct Notifier;

impl Notifier {
    pub(crate) fn notify(&self) {}
    pub(crate) fn sleeping(&self, _sleeping: bool) {}
}
