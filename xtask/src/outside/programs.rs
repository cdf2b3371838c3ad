//! Which programs a checkout has, how each is run, and which are not.

use std::fs;
use std::path::{Path, PathBuf};

use super::case::{Case, Ends, Net, Stdin, Step};
use super::{WHERE, commit};
use crate::{Result, target_dir};

/// What is run of a checkout.
pub struct Programs {
    pub name: &'static str,
    pub root: PathBuf,
    pub commit: String,
    pub cases: Vec<Case>,
    pub skipped: Vec<Skipped>,
}

/// A program that is not run, and why.
pub struct Skipped {
    pub program: String,
    pub reason: &'static str,
}

/// How the names of wasmtime's programs begin that are run, and what they are built for.
const OF_WASMTIME: [(&str, &str); 13] = [
    ("p1_cli_", "wasm32-wasip1"),
    ("p1_poll_oneoff_", "wasm32-wasip1"),
    ("p1_sched_yield", "wasm32-wasip1"),
    ("p1_sleep_", "wasm32-wasip1"),
    ("p1_stdio", "wasm32-wasip1"),
    ("p2_cli_", "wasm32-wasip2"),
    ("p2_ip_name_lookup", "wasm32-wasip2"),
    ("p2_pollable_", "wasm32-wasip2"),
    ("p2_sleep", "wasm32-wasip2"),
    ("p2_stream_", "wasm32-wasip2"),
    ("p2_tcp_", "wasm32-wasip2"),
    ("p2_udp_", "wasm32-wasip2"),
    // Rust has no std for WASI 0.3 before 1.97: these are components of 0.2 that import and export 0.3 too.
    ("p3_", "wasm32-wasip2"),
];

/// Of wasi-testsuite, which has them built.
const OF_TESTSUITE: [(&str, &[&str]); 3] = [
    ("tests/c/testsuite/wasm32-wasip1", &["sock_"]),
    ("tests/rust/testsuite/wasm32-wasip1", &["poll_", "stdio", "sched_", "isatty"]),
    ("tests/rust/testsuite/wasm32-wasip3", &["sockets-", "cli-std", "cli-terminal", "monotonic-", "multi-clock-"]),
];

/// Where the programs of checkouts are built.
pub fn built() -> Result<PathBuf> {
    Ok(target_dir()?.join("outside"))
}

/// What a checkout has for us.
pub fn find(checkout: &Path) -> Result<Programs> {
    let root =
        checkout.canonicalize().map_err(|error| format!("cannot open {}: {error}\n{WHERE}", checkout.display()))?;
    if root.join("crates/test-programs/src/bin").is_dir() {
        return of_wasmtime(root);
    }
    if root.join(OF_TESTSUITE[2].0).is_dir() {
        return of_testsuite(root);
    }
    Err(format!(
        "{} is a checkout of neither wasmtime nor of wasi-testsuite with programs in it\n{WHERE}",
        root.display()
    ))
}

fn of_wasmtime(root: PathBuf) -> Result<Programs> {
    let mut cases = Vec::new();
    let mut skipped = Vec::new();
    for program in names(&root.join("crates/test-programs/src/bin"), "rs")? {
        let Some((_, target)) = OF_WASMTIME.iter().find(|(prefix, _)| program.starts_with(prefix)) else { continue };
        // What the tests of the command run has the names of commands; of 0.3 the rest is about other things.
        if program.starts_with("p3_") && !program.starts_with("p3_sockets_") && !program.starts_with("p3_cli") {
            continue;
        }
        match skip(&program) {
            Some(reason) => skipped.push(Skipped { program, reason }),
            None => cases.extend(specialise(Case::of_wasmtime(&program, target)?)),
        }
    }
    Ok(Programs { name: "wasmtime", commit: commit(&root)?, root, cases, skipped })
}

fn of_testsuite(root: PathBuf) -> Result<Programs> {
    let mut cases = Vec::new();
    for (dir, prefixes) in OF_TESTSUITE {
        let dir = root.join(dir);
        for program in names(&dir, "wasm")? {
            if !prefixes.iter().any(|prefix| program.starts_with(prefix)) {
                continue;
            }
            let case = Case::prebuilt("wasi-testsuite", &program, dir.join(format!("{program}.wasm")));
            let case = Case { p3: dir.ends_with("wasm32-wasip3"), ..case };
            cases.push(match program.as_str() {
                "sockets-echo" => Case { talk: &[Step::Echo("Hello, world")], ..case },
                "cli-stdout-flush" => Case { talk: &[Step::Read("READY"), Step::Write("x")], ..case },
                "cli-stdio-roundtrip" => Case {
                    talk: &[Step::Write("Hello, world!")],
                    prints: Some("Hello, world!".into()),
                    ends: Ends::Saying(0, "Hello, world!"),
                    ..case
                },
                "stdio" | "isatty" => Case { dir: &["/"], ..case },
                _ => case,
            });
        }
    }
    let commit = commit(&root)?;
    Ok(Programs { name: "wasi-testsuite", root, commit, cases, skipped: Vec::new() })
}

/// Names of the files in `dir` with that extension, without it, in order.
fn names(dir: &Path, extension: &str) -> Result<Vec<String>> {
    let failed = |error| format!("cannot list {}: {error}", dir.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|it| it == extension) {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Why a program of wasmtime's is not run.
fn skip(program: &str) -> Option<&'static str> {
    Some(match program {
        _ if program.contains("_cli_serve_") => "a service of wasi:http, for `wasmtime serve`",
        "p2_cli_http_headers" => "imports wasi:http, which our runner has not",
        "p2_cli_invoke_async" => "exports a function of its own, for `wasmtime run --invoke`",
        "p1_cli_hostcall_fuel" | "p2_cli_hostcall_fuel" => {
            "is about `wasmtime run -Shostcall-fuel`; our runner bounds what a call may take by --max-memory"
        }
        "p2_cli_initial_cwd" => "is about `wasmtime run -Scwd`, which our runner has not",
        "p1_stdio_isatty" => "needs a terminal",
        _ => return None,
    })
}

/// How wasmtime's own tests run a program: `tests/all/cli_tests.rs`, and `crates/wasi/tests/all` for those that are not of the command.
fn specialise(case: Case) -> Vec<Case> {
    // What those tests of the command give a program by default.
    let bare = Case { args: Vec::new(), env: Vec::new(), dir: &[], ..case.clone() };
    vec![match case.program.as_str() {
        "p2_cli_args" => {
            let args = ["hello", "this", "", "is an argument", "with 🚩 emoji"];
            Case { args: args.map(str::to_owned).into(), ..bare }
        }
        "p2_cli_argv0" => Case { args: vec!["argv0.wasm".into()], named: Some("argv0.wasm"), ..bare },
        "p2_cli_directory_list" => Case {
            dir: &["/"],
            files: &[
                ("foo.txt", ""),
                ("bar.txt", ""),
                ("baz.txt", ""),
                ("sub/", ""),
                ("sub/wow.txt", ""),
                ("sub/yay.txt", ""),
            ],
            ..bare
        },
        "p2_cli_env" => {
            let env = [("frabjous", "day"), ("callooh", "callay")];
            Case { env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(), ..bare }
        }
        "p2_cli_exit_failure" => Case { ends: Ends::Code(1), ..bare },
        "p2_cli_exit_panic" => Case { ends: Ends::Saying(134, "Curiouser and curiouser!"), ..bare },
        "p2_cli_exit_with_code" => Case { ends: Ends::Code(42), ..bare },
        "p2_cli_file_append" | "p2_cli_file_dir_sync" => {
            Case { dir: &["/"], files: &[("bar.txt", "'Twas brillig, and the slithy toves.\n")], ..bare }
        }
        "p2_cli_file_read" => Case { dir: &["/"], files: &[("bar.txt", "And stood awhile in thought")], ..bare },
        "p2_cli_hello_stdout" | "p3_cli_hello_stdout" | "p3_cli_hello_stdout_post_return" => {
            Case { prints: Some("hello, world\n".into()), ..bare }
        }
        "p2_cli_large_env" => {
            let env = (0..512).map(|n| (format!("KEY{n}"), "x".repeat(1024)));
            Case { env: env.collect(), ..bare }
        }
        "p2_cli_many_resources" | "p3_cli_many_tasks" => {
            Case { resources: Some(100), ends: Ends::Trap("resource table has no free keys"), ..bare }
        }
        "p3_cli_many_stream" => Case { resources: Some(100), ..bare },
        "p2_cli_max_resources" => {
            let few =
                Case { resources: Some(50), variant: "(of 50)", ends: Ends::Trap("no free keys"), ..bare.clone() };
            return vec![few, Case { resources: Some(200), variant: "(of 200)", ..bare }];
        }
        "p1_cli_much_stdout" | "p2_cli_much_stdout" | "p3_cli_much_stdout" => {
            let all = 1 << 18;
            let much = |bits: usize, variant| Case {
                variant,
                args: vec!["a".repeat(1 << bits), (all >> bits).to_string()],
                prints: Some("a".repeat(all)),
                ..bare.clone()
            };
            return vec![much(10, "(by 1 KiB)"), much(14, "(by 16 KiB)")];
        }
        "p2_cli_multiple_preopens" => Case { dir: &["/a", "/b", "/c"], ..bare },
        "p2_cli_no_ip_name_lookup" => Case { net: Net::NoLookup, ..bare },
        "p2_cli_no_tcp" => Case { net: Net::NoTcp, ..bare },
        "p2_cli_no_udp" => Case { net: Net::NoUdp, ..bare },
        "p2_cli_sleep_forever" => Case { timeout: Some(250), ends: Ends::TimedOut, ..bare },
        "p2_cli_splice_stdin" => {
            const TEXT: &str = "So rested he by the Tumtum tree";
            let prints = format!("before splice\n{TEXT}\ncompleted splicing {} bytes\n", TEXT.len());
            Case { talk: &[Step::Write(TEXT)], prints: Some(prints), ..bare }
        }
        "p2_cli_stdin" => Case { talk: &[Step::Write("So rested he by the Tumtum tree")], ..bare },
        "p2_cli_stdin_empty" => Case { talk: &[Step::Write("not to be read")], ..bare },
        "p2_cli_stdin_eisdir" => {
            Case { stdin: Stdin::Directory, ends: Ends::Saying(0, "got expected ErrorCode::IsDirectory"), ..bare }
        }
        "p2_cli_stdio_write_flushes" => Case { talk: &[Step::Read("> "), Step::CloseOutput(0)], ..bare },
        "p2_cli_stdout_epipe" => {
            Case { talk: &[Step::CloseOutput(64)], ends: Ends::Saying(0, "got expected StreamError::Closed"), ..bare }
        }
        "p3_cli" => Case { named: Some("p3_cli.component"), prints: Some("hello stdout\n".into()), ..case },
        "p3_cli_deny_listen" => Case { net: Net::NoAddress, ..bare },
        "p3_cli_random_limits" => {
            let random = |name: &str, variant| Case { variant, args: vec![name.into(), "256".into()], ..bare.clone() };
            return vec![random("random", "(secure)"), random("insecure", "(insecure)")];
        }
        "p3_cli_read_stdin" => Case { talk: &[Step::Write("hello!")], ..bare },
        "p3_cli_stdout_flush" => Case { talk: &[Step::Read("READY"), Step::Write("x")], ..bare },
        name if name.contains("_cli_") => bare,
        "p2_pollable_traps" => Case { ends: Ends::Trap("empty poll list"), ..case },
        "p2_stream_pollable_traps" => Case { ends: Ends::Trap("resource has children"), ..case },
        "p2_udp_send_too_much" => Case { ends: Ends::Trap("unpermitted: argument exceeds permitted size"), ..case },
        _ => case,
    }]
}
