//! The command: exit codes, sentences, signals.

mod support;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use support::{assemble, bind_is_denied, connect, guest, p3, print, runs};

/// Writes a guest to a file of that name.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{name}.wasm"));
    std::fs::write(&path, bytes).unwrap();
    path
}

fn dormouse() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dormouse"));
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(name: &str, bytes: &[u8], options: &[&str]) -> Output {
    dormouse().arg("run").args(options).arg(file(name, bytes)).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_exit_code_of_the_program_is_the_exit_code() {
    for (name, body, code) in [
        ("ok", "i32.const 0", 0),
        ("err", "i32.const 1", 1),
        ("code", "(call $exit-with-code (i32.const 42)) unreachable", 42),
        // No code of the runner's, and none that other hosts keep for themselves.
        ("high", "(call $exit-with-code (i32.const 126)) unreachable", 126),
        ("highest", "(call $exit-with-code (i32.const 255)) unreachable", 255),
    ] {
        let output = run(name, &runs(body), &[]);
        assert_eq!(output.status.code(), Some(code), "{name}");
        assert_eq!((stderr(&output).as_str(), &output.stdout[..]), ("", &b""[..]));
    }
}

#[test]
fn the_exit_code_of_wasi_0_3_and_of_wasip1_is_the_exit_code_too() {
    for code in [0, 1, 126, 255] {
        let bytes = p3::runs(&format!("(call $exit-with-code (i32.const {code})) unreachable"));
        let output = run(&format!("code-03-{code}"), &bytes, &[]);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(code), ""));
    }
    // Of a number that is longer the low eight bits.
    for (given, code) in [(0, 0), (1, 1), (126, 126), (134, 134), (255, 255), (256, 0), (300, 44), (-1, 255)] {
        let bytes = assemble(&format!(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
              (memory (export "memory") 1)
              (func (export "_start") (call $exit (i32.const {given}))))"#
        ));
        let output = run(&format!("code-01-{given}"), &bytes, &[]);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(code), ""), "{given}");
    }
}

#[test]
fn a_trap_is_134() {
    let output = run("trap", &runs("unreachable"), &[]);
    assert_eq!(output.status.code(), Some(134));
    assert!(stderr(&output).starts_with("dormouse: the program trapped: wasm `unreachable`"));
}

#[test]
fn a_program_that_cannot_be_loaded_is_1_and_one_line() {
    let output = run("empty", b"", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        format!(
            "dormouse: {} is not a WebAssembly program: it is empty; build it for wasm32-wasip2 or wasm32-wasip1\n",
            file("empty", b"").display()
        )
    );
}

#[test]
fn a_mistake_on_the_command_line_is_2_and_one_line() {
    for options in [
        &["--dir", "/no/such/directory::/"][..],
        &["--env", "NO_SUCH_VARIABLE_IS_SET"],
        &["--allow-listen", "local host:80"],
        &["--allow-connect", "10.0.0.0/33:80"],
        &["--max-memory", "lots"],
        &["--no-such-option"],
    ] {
        let output = run("usage", &runs("i32.const 0"), options);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with("dormouse: ") && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn a_refused_address_names_its_flag_and_the_flag_helps() {
    let bytes = guest(&format!(
        r#"(func (export "run") (result i32) (local $s i32)
          (call $create-tcp (i32.const 0) (i32.const 8))
          (local.set $s (i32.load (i32.const 12)))
          {})"#,
        bind_is_denied(0)
    ));
    let output = run("refused", &bytes, &["--allow-connect", "127.0.0.1:9"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "dormouse: refused: the program wants to listen on 127.0.0.1:0; \
         allow it with --allow-listen 127.0.0.1:0 (or --allow-net)\n"
    );
    for options in [&["--allow-listen", "127.0.0.1:0"][..], &["--allow-listen", "127.0.0.1:*"], &["--allow-net"]] {
        let output = run("refused", &bytes, options);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{options:?}");
    }
}

#[test]
fn calls_are_counted_on_request() {
    let output = run("counted", &runs(&format!("{}i32.const 0", print(4096, 1))), &["--count-calls"]);
    assert_eq!(output.status.code(), Some(0));
    let said = stderr(&output);
    assert!(said.contains("1  wasi:cli/stdout.get-stdout\n") && said.contains("2  total\n"), "{said}");
}

#[test]
fn connections_are_counted_with_the_calls() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bytes = guest(&format!(
        r#"(func (export "run") (result i32) (local $s i32)
          (call $create-tcp (i32.const 0) (i32.const 8))
          (local.set $s (i32.load (i32.const 12)))
          {}
          (call $write-and-flush (i32.load (i32.const 16)) (i32.const 4096) (i32.const 5) (i32.const 24))
          (i32.load8_u (i32.const 24)))"#,
        connect(listener.local_addr().unwrap().port())
    ));
    let output = run("metered", &bytes, &["--count-calls", "--allow-net"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let expected = "connections: 1 made, 0 accepted; refused: 0; bytes: 0 received, 5 sent\n";
    assert!(said.ends_with(expected), "{said}");
    let output = run("metered", &bytes, &["--count-calls", "--allow-listen", "127.0.0.1:1"]);
    assert!(stderr(&output).ends_with("connections: 0 made, 0 accepted; refused: 1; bytes: 0 received, 0 sent\n"));
}

/// A program that says one byte and then computes for ever.
fn spinning(name: &str, options: &[&str]) -> Child {
    let bytes = runs(&format!("{}(loop $again (br $again)) unreachable", print(4096, 1)));
    let mut child = dormouse().arg("run").args(options).arg(file(name, &bytes)).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    child
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn sigint_and_sigterm_end_a_program_that_never_calls_the_host() {
    for (name, signal, code) in [("int", Signal::INT, 130), ("term", Signal::TERM, 143)] {
        let child = spinning(name, &[]);
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(code), ""));
    }
}

#[test]
fn a_timeout_is_124() {
    let output = run("timeout", &runs("(loop $again (br $again)) unreachable"), &["--timeout", "1ms"]);
    assert_eq!(output.status.code(), Some(124));
    assert_eq!(stderr(&output), "dormouse: the program was ended after 1ms, as --timeout says\n");
}

#[test]
fn a_timeout_ends_a_program_whose_call_blocks_the_thread() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cli-fifo");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    assert!(Command::new("mkfifo").arg(dir.join("f")).status().unwrap().success());
    // Opens it for reading, which waits until something opens it for writing.
    let bytes = assemble(
        r#"(module
          (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 64) "f")
          (func (export "_start")
            (drop (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 0)
              (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0)))))"#,
    );
    let output = run("fifo", &bytes, &["--dir", &format!("{}::/", dir.display()), "--timeout", "1ms"]);
    assert_eq!(output.status.code(), Some(124));
    assert_eq!(stderr(&output), "dormouse: the program was ended after 1ms, as --timeout says\n");
}

#[test]
fn a_full_standard_error_does_not_keep_it_from_ending() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
    std::io::Write::write_all(&mut writer, &[0; 4096]).unwrap();
    let bytes = runs(&format!("{}(loop $again (br $again)) unreachable", print(4096, 1)));
    let mut command = dormouse();
    command.args(["run", "--count-calls"]).arg(file("full-stderr", &bytes)).stderr(writer);
    let mut child = command.spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    send(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(143));
    drop(reader);
}

#[test]
fn sigint_and_sigterm_end_the_input_of_a_program_of_wasi_0_3_that_reads_it() {
    // Begins to read, says one byte, waits for the end of the read, and ends with what came of it: 1 is the end.
    let bytes = p3::runs(&format!(
        "(call $stdin (i32.const 8))
         (local.set $s (i32.load (i32.const 8)))
         (if (i32.ne (call $stream-read (local.get $s) (i32.const 4096) (i32.const 8)) (i32.const -1)) (then unreachable))
         {} {}
         (drop (call $stream-write (local.get $task) (i32.const 4096) (i32.const 1)))
         (local.set $set (call $set-new))
         (call $join (local.get $s) (local.get $set))
         (drop (call $set-wait (local.get $set) (i32.const 8)))
         (call $exit-with-code (i32.add (i32.const 40) (i32.load (i32.const 12))))
         unreachable",
        p3::sleep(1),
        p3::OPEN_STDOUT
    ));
    for signal in [Signal::INT, Signal::TERM] {
        let mut child = dormouse().arg("run").arg(file("int-03", &bytes)).stdin(Stdio::piped()).spawn().unwrap();
        let _open = child.stdin.take();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(41), ""));
    }
}

/// The program is a FIFO, so it is compiled as often as it is written.
#[test]
fn sighup_before_it_has_begun_loads_it_anew_once_and_later() {
    let fifo = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cli-reloaded.wasm");
    let _ = std::fs::remove_file(&fifo);
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Says one byte, and waits.
    let program = runs(&format!("{} {} i32.const 0", print(4096, 1), support::WAIT));
    let mut command = dormouse();
    let mut child = command.args(["run", "--metrics", "127.0.0.1:0"]).arg(&fifo).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    // It hears signals from here on, and waits for the program.
    assert!(lines.next().unwrap().starts_with("dormouse: metrics on "));
    for _ in 0..20 {
        send(&child, Signal::HUP);
    }
    // Once to begin with, and once anew.
    for _ in 0..2 {
        std::fs::write(&fifo, &program).unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    }
    assert!(lines.next().unwrap().starts_with("dormouse: reloaded (1): "));
    assert!(lines.next().unwrap().ends_with("is ended"));
    // Nothing reads it again before it is asked to.
    let reads = OpenOptions::new().write(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(&fifo);
    assert!(reads.is_err(), "it is compiled once more");
    send(&child, Signal::HUP);
    std::fs::write(&fifo, "no program").unwrap();
    assert!(lines.next().unwrap().starts_with("dormouse: not reloaded, the old instances go on: "));
    send(&child, Signal::TERM);
    assert_eq!((child.wait().unwrap().code(), lines.next()), (Some(143), None));
}

#[test]
fn counts_are_printed_on_sigusr1_and_on_sigint() {
    let mut child = spinning("usr1", &["--count-calls"]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    for signal in [Signal::USR1, Signal::INT] {
        send(&child, signal);
        let table: Vec<String> = lines.by_ref().take_while(|line| !line.contains("resource table")).collect();
        assert!(table.iter().any(|line| line.ends_with("2  total")), "{table:?}");
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_program_that_writes_without_blocking_survives_a_full_pipe() {
    // Writes as long as check-write permits something, then ends with the number of 4096-byte writes.
    let bytes = guest(
        r#"(func (export "run") (result i32) (local $out i32) (local $writes i32)
          (local.set $out (call $get-stdout))
          (block $full (loop $next
            (call $check-write (local.get $out) (i32.const 16))
            (if (i32.load8_u (i32.const 16)) (then unreachable))
            (br_if $full (i64.eqz (i64.load (i32.const 24))))
            (call $write (local.get $out) (i32.const 4096) (i32.wrap_i64 (i64.load (i32.const 24))) (i32.const 32))
            (if (i32.load8_u (i32.const 32)) (then unreachable))
            (local.set $writes (i32.add (local.get $writes) (i32.const 1)))
            (br $next)))
          (call $exit-with-code (local.get $writes))
          unreachable)"#,
    );
    let mut child = dormouse().arg("run").arg(file("full", &bytes)).spawn().unwrap();
    // Nobody reads until it has ended.
    let code = child.wait().unwrap().code().unwrap();
    let mut written = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut written).unwrap();
    assert!(code > 0);
    assert_eq!(written.len(), code as usize * 4096);
}

#[test]
fn a_pipe_without_reader_is_an_error_for_the_program() {
    // Ends with 3 if the write failed because the stream is closed.
    let body = format!(
        "{}(if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 1)) (then
            (if (i32.eq (i32.load8_u (i32.const 4)) (i32.const 1)) (then (call $exit-with-code (i32.const 3))))))
         i32.const 0",
        print(4096, 1)
    );
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = dormouse().arg("run").arg(file("closed", &runs(&body))).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(3), ""));
}

#[test]
fn help_describes_every_option() {
    let output = dormouse().args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    let options = [
        "listen",
        "allow-listen",
        "allow-connect",
        "allow-net",
        "dir",
        "env",
        "max-memory",
        "max-sockets",
        "max-resources",
        "timeout",
        "no-cache",
        "allow-precompiled",
        "count-calls",
    ];
    for option in options {
        assert!(help.contains(&format!("--{option}")), "{option}");
    }
}

/// Starts it as systemd would, with this socket as descriptor 3, and gives what it says.
fn activated(socket: impl Into<OwnedFd>, count: &str) -> (Option<i32>, String) {
    let file = file("activated", &runs("i32.const 0"));
    let script = "LISTEN_PID=$$ LISTEN_FDS=$1 LISTEN_FDNAMES=web exec \"$0\" run \"$2\" 3<&0 0</dev/null";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_dormouse"), count]).arg(file).stdin(socket.into());
    let output = command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR")).output().unwrap();
    (output.status.code(), stderr(&output))
}

#[test]
fn sockets_of_systemd_that_cannot_be_used_are_told_by_name() {
    let listener = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(activated(listener(), "1"), (Some(0), String::new()));
    let (code, said) = activated(listener(), "2147483647");
    assert_eq!(code, Some(1));
    assert_eq!(said, "dormouse: LISTEN_FDS tells of 2147483647 sockets, and no more than 4096 are taken\n");
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cli-activated");
    let _ = std::fs::remove_file(&path);
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let sockets: [(OwnedFd, &str); 3] = [
        (std::net::UdpSocket::bind("127.0.0.1:0").unwrap().into(), "it is a UDP socket, and only ListenStream= "),
        (UnixListener::bind(&path).unwrap().into(), "it is a Unix socket, and only ListenStream= "),
        (bound.into(), "it does not listen\n"),
    ];
    for (socket, why) in sockets {
        let (code, said) = activated(socket, "1");
        assert_eq!(code, Some(1), "{said}");
        let told = format!("dormouse: cannot use the socket \"web\" that LISTEN_FDS tells of: {why}");
        assert!(said.starts_with(&told), "{said}");
    }
}
