//! The bytes are the choices of a simulation: which program (crates/dormouse/tests/handle/program.rs), and all that its
//! world does to it.
#![no_main]

use dormouse::sim::{Faults, Sim};

#[path = "../../crates/dormouse/tests/handle/program.rs"]
mod program;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let faults = [Faults::none(), Faults::harmless(), Faults::all()][usize::from(first) % 3].clone();
    let run = Sim::from_bytes(rest).faults(faults).buffer(program::BUFFER).run(program::run());
    assert!(run.leaks.is_empty(), "{:?}", run.leaks);
    run.unwrap();
});
