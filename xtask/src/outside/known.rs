//! Where our runner does not pass what wasmtime passes, and why.

/// A case as the table calls it, and the reason.
pub const DIFFERENCES: &[(&str, &str)] = &[(
    "p1_poll_oneoff_files",
    "of a bad descriptor our `poll_oneoff` gives an event with the error, as the specification has it, and the others are waited for; \
     wasmtime fails the whole call",
)];

/// Why a case may fail on our runner, if it may.
pub fn reason(label: &str) -> Option<&'static str> {
    DIFFERENCES.iter().find(|(known, _)| *known == label).map(|(_, reason)| *reason)
}
