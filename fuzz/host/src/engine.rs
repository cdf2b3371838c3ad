//! Runs a target on inputs that are made of a seed, or on one that was found.

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs, panic, process};

/// No input is longer; libFuzzer's own bound as well.
const MOST: u64 = 4096;

/// The arguments of the program: `RUNS`, `RUNS SEED`, or a file with an input.
pub fn main(target: fn(&[u8])) -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize| args.get(at).and_then(|arg| arg.parse::<u64>().ok());
    match (args.len(), number(0), number(1)) {
        (1, Some(runs), _) => {
            random(target, runs, SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64))
        }
        (2, Some(runs), Some(seed)) => random(target, runs, seed),
        (1, None, _) => match fs::read(&args[0]) {
            Ok(input) => one(target, &input),
            Err(error) => {
                eprintln!("cannot read {}: {error}", args[0]);
                return ExitCode::FAILURE;
            }
        },
        _ => {
            eprintln!("usage: RUNS [SEED], or a file with an input");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn random(target: fn(&[u8]), runs: u64, seed: u64) {
    let mut numbers = Numbers(seed);
    for run in 0..runs {
        let len = 1 + numbers.next() % MOST.min(64 << (run % 7));
        let input: Vec<u8> = (0..len).map(|_| (numbers.next() >> 32) as u8).collect();
        CURRENT.with_borrow_mut(|current| current.clone_from(&input));
        one(target, &input);
    }
    println!("{runs} inputs of seed {seed}, {} KiB of heap at most", crate::heap::most() >> 10);
}

thread_local! {
    /// The input that is being run, for the file that is written if it fails.
    static CURRENT: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Runs a target on one input. A panic of any thread ends the process.
pub fn one(target: fn(&[u8]), input: &[u8]) {
    static HOOK: OnceLock<()> = OnceLock::new();
    HOOK.get_or_init(|| {
        let say = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            say(info);
            let input = CURRENT.try_with(|current| current.try_borrow().map(|current| current.clone()));
            if let Ok(Ok(input)) = input
                && !input.is_empty()
            {
                let path = env::temp_dir().join(format!("found-{}", process::id()));
                match fs::write(&path, &input) {
                    Ok(()) => eprintln!("the input is {}", path.display()),
                    Err(error) => eprintln!("the input cannot be written to {}: {error}", path.display()),
                }
            }
            process::abort();
        }));
    });
    target(input);
}

/// splitmix64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
