//! The benchmark: starts servers, keeps them busy in turns, and draws what it has measured. `cargo xtask bench` builds what it needs.
//!
//! The machine is shared with others, so what counts is the ratio of two slices of time that lie next to each other: in each round
//! every server has a slice, one after the other, and a figure is the median over the rounds.

mod client;
mod plot;
mod process;
mod report;
mod scenario;
mod server;

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use client::Load;
use scenario::Plan;
use server::Places;

/// What went wrong, in a sentence.
type Result<T = ()> = std::result::Result<T, String>;

const USAGE: &str = "\
usage: bench-load run --programs DIR --dormouse PATH --report DIR [--wasmtime PATH] [--quick] [--only NAME,…] [--peers NAME,…]
                      [--rounds N] [--seconds N]
       bench-load draw --report DIR
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some("run") => run(&args[1..]),
        Some("draw") => match &args[1..] {
            [option, dir] if option == "--report" => report::draw(Path::new(dir)),
            _ => Err(USAGE.to_owned()),
        },
        Some("client") => client(&args[1..]),
        _ => Err(format!("that is no command of bench-load\n\n{USAGE}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench-load: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result {
    let mut places = Places { programs: PathBuf::new(), dormouse: PathBuf::new(), wasmtime: None };
    let mut plan = Plan::default();
    let mut report = None;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--quick" {
            plan.quick();
            continue;
        }
        let value = args.next().ok_or(format!("{arg} needs a value\n\n{USAGE}"))?;
        let list = || value.split(',').map(str::to_owned).collect();
        let number = || value.parse::<f64>().map_err(|_| format!("{value:?} is no number"));
        match arg.as_str() {
            "--programs" => places.programs = value.into(),
            "--dormouse" => places.dormouse = value.into(),
            "--wasmtime" => places.wasmtime = Some(value.into()),
            "--report" => report = Some(PathBuf::from(value)),
            "--only" => plan.only = list(),
            "--peers" => plan.peers = list(),
            "--rounds" => plan.rounds = number()? as usize,
            "--seconds" => plan.seconds = number()?,
            _ => return Err(format!("{arg} is no option\n\n{USAGE}")),
        }
    }
    scenario::run(&places, &plan, report.as_deref())?;
    report.map_or(Ok(()), |report| report::draw(&report))
}

/// `client ADDR KIND NUMBERS…`, as [`scenario`] says it.
fn client(args: &[String]) -> Result {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let [addr, kind, numbers @ ..] = &words[..] else { return Err(USAGE.to_owned()) };
    let addr: SocketAddr = addr.parse().map_err(|_| format!("{addr:?} is no address"))?;
    let numbers: Vec<usize> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
    let load = match (*kind, &numbers[..]) {
        ("echo", &[busy, idle, size]) => Load::Echo { busy, idle, size },
        ("stalled", &[busy, size]) => Load::Stalled { busy, size },
        ("beside", &[busy, size]) => Load::Beside { busy, size },
        ("quiet", []) => Load::Quiet,
        ("churn", []) => Load::Churn,
        ("gone", &[count]) => Load::Gone { count },
        ("newcomer", &[others, read]) => Load::Newcomer { others, read: read != 0 },
        ("sink", &[bytes]) => Load::Sink { bytes },
        _ => return Err(format!("{kind:?} is no load")),
    };
    client::serve(addr, &load)
}
