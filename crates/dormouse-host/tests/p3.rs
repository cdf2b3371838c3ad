//! Components of WASI 0.3: they run, and a run gives them what it gives to others.

mod support;

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use dormouse_host::{Error, Input, Output, Policy, Program, Run, Trace};
use support::assemble;
use support::p3::{OPEN_SOCKET, OPEN_STDOUT, bind_is_denied, guest, runs, sleep, text};

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

#[test]
fn the_exit_code_is_the_programs() {
    assert_eq!(code(&runs("i32.const 0")), 0);
    assert_eq!(code(&runs("i32.const 1")), 1);
    assert_eq!(code(&runs("(call $exit (i32.const 0)) unreachable")), 0);
    assert_eq!(code(&runs("(call $exit (i32.const 1)) unreachable")), 1);
    assert_eq!(code(&runs("(call $exit-with-code (i32.const 7)) unreachable")), 7);
    assert_eq!(code(&runs(&format!("{} (call $exit-with-code (i32.const 7)) unreachable", sleep(1)))), 7);
}

#[test]
fn a_program_that_waits_goes_on() {
    assert_eq!(code(&runs(&format!("{}{} i32.const 0", sleep(1_000_000), sleep(1)))), 0);
}

#[test]
fn to_run_by_0_3_is_preferred() {
    // Lifts the same function for 0.2, where it could not wait.
    let fields =
        format!("(func (export \"run\") (result i32) (local $set i32) (local $task i32) {} i32.const 0)", sleep(1));
    let by_03 = "(instance $command (export \"run\" (func $run)))";
    let by_02 = "(func $run02 (result (result)) (canon lift (core func $i \"run\")))
        (instance $command02 (export \"run\" (func $run02)))
        (export \"wasi:cli/run@0.2.0\" (instance $command02))";
    assert_eq!(code(&assemble(&text(&fields).replace(by_03, &format!("{by_02}{by_03}")))), 0);
}

#[test]
fn output_is_a_stream() {
    let bytes = guest(&format!(
        r#"(data (i32.const 4096) "hello")
        (func (export "run") (result i32) (local $ends i64) (local $task i32)
          {OPEN_STDOUT}
          (if (i32.ne (call $stream-write (local.get $task) (i32.const 4096) (i32.const 5)) (i32.const 0x50))
            (then unreachable))
          (call $drop-writable (local.get $task))
          i32.const 0)"#
    ));
    let (stdout, text) = keep();
    assert_eq!(Run::new(&program(&bytes)).stdout(stdout).start().unwrap().code, 0);
    assert_eq!(*text.lock().unwrap(), "hello");
}

#[test]
fn input_is_a_stream() {
    // Exits with what a read of 8 bytes returns if that is at once: the number of bytes in the upper 28 bits, 1 for the end.
    let program = program(&runs(
        "(call $stdin (i32.const 8))
         (call $exit-with-code (call $stream-read (i32.load (i32.const 8)) (i32.const 4096) (i32.const 8)))
         unreachable",
    ));
    let code = |input| Run::new(&program).stdin(input).start().unwrap().code;
    assert_eq!(code(Input::Bytes(b"words".to_vec())), 5 << 4);
    assert_eq!(code(Input::Null), 1);
}

#[test]
fn nothing_of_the_environment_is_passed_by_default() {
    let program = program(&runs(
        "(call $get-environment (i32.const 8)) (call $exit-with-code (i32.load (i32.const 12))) unreachable",
    ));
    assert_eq!(Run::new(&program).start().unwrap().code, 0);
    assert_eq!(Run::new(&program).env("A", "1").env("B", "").start().unwrap().code, 2);
}

#[test]
fn a_refused_address_is_access_denied_and_is_said_once() {
    let bytes = runs(&format!(
        "{OPEN_SOCKET}
         {} (if (i32.eqz) (then unreachable))
         {} (if (i32.eqz) (then unreachable))
         {}",
        bind_is_denied(8080),
        bind_is_denied(8080),
        bind_is_denied(0),
    ));
    let (stderr, said) = keep();
    let policy = Policy::default().allow_listen("127.0.0.1:0".parse().unwrap());
    let exit = Run::new(&program(&bytes)).policy(policy).stderr(stderr).start().unwrap();
    assert_eq!(exit.code, 0);
    assert_eq!(
        *said.lock().unwrap(),
        "dormouse: refused: the program wants to listen on 127.0.0.1:8080; \
         allow it with --allow-listen 127.0.0.1:8080 (or --allow-net)\n"
    );
}

#[test]
fn a_trap_says_what_and_where_and_gives_a_hint() {
    let said = trap(&guest("(func $deep unreachable) (func (export \"run\") (result i32) call $deep i32.const 0)"));
    assert!(said.starts_with("the program trapped: wasm `unreachable` instruction executed\n"), "{said}");
    assert!(said.contains(" - deep\n") && said.contains("1: "), "{said}");

    let said = trap(&runs("(drop (call $set-wait (call $set-new) (i32.const 8))) i32.const 0"));
    assert!(said.starts_with("the program trapped: deadlock detected"), "{said}");
    assert!(said.contains("hint: the program waits, and nothing that it waits for is under way"), "{said}");

    let said =
        trap(&runs("(call $subtask-drop (i32.shr_u (call $wait-for (i64.const -1)) (i32.const 4))) i32.const 0"));
    assert!(said.contains("not yet resolved") && said.contains("hint: a call was dropped while"), "{said}");

    let end = "(i32.wrap_i64 (local.get $ends))";
    let reads = format!("(call $stream-read {end} (i32.const 4096) (i32.const 8))");
    let stream = "(local.set $ends (call $stream-new))";
    let said = trap(&runs(&format!("{stream} (drop {reads}) (call $drop-readable {end}) i32.const 0")));
    assert!(said.contains("busy stream") && said.contains("hint: a stream was dropped while"), "{said}");
    let said = trap(&runs(&format!("{stream} (drop {reads}) (drop {reads}) i32.const 0")));
    assert!(said.contains("concurrent operations") && said.contains("hint: a stream was read or written"), "{said}");

    // A command of 0.2 may use 0.3, but not wait by it.
    let waits =
        "(func (export \"run\") (result i32) (drop (call $set-wait (call $set-new) (i32.const 8))) i32.const 0)";
    let by_02 = text(waits).replace("(func $run async", "(func $run").replace("cli/run@0.3.0", "cli/run@0.2.0");
    let said = trap(&assemble(&by_02));
    assert!(
        said.contains("cannot block a synchronous task") && said.contains("hint: only `run` of WASI 0.3"),
        "{said}"
    );

    let said = trap(&runs("(call $stdin (i32.const 8)) (call $drop-readable (i32.const 99)) i32.const 0"));
    assert!(said.contains("unknown handle index 99") && said.contains("after it was dropped"), "{said}");
}

#[test]
fn stop_ends_a_program_that_waits() {
    let program = program(&runs(&format!(
        "{OPEN_STDOUT}
         (drop (call $stream-write (local.get $task) (i32.const 4096) (i32.const 1)))
         {} i32.const 0",
        sleep(u64::MAX >> 1)
    )));
    let (sender, chunks) = channel();
    let run = Run::new(&program).stdout(Output::Pipe(Box::new(move |_: &[u8]| sender.send(()).unwrap())));
    let stop = run.stop_handle();
    let stopper = std::thread::spawn(move || {
        chunks.recv().unwrap();
        stop.stop();
    });
    assert!(matches!(run.start(), Err(Error::Stopped)));
    stopper.join().unwrap();
}

#[test]
fn memory_beyond_the_limit_is_refused() {
    let program =
        program(&runs("(if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable)) i32.const 0"));
    for trace in [None, Some(Trace::new())] {
        let run = |bytes| {
            let run = Run::new(&program).max_memory(bytes);
            match &trace {
                Some(trace) => run.trace(trace.clone()),
                None => run,
            }
            .start()
        };
        assert_eq!(run(17 << 16).unwrap().code, 0);
        assert!(run((17 << 16) - 1).unwrap_err().to_string().contains("hint: memory beyond --max-memory"));
    }
}

/// Yields and looks until a short sleep is over.
const LOOKING: &str = "
    (local.set $set (call $set-new))
    (local.set $task (i32.shr_u (call $wait-for (i64.const 1000000)) (i32.const 4)))
    (call $join (local.get $task) (local.get $set))
    (loop $again
      (drop (call $yield))
      (br_if $again (i32.eqz (call $set-poll (local.get $set) (i32.const 8)))))
    (call $subtask-drop (local.get $task))
    i32.const 0";

#[test]
fn who_yields_and_looks_does_not_starve_the_host() {
    let trace = Trace::new();
    let program = program(&runs(LOOKING));
    assert_eq!(Run::new(&program).start().unwrap().code, 0);
    assert_eq!(Run::new(&program).trace(trace.clone()).start().unwrap().code, 0);
    let counts = trace.counts();
    assert!(counts.get("thread.yield") > 0 && counts.polls() == 0, "{counts}");
    assert_eq!(counts.get("thread.yield"), counts.get("waitable-set.poll"));
}

#[test]
fn every_host_call_is_counted_by_name_and_built_ins_are_host_calls() {
    let trace = Trace::new();
    let program = program(&runs(&format!(
        "{OPEN_SOCKET} (call $drop-tcp (local.get $s))
         {OPEN_STDOUT} (call $drop-writable (local.get $task))
         {}{} i32.const 0",
        sleep(1),
        sleep(1)
    )));
    let policy = Policy::default().allow_connect("127.0.0.1:*".parse().unwrap());
    let run = || {
        let run = Run::new(&program).policy(policy.clone()).stdout(Output::Null).trace(trace.clone());
        run.start().unwrap()
    };
    assert_eq!(run().code, 0);
    let counts = trace.counts();
    assert_eq!(
        counts.iter().collect::<Vec<_>>(),
        [
            ("future.drop-readable", 1),
            ("stream.drop-writable", 1),
            ("stream.new", 1),
            ("subtask.drop", 2),
            ("waitable-set.drop", 2),
            ("waitable-set.new", 2),
            ("waitable-set.wait", 2),
            ("waitable.join", 2),
            ("wasi:cli/stdout.write-via-stream", 1),
            ("wasi:clocks/monotonic-clock.wait-for", 2),
            ("wasi:sockets/types.[resource-drop]tcp-socket", 1),
            ("wasi:sockets/types.[static]tcp-socket.create", 1),
        ]
    );
    assert_eq!((counts.polls(), counts.poll_entries()), (2, 0));
    run();
    assert_eq!(trace.counts().since(&counts), counts, "a second run adds the same again");
}

#[test]
fn a_built_in_that_is_reached_by_a_table_in_an_inner_component_is_counted() {
    // As wit-component has those that need a memory: one module puts them into a table, another calls what is there.
    let bytes = assemble(
        r#"(component
          (component $inner
            (core func $new (canon waitable-set.new))
            (core module $table (table (export "t") 1 funcref))
            (core instance $table (instantiate $table))
            (core module $fill
              (import "" "0" (func $f (result i32)))
              (import "" "t" (table 1 funcref))
              (elem (i32.const 0) func $f))
            (core instance (instantiate $fill
              (with "" (instance (export "t" (table $table "t")) (export "0" (func $new))))))
            (core module $main
              (import "" "t" (table 1 funcref))
              (type $new (func (result i32)))
              (func (export "run") (result i32)
                (drop (call_indirect (type $new) (i32.const 0)))
                (i32.eqz (call_indirect (type $new) (i32.const 0)))))
            (core instance $i (instantiate $main (with "" (instance $table))))
            (func $run async (result (result)) (canon lift (core func $i "run")))
            (export "run" (func $run)))
          (instance $inner (instantiate $inner))
          (export "wasi:cli/run@0.3.0" (instance $inner)))"#,
    );
    let trace = Trace::new();
    assert_eq!(Run::new(&program(&bytes)).trace(trace.clone()).start().unwrap().code, 0);
    assert_eq!(trace.counts().iter().collect::<Vec<_>>(), [("waitable-set.new", 2)]);
}

#[test]
fn counts_can_be_read_while_the_program_runs() {
    let trace = Trace::new();
    let program = program(&runs(&format!(
        "{OPEN_STDOUT}
        (drop (call $stream-write (local.get $task) (i32.const 4096) (i32.const 1)))
        {}{} i32.const 0",
        sleep(1),
        sleep(u64::MAX >> 1)
    )));
    let (sender, chunks) = channel();
    let stdout = Output::Pipe(Box::new(move |_: &[u8]| sender.send(()).unwrap()));
    let run = Run::new(&program).stdout(stdout).trace(trace.clone());
    let stop = run.stop_handle();
    let reader = std::thread::spawn(move || {
        chunks.recv().unwrap();
        while trace.counts().polls() < 2 {
            std::thread::yield_now();
        }
        stop.stop();
        trace.counts()
    });
    assert!(matches!(run.start(), Err(Error::Stopped)));
    assert_eq!(reader.join().unwrap().get("stream.write"), 1);
}

#[test]
fn without_permission_no_socket_is_opened() {
    // 1 is an error, and 0 the first of them, `access-denied`; 14 is `other`.
    let program = program(&runs(&format!(
        "(loop $more {OPEN_SOCKET} (br_if $more (i32.eqz (i32.load8_u (i32.const 8)))))
         (call $exit-with-code (i32.add (i32.const 100) (i32.load8_u (i32.const 12)))) unreachable"
    )));
    assert_eq!(Run::new(&program).start().unwrap().code, 100);
    let limited = Run::new(&program).policy(Policy::allow_all()).max_sockets(3);
    assert_eq!(limited.start().unwrap().code, 114);
}

#[test]
fn what_is_dropped_takes_no_handle_for_the_life_of_a_program() {
    // 2000 times a socket, a stream and a call that is waited for, with room for 100 handles.
    let program = program(&runs(&format!(
        "(local $left i32)
         (local.set $left (i32.const 2000))
         (loop $more
           {OPEN_SOCKET}
           (if (i32.load8_u (i32.const 8)) (then unreachable))
           (call $drop-tcp (local.get $s))
           (local.set $ends (call $stream-new))
           (call $drop-writable (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))
           (call $drop-readable (i32.wrap_i64 (local.get $ends)))
           (local.set $set (call $set-new))
           (local.set $task (call $wait-for (i64.const 0)))
           (if (i32.ne (local.get $task) (i32.const 2)) (then
             (local.set $task (i32.shr_u (local.get $task) (i32.const 4)))
             (call $join (local.get $task) (local.get $set))
             (drop (call $set-wait (local.get $set) (i32.const 8)))
             (call $subtask-drop (local.get $task))))
           (call $set-drop (local.get $set))
           (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
         i32.const 0"
    )));
    let run = Run::new(&program).policy(Policy::allow_all()).max_resources(100).max_sockets(1);
    assert_eq!(run.start().unwrap().code, 0);
}

#[test]
fn calls_under_way_are_handles() {
    let program = program(&runs("(loop $more (drop (call $wait-for (i64.const -1))) (br $more)) unreachable"));
    for run in [Run::new(&program).max_resources(100), Run::new(&program).max_memory(16 << 20)] {
        let text = run.start().unwrap_err().to_string();
        assert!(text.contains("hint: more handles than --max-resources"), "{text}");
    }
}

#[test]
fn a_timeout_ends_a_program_that_computes() {
    let program = program(&runs("(loop $again (br $again)) unreachable"));
    // A counted one is another component.
    for run in [Run::new(&program), Run::new(&program).trace(Trace::new())] {
        let ended = run.timeout(std::time::Duration::from_millis(1)).start();
        assert!(matches!(ended, Err(Error::TimedOut { .. })), "{ended:?}");
    }
}
