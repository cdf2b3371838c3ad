//! A component of WASI 0.2 that does to its host what its standard input says: bytes choose calls, resources and numbers. What it
//! has opened it drops in any order, or never. It waits for nothing without a clock.

#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod guest;

fn main() {
    #[cfg(all(target_os = "wasi", target_env = "p2"))]
    guest::run();
}
