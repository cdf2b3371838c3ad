//! Host calls, counted by the runner: those of an echo in C are those of an echo in Rust (conformance/tests/battery/calls.rs).

use crate::program::{Backend, Client, Program};

/// Of how a connection begins and ends, as it happens to be timed, in two runs; and on WASI 0.3 every 64th wait looks for more.
const EDGE: u64 = 20;
/// A tick: the clock, its subscription, a poll, and what printing takes.
const TICK: u64 = 12;

const ON: [(Backend, u64); 3] = [(Backend::P1, 3), (Backend::P2, 4), (Backend::P3, 3)];

#[test]
fn an_echo_makes_the_host_calls_of_one_in_rust() {
    for example in ["echo_ticker", "own_scheduler"] {
        for (on, each) in ON {
            // Without an echo, since a client that is faster than the program saves it some.
            let (none, _) = calls(on, example, 0);
            let (many, ticks) = calls(on, example, 500);
            let limit = none + each * 500 + EDGE + TICK * ticks;
            assert!(
                many <= limit,
                "{example} on {on:?}: {many} calls, {none} of them without 500 echoes, and {ticks} ticks"
            );
            // It is not that nothing was counted.
            assert!(many >= none + 500, "{example} on {on:?}: {many} calls, {none} of them without 500 echoes");
        }
    }
}

/// How many there are with so many echoes of 64 bytes, on one quiet connection; and how many ticks.
fn calls(on: Backend, example: &str, echoes: usize) -> (u64, u64) {
    let mut program = Program::start_counted(on, example, &["127.0.0.1:0", "1"]);
    let mut client = Client::connect(&program.addr());
    let message = "e".repeat(64);
    for _ in 0..echoes {
        client.echo(&message);
    }
    drop(client);
    let (code, lines, stderr) = program.end();
    assert_eq!(code, Some(0), "{stderr}");
    let total = stderr.lines().find_map(|line| line.strip_suffix("total")?.trim().parse().ok());
    let ticks = lines.iter().filter(|line| line.starts_with("tick")).count();
    (total.unwrap_or_else(|| panic!("no total in {stderr}")), ticks as u64)
}
