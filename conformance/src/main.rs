//! The program under test: `battery CASE` runs the inside of one case. Built for every backend; the outside, with real
//! clients, is in `tests/`.
//!
//! A case talks to its outside through standard output, a line at a time: `listening ADDR`, then whatever the case
//! says. It ends with exit code 0, or panics.

mod cases;

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    match cases::all().iter().find(|(case, _)| *case == name) {
        Some((_, run)) => run(),
        None => {
            eprintln!("usage: battery CASE, where CASE is one of:");
            for (case, _) in cases::all() {
                eprintln!("  {case}");
            }
            std::process::exit(2);
        }
    }
}
