//! Whole programs, run by the library and by the command.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use dormouse_host::{Error, Output as Sink, Program, Run, Trace};

use crate::guest::pair;
use crate::support::{assemble, bind_is_denied, guest, runs};

/// A program whose `_start` has this body. It prints with `$print`, and has 4 subscriptions at 1024, with userdata 0 to 3:
/// to read 3 and 0, an hour, to read 4.
fn wasm(body: &str) -> Vec<u8> {
    assemble(&format!(
        r#"(module
          (import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "sock_recv" (func $recv (param i32 i32 i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "sock_send" (func $send (param i32 i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ-sizes (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_fdstat_set_flags" (func $set-flags (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (data (i32.const 1032) "\01") (data (i32.const 1040) "\03")
          (data (i32.const 1072) "\01\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\00")
          (data (i32.const 1120) "\02") (data (i32.const 1136) "\01") (data (i32.const 1144) "\00\a0\b8\30\46\03")
          (data (i32.const 1168) "\03\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\04")
          (func $no (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
          (func $print (param $at i32) (param $len i32)
            (i32.store (i32.const 16) (local.get $at)) (i32.store (i32.const 20) (local.get $len))
            (call $no (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))))
          (func (export "_start") (local $fd i32) {body}))"#
    ))
}

fn program(body: &str) -> Program {
    Program::from_bytes("test", &wasm(body)).unwrap()
}

/// An output that keeps everything, and what it kept.
fn keep() -> (Sink, Arc<Mutex<String>>) {
    let kept = Arc::new(Mutex::new(String::new()));
    let keeper = kept.clone();
    let output = Sink::Pipe(Box::new(move |chunk| keeper.lock().unwrap().push_str(&String::from_utf8_lossy(chunk))));
    (output, kept)
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Writes a program to a file of that name.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("p1-{name}.wasm"));
    std::fs::write(&path, bytes).unwrap();
    path
}

fn dormouse(options: &[&str], app: PathBuf) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dormouse"));
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).arg("run").args(options).arg(app);
    command
}

/// The exit code and what was said.
fn ended(output: Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Prints the environment, each variable with a 0 at its end.
const PRINT_ENVIRONMENT: &str = "
  (call $no (call $environ-sizes (i32.const 0) (i32.const 4)))
  (call $no (call $environ (i32.const 4096) (i32.const 8192)))
  (call $print (i32.const 8192) (i32.load (i32.const 4)))";

#[test]
fn listeners_are_told_in_the_environment() {
    let program = program(PRINT_ENVIRONMENT);
    let environment = |run: Run<'_>| {
        let (stdout, text) = keep();
        assert_eq!(run.stdout(stdout).start().unwrap().code, 0);
        text.lock().unwrap().replace('\0', "\n")
    };
    assert_eq!(environment(Run::new(&program).env("A", "1")), "A=1\n");
    let two = || Run::new(&program).listener("web", listener()).listener("admin", listener());
    assert_eq!(environment(two()), "LISTEN_FDS=2\nLISTEN_FDNAMES=web:admin\n");
    let own = two().env("LISTEN_FDNAMES", "mine").env("LISTEN_FDS", "1");
    assert_eq!(environment(own), "LISTEN_FDNAMES=mine\nLISTEN_FDS=1\n");
    assert_eq!(environment(Run::new(&program).stream(pair().0)), "", "a connection is no listener");
}

#[test]
fn connections_come_after_listeners() {
    let program = program(
        "(i32.store (i32.const 0) (i32.const 4096)) (i32.store (i32.const 4) (i32.const 100))
         (call $no (call $recv (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 8) (i32.const 12)))
         (call $print (i32.const 4096) (i32.load (i32.const 8)))
         (call $exit (call $accept (i32.const 3) (i32.const 4) (i32.const 8)))",
    );
    let (ours, mut peer) = pair();
    peer.write_all(b"hello").unwrap();
    let (stdout, text) = keep();
    let run = Run::new(&program).stream(ours).listener("web", listener()).stdout(stdout);
    assert_eq!(run.start().unwrap().code, 6);
    assert_eq!(*text.lock().unwrap(), "hello");
}

#[test]
fn more_sockets_than_allowed_are_enfile() {
    let program = program("(call $exit (call $accept (i32.const 3) (i32.const 4) (i32.const 8)))");
    let listener = listener();
    let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let run = |most| Run::new(&program).listener("a", listener.try_clone().unwrap()).max_sockets(most).start().unwrap();
    assert_eq!((run(1).code, run(2).code), (41, 0), "and the connection was not lost");
}

#[test]
fn a_stop_ends_a_program_that_waits_or_is_always_ready() {
    let listening = |body: &str| {
        let program = program(body);
        let (sender, receiver) = std::sync::mpsc::channel();
        let stdout = Sink::Pipe(Box::new(move |_| sender.send(()).unwrap()));
        let run = Run::new(&program).listener("a", listener()).stdout(stdout);
        let stop = run.stop_handle();
        let stopper = std::thread::spawn(move || {
            receiver.recv().unwrap();
            stop.stop();
        });
        assert!(matches!(run.start(), Err(Error::Stopped)));
        stopper.join().unwrap();
    };
    listening(
        "(call $print (i32.const 0) (i32.const 1))
         (call $no (call $poll (i32.const 1024) (i32.const 4096) (i32.const 1) (i32.const 0)))",
    );
    // Standard output, again and again.
    listening(
        "(call $print (i32.const 0) (i32.const 1))
         (i32.store8 (i32.const 1032) (i32.const 2)) (i32.store (i32.const 1040) (i32.const 1))
         (loop $again
           (call $no (call $poll (i32.const 1024) (i32.const 4096) (i32.const 1) (i32.const 0)))
           (br $again))",
    );
}

#[test]
fn calls_are_counted_once_each() {
    let program = program(
        "(call $no (call $accept (i32.const 3) (i32.const 4) (i32.const 8)))
         (local.set $fd (i32.load (i32.const 8)))
         (i32.store (i32.const 0) (i32.const 4096)) (i32.store (i32.const 4) (i32.const 100))
         (drop (call $read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
         (drop (call $recv (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 8) (i32.const 12)))
         (drop (call $send (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 8)))
         (drop (call $recv (i32.const 77) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 8) (i32.const 12)))
         (drop (call $renumber (i32.const 3) (local.get $fd)))
         (drop (call $renumber (i32.const 3) (i32.const 1)))
         (drop (call $prestat (i32.const 3) (i32.const 8)))
         (drop (call $prestat (i32.const 4) (i32.const 8)))
         (i32.store (i32.const 1184) (i32.const 1)) (i32.store8 (i32.const 1176) (i32.const 2))
         (call $no (call $poll (i32.const 1024) (i32.const 4096) (i32.const 4) (i32.const 0)))
         (call $no (call $poll (i32.const 1168) (i32.const 4096) (i32.const 1) (i32.const 0)))
         (drop (call $poll (i32.const 1024) (i32.const 4096) (i32.const 0) (i32.const 0)))
         (call $print (i32.const 0) (i32.const 1))
         (drop (call $close (i32.const 3)))
         (drop (call $close (i32.const 3)))",
    );
    let listener = listener();
    let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let trace = Trace::new();
    let (stdout, _) = keep();
    let run = Run::new(&program).listener("a", listener).stdout(stdout).trace(trace.clone());
    assert_eq!(run.start().unwrap().code, 0);
    let counts = trace.counts();
    let names = ["fd_close", "fd_prestat_get", "fd_read", "fd_renumber", "fd_write", "poll_oneoff"];
    let names = names.into_iter().chain(["sock_accept", "sock_recv", "sock_send"]);
    let times = [2, 2, 1, 2, 1, 3, 1, 2, 1];
    let expected: Vec<_> = names.zip(times).map(|(name, n)| (format!("wasi_snapshot_preview1.{name}"), n)).collect();
    let counted: Vec<_> = counts.iter().map(|(name, n)| (name.to_owned(), n)).collect();
    assert_eq!(counted, expected);
    assert_eq!((counts.polls(), counts.poll_entries()), (3, 5), "a poll of nothing is refused, and is a call");
    assert_eq!(counts.resources(), 1, "the connection is open still");
}

#[test]
fn the_exit_code_of_the_program_is_the_exit_code() {
    for (code, name) in [(0, "zero"), (7, "seven"), (125, "125"), (126, "126"), (134, "134"), (255, "255")] {
        let app = file(name, &wasm(&format!("(call $exit (i32.const {code}))")));
        assert_eq!(ended(dormouse(&[], app).output().unwrap()), (Some(code), String::new()));
    }
    assert_eq!(Run::new(&program("")).start().unwrap().code, 0);
    // A process has eight bits of it, as natively.
    for (code, shown) in [(-1, 255), (256, 0), (257, 1)] {
        let app = file("beyond", &wasm(&format!("(call $exit (i32.const {code}))")));
        assert_eq!(ended(dormouse(&[], app).output().unwrap()), (Some(shown), String::new()));
    }
}

#[test]
fn a_reader_of_standard_output_that_has_gone_is_epipe() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let app = file("broken", &wasm("(call $print (i32.const 1024) (i32.const 4))"));
    let mut child = dormouse(&[], app).stdout(writer).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(crate::guest::PIPE));
}

#[test]
fn standard_input_that_does_not_block_says_so_and_is_waited_for() {
    let read = "(i32.store (i32.const 32) (i32.const 3000)) (i32.store (i32.const 36) (i32.const 8))
        (call $read (i32.const 0) (i32.const 32) (i32.const 1) (i32.const 40))";
    let body = format!(
        "(call $no (call $set-flags (i32.const 0) (i32.const 4)))
         (call $no (i32.ne ({read_call}) (i32.const 6)))
         (call $print (i32.const 1032) (i32.const 1))
         (call $no (call $poll (i32.const 1072) (i32.const 2048) (i32.const 1) (i32.const 28)))
         (call $no ({read_call}))
         (call $print (i32.const 3000) (i32.load (i32.const 40)))",
        read_call = format!("block (result i32) {read}"),
    );
    let mut child = dormouse(&[], file("nonblocking", &wasm(&body))).stdin(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut one = [0];
    out.read_exact(&mut one).unwrap();
    assert_eq!(one, [1], "it was EAGAIN");
    child.stdin.as_ref().unwrap().write_all(b"come").unwrap();
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).unwrap();
    assert_eq!((child.wait().unwrap().code(), rest), (Some(0), b"come".to_vec()));
}

#[test]
fn a_trap_is_134_and_says_where() {
    let (code, said) = ended(dormouse(&[], file("trap", &wasm("unreachable"))).output().unwrap());
    assert_eq!(code, Some(134));
    assert!(said.starts_with("dormouse: the program trapped: wasm `unreachable`"), "{said}");
    assert!(said.contains("_start") || said.contains("0: "), "{said}");
    let no_memory = assemble(
        r#"(module (import "wasi_snapshot_preview1" "sock_shutdown" (func $shutdown (param i32 i32) (result i32)))
          (func (export "_start") (drop (call $shutdown (i32.const 3) (i32.const 3)))))"#,
    );
    let (code, said) = ended(dormouse(&[], file("no-memory", &no_memory)).output().unwrap());
    assert!(code == Some(134) && said.contains("exports no memory"), "{said}");
}

#[test]
fn a_program_serves_what_the_command_listens_on_and_hears_its_input_meanwhile() {
    // Waits for both listeners, standard input and an hour; prints one digit for what has come, and takes it.
    let app = file(
        "serves",
        &wasm(
            "(loop $again
           (call $no (call $poll (i32.const 1024) (i32.const 4096) (i32.const 4) (i32.const 0)))
           (if (i32.ne (i32.load (i32.const 0)) (i32.const 1)) (then (call $exit (i32.const 100))))
           (i32.store8 (i32.const 32) (i32.add (i32.load8_u (i32.const 4096)) (i32.const 48)))
           (call $print (i32.const 32) (i32.const 1))
           (if (i32.eq (i32.load8_u (i32.const 4096)) (i32.const 1))
             (then
               (i32.store (i32.const 0) (i32.const 8192)) (i32.store (i32.const 4) (i32.const 100))
               (call $no (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
               (if (i32.eqz (i32.load (i32.const 8))) (then (call $exit (i32.const 50)))))
             (else
               (local.set $fd (i32.add (i32.load8_u (i32.const 4096)) (i32.const 3)))
               (if (i32.eq (local.get $fd) (i32.const 6)) (then (local.set $fd (i32.const 4))))
               (call $no (call $accept (local.get $fd) (i32.const 4) (i32.const 8)))
               (call $no (call $close (i32.load (i32.const 8))))
               (drop (call $accept (local.get $fd) (i32.const 4) (i32.const 8)))))
           (br $again))",
        ),
    );
    let options = ["--listen", "127.0.0.1:0=web", "--listen", "[::1]:0"];
    let mut child = dormouse(&options, app).stdin(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let addrs = [3, 4].map(|fd| {
        let line = said.next().unwrap();
        line.strip_prefix(&format!("dormouse: FD {fd} listens on ")).unwrap().to_owned()
    });
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut next = || {
        let mut byte = [0];
        stdout.read_exact(&mut byte).unwrap();
        byte[0]
    };
    for _ in 0..3 {
        TcpStream::connect(&addrs[0]).unwrap();
        assert_eq!(next(), b'0');
        stdin.write_all(b"line\n").unwrap();
        assert_eq!(next(), b'1');
        TcpStream::connect(&addrs[1]).unwrap();
        assert_eq!(next(), b'3');
    }
    drop(stdin);
    assert_eq!(next(), b'1');
    assert_eq!(child.wait().unwrap().code(), Some(50));
    assert_eq!(said.next(), None);
}

#[test]
fn the_command_tells_names_and_bounds_sockets() {
    let options = ["--listen", "127.0.0.1:0=web", "--listen", "127.0.0.1:0", "--env", "A=1"];
    let output = dormouse(&options, file("names", &wasm(PRINT_ENVIRONMENT))).output().unwrap();
    assert_eq!(output.stdout, b"A=1\0LISTEN_FDS=2\0LISTEN_FDNAMES=web:unknown\0");

    let options = ["--listen", "127.0.0.1:0", "--max-sockets", "1"];
    let app = file("bounded", &wasm("(call $exit (call $accept (i32.const 3) (i32.const 4) (i32.const 8)))"));
    assert_eq!(dormouse(&options, app).output().unwrap().status.code(), Some(41));
}

#[test]
fn to_a_component_a_listener_is_a_permission() {
    let bytes = guest(&format!(
        r#"(func (export "run") (result i32) (local $s i32)
          (call $create-tcp (i32.const 0) (i32.const 8))
          (local.set $s (i32.load (i32.const 12)))
          {})"#,
        bind_is_denied(0)
    ));
    for (listen, code) in [("127.0.0.1:0", 0), ("127.0.0.1:1", 1)] {
        let output = dormouse(&["--listen", listen], file("component", &bytes)).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", ended(output).1);
    }
    let component = Program::from_bytes("app.wasm", &runs("i32.const 0")).unwrap();
    for run in [Run::new(&component).listener("a", listener()), Run::new(&component).stream(pair().0)] {
        let error = run.start().unwrap_err();
        assert!(matches!(error, Error::NotForComponents { .. }));
        assert!(error.to_string().starts_with("app.wasm is a component, which opens its listeners itself"), "{error}");
    }
}

#[test]
fn a_port_in_use_is_one_sentence_and_1() {
    let taken = listener();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, said) = ended(dormouse(&["--listen", &addr], file("taken", &wasm(""))).output().unwrap());
    assert_eq!(code, Some(1));
    assert_eq!(said, format!("dormouse: cannot listen on {addr}: address already in use; choose another, or port 0\n"));
}

#[test]
fn a_listener_that_cannot_be_meant_is_2_and_one_line() {
    for options in [
        ["--listen", "80"],
        ["--listen", "*:80"],
        ["--listen", "127.0.0.1:*"],
        ["--listen", "127.0.0.1:99999"],
        ["--listen", "127.0.0.1:0="],
        ["--listen", "127.0.0.1:0=a:b"],
        ["--listen", "::1:0"],
        ["--max-sockets", "many"],
        ["--max-sockets", "-1"],
    ] {
        let (code, said) = ended(dormouse(&options, file("usage", &wasm(""))).output().unwrap());
        assert_eq!(code, Some(2), "{said}");
        assert!(said.starts_with("dormouse: ") && said.lines().count() == 1, "{said}");
    }
}
