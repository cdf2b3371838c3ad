//! tokio's sockets on Dormouse: a program of cases is laid, built for each WASI, and run under the runner, which has to be built
//! (`cargo build -p dormouse-host`, or DORMOUSE names it).

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// How many cases there are besides those of `opened.rs`, which is for wasip1.
const CASES: usize = 25;

#[test]
fn sockets_keep_their_promises_on_wasip2() {
    let program = build(&["--target", "wasm32-wasip2"], "target/wasm32-wasip2");
    let all = output(runner(&["--allow-net", "--allow-dns"]).arg(&program)).0;
    assert_eq!(all.lines().count(), CASES, "{all}");
    // A hundred rounds of a waiter and its peer are two waits each: it does not spin.
    let (_, counts) = output(runner(&["--allow-net", "--count-calls"]).arg(&program).arg("rounds"));
    let polls = counts.lines().find_map(|line| line.trim().strip_suffix("wasi:io/poll.poll"));
    let polls: usize = polls.unwrap_or_else(|| panic!("{counts}")).trim().parse().unwrap();
    assert!((100..=220).contains(&polls), "{counts}");
}

#[test]
fn sockets_keep_their_promises_on_wasip3() {
    // Other features of the same packages: a directory of its own, so that neither builds the other's anew.
    let program = build(
        &["--target", "wasm32-wasip2", "--features", "tokio/p3", "--target-dir", "target-p3"],
        "target-p3/wasm32-wasip2",
    );
    let all = output(runner(&["--allow-net", "--allow-dns"]).arg(&program)).0;
    assert_eq!(all.lines().count(), CASES, "{all}");
}

#[test]
fn a_listener_of_std_is_served_on_wasip1() {
    let program = build(&["--target", "wasm32-wasip1"], "target/wasm32-wasip1");
    let mut runner = runner(&["--listen", "127.0.0.1:0"]);
    let mut running =
        runner.arg(&program).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(running.stderr.take().unwrap());
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    let addr = line.split_whitespace().find(|word| word.starts_with("127.0.0.1:"));
    let addr = addr.unwrap_or_else(|| panic!("no address: {line}")).trim_end_matches([',', ':', '.']);
    let mut peeked = TcpStream::connect(addr).unwrap();
    peeked.write_all(b"line 1").unwrap();
    let mut echoed = TcpStream::connect(addr).unwrap();
    echoed.write_all(b"line 2").unwrap();
    let mut answer = String::new();
    echoed.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "line 2");
    let done = running.wait_with_output().unwrap();
    let mut errors = String::new();
    told.read_to_string(&mut errors).unwrap();
    assert!(done.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&done.stdout).lines().count(), 3);
}

/// A copy of the program, with what takes tokio's place.
fn laid() -> &'static Path {
    static LAID: OnceLock<PathBuf> = OnceLock::new();
    LAID.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = root.join("../dormouse-tokio/tests/programs/sockets");
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sockets");
        fs::create_dir_all(dir.join("src")).unwrap();
        for file in fs::read_dir(program.join("src")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), dir.join("src").join(file.file_name())).unwrap();
        }
        fs::copy(program.join("Cargo.toml"), dir.join("Cargo.toml")).unwrap();
        // The versions that the workspace has, which are on this machine.
        fs::copy(root.join("../../Cargo.lock"), dir.join("Cargo.lock")).unwrap();
        let mut lay = Command::new(env!("CARGO_BIN_EXE_cargo-dormouse"));
        let said = output(lay.current_dir(&dir).args(["dormouse", "tokio"])).0;
        let lines: Vec<_> = said.lines().skip_while(|line| *line != "[patch.crates-io]").collect();
        let lines = lines.split(|line| line.is_empty()).next().unwrap().join("\n");
        assert!(lines.contains("tokio/socket2"), "{said}");
        let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap() + "\n" + &lines + "\n";
        fs::write(dir.join("Cargo.toml"), manifest).unwrap();
        dir
    })
}

fn build(args: &[&str], target: &str) -> PathBuf {
    let program = laid();
    output(Command::new(env!("CARGO")).current_dir(program).args(["build", "--quiet"]).args(args));
    program.join(target).join("debug/sockets.wasm")
}

fn runner(args: &[&str]) -> Command {
    let runner = std::env::var_os("DORMOUSE")
        .map_or_else(|| Path::new(env!("CARGO_BIN_EXE_cargo-dormouse")).with_file_name("dormouse"), PathBuf::from);
    assert!(runner.exists(), "{} is not there: cargo build -p dormouse-host", runner.display());
    let mut command = Command::new(runner);
    command.args(["run", "--timeout", "60s"]).args(args).env_remove("RUST_BACKTRACE");
    command
}

/// What it prints and what it complains of, if it succeeds.
fn output(command: &mut Command) -> (String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    (out.into_owned(), err.into_owned())
}
