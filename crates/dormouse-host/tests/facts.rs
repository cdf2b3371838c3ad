//! What a program is told before it runs: `crates/dormouse/FACTS.md`.

mod support;

use dormouse_host::{Error, Program, Run};
use support::{assemble, p3};

/// Every TCP socket has TCP_NODELAY, where the runner can set it.
const NODELAY: i32 = if cfg!(target_os = "linux") { 1 } else { 0 };
/// Readiness is exact.
const EXACT: i32 = 2;
const STOP: i32 = 4;
const BELL: i32 = 8;

/// What the program is told is kept, and is its exit code; a second time it traps.
const KEEPS: &str = r#"
    (global $facts (mut i32) (i32.const 0))
    (func (export "dormouse-host-facts") (param i32)
      (if (global.get $facts) (then unreachable))
      (global.set $facts (local.get 0)))"#;

/// The same of a component, whose export has this type.
const LIFTED: &str = r#"
  (func $facts TYPE (canon lift (core func $i "dormouse-host-facts")))
  (export "dormouse-host-facts" (func $facts))
  (instance $command "#;

fn lifted(text: &str, with: &str) -> Vec<u8> {
    assemble(&text.replace("\n  (instance $command ", &LIFTED.replace("TYPE", with)))
}

fn run(bytes: &[u8]) -> Result<i32, Error> {
    let program = Program::from_bytes("test", bytes).unwrap();
    Run::new(&program).start().map(|exit| exit.code)
}

const EXITS: &str = r#"(func (export "run") (result i32) (call $exit-with-code (global.get $facts)) unreachable)"#;

const TYPE: &str = r#"(param "facts" u32)"#;

#[test]
fn a_component_is_told_once_how_its_sockets_are() {
    let (wasi02, wasi03) = (support::text(&format!("{KEEPS}{EXITS}")), p3::text(&format!("{KEEPS}{EXITS}")));
    for (text, facts) in [(wasi02, NODELAY | EXACT | STOP | BELL), (wasi03, NODELAY | STOP)] {
        let bytes = lifted(&text, TYPE);
        assert_eq!(run(&bytes).unwrap(), facts);
        // It is told the same when its calls are counted, which rewrites it.
        let (program, trace) = (Program::from_bytes("test", &bytes).unwrap(), dormouse_host::Trace::new());
        assert_eq!(Run::new(&program).trace(trace.clone()).start().unwrap().code, facts);
        assert_eq!(trace.counts().total(), 1, "{}", trace.counts());
        // An export that is not in the component's type is none.
        assert_eq!(run(&assemble(&text)).unwrap(), 0);
    }
}

#[test]
fn an_export_of_that_name_and_another_type_is_left_alone() {
    let keeps = r#"
        (global $facts (mut i32) (i32.const 7))
        (func (export "dormouse-host-facts") (param i64) (global.set $facts (i32.const 8)))"#;
    let bytes = lifted(&support::text(&format!("{keeps}{EXITS}")), r#"(param "facts" u64)"#);
    assert_eq!(run(&bytes).unwrap(), 7);
}

fn module(keeps: &str) -> Vec<u8> {
    assemble(&format!(
        r#"(module
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          {keeps}
          (func (export "_start") (call $exit (global.get $facts))))"#
    ))
}

#[test]
fn a_module_is_told_that_its_sockets_are_exact() {
    assert_eq!(run(&module(KEEPS)).unwrap(), EXACT | STOP | BELL);
    let other = r#"
        (global $facts (mut i32) (i32.const 7))
        (func (export "dormouse-host-facts") (param i32) (result i32) (global.set $facts (i32.const 8)) (i32.const 0))"#;
    assert_eq!(run(&module(other)).unwrap(), 7);
}

#[test]
fn a_program_that_traps_when_it_is_told_has_trapped() {
    let traps = r#"(global $facts i32 (i32.const 0)) (func (export "dormouse-host-facts") (param i32) unreachable)"#;
    let told = [module(traps), lifted(&support::text(&format!("{traps}{EXITS}")), TYPE)];
    assert!(matches!(run(&told[0]), Err(Error::Trap(_))));
    if NODELAY != 0 {
        assert!(matches!(run(&told[1]), Err(Error::Trap(_))));
    }
}
