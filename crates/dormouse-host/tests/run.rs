//! The library: what a run gives to the program, and how it ends.

mod support;

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dormouse_host::{Error, Exit, Input, Output, Policy, Program, Run, Trace};
use support::{WAIT, bind_is_denied, connect, guest, print, runs};

fn program(bytes: &[u8]) -> Program {
    Program::from_bytes("test", bytes).unwrap()
}

fn code(bytes: &[u8]) -> i32 {
    Run::new(&program(bytes)).start().unwrap().code
}

fn trap(bytes: &[u8]) -> String {
    match Run::new(&program(bytes)).start() {
        Err(Error::Trap(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// An output that keeps everything, and what it kept.
fn keep() -> (Output, Arc<Mutex<String>>) {
    let kept = Arc::new(Mutex::new(String::new()));
    let keeper = kept.clone();
    let output = Output::Pipe(Box::new(move |chunk| keeper.lock().unwrap().push_str(&String::from_utf8_lossy(chunk))));
    (output, kept)
}

/// An output that hands each chunk over as it is written.
fn hand_over() -> (Output, Receiver<Vec<u8>>) {
    let (sender, receiver) = channel();
    (Output::Pipe(Box::new(move |chunk| sender.send(chunk.to_vec()).unwrap())), receiver)
}

#[test]
fn the_exit_code_is_the_programs() {
    assert_eq!(code(&runs("i32.const 0")), 0);
    assert_eq!(code(&runs("i32.const 1")), 1);
    assert_eq!(code(&runs("(call $exit (i32.const 0)) unreachable")), 0);
    assert_eq!(code(&runs("(call $exit (i32.const 1)) unreachable")), 1);
    assert_eq!(code(&runs("(call $exit-with-code (i32.const 7)) unreachable")), 7);
}

#[test]
fn a_program_runs_any_number_of_times() {
    let program = program(&runs("i32.const 0"));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let program = program.clone();
            std::thread::spawn(move || Run::new(&program).start().unwrap())
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), Exit { code: 0 });
    }
}

#[test]
fn output_arrives_as_it_is_written() {
    let body = format!("{}{}i32.const 0", print(4096, 5), print(4101, 6));
    let bytes = guest(&format!("(data (i32.const 4096) \"hello world\") (func (export \"run\") (result i32) {body})"));
    let (stdout, chunks) = hand_over();
    Run::new(&program(&bytes)).stdout(stdout).start().unwrap();
    assert_eq!(chunks.iter().collect::<Vec<_>>(), [&b"hello"[..], b" world"]);
}

#[test]
fn input_is_what_it_is_said_to_be() {
    // Prints what it reads; exits with 3 at the end.
    let program = program(&runs(
        "(call $blocking-read (call $get-stdin) (i64.const 100) (i32.const 8))
         (if (i32.load8_u (i32.const 8)) (then (call $exit-with-code (i32.const 3))))
         (call $write-and-flush (call $get-stdout) (i32.load (i32.const 12)) (i32.load (i32.const 16)) (i32.const 0))
         i32.const 0",
    ));
    let (stdout, text) = keep();
    let run = Run::new(&program).stdin(Input::Bytes(b"some words".to_vec())).stdout(stdout);
    assert_eq!(run.start().unwrap().code, 0);
    assert_eq!(*text.lock().unwrap(), "some words");
    assert_eq!(Run::new(&program).stdin(Input::Null).start().unwrap().code, 3);
}

#[test]
fn arguments_begin_with_the_name() {
    // Prints each argument: a list of (address, length) pairs.
    let bytes = guest(
        r#"(func (export "run") (result i32) (local $at i32) (local $left i32) (local $out i32)
          (call $get-arguments (i32.const 8))
          (local.set $at (i32.load (i32.const 8)))
          (local.set $left (i32.load (i32.const 12)))
          (local.set $out (call $get-stdout))
          (loop $next
            (call $write-and-flush (local.get $out)
              (i32.load (local.get $at)) (i32.load offset=4 (local.get $at)) (i32.const 0))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $next (local.get $left)))
          i32.const 0)"#,
    );
    let (stdout, chunks) = hand_over();
    Run::new(&program(&bytes)).arg("-a").args(["b", "c d"]).stdout(stdout).start().unwrap();
    assert_eq!(chunks.iter().collect::<Vec<_>>(), [&b"test"[..], b"-a", b"b", b"c d"]);
}

#[test]
fn nothing_of_the_environment_is_passed_by_default() {
    let bytes =
        runs("(call $get-environment (i32.const 8)) (i32.load (i32.const 12)) call $exit-with-code unreachable");
    let program = program(&bytes);
    assert!(std::env::vars().next().is_some());
    assert_eq!(Run::new(&program).start().unwrap().code, 0);
    assert_eq!(Run::new(&program).env("A", "1").env("B", "").start().unwrap().code, 2);
}

#[test]
fn a_socket_is_opened_and_counted_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let program = connecting(listener.local_addr().unwrap().port());
    let trace = Trace::new();
    let run = Run::new(&program).policy(Policy::allow_all()).trace(trace.clone());
    assert_eq!(run.start().unwrap().code, 0);
    assert_eq!(trace.counts().get("wasi:sockets/tcp-create-socket.create-tcp-socket"), 1);
}

#[test]
fn a_trap_says_what_and_where_and_gives_a_hint() {
    let text = trap(&guest("(func $deep unreachable) (func (export \"run\") (result i32) call $deep i32.const 0)"));
    assert!(text.starts_with("the program trapped: wasm `unreachable` instruction executed\n"), "{text}");
    assert!(text.contains(" - deep\n") && text.contains("1: "), "{text}");
    assert!(text.lines().last().unwrap().starts_with("hint: a Rust panic"), "{text}");

    let text = trap(&runs("(i32.load (i32.const -1))"));
    assert!(text.contains("out of bounds memory access") && text.contains("hint: "), "{text}");

    let text = trap(&guest("(func $again (export \"run\") (result i32) (i32.add (call $again) (i32.const 1)))"));
    assert!(text.starts_with("stack overflow: the calls are nested deeper than a stack of 512 KiB\n"), "{text}");
    assert!(text.contains("… the same ") && text.ends_with("or raise --max-stack"), "{text}");

    let text = trap(&runs("(call $poll (i32.const 0) (i32.const 0) (i32.const 8)) i32.const 0"));
    assert!(text.contains("empty poll list") && text.contains("at least one pollable"), "{text}");

    let text = trap(&runs("(call $block (i32.const 99)) i32.const 0"));
    assert!(text.contains("unknown handle index 99") && text.contains("after it was dropped"), "{text}");
}

#[test]
fn dropping_a_parent_first_names_the_right_order() {
    let text = trap(&guest(
        r#"(func (export "run") (result i32) (local $out i32)
          (local.set $out (call $get-stdout))
          (drop (call $subscribe (local.get $out)))
          (call $drop-output-stream (local.get $out))
          i32.const 0)"#,
    ));
    assert!(text.contains("resource has children") && text.contains("drop pollables, then streams"), "{text}");
}

#[test]
fn memory_beyond_the_limit_is_refused_and_the_trap_says_so() {
    let body = "(if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable)) i32.const 0";
    let program = program(&runs(body));
    assert_eq!(Run::new(&program).max_memory(17 << 16).start().unwrap().code, 0);
    for too_little in [(17 << 16) - 1, 0] {
        let text = Run::new(&program).max_memory(too_little).start().unwrap_err().to_string();
        assert!(text.contains(&format!("hint: memory beyond --max-memory ({too_little} bytes)")), "{text}");
    }
}

#[test]
fn a_refused_address_is_access_denied_and_is_said_once() {
    let bytes = guest(&format!(
        r#"(func (export "run") (result i32) (local $s i32)
          (call $create-tcp (i32.const 0) (i32.const 8))
          (local.set $s (i32.load (i32.const 12)))
          {} (if (i32.eqz) (then unreachable))
          {} (if (i32.eqz) (then unreachable))
          {} (if (i32.eqz) (then unreachable))
          i32.const 0)"#,
        bind_is_denied(8080),
        bind_is_denied(8080),
        bind_is_denied(0),
    ));
    let (stderr, said) = keep();
    let policy = Policy::default().allow_listen("127.0.0.1:8081".parse().unwrap());
    let exit = Run::new(&program(&bytes)).policy(policy).stderr(stderr).start().unwrap();
    assert_eq!(exit.code, 0);
    assert_eq!(
        *said.lock().unwrap(),
        "dormouse: refused: the program wants to listen on 127.0.0.1:8080; \
         allow it with --allow-listen 127.0.0.1:8080 (or --allow-net)\n\
         dormouse: refused: the program wants to listen on 127.0.0.1:0; \
         allow it with --allow-listen 127.0.0.1:0 (or --allow-net)\n"
    );
}

#[test]
fn binding_to_an_allowed_address_allows_to_listen() {
    let bytes = guest(&format!(
        r#"(func (export "run") (result i32) (local $s i32)
          (call $create-tcp (i32.const 0) (i32.const 8))
          (local.set $s (i32.load (i32.const 12)))
          {}
          (call $finish-bind (local.get $s) (i32.const 8))
          (call $start-listen (local.get $s) (i32.const 12))
          (i32.or (i32.or (i32.load8_u (i32.const 8)) (i32.load8_u (i32.const 12)))))"#,
        bind_is_denied(0),
    ));
    let (stderr, said) = keep();
    let policy = Policy::default().allow_listen("127.0.0.1:0".parse().unwrap());
    let exit = Run::new(&program(&bytes)).policy(policy).stderr(stderr).start().unwrap();
    assert_eq!((exit.code, said.lock().unwrap().as_str()), (0, ""));
}

/// Connects to the port and exits with 7 if that is denied; otherwise asks 1000 times for a permit to write,
/// without waiting, and returns well if there always is one.
fn connecting(port: u16) -> Program {
    program(&guest(&format!(
        r#"(func (export "run") (result i32) (local $s i32) (local $left i32)
          (call $create-tcp (i32.const 0) (i32.const 8))
          (local.set $s (i32.load (i32.const 12)))
          {}
          (if (i32.load8_u (i32.const 8)) (then
            (if (i32.eq (i32.load8_u (i32.const 12)) (i32.const 1)) (then (call $exit-with-code (i32.const 7))))
            unreachable))
          (call $block (call $subscribe (i32.load (i32.const 16))))
          (local.set $left (i32.const 1000))
          (loop $next
            (call $check-write (i32.load (i32.const 16)) (i32.const 24))
            (if (i64.eqz (i64.load (i32.const 32))) (then (return (i32.const 1))))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $next (local.get $left)))
          i32.const 0)"#,
        connect(port)
    )))
}

#[test]
fn connecting_needs_its_own_permission_and_no_other() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let program = connecting(addr.port());
    let (stderr, said) = keep();
    let policy = Policy::default().allow_listen(addr.into());
    assert_eq!(Run::new(&program).policy(policy).stderr(stderr).start().unwrap().code, 7);
    assert!(said.lock().unwrap().contains(&format!("--allow-connect {addr} ")), "{said:?}");

    let (stderr, said) = keep();
    let policy = Policy::default().allow_connect(addr.into());
    assert_eq!(Run::new(&program).policy(policy).stderr(stderr).start().unwrap().code, 0);
    assert_eq!(*said.lock().unwrap(), "");
}

#[test]
fn a_ready_socket_stays_ready_however_often_it_is_asked() {
    // wasmtime issue 14174: with tokio's budget, 128 answers are right and the rest are 0.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let program = connecting(listener.local_addr().unwrap().port());
    assert_eq!(Run::new(&program).policy(Policy::allow_all()).start().unwrap().code, 0);
}

#[test]
fn stop_ends_a_program_that_waits() {
    let program = program(&runs(&format!("{}{WAIT} i32.const 0", print(4096, 1))));
    let (stdout, chunks) = hand_over();
    let run = Run::new(&program).stdout(stdout);
    let stop = run.stop_handle();
    let stopper = std::thread::spawn(move || {
        chunks.recv().unwrap();
        stop.stop();
    });
    assert!(matches!(run.start(), Err(Error::Stopped)));
    stopper.join().unwrap();
}

#[test]
fn stop_and_timeout_end_a_program_that_waits_for_a_connection() {
    let program = program(&guest(&format!(
        r#"(func (export "run") (result i32) (local $s i32)
          (call $create-tcp (i32.const 0) (i32.const 8))
          (local.set $s (i32.load (i32.const 12)))
          {} drop
          (call $finish-bind (local.get $s) (i32.const 8))
          (call $start-listen (local.get $s) (i32.const 12))
          (call $finish-listen (local.get $s) (i32.const 12))
          {}
          (call $block (call $subscribe-tcp (local.get $s)))
          i32.const 0)"#,
        bind_is_denied(0),
        print(4096, 1),
    )));
    let (stdout, chunks) = hand_over();
    let run = Run::new(&program).policy(Policy::allow_all()).stdout(stdout);
    let stop = run.stop_handle();
    let stopper = std::thread::spawn(move || {
        chunks.recv().unwrap();
        stop.stop();
    });
    assert!(matches!(run.start(), Err(Error::Stopped)));
    stopper.join().unwrap();
    let run = Run::new(&program).policy(Policy::allow_all()).timeout(Duration::from_millis(1));
    assert!(matches!(run.stdout(Output::Null).start(), Err(Error::TimedOut { .. })));
}

#[test]
fn what_a_program_wrote_before_it_ended_arrives() {
    const AT_A_TIME: usize = 32 << 10;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // Writes until nothing more is taken, says so, and ends.
    let program = program(&guest(&format!(
        r#"(func (export "run") (result i32) (local $s i32) (local $out i32)
          (call $create-tcp (i32.const 0) (i32.const 8))
          (local.set $s (i32.load (i32.const 12)))
          {}
          (local.set $out (i32.load (i32.const 16)))
          (loop $next
            (call $check-write (local.get $out) (i32.const 24))
            (if (i64.ne (i64.load (i32.const 32)) (i64.const 0)) (then
              (call $write (local.get $out) (i32.const 16384) (i32.const {AT_A_TIME}) (i32.const 40))
              (br $next))))
          {} i32.const 0)"#,
        connect(listener.local_addr().unwrap().port()),
        print(4096, 1),
    )));
    let (stdout, chunks) = hand_over();
    let peer = std::thread::spawn(move || {
        let mut peer = listener.accept().unwrap().0;
        chunks.recv().unwrap();
        std::io::copy(&mut peer, &mut std::io::sink()).unwrap() as usize
    });
    let exit = Run::new(&program).policy(Policy::allow_all()).stdout(stdout).start().unwrap();
    let got = peer.join().unwrap();
    assert_eq!(exit.code, 0);
    assert!(got > 0 && got.is_multiple_of(AT_A_TIME), "{got} bytes");
}

#[test]
fn a_run_stopped_before_its_start_does_not_begin() {
    let program = program(&runs("unreachable"));
    let run = Run::new(&program);
    run.stop_handle().stop();
    assert!(matches!(run.start(), Err(Error::Stopped)));
}

#[test]
fn a_directory_that_cannot_be_opened_is_named() {
    let program = program(&runs("i32.const 0"));
    let error = Run::new(&program).dir("/no/such/directory", "/").start().unwrap_err();
    assert!(matches!(error, Error::Dir { .. }));
    assert!(error.to_string().starts_with("cannot open the directory /no/such/directory: "), "{error}");
}

/// Polls a due timer and standard output together, writes three bytes without blocking, and leaves a stream open.
const BUSY: &str = r#"
  (func (export "run") (result i32) (local $out i32) (local $timer i32) (local $ready i32)
    (local.set $out (call $get-stdout))
    (local.set $ready (call $subscribe (local.get $out)))
    (local.set $timer (call $subscribe-duration (i64.const 0)))
    (i32.store (i32.const 64) (local.get $ready))
    (i32.store (i32.const 68) (local.get $timer))
    (call $poll (i32.const 64) (i32.const 2) (i32.const 8))
    (call $poll (i32.const 64) (i32.const 1) (i32.const 8))
    (call $check-write (local.get $out) (i32.const 16))
    (call $write (local.get $out) (i32.const 4096) (i32.const 3) (i32.const 32))
    (call $drop-pollable (local.get $ready))
    (call $drop-pollable (local.get $timer))
    i32.const 0)"#;

#[test]
fn every_host_call_is_counted_by_name() {
    let trace = Trace::new();
    let program = program(&guest(BUSY));
    let run = || Run::new(&program).stdout(Output::Null).trace(trace.clone()).start().unwrap();
    assert_eq!(run().code, 0);
    let counts = trace.counts();
    assert_eq!(
        counts.iter().collect::<Vec<_>>(),
        [
            ("wasi:cli/stdout.get-stdout", 1),
            ("wasi:clocks/monotonic-clock.subscribe-duration", 1),
            ("wasi:io/poll.[resource-drop]pollable", 2),
            ("wasi:io/poll.poll", 2),
            ("wasi:io/streams.[method]output-stream.check-write", 1),
            ("wasi:io/streams.[method]output-stream.subscribe", 1),
            ("wasi:io/streams.[method]output-stream.write", 1),
        ]
    );
    assert_eq!((counts.total(), counts.polls(), counts.poll_entries()), (9, 2, 3));
    assert_eq!(counts.resources(), 1, "standard output was not dropped");

    run();
    assert_eq!(trace.counts().since(&counts), counts, "a second run adds the same again");
}

#[test]
fn counts_can_be_read_while_the_program_runs() {
    let trace = Trace::new();
    // Both outputs come before the wait, the second one after a first look at the numbers.
    let program = program(&runs(&format!("{}{}{WAIT} i32.const 0", print(4096, 1), print(4096, 1))));
    let (stdout, chunks) = hand_over();
    let run = Run::new(&program).stdout(stdout).trace(trace.clone());
    let stop = run.stop_handle();
    let reader = std::thread::spawn(move || {
        chunks.recv().unwrap();
        chunks.recv().unwrap();
        let counts = trace.counts();
        stop.stop();
        counts
    });
    assert!(matches!(run.start(), Err(Error::Stopped)));
    let counts = reader.join().unwrap();
    assert_eq!(counts.get("wasi:cli/stdout.get-stdout"), 2);
    assert_eq!(counts.get("wasi:io/streams.[method]output-stream.blocking-write-and-flush"), 2);
}

#[test]
fn a_run_without_a_trace_is_not_counted() {
    let trace = Trace::new();
    let program = program(&guest(BUSY));
    Run::new(&program).stdout(Output::Null).trace(trace.clone()).start().unwrap();
    let counts = trace.counts();
    Run::new(&program).stdout(Output::Null).start().unwrap();
    assert_eq!(trace.counts(), counts);
}

#[test]
fn the_instances_of_a_component_are_bounded_by_its_budget() {
    let program = program(&support::assemble(&format!(
        r#"(component
          (core module $m)
          {}
          (core module $r (func (export "run") (result i32) i32.const 0))
          (core instance $r (instantiate $r))
          (func $run (result (result)) (canon lift (core func $r "run")))
          (instance $i (export "run" (func $run)))
          (export "wasi:cli/run@0.2.12" (instance $i)))"#,
        "(core instance (instantiate $m))".repeat(64)
    )));
    assert_eq!(Run::new(&program).start().unwrap().code, 0);
    // 64 are a quarter of it, of 4 KiB each.
    let text = Run::new(&program).max_memory(1 << 20).start().unwrap_err().to_string();
    assert!(text.contains("instance count too high"), "{text}");
}

/// A core module that is a command, of these fields.
fn module(fields: &str) -> Program {
    program(&support::assemble(&format!("(module (memory (export \"memory\") 1) {fields})")))
}

#[test]
fn tables_and_memories_take_from_one_budget() {
    // Grows both as far as they go, a table by 1000 elements of 16 bytes and a memory by a page.
    let program = module(
        "(table $t 0 funcref)
         (func (export \"_start\")
           (loop $more
             (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))
           (if (i32.lt_u (table.size $t) (i32.const 60000)) (then unreachable))
           (if (i32.gt_u (table.size $t) (i32.const 65536)) (then unreachable))
           (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)))",
    );
    assert_eq!(Run::new(&program).max_memory(1 << 20).start().unwrap().code, 0);
}

#[test]
fn handles_that_are_never_dropped_end_the_program_and_not_the_host() {
    let program =
        program(&runs("(loop $more (drop (call $subscribe-duration (i64.const -1))) (br $more)) unreachable"));
    let text = Run::new(&program).max_resources(100).start().unwrap_err().to_string();
    assert!(text.contains("hint: more handles than --max-resources"), "{text}");
    // The default follows the budget.
    let text = Run::new(&program).max_memory(16 << 20).start().unwrap_err().to_string();
    assert!(text.contains("hint: more handles than --max-resources"), "{text}");
}

#[test]
fn without_permission_no_socket_is_opened() {
    let program = program(&runs(
        "(call $create-tcp (i32.const 0) (i32.const 8)) (call $create-tcp (i32.const 0) (i32.const 8)) (call $exit-with-code (i32.add (i32.mul (i32.load8_u (i32.const 8)) (i32.const 16)) (i32.load8_u (i32.const 12)))) unreachable",
    ));
    let (stderr, said) = keep();
    // An error, and it is `access-denied`.
    assert_eq!(Run::new(&program).stderr(stderr).start().unwrap().code, 16 + 1);
    assert_eq!(
        *said.lock().unwrap(),
        "dormouse: refused: the program wants to open a TCP socket and may use no address; \
         allow it some with --allow-listen ADDR or --allow-connect ADDR (or --allow-net)\n"
    );
}

#[test]
fn beyond_max_sockets_a_component_hears_new_socket_limit() {
    let program = program(&runs(
        "(loop $more (call $create-tcp (i32.const 0) (i32.const 8)) (br_if $more (i32.eqz (i32.load8_u (i32.const 8))))) (call $exit-with-code (i32.load8_u (i32.const 12))) unreachable",
    ));
    let (stderr, said) = keep();
    let exit = Run::new(&program).policy(Policy::allow_all()).max_sockets(3).stderr(stderr).start().unwrap();
    assert_eq!(exit.code, 10);
    assert!(said.lock().unwrap().contains("more sockets at a time than 3; raise --max-sockets"), "{said:?}");
}

#[test]
fn permission_to_connect_does_not_let_a_component_hold_ports() {
    let bytes = runs(&format!(
        "(local $s i32) (call $create-tcp (i32.const 0) (i32.const 8)) (local.set $s (i32.load (i32.const 12))) {}",
        bind_is_denied(0)
    ));
    let policy = Policy::default().allow_connect("127.0.0.1:*".parse().unwrap());
    assert_eq!(Run::new(&program(&bytes)).policy(policy).start().unwrap().code, 1);
}

#[test]
fn stop_and_timeout_end_a_program_that_computes() {
    let spins = format!("{} (loop $again (br $again)) unreachable", print(4096, 1));
    for program in [program(&runs(&spins)), module("(func (export \"_start\") (loop $again (br $again)))")] {
        let timed_out = Run::new(&program).stdout(Output::Null).timeout(Duration::from_millis(1)).start();
        assert!(matches!(timed_out, Err(Error::TimedOut { .. })), "{timed_out:?}");
        // It need not have begun.
        let run = Run::new(&program).stdout(Output::Null);
        let stop = run.stop_handle();
        let stopper = std::thread::spawn(move || stop.stop());
        assert!(matches!(run.start(), Err(Error::Stopped)));
        stopper.join().unwrap();
    }
    let starts = module("(func $spin (loop $again (br $again))) (start $spin) (func (export \"_start\"))");
    assert!(matches!(Run::new(&starts).timeout(Duration::from_millis(1)).start(), Err(Error::TimedOut { .. })));
    let waits = program(&runs(&format!("{WAIT} i32.const 0")));
    assert!(matches!(Run::new(&waits).timeout(Duration::from_millis(1)).start(), Err(Error::TimedOut { .. })));
    // One that ends by itself does not wait for it.
    let ends = program(&runs("i32.const 0"));
    assert_eq!(Run::new(&ends).timeout(Duration::MAX).start().unwrap().code, 0);
}
