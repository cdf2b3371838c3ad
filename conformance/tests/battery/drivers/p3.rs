//! A case as a component of WASI 0.3. What it may do is what one of 0.2 may.

use std::sync::OnceLock;

use dormouse_host::Program;

use super::p2::{self, Net};
use super::{Subject, Wasi, load};

/// Starts the guest battery.
pub fn start(case: &str, net: Net) -> Subject {
    static BATTERY: OnceLock<Program> = OnceLock::new();
    let program = BATTERY.get_or_init(|| load(&Wasi::P3.battery()));
    p2::run(program, &[case], net)
}
