//! No delay. WASI has no TCP_NODELAY, so the runner sets it on every TCP socket that a component has, and tells the program
//! so with the environment variable [`VARIABLE`], if it asks: a program that reads the variable has its name among its data, and to one that
//! has not, a variable more would only be one that its user did not give. So the bytes of the component are searched for the name. It costs the
//! program nothing, survives what rewrites programs (`wasm-opt`, `wasm-tools strip`), which custom sections do not, and works for every
//! language. A name that is there by chance costs a variable.

use crate::net::tcp::{self, Family};

/// `1` if every TCP socket of the program has TCP_NODELAY.
pub(crate) const VARIABLE: &str = "DORMOUSE_TCP_NODELAY";

/// Whether a program may read [`VARIABLE`]: its name is in there.
pub(crate) fn is_asked_for_by(program: &[u8]) -> bool {
    memchr::memmem::find(program, VARIABLE.as_bytes()).is_some()
}

/// Whether TCP sockets can have TCP_NODELAY here: tried with one. What plays Linux may not have all of its options.
pub(crate) fn works() -> bool {
    tcp::create(Family::V4, true).is_ok()
}
