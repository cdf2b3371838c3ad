//! A component of WASI 0.2 that calls `wasi:sockets` as its standard input says, and prints a line for each call: to be run on two hosts,
//! whose lines are compared.
//!
//! Bytes choose the calls, the sockets and the numbers. A line has no address, no port and nothing that depends on time: the program
//! knows what it has sent and closed ([`tcp::Link`]), so it waits for what has to come before it asks, and where two hosts may answer
//! differently the line says why, behind a `~`. It traps nowhere: parents are dropped after their children.

#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod choice;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod tcp;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod udp;

fn main() {
    #[cfg(all(target_os = "wasi", target_env = "p2"))]
    choice::run();
}
