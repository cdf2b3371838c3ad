//! Components, run as the command runs them: `fuzz/guest` makes of the input a program that opens, uses and drops resources of WASI
//! 0.2 in any order, with a bound on its memory and, by the input's choice, with addresses on loopback or without any permission.
//!
//! A run ends, by its end or by a trap that the specification has; it never panics, and the host's heap stays below the bound on the
//! guest's memory and a constant, together [`HEAP`]. What it opens is closed when it ends.
//!
//! The guest is the component that GUEST names; `cargo xtask fuzz` builds it.
#![cfg_attr(feature = "libfuzzer", no_main)]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use dormouse_host::{Error, Input as Stdin, Output, Policy, Program, Run};
use dormouse_host_fuzz::heap::Growth;
use dormouse_host_fuzz::input::Input;

dormouse_host_fuzz::target!(run);

/// The guest's bound, in bytes.
const MEMORY: usize = 16 << 20;
/// What the host may take on its behalf, in bytes: as much again, and a constant.
const HEAP: usize = MEMORY + (16 << 20);

/// Parts of messages of traps that the specification has, or that tell a program what it may not ask.
const TRAPS: &[&str] = &[
    // Of a resource that others depend on.
    "resource has children",
    // Limits.
    "resource table has no free keys",
    "store handle limit exceeded",
    "--max-resources",
    "--max-memory",
    "fuel allocated for hostcalls has been exhausted",
    // More random bytes than there may be at once.
    "exceeds limit",
];

fn program() -> &'static Program {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = std::env::var_os("GUEST").expect("`cargo xtask fuzz` names the guest in GUEST");
        Program::load(path.as_ref()).expect("the guest can be loaded")
    })
}

/// A directory for all runs of this process, laid anew for each.
fn lay() -> &'static PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let path =
        DIRECTORY.get_or_init(|| std::env::temp_dir().join(format!("dormouse-fuzz-components-{}", std::process::id())));
    // What cannot be removed is left.
    let _ = fs::remove_dir_all(path);
    fs::create_dir_all(path.join("sub")).expect("a directory for the guest");
    fs::write(path.join("a"), "what is in a").expect("a file for the guest");
    path
}

/// How many descriptors this process has open.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn run(bytes: &[u8]) {
    let program = program();
    let mut input = Input::new(bytes);
    let granted = input.byte();
    // The first run opens some that stay; a leak is one of each run.
    static FIRST: OnceLock<usize> = OnceLock::new();
    let first = *FIRST.get_or_init(descriptors);
    let growth = Growth::begin();
    {
        let mut run = Run::new(program)
            .max_memory(MEMORY)
            .stdin(Stdin::Bytes(bytes.get(1..).unwrap_or_default().to_vec()))
            .stdout(Output::Pipe(Box::new(|_| {})))
            .stderr(Output::Pipe(Box::new(|_| {})));
        if granted & 3 != 0 {
            let policy = ["127.0.0.1:*", "[::1]:*"].iter().fold(Policy::default().allow_dns(), |policy, addr| {
                let allowed = policy.allow_listen(addr.parse().expect("an address"));
                allowed.allow_connect(addr.parse().expect("an address"))
            });
            run = run.policy(policy);
        }
        if granted & 12 != 0 {
            run = run.dir(lay(), "/");
        }
        match run.start() {
            Ok(exit) => assert_eq!(exit.code, 0, "the guest has no other exit code"),
            Err(Error::Trap(text)) => {
                // Rust's own end when there is no memory; then the message says so.
                assert!(TRAPS.iter().any(|of| text.contains(of)), "{text}");
            }
            Err(error) => panic!("{error}"),
        }
    }
    let peak = growth.peak();
    assert!(peak < HEAP, "the host has taken {peak} bytes for a guest of {MEMORY}");
    let open = descriptors();
    assert!(open < first + 8, "{first} descriptors were open before the first run, and {open} are after this one");
}
