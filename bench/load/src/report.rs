//! The report: a page of Markdown and its pictures, from the files of figures. The same figures give the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::Result;
use crate::plot::{self, Bar, Column, Curve, Range, Row, Strip};
use crate::scenario::median;

/// A line of a file of figures.
struct Record {
    server: String,
    load: String,
    round: usize,
    figures: BTreeMap<String, f64>,
    parts: Vec<f64>,
    /// Why there are no figures.
    problem: Option<String>,
}

type Data = BTreeMap<String, Vec<Record>>;

/// The bar of a server in a column.
type BarOf<'a> = Box<dyn Fn(&str) -> Option<Bar> + 'a>;

/// A column: its title, how its numbers are written, and its bars.
type ColumnOf<'a> = (&'a str, fn(f64) -> String, BarOf<'a>);

const CEILING: &str = "native/tokio";
const IDLE: [&str; 3] = ["idle-1000", "idle-5000", "idle-10000"];

pub fn draw(dir: &Path) -> Result {
    let report = Report { data: read(dir)? };
    let mut text = report.head();
    for (name, picture) in report.pictures() {
        let path = dir.join(format!("{name}.svg"));
        fs::write(&path, picture).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    report.body(&mut text);
    let path = dir.join("README.md");
    fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn read(dir: &Path) -> Result<Data> {
    let problem = |error: std::io::Error| format!("cannot read {}: {error}", dir.join("data").display());
    let mut data = Data::new();
    for file in fs::read_dir(dir.join("data")).map_err(problem)? {
        let path = file.map_err(problem)?.path();
        let text = fs::read_to_string(&path).map_err(problem)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        data.insert(name, text.lines().filter_map(record).collect());
    }
    Ok(data)
}

fn record(line: &str) -> Option<Record> {
    let mut words = line.split('\t');
    let (server, load) = (words.next()?.to_owned(), words.next()?.to_owned());
    let round = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let mut record = Record { server, load, round, figures: BTreeMap::new(), parts: Vec::new(), problem: None };
    for word in words {
        match word.split_once('=') {
            Some(("parts", parts)) => record.parts = parts.split(',').filter_map(|part| part.parse().ok()).collect(),
            Some((name, value)) if !word.starts_with('!') => {
                record.figures.insert(name.to_owned(), value.parse().ok()?);
            }
            _ => record.problem = Some(word.trim_start_matches(['!', ' ']).to_owned()),
        }
    }
    Some(record)
}

/// The median, the least and the most.
fn spread(of: Vec<f64>) -> Option<(f64, f64, f64)> {
    let least = of.iter().copied().fold(f64::INFINITY, f64::min);
    let most = of.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (!of.is_empty()).then(|| (median(of), least, most))
}

fn color(server: &str) -> &'static str {
    match server.split('/').nth(1).unwrap_or_default() {
        "Dormouse" => "#d9480f",
        "tokio" => "#1c6dd0",
        "wstd" => "#7a3fc4",
        "wit-bindgen" => "#0b8f7f",
        _ => "#868e99",
    }
}

fn is_stock(server: &str) -> bool {
    server.ends_with("/wasmtime")
}

fn group(server: &str) -> String {
    match server.split('/').next().unwrap_or_default() {
        "p1" => "wasip1",
        "p2" => "wasip2",
        "p3" => "WASI 0.3",
        native => native,
    }
    .to_owned()
}

fn label(server: &str) -> String {
    server.split('/').skip(1).collect::<Vec<_>>().join(" · ")
}

fn whole(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{:.2} M", value / 1e6),
        _ if value >= 1e4 => format!("{:.0} k", value / 1e3),
        _ if value >= 1e3 => format!("{:.1} k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}

fn micros(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{:.1} s", value / 1e6),
        _ if value >= 1e4 => format!("{:.0} ms", value / 1e3),
        _ if value >= 1e3 => format!("{:.1} ms", value / 1e3),
        _ if value >= 100.0 => format!("{value:.0} µs"),
        _ if value >= 1.0 => format!("{value:.1} µs"),
        _ => format!("{:.0} ns", value * 1e3),
    }
}

fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

fn megabytes(value: f64) -> String {
    format!("{:.1} MB", value / 1e6)
}

fn kilobytes(value: f64) -> String {
    format!("{:.1} KB", value / 1e3)
}

fn calls(value: f64) -> String {
    format!("{value:.2}")
}

fn gigabytes(value: f64) -> String {
    format!("{:.2} GB/s", value / 1e9)
}

struct Report {
    data: Data,
}

impl Report {
    fn of<'a>(&'a self, scenario: &str, server: &'a str, load: &'a str) -> impl Iterator<Item = &'a Record> {
        let records = self.data.get(scenario).map_or(&[][..], |records| records);
        records.iter().filter(move |record| record.server == server && record.load == load)
    }

    fn values(&self, scenario: &str, server: &str, load: &str, figure: &str) -> Vec<f64> {
        let values = self.of(scenario, server, load).filter_map(|record| record.figures.get(figure).copied());
        // A native program has no guest in it.
        values.filter(|value| figure != "guest" || *value > 0.0).collect()
    }

    fn median(&self, scenario: &str, server: &str, load: &str, figure: &str) -> Option<f64> {
        spread(self.values(scenario, server, load, figure)).map(|(median, ..)| median)
    }

    /// The ratios of two slices of the same round.
    fn ratios(&self, scenario: &str, of: (&str, &str), to: (&str, &str), figure: &str) -> Option<(f64, f64, f64)> {
        let other: BTreeMap<usize, f64> = self
            .of(scenario, to.0, to.1)
            .filter_map(|record| Some((record.round, *record.figures.get(figure)?)))
            .collect();
        let ratios = self.of(scenario, of.0, of.1).filter_map(|record| {
            let to = other.get(&record.round).filter(|to| **to > 0.0)?;
            Some(record.figures.get(figure)? / to)
        });
        spread(ratios.collect())
    }

    /// As the scenarios have them, so by backend, peer, host.
    fn servers(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for name in ["busy-50", "sizes"].iter().chain(&IDLE) {
            for record in self.data.get(*name).into_iter().flatten() {
                if !all.contains(&record.server.as_str()) {
                    all.push(&record.server);
                }
            }
        }
        let peers = ["by hand", "tokio", "wstd", "wit-bindgen", "Dormouse"];
        let rank = |server: &str| {
            let words: Vec<&str> = server.split('/').collect();
            let place = |of: &[&str], n: usize| of.iter().position(|word| words.get(n) == Some(word));
            (place(&["native", "p1", "p2", "p3"], 0), place(&peers, 1), !is_stock(server))
        };
        all.sort_by_key(|server| rank(server));
        all
    }

    // ---- pictures ----

    fn bar(&self, scenario: &str, server: &str, load: &str, spread: Option<(f64, f64, f64)>) -> Option<Bar> {
        match (spread, self.of(scenario, server, load).find_map(|record| record.problem.as_ref())) {
            (Some(spread), _) => Some(Ok(spread)),
            (None, Some(_)) => Some(Err("did not finish".to_owned())),
            (None, None) => None,
        }
    }

    /// Columns of a title, how to write it, and what it is of a server.
    fn table(&self, title: &str, subtitle: &str, columns: Vec<ColumnOf<'_>>) -> String {
        let rows: Vec<Row> = self
            .servers()
            .into_iter()
            .map(|server| Row {
                group: group(server),
                label: label(server),
                color: color(server),
                pale: is_stock(server),
                bars: columns.iter().map(|(.., bar)| bar(server)).collect(),
            })
            .filter(|row| row.bars.iter().any(|bar| bar.is_some()))
            .collect();
        let columns: Vec<Column> =
            columns.iter().map(|(title, show, _)| Column { title: (*title).to_owned(), show: *show }).collect();
        plot::bars(title, subtitle, &columns, &rows)
    }

    fn figure<'a>(&'a self, scenario: &'a str, load: &'a str, figure: &'a str) -> BarOf<'a> {
        Box::new(move |server| self.bar(scenario, server, load, spread(self.values(scenario, server, load, figure))))
    }

    fn to_ceiling<'a>(&'a self, scenario: &'a str, load: &'a str) -> BarOf<'a> {
        Box::new(move |server| {
            let to = if IDLE.contains(&scenario) { (CEILING, "") } else { (CEILING, load) };
            self.bar(scenario, server, load, self.ratios(scenario, (server, load), to, "rate"))
        })
    }

    /// What each of the idle connections has added.
    fn each_idle<'a>(&'a self, figure: &'a str) -> BarOf<'a> {
        Box::new(move |server| {
            let scenario = IDLE[2];
            let with = self.median(scenario, server, "idle", figure)?;
            let without = self.median(scenario, server, "", figure)?;
            let each = (with - without) / 10_000.0;
            (each > 0.0).then_some(Ok((each, each, each)))
        })
    }

    fn pictures(&self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        let mut add = |name, picture| all.push((name, picture));
        add(
            "busy",
            self.table(
                "Echoes a second",
                "64 bytes, closed loop; of what tokio does natively in the same round",
                vec![
                    ("1 connection", ratio, self.to_ceiling("busy-1", "")),
                    ("50 connections", ratio, self.to_ceiling("busy-50", "")),
                    ("400 connections", ratio, self.to_ceiling("busy-400", "")),
                ],
            ),
        );
        add("idle", self.idle());
        add("stalled", self.stalled());
        add("latency", self.latency());
        add(
            "cpu",
            self.table(
                "Processor time of the server for an echo",
                "user and system, all threads of the process; less is better",
                vec![
                    ("1 connection", micros, self.figure("busy-1", "", "cpu")),
                    ("50 connections", micros, self.figure("busy-50", "", "cpu")),
                    ("50, and 10 000 idle", micros, self.figure(IDLE[2], "idle", "cpu")),
                ],
            ),
        );
        add(
            "calls",
            self.table(
                "Host calls for an echo",
                "counted by `dormouse run --count-calls`; exact",
                vec![
                    ("1 quiet connection", calls, self.figure("calls", "1 quiet", "calls")),
                    ("50 busy connections", calls, self.figure("calls", "50 busy", "calls")),
                ],
            ),
        );
        add(
            "bulk",
            self.table(
                "Large, one way, short-lived",
                "8 connections of 64 KiB messages · 1 GiB to a server that reads it · connect, echo, close",
                vec![
                    ("8 × 64 KiB, echoes/s", whole, self.figure("big", "", "rate")),
                    ("1 GiB one way", gigabytes, self.figure("sink", "", "rate")),
                    ("connections/s", whole, self.figure("churn", "", "rate")),
                ],
            ),
        );
        add(
            "tasks",
            self.table(
                "Timers and tasks",
                "processor time of the process for each: 100 000 sleeps of up to a second; 1 000 000 tasks spawned and joined",
                vec![
                    ("a sleep", micros, self.figure("timers", "", "cpu")),
                    ("memory of the guest", megabytes, self.figure("timers", "", "guest")),
                    ("a task", micros, self.figure("spawn", "", "cpu")),
                ],
            ),
        );
        add(
            "memory",
            self.table(
                "Memory",
                "peak of the process with 50 connections, and what each of 10 000 idle ones adds to that and to the guest",
                vec![
                    ("the process", megabytes, self.figure("busy-50", "", "host")),
                    ("an idle connection", kilobytes, self.each_idle("host")),
                    ("of that, the guest", kilobytes, self.each_idle("guest")),
                ],
            ),
        );
        add("sizes", self.sizes());
        all
    }

    fn idle(&self) -> String {
        let names = ["0", "1 000", "5 000", "10 000"];
        let curve = |server: &str| {
            let mut points = vec![Some((1.0, 1.0, 1.0))];
            points.extend(IDLE.map(|scenario| self.ratios(scenario, (server, ""), (server, "idle"), "cpu")));
            let label = server.split('/').take(2).collect::<Vec<_>>().join(" ");
            Curve { label, color: color(server), dashed: server.starts_with("p2"), points }
        };
        let panel = |title: &str, fits: &dyn Fn(&str) -> bool| {
            let curves: Vec<Curve> = self.servers().into_iter().filter(|server| fits(server)).map(curve).collect();
            (title.to_owned(), curves.into_iter().filter(|curve| curve.points.iter().flatten().count() > 1).collect())
        };
        let panels = [
            panel("under the stock wasmtime command", &is_stock),
            panel("under dormouse run", &|server| server.ends_with("/dormouse run")),
        ];
        plot::lines(
            "50 busy connections beside idle ones",
            "echoes for a second of the server's processor time, of those without idle ones; both in the same round · dashed: wasip2",
            &names,
            &panels,
            1.05,
        )
    }

    /// The rate in each part of a slice beside stalled clients, of what it was before they came, and the last of it.
    fn beside_stalled(&self, record: &Record) -> (Vec<f64>, f64) {
        let quarter = record.parts.len() / 4;
        let before = median(record.parts[..quarter].to_vec()).max(1.0);
        let parts: Vec<f64> = record.parts.iter().map(|part| part / before).collect();
        let after = median(parts[parts.len() - quarter / 2..].to_vec());
        (parts, after)
    }

    fn stalled(&self) -> String {
        let mut strips = Vec::new();
        for server in self.servers() {
            // The first round is as good as the others.
            let Some(record) = self.of("stalled", server, "").find(|record| !record.parts.is_empty()) else { continue };
            let (parts, after) = self.beside_stalled(record);
            let note = if after < 0.005 { "frozen".to_owned() } else { format!("goes on: {after:.2}") };
            let title = format!("{} {}", group(server), label(server).replace("dormouse run", "dormouse"));
            strips.push(Strip { title, color: color(server), parts, note });
        }
        plot::strips(
            "Ten clients that send and do not read",
            "the rate of 40 others over some seconds, of what it was before; in the red part the ten are there",
            &strips,
            0.25,
        )
    }

    fn latency(&self) -> String {
        let rows: Vec<Range> = self
            .servers()
            .into_iter()
            .filter_map(|server| {
                let of = |figure| self.median("busy-50", server, "", figure);
                let marks = [of("p50")?, of("p99")?, of("p999")?, of("worst")?];
                Some(Range {
                    group: group(server),
                    label: label(server),
                    color: color(server),
                    pale: is_stock(server),
                    marks,
                })
            })
            .collect();
        plot::ranges(
            "How long an echo takes, 50 connections",
            "medians of the rounds; 50 wait in turn, so half of all is about 50 times an echo",
            &rows,
        )
    }

    fn sizes(&self) -> String {
        let mut rows: Vec<Row> = Vec::new();
        for server in self.servers() {
            let Some(size) = spread(self.values("sizes", server, "", "bytes")) else { continue };
            let label = server.split('/').nth(1).unwrap_or_default().to_owned();
            if server.starts_with("native") || rows.iter().any(|row| row.group == group(server) && row.label == label) {
                continue;
            }
            rows.push(Row {
                group: group(server),
                label,
                color: color(server),
                pale: false,
                bars: vec![Some(Ok(size))],
            });
        }
        let columns = [Column { title: "bytes".to_owned(), show: kilobytes }];
        plot::bars(
            "An echo server to download",
            "opt-level s, one codegen unit, LTO, stripped; with std",
            &columns,
            &rows,
        )
    }

    // ---- the page ----

    fn head(&self) -> String {
        let note = |name: &str| {
            let records = self.data.get("machine").into_iter().flatten();
            let found = records.filter(|record| record.server == name).map(|record| record.load.clone()).next();
            found.unwrap_or_default()
        };
        format!(
            "# How fast\n\n\
             A closed loop of 64-byte echoes unless it says otherwise: a client says the next thing when the last has come back, \
             and has been compared. Every server has a slice of time in each round, in turn; ratios are of slices of the same \
             round, and a figure is the median of the rounds. *wasmtime* is the stock command, *dormouse run* is our runner, \
             which is a contender of its own. *by hand* is a loop on the host's calls: what a runtime cannot be much faster than.\n\n\
             | | |\n|---|---|\n\
             | machine | {} |\n| each | {} |\n| compiler | {} |\n| hosts | {}, {} |\n\
             | peers | tokio 1.54.1, wstd 0.6.8, wasip3 0.10.0 with wit-bindgen 0.63 |\n| commit | {} |\n\
             | command | `cargo xtask bench` |\n\n\
             The load is one thread, on the last processor, and its share of that is in the tables; servers have the others. Here \
             that is one, and the stock command has two threads for it: with both processors it does up to twice as much at 50 \
             connections. One connection shares the processor with its server, since the two take turns. The machine is \
             shared with others: rates drift, ratios less. tokio on wasip2 is linked with Debian's wasi-libc of 2026-04, since that \
             of Rust 1.95 fails its first accept with EINVAL. The files of figures are in `data/`, \
             a line for each slice.\n\n",
            note("machine"),
            note("slices"),
            note("rustc"),
            note("wasmtime"),
            note("dormouse"),
            note("commit"),
        )
    }

    fn body(&self, text: &mut String) {
        self.aims(text);
        let mut section = |title: &str, picture: &str, words: &str, scenarios: &[(&str, &str)]| {
            let _ = write!(text, "## {title}\n\n![{title}]({picture}.svg)\n\n");
            if !words.is_empty() {
                let _ = write!(text, "{words}\n\n");
            }
            for (scenario, load) in scenarios {
                self.numbers(text, scenario, load);
            }
        };
        section("Idle connections", "idle", "", &[(IDLE[0], "idle"), (IDLE[1], "idle"), (IDLE[2], "idle")]);
        section(
            "Stalled clients",
            "stalled",
            "Each of the ten sends until the server's last write cannot be finished, then says that it has no more. On wasip2 a server \
             that closes its connection then is stopped by the host until the client reads, and nobody else is served. The moment has \
             to be hit, so who is not frozen here may be in the next run, under either host; Dormouse cannot be. Until all ten have \
             got so far, the load has work with them, and less time for the others.",
            &[("stalled", "")],
        );
        section("Busy connections", "busy", "", &[("busy-1", ""), ("busy-50", ""), ("busy-400", "")]);
        section("Latency", "latency", "", &[]);
        section("Processor time", "cpu", "", &[("timer", "")]);
        section("Host calls", "calls", "", &[]);
        section("Large, one way, short-lived", "bulk", "", &[("big", ""), ("sink", ""), ("churn", "")]);
        section("Timers and tasks", "tasks", "", &[]);
        section("Memory", "memory", "", &[]);
        section("Sizes", "sizes", "", &[]);
    }

    /// All figures of a scenario, folded.
    fn numbers(&self, text: &mut String, scenario: &str, load: &str) {
        let title = if scenario == "timer" { "50 connections and a timer that is pending" } else { scenario };
        let _ = write!(
            text,
            "<details><summary>{title}</summary>\n\n| | rate/s | of tokio, native | p50 | p99 | p99.9 | worst | slowest/median | CPU each | load's CPU \
             | memory | guest |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n"
        );
        for server in self.servers() {
            let name = format!("{} {}", group(server), label(server));
            let of = |figure| self.median(scenario, server, load, figure);
            let Some(rate) = of("rate") else {
                if let Some(why) = self.of(scenario, server, load).find_map(|record| record.problem.as_ref()) {
                    let _ = writeln!(text, "| {name} | {} |||||||||||", why.replace('|', "/"));
                }
                continue;
            };
            let to = if IDLE.contains(&scenario) { "" } else { load };
            let ratio = self.ratios(scenario, (server, load), (CEILING, to), "rate");
            let ratio =
                ratio.map(|(median, low, high)| format!("{median:.2} ({low:.2}–{high:.2})")).unwrap_or_default();
            let time = |figure| of(figure).map(micros).unwrap_or_default();
            let _ = writeln!(
                text,
                "| {name} | {} | {ratio} | {} | {} | {} | {} | {:.2} | {} | {:.0} % | {} | {} |",
                whole(rate),
                time("p50"),
                time("p99"),
                time("p999"),
                time("worst"),
                of("fair").unwrap_or(0.0),
                time("cpu"),
                of("load").unwrap_or(0.0) * 100.0,
                of("host").map(megabytes).unwrap_or_default(),
                of("guest").filter(|guest| *guest > 0.0).map(megabytes).unwrap_or_default(),
            );
        }
        text.push_str("\n</details>\n\n");
    }

    /// What we aim for, and where we are.
    fn aims(&self, text: &mut String) {
        text.push_str(
            "## Where we are\n\nThe last column is the same ratio by the server's processor time for an echo. While others want the \
             processor, too, it is the steadier of the two, and it does not favour who has more threads to ask for one.\n\n\
             | aim | | median | rounds | | by processor time |\n|---|---|---|---|---|---|\n",
        );
        let mut row =
            |aim: &str, of: &str, found: Option<(f64, f64, f64)>, cost: Option<f64>, met: &dyn Fn(f64) -> bool| {
                let Some((median, low, high)) = found else { return };
                let sign = if met(median) { "✓" } else { "–" };
                let cost = cost.map(ratio).unwrap_or_default();
                let _ = writeln!(text, "| {aim} | {of} | **{median:.2}** | {low:.2}–{high:.2} | {sign} | {cost} |");
            };
        // A rate that is to be so much of another.
        let mut against = |aim: &str, on: &str, scenario: &str, of: (&str, &str), to: (&str, &str), least: f64| {
            let cost = self.ratios(scenario, to, of, "cpu").map(|(median, ..)| median);
            row(aim, on, self.ratios(scenario, of, to, "rate"), cost, &|ratio| ratio >= least);
        };
        for host in ["wasmtime", "dormouse run"] {
            let [p2, p3, hand, tokio] =
                ["p2/Dormouse", "p3/Dormouse", "p2/by hand", "p2/tokio"].map(|name| format!("{name}/{host}"));
            let ceiling = (CEILING, "");
            against("wasip2, busy-50: ≥ 1.3 × tokio", host, "busy-50", (&p2, ""), (&tokio, ""), 1.3);
            against("wasip2, busy-400: ≥ 1.3 × tokio", host, "busy-400", (&p2, ""), (&tokio, ""), 1.3);
            against("wasip2, busy-50: ≥ 0.95 × by hand", host, "busy-50", (&p2, ""), (&hand, ""), 0.95);
            against("wasip2, 1 000 idle: ≥ 0.8 × without", host, IDLE[0], (&p2, "idle"), (&p2, ""), 0.8);
            against("wasip2, 10 000 idle: ≥ 0.6 × without", host, IDLE[2], (&p2, "idle"), (&p2, ""), 0.6);
            against("WASI 0.3, 10 000 idle, × without", host, IDLE[2], (&p3, "idle"), (&p3, ""), 0.75);
            against("WASI 0.3, busy-50: ≥ 0.75 × native tokio", host, "busy-50", (&p3, ""), ceiling, 0.75);
            let idle = (CEILING, "idle");
            against("WASI 0.3, 10 000 idle: ≥ 0.75 × native tokio", host, IDLE[2], (&p3, "idle"), idle, 0.75);
        }
        for scenario in ["busy-1", "busy-50", "busy-400"] {
            let [p1, p2] = ["p1", "p2"].map(|wasi| format!("{wasi}/Dormouse/dormouse run"));
            let aim = format!("wasip1, {scenario}: ≥ wasip2");
            against(&aim, "dormouse run", scenario, (&p1, ""), (&p2, ""), 1.0);
            for wasi in ["p2", "p3"] {
                let [ours, stock] = ["dormouse run", "wasmtime"].map(|host| format!("{wasi}/Dormouse/{host}"));
                let aim = format!("{}, {scenario}: our runner ≥ wasmtime", group(wasi));
                against(&aim, "Dormouse", scenario, (&ours, ""), (&stock, ""), 1.0);
            }
        }
        for host in ["wasmtime", "dormouse run"] {
            let p2 = format!("p2/Dormouse/{host}");
            let tail = self.of("busy-50", &p2, "").filter_map(|record| {
                let of = |figure| record.figures.get(figure);
                Some(of("p99")? / of("p50")?)
            });
            row("wasip2, busy-50: p99 ≤ 4 × p50", host, spread(tail.collect()), None, &|ratio| ratio <= 4.0);
            let fair = spread(self.values("busy-50", &p2, "", "fair"));
            row("wasip2, busy-50: slowest ≥ 0.5 × median", host, fair, None, &|ratio| ratio >= 0.5);
        }
        for server in self.servers().into_iter().filter(|server| server.contains("/Dormouse/")) {
            let after = self.of("stalled", server, "").filter(|record| !record.parts.is_empty());
            let after = spread(after.map(|record| self.beside_stalled(record).1).collect());
            let aim = format!("{}, ten stalled clients: ≥ 0.9 × before", group(server));
            row(&aim, server.rsplit('/').next().unwrap_or_default(), after, None, &|ratio| ratio >= 0.9);
        }
        for (wasi, quiet, busy) in [("p1", 3.0, 2.1), ("p2", 5.0, 4.1), ("p3", 5.0, 4.2)] {
            for (load, most) in [("1 quiet", quiet), ("50 busy", busy)] {
                let server = format!("{wasi}/Dormouse/dormouse run");
                let found = spread(self.values("calls", &server, load, "calls"));
                let aim = format!("{}, {load}: ≤ {most} host calls", group(wasi));
                // What begins and ends a run may differ by one.
                row(&aim, "dormouse run", found, None, &|calls| calls <= most + 0.005);
            }
        }
        text.push('\n');
    }
}
