//! Memory, watched by valgrind: every access, every leak, every allocation.

use crate::program::{Backend, Client, Program};

#[test]
fn no_example_touches_what_is_not_its_own_or_leaks() {
    for example in ["echo_ticker", "own_scheduler"] {
        let mut program = Program::start(Backend::Valgrind, example, &["127.0.0.1:0", "2"]);
        crate::serve_two(&mut program);
        clean(program.end(), example);
    }
}

#[test]
fn neither_does_the_conversation() {
    clean(Program::start(Backend::Valgrind, "talk", &[]).end(), "talk");
}

#[test]
fn nor_misuse() {
    clean(crate::misuse(&mut Program::start(Backend::Valgrind, "misuse", &[])), "misuse");
}

fn clean((code, lines, stderr): (Option<i32>, Vec<String>, String), what: &str) {
    assert_eq!(code, Some(0), "{what}: {lines:?} {stderr}");
    assert!(stderr.contains("ERROR SUMMARY: 0 errors"), "{what}: {stderr}");
}

#[test]
fn an_echo_allocates_nothing() {
    for example in ["echo_ticker", "own_scheduler"] {
        let (few, many) = (allocations(example, 50), allocations(example, 550));
        // What is allocated at the first wait on a handle, which may be sooner or later.
        assert!(many < few + 25, "{example}: {many} allocations, {few} of them without 500 echoes");
    }
}

/// How often it allocates in a life of so many echoes.
fn allocations(example: &str, echoes: usize) -> u64 {
    let mut program = Program::start(Backend::Valgrind, example, &["127.0.0.1:0", "1"]);
    let mut client = Client::connect(&program.addr());
    for _ in 0..echoes {
        client.echo("hello");
    }
    drop(client);
    let (_, _, stderr) = program.end();
    let usage = stderr.lines().find_map(|line| line.split_once("total heap usage: ")?.1.split_once(" allocs"));
    usage.and_then(|(count, _)| count.replace(',', "").parse().ok()).unwrap_or_else(|| panic!("no usage in {stderr}"))
}
