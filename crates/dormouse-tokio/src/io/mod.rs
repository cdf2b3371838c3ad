//! tokio's `io`, with Dormouse's standard streams and a readiness of our own.

pub use upstream::io::*;

#[cfg(feature = "net")]
pub use self::interest::{Interest, Ready};
#[cfg(feature = "io-std")]
pub use self::std_streams::{Stderr, Stdin, Stdout, stderr, stdin, stdout};
#[cfg(feature = "net")]
pub mod unix;

#[cfg(feature = "net")]
mod interest;
#[cfg(feature = "io-std")]
mod std_streams;
