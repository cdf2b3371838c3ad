//! What is measured: each scenario, with each server, in turns.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::client::Seen;
use crate::process::Place;
use crate::server::{
    self, COMPUTE, COUNTED, COUNTED_TIMER, DORMOUSE, MOST_CALLS, NATIVE, OURS, Places, Running, Server,
};
use crate::{Result, process};

/// How much is measured.
pub struct Plan {
    pub only: Vec<String>,
    pub peers: Vec<String>,
    pub rounds: usize,
    pub seconds: f64,
    small: bool,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { only: Vec::new(), peers: Vec::new(), rounds: 5, seconds: 0.6, small: false }
    }
}

impl Plan {
    /// Measures as little as shows that all of it works.
    pub fn quick(&mut self) {
        (self.rounds, self.seconds, self.small) = (1, 0.1, true);
    }

    fn has(&self, scenario: &Scenario) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == scenario.name)
    }

    fn wants(&self, server: &Server) -> bool {
        let name = server.name().to_lowercase();
        self.peers.is_empty() || self.peers.iter().any(|peer| name.contains(&peer.to_lowercase()))
    }
}

impl Server {
    /// As in the file of figures.
    pub fn name(&self) -> String {
        if self.wasi == NATIVE {
            format!("native/{}", self.peer)
        } else {
            format!("{}/{}/{}", self.wasi, self.peer, self.host)
        }
    }
}

struct Scenario {
    name: &'static str,
    what: What,
}

/// Two loads are two servers that take turns.
enum What {
    /// The server's mode, and loads with their names.
    Load(&'static str, Vec<(&'static str, Vec<String>)>),
    /// The same, of ours alone.
    Ours(&'static str, Vec<(&'static str, Vec<String>)>),
    /// The same, and each server has the machine for itself.
    Alone(&'static str, Vec<String>),
    /// Memory when so many connections have come and gone, and when ten times as many have.
    Gone(usize),
    /// Where the processor's time goes, as `perf` sees it: the server's mode, and a load.
    Profile(&'static str, Vec<String>),
    /// A program that works and ends: its mode and number.
    Work(&'static str, usize),
    /// The calls of the host for an echo, in each mode with each load.
    Calls(Vec<(&'static str, &'static str, Vec<String>)>),
    /// One instance against several, of ours under our runner: loads that are served, and what so many idle instances take.
    Instances(Vec<(&'static str, &'static str, Vec<String>)>, usize),
    Sizes,
}

/// The loads that instances are given, and how many there are.
pub const ECHOES: &str = "echo";
pub const SEVERAL: usize = 2;

/// The loads of which calls are counted, with and without a timer that is pending.
pub const QUIET: &str = "1 quiet";
pub const BUSY: &str = "50 busy";

/// The loads beside which a newcomer is served.
pub const NOT_READING: &str = "400 that do not read";
pub const READING: &str = "100 that read";

fn load(kind: &str, numbers: &[usize]) -> Vec<String> {
    [kind.to_owned()].into_iter().chain(numbers.iter().map(usize::to_string)).collect()
}

fn scenarios(small: bool) -> Vec<Scenario> {
    let of = |full: usize, quick: usize| if small { quick } else { full };
    let echo = |busy, idle, size| load("echo", &[busy, idle, size]);
    let beside = |idle| What::Load("echo", vec![("", echo(50, 0, 64)), ("idle", echo(50, idle, 64))]);
    let one = |mode, load| What::Load(mode, vec![("", load)]);
    let kib64 = 64 << 10;
    vec![
        Scenario { name: "busy-1", what: one("echo", echo(1, 0, 64)) },
        Scenario { name: "busy-50", what: one("echo", echo(50, 0, 64)) },
        Scenario { name: "busy-400", what: one("echo", echo(of(400, 100), 0, 64)) },
        Scenario { name: "idle-1000", what: beside(of(1000, 100)) },
        Scenario { name: "idle-5000", what: beside(of(5000, 200)) },
        Scenario { name: "idle-10000", what: beside(of(10_000, 300)) },
        Scenario { name: "timer", what: one("timer", echo(50, 0, 64)) },
        Scenario { name: "big", what: one("echo", echo(8, 0, kib64)) },
        Scenario { name: "sink", what: one("sink", load("sink", &[of(1 << 30, 16 << 20)])) },
        Scenario { name: "stalled", what: What::Alone("echo", load("stalled", &[40, 64])) },
        Scenario {
            name: "beside-stalled",
            what: What::Ours("echo", vec![("", echo(40, 0, 64)), ("stalled", load("beside", &[40, 64]))]),
        },
        Scenario {
            name: "newcomer",
            what: What::Load(
                "page",
                vec![
                    (NOT_READING, load("newcomer", &[of(400, 50), 0])),
                    (READING, load("newcomer", &[of(100, 20), 1])),
                ],
            ),
        },
        Scenario { name: "churn", what: one("echo", load("churn", &[])) },
        Scenario { name: "gone", what: What::Gone(of(10_000, 200)) },
        Scenario { name: "timers", what: What::Work("timers", of(100_000, 1000)) },
        Scenario { name: "spawn", what: What::Work("spawn", of(1_000_000, 10_000)) },
        Scenario {
            name: "calls",
            what: What::Calls(vec![
                (QUIET, COUNTED, load("quiet", &[])),
                ("1 quiet, timer", COUNTED_TIMER, load("quiet", &[])),
                (BUSY, COUNTED, echo(50, 0, 64)),
                ("50 busy, timer", COUNTED_TIMER, echo(50, 0, 64)),
            ]),
        },
        Scenario {
            name: "instances",
            what: What::Instances(
                vec![(ECHOES, "echo", echo(50, 0, 64)), (COMPUTE, COMPUTE, echo(16, 0, 64))],
                of(1000, 10),
            ),
        },
        Scenario { name: "profile", what: What::Profile("echo", echo(50, 0, 64)) },
        Scenario { name: "sizes", what: What::Sizes },
    ]
}

pub fn run(places: &Places, plan: &Plan, report: Option<&Path>) -> Result {
    let servers: Vec<Server> = places.servers().into_iter().filter(|server| plan.wants(server)).collect();
    if servers.is_empty() {
        return Err("there is no server to measure".to_owned());
    }
    if let Some(report) = report {
        note(report, places, plan)?;
    }
    let mut problems = Vec::new();
    for scenario in scenarios(plan.small).iter().filter(|scenario| plan.has(scenario)) {
        eprintln!("── {}", scenario.name);
        let mut lines = Vec::new();
        match &scenario.what {
            What::Load(mode, loads) => in_turns(places, plan, &servers, mode, loads, &mut lines)?,
            What::Ours(mode, loads) => {
                let ours: Vec<Server> = servers.iter().filter(|server| server.peer == OURS).cloned().collect();
                in_turns(places, plan, &ours, mode, loads, &mut lines)?;
            }
            What::Alone(mode, load) => alone(places, plan, &servers, mode, load, &mut lines),
            What::Gone(count) => gone(places, &servers, *count, &mut lines),
            What::Profile(mode, load) => profile(places, plan, &servers, mode, load, &mut lines),
            What::Work(mode, count) => work(places, plan, &servers, mode, *count, &mut lines),
            What::Calls(loads) => calls(places, plan, &servers, loads, &mut lines),
            What::Instances(loads, idle) => instances(places, plan, &servers, loads, *idle, &mut lines)?,
            What::Sizes => sizes(places, &servers, &mut lines),
        }
        show(&lines);
        if let Some(report) = report {
            keep(report, scenario.name, &lines)?;
        }
        let problem =
            |line: &Line| Some(format!("{}, {}: {}", scenario.name, line.server, line.figures.as_ref().err()?));
        problems.extend(lines.iter().filter_map(problem));
        problems.extend(lines.iter().filter_map(too_many_calls));
    }
    // In a comparison it is a figure like any other.
    if plan.small && !problems.is_empty() { Err(problems.join("\n")) } else { Ok(()) }
}

/// Calls are exact, so that a short run tells as well. What begins and ends it is a part of a call for each echo; one too many
/// for each would be a whole one.
fn too_many_calls(line: &Line) -> Option<String> {
    let &(_, calls) = line.figures.as_ref().ok()?.iter().find(|(figure, _)| *figure == "calls")?;
    let (wasi, rest) = line.server.split_once('/')?;
    let (_, quiet, busy) = *MOST_CALLS.iter().find(|(name, ..)| *name == wasi && rest.starts_with(OURS))?;
    let most = if line.load.starts_with(QUIET) { quiet } else { busy };
    // What begins and ends a short run is a part of it; a call too many for each echo would be a whole one.
    (calls > most + 0.25)
        .then(|| format!("{}, {}: {calls:.2} host calls for an echo, and {most} are the most", line.server, line.load))
}

/// Names and values.
type Figures = Vec<(&'static str, f64)>;

/// A line of figures: of which server, with which load, in which round.
pub struct Line {
    pub server: String,
    pub load: String,
    pub round: usize,
    /// Names and values; or why there are none.
    pub figures: Result<Figures>,
    pub parts: Vec<u64>,
}

fn line(server: &Server, load: &str, round: usize, figures: Result<Figures>) -> Line {
    Line { server: server.name(), load: load.to_owned(), round, figures, parts: Vec::new() }
}

struct Pair<'a> {
    server: &'a Server,
    load: &'static str,
    running: Running,
    client: Running,
}

impl Pair<'_> {
    fn slice(&mut self, seconds: f64) -> Result<(Figures, Vec<u64>)> {
        let pid = self.running.id();
        let before = process::cpu(Some(pid));
        self.client.say(&format!("go {seconds}"))?;
        let seen = Seen::parse(&self.client.line()?)?;
        let cpu = process::cpu(Some(pid)).saturating_sub(before).as_secs_f64();
        let figures = vec![
            ("rate", seen.count as f64 / seen.seconds),
            ("p50", seen.p50),
            ("p99", seen.p99),
            ("p999", seen.p999),
            ("worst", seen.worst),
            ("fair", seen.fair),
            ("cpu", cpu * 1e6 / seen.all.max(1) as f64),
            ("load", seen.cpu / seen.seconds.max(1e-9)),
            ("host", process::peak(pid) as f64),
            ("guest", process::guest(pid) as f64),
        ];
        Ok((figures, seen.parts))
    }
}

fn start<'a>(places: &Places, server: &'a Server, mode: &str, name: &'static str, load: &[String]) -> Result<Pair<'a>> {
    // A server of one connection and its client take turns: to wake the other processor would cost more than the echo.
    let place = match load == ["echo", "1", "0", "64"] {
        true => Place::Last,
        // Several instances want several processors, and such a load takes next to nothing of one.
        false if mode == COMPUTE => Place::Anywhere,
        false => Place::Others,
    };
    let running = places.start(server, &[mode], place)?;
    let client = Running::client(running.addr, load)?;
    match client.line()? {
        line if line == "ready" => Ok(Pair { server, load: name, running, client }),
        line => Err(line),
    }
}

fn in_turns(
    places: &Places,
    plan: &Plan,
    servers: &[Server],
    mode: &str,
    loads: &[(&'static str, Vec<String>)],
    lines: &mut Vec<Line>,
) -> Result {
    let mut pairs = Vec::new();
    for server in servers.iter().filter(|server| server.can(mode)) {
        for (name, load) in loads {
            match start(places, server, mode, name, load) {
                Ok(pair) => pairs.push(pair),
                Err(why) => lines.push(line(server, name, 0, Err(why))),
            }
        }
    }
    slices(plan, pairs, lines);
    Ok(())
}

fn slices(plan: &Plan, mut pairs: Vec<Pair<'_>>, lines: &mut Vec<Line>) {
    // The first slice is to warm up.
    for round in 0..=plan.rounds {
        pairs.retain_mut(|pair| {
            let seconds = if round == 0 { plan.seconds / 3.0 } else { plan.seconds };
            let figures = pair.slice(seconds).map(|(figures, _)| figures);
            let goes_on = figures.is_ok();
            if round > 0 || !goes_on {
                lines.push(line(pair.server, pair.load, round, figures));
            }
            goes_on
        });
    }
}

fn instances(
    places: &Places,
    plan: &Plan,
    servers: &[Server],
    loads: &[(&'static str, &'static str, Vec<String>)],
    idle: usize,
    lines: &mut Vec<Line>,
) -> Result {
    let ours: Vec<Server> =
        servers.iter().filter(|server| server.peer == OURS && server.host == DORMOUSE).cloned().collect();
    let of = |server: &Server, instances| {
        let mut server = server.clone();
        server.instances = instances;
        server
    };
    for (name, mode, load) in loads {
        let both: Vec<(Server, &str)> =
            ours.iter().flat_map(|server| [(server.clone(), *name), (of(server, SEVERAL), several(name))]).collect();
        let mut pairs = Vec::new();
        for (server, name) in &both {
            match start(places, server, mode, name, load) {
                Ok(pair) => pairs.push(pair),
                Err(why) => lines.push(line(server, name, 0, Err(why))),
            }
        }
        slices(plan, pairs, lines);
    }
    for server in &ours {
        let resident = |count| -> Result<f64> {
            let running = places.start(&of(server, count), &["echo"], Place::Others)?;
            Ok(process::resident(running.id()) as f64)
        };
        let figures = || Ok(vec![("instances", idle as f64), ("one", resident(1)?), ("all", resident(idle)?)]);
        lines.push(line(server, "idle", 1, figures()));
    }
    Ok(())
}

/// The name of a load that several instances have.
pub fn several(load: &str) -> &'static str {
    if load == ECHOES { "echo, 2 instances" } else { "compute, 2 instances" }
}

/// How long the slice in which clients stall is, in seconds: to find out how much they may send takes the load some of them.
const STALL: f64 = 18.0;

fn alone(places: &Places, plan: &Plan, servers: &[Server], mode: &str, load: &[String], lines: &mut Vec<Line>) {
    for round in 1..=plan.rounds.min(1) {
        for server in servers {
            let seen = start(places, server, mode, "", load)
                .and_then(|mut pair| pair.slice(if plan.small { 2.0 } else { STALL }));
            let (figures, parts) =
                seen.map_or_else(|why| (Err(why), Vec::new()), |(figures, parts)| (Ok(figures), parts));
            lines.push(Line { parts, ..line(server, "", round, figures) });
        }
    }
}

/// Of ours alone: it takes a while.
fn gone(places: &Places, servers: &[Server], count: usize, lines: &mut Vec<Line>) {
    for server in servers.iter().filter(|server| server.peer == OURS) {
        let figures = || -> Result<Figures> {
            let mut pair = start(places, server, "echo", "", &load("gone", &[count]))?;
            let pid = pair.running.id();
            let mut memory = || -> Result<(f64, f64)> {
                pair.slice(0.0)?;
                Ok((process::guest(pid) as f64, process::resident(pid) as f64))
            };
            let (guest_before, host_before) = memory()?;
            let mut after = (guest_before, host_before);
            for _ in 1..10 {
                after = memory()?;
            }
            Ok(vec![
                ("guest_before", guest_before),
                ("guest", after.0),
                ("host_before", host_before),
                ("host", after.1),
            ])
        };
        lines.push(line(server, "", 1, figures()));
    }
}

/// Left out where there is no `perf`, or it may not look.
fn profile(places: &Places, plan: &Plan, servers: &[Server], mode: &str, load: &[String], lines: &mut Vec<Line>) {
    if !process::has_perf() {
        eprintln!("perf is missing, or may not look at others' processes: no profile");
        return;
    }
    for server in servers {
        let figures = || -> Result<Figures> {
            let mut pair = start(places, server, mode, "", load)?;
            let profile = process::Profile::start(pair.running.id())?;
            let (figures, _) = pair.slice(plan.seconds * 2.0)?;
            let cpu = figures.iter().find(|(name, _)| *name == "cpu").map_or(0.0, |&(_, cpu)| cpu);
            let shares = profile.end()?;
            Ok(shares.into_iter().map(|(part, share)| (part, share * cpu)).collect())
        };
        lines.push(line(server, "", 1, figures()));
    }
}

fn work(places: &Places, plan: &Plan, servers: &[Server], mode: &str, count: usize, lines: &mut Vec<Line>) {
    for round in 1..=plan.rounds.min(2) {
        for server in servers.iter().filter(|server| server.can(mode)) {
            // It would not finish the second time either.
            if lines.iter().any(|line: &Line| line.server == server.name() && line.figures.is_err()) {
                continue;
            }
            let figures = || -> Result<Figures> {
                let running = places.start_work(server, &[mode, &count.to_string()])?;
                running.line()?;
                let before = process::cpu(Some(running.id()));
                let done = running.line()?;
                let cpu = process::cpu(Some(running.id())).saturating_sub(before).as_secs_f64();
                let nanos =
                    done.split(' ').find_map(|word| word.parse::<f64>().ok()).ok_or(format!("said {done:?}"))?;
                Ok(vec![
                    ("seconds", nanos / 1e9),
                    ("cpu", cpu * 1e6 / count as f64),
                    ("host", process::peak(running.id()) as f64),
                    ("guest", process::guest(running.id()) as f64),
                ])
            };
            lines.push(line(server, "", round, figures()));
        }
    }
}

/// Of two runs, of which one is longer: what begins and ends a run is in both.
fn calls(
    places: &Places,
    plan: &Plan,
    servers: &[Server],
    loads: &[(&'static str, &'static str, Vec<String>)],
    lines: &mut Vec<Line>,
) {
    for server in servers {
        for (name, mode, load) in loads.iter().filter(|(_, mode, _)| server.can(mode)) {
            let run = |seconds| -> Result<(f64, f64)> {
                let mut pair = start(places, server, mode, name, load)?;
                pair.client.say(&format!("go {seconds}"))?;
                let seen = Seen::parse(&pair.client.line()?)?;
                pair.running.interrupt();
                let total = pair.running.line()?;
                let total =
                    total.split(' ').find_map(|word| word.parse::<f64>().ok()).ok_or(format!("said {total:?}"))?;
                Ok((total, seen.all as f64))
            };
            let figures = run(plan.seconds / 4.0).and_then(|short| {
                let long = run(plan.seconds)?;
                Ok(vec![("calls", (long.0 - short.0) / (long.1 - short.1))])
            });
            lines.push(line(server, name, 1, figures));
        }
    }
}

fn sizes(places: &Places, servers: &[Server], lines: &mut Vec<Line>) {
    for server in servers {
        if let Ok(file) = fs::metadata(places.file(server, "echo", "small")) {
            lines.push(line(server, "", 1, Ok(vec![("bytes", file.len() as f64)])));
        }
    }
}

// ---- what comes of it ----

/// The medians.
fn show(lines: &[Line]) {
    let mut of: Vec<(String, Vec<&Line>)> = Vec::new();
    for line in lines {
        let name = format!("{} {}", line.server, line.load);
        match of.iter_mut().find(|(known, _)| *known == name) {
            Some((_, lines)) => lines.push(line),
            None => of.push((name, vec![line])),
        }
    }
    of.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, lines) in of {
        let mut text = format!("{name:<34}");
        let good: Vec<_> = lines.iter().filter_map(|line| line.figures.as_ref().ok()).collect();
        for (n, (figure, _)) in good.first().into_iter().flat_map(|figures| figures.iter().enumerate()) {
            let value = median(good.iter().map(|figures| figures[n].1).collect());
            let _ = match *figure {
                "host" | "guest" => write!(text, " {figure} {:.1}M", value / 1e6),
                _ if value >= 100.0 => write!(text, " {figure} {value:.0}"),
                _ => write!(text, " {figure} {value:.2}"),
            };
        }
        for why in lines.iter().filter_map(|line| line.figures.as_ref().err()) {
            let _ = write!(text, " – {why}");
        }
        eprintln!("{text}");
    }
}

pub fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    if of.is_empty() { f64::NAN } else { of[of.len() / 2] }
}

/// Puts down on what and with what it was measured.
fn note(report: &Path, places: &Places, plan: &Plan) -> Result {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut text =
        format!("machine\t{}, {} cores, Linux {}\n", server::processor(), process::processors(), kernel.trim());
    let _ = writeln!(
        text,
        "slices\t{} rounds of {} s; at most 2 of timers and tasks, and 1 of {STALL} s beside stalled clients",
        plan.rounds, plan.seconds
    );
    let _ = writeln!(text, "rustc\t{}", server::version(Path::new("rustc"), "--version"));
    if let Some(wasmtime) = &places.wasmtime {
        let _ = writeln!(text, "wasmtime\t{}", server::version(wasmtime, "--version"));
    }
    let _ = writeln!(text, "dormouse\t{}", server::version(&places.dormouse, "--version"));
    let commit = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let _ = writeln!(text, "commit\t{commit}");
    write(report, "machine", &text)
}

/// Puts the figures of a scenario in a file of its own, one line each.
fn keep(report: &Path, name: &str, lines: &[Line]) -> Result {
    let mut text = String::new();
    for line in lines {
        let _ = write!(text, "{}\t{}\t{}", line.server, line.load, line.round);
        match &line.figures {
            Ok(figures) => figures.iter().for_each(|(name, value)| {
                let _ = write!(text, "\t{name}={value:.6}");
            }),
            Err(why) => {
                // A host names the program by its path, which is another on each machine.
                let here = std::env::current_dir().unwrap_or_default();
                let why = why.replace(['\t', '\n'], " ").replace(&format!("{}/", here.display()), "");
                let _ = write!(text, "\t! {why}");
            }
        }
        if !line.parts.is_empty() {
            let parts: Vec<String> = line.parts.iter().map(u64::to_string).collect();
            let _ = write!(text, "\tparts={}", parts.join(","));
        }
        text.push('\n');
    }
    write(report, name, &text)
}

fn write(report: &Path, name: &str, text: &str) -> Result {
    let dir = report.join("data");
    let path = dir.join(format!("{name}.tsv"));
    fs::create_dir_all(&dir)
        .and_then(|()| fs::write(&path, text))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}
