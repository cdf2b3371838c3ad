//! Where our runner does not pass what wasmtime passes, and why.

/// A case as the table calls it, and the reason.
pub const DIFFERENCES: &[(&str, &str)] = &[(
    "p1_poll_oneoff_files",
    "of a bad descriptor our `poll_oneoff` gives an event with the error, as the specification has it, and the others are waited for; \
     wasmtime fails the whole call",
)];

/// What fails on both hosts, and why.
pub const ON_BOTH: &[(&str, &str)] = &[
    ("p3_sockets_ip_name_lookup", "needs a name server that knows the internet's names"),
    (
        "p3_sockets_udp_connect",
        "expects that a second connect chooses another source address; Linux kept that of the first, on IPv6 with a private address",
    ),
];

/// Why a case may fail on our runner, if it may.
pub fn reason(label: &str) -> Option<&'static str> {
    DIFFERENCES.iter().find(|(known, _)| *known == label).map(|(_, reason)| *reason)
}
