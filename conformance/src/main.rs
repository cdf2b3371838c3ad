//! The program under test: `battery CASE` runs the inside of one case. Built for every backend; the outside, with real
//! clients, is in `tests/`. `battery --sim CASE` runs it on a simulated host, where it has no outside.
//!
//! A case talks to its outside through standard output, a line at a time: `listening ADDR`, or `listening FD 3` on
//! wasip1, then whatever the case says. It ends with exit code 0, or panics.

mod cases;
mod counting;

use std::process::ExitCode;

dormouse::export_main!();

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let host = if args.first().is_some_and(|arg| arg == "--sim") {
        args.remove(0);
        cases::Host::Simulated
    } else {
        cases::Host::Real
    };
    let name = args.pop().unwrap_or_default();
    match cases::all().iter().find(|(case, _)| *case == name) {
        Some((_, run)) => run(host),
        None => {
            eprintln!("usage: battery [--sim] CASE, where CASE is one of:");
            for (case, _) in cases::all() {
                eprintln!("  {case}");
            }
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
