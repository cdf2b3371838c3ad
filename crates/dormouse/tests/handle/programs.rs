//! Random programs, by the thousand: each seed is one.

use dormouse::sim::{Faults, Run, Sim};

use super::program::{self, BUFFER};

/// As many as CI has time for, and Miri; a soak sets DORMOUSE_SEEDS.
fn seeds() -> u64 {
    let most = if cfg!(miri) { 5 } else { 10_000 };
    std::env::var("DORMOUSE_SEEDS").map_or(most, |seeds| seeds.parse().expect("DORMOUSE_SEEDS is a number"))
}

fn run(seed: u64, faults: Faults) -> Run<()> {
    let run = Sim::seeded(seed).faults(faults).buffer(BUFFER).run(program::run());
    assert!(run.leaks.is_empty(), "seed {seed} leaves {:?}", run.leaks);
    run
}

#[test]
fn random_programs_with_harmless_faults_do_as_the_model_says() {
    for seed in 0..seeds() {
        run(seed, Faults::harmless()).unwrap();
    }
}

#[test]
fn random_programs_with_all_faults_do_as_the_model_says_and_a_seed_gives_the_same_run_twice() {
    for seed in 0..seeds() {
        let first = run(seed, Faults::all());
        let second = run(seed, Faults::all());
        assert_eq!(first.digest, second.digest, "seed {seed} gave two different runs");
        first.unwrap();
        second.unwrap();
    }
}

#[test]
fn the_log_of_a_seed_is_the_same_event_by_event() {
    for seed in 0..seeds() / 100 + 1 {
        let log = || {
            let run = Sim::seeded(seed).faults(Faults::all()).buffer(BUFFER).log(true).run(program::run());
            run.log.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let first = log();
        assert!(!first.is_empty());
        assert_eq!(first, log(), "seed {seed}");
    }
}
