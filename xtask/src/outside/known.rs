//! Where our runner does not pass what wasmtime passes, and why.

/// A case as the table calls it, and the reason.
pub const DIFFERENCES: &[(&str, &str)] = &[];

/// Why a case may fail on our runner, if it may.
pub fn reason(label: &str) -> Option<&'static str> {
    DIFFERENCES.iter().find(|(known, _)| *known == label).map(|(_, reason)| *reason)
}
