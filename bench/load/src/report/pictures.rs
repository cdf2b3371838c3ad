//! The pictures.

use super::{
    BarOf, CEILING, ColumnOf, IDLE, Record, Report, calls, color, gigabytes, group, is_stock, kilobytes, label,
    megabytes, micros, ratio, spread, whole,
};
use crate::plot::{self, Bar, Column, Curve, Range, Row, Strip};
use crate::scenario::{BUSY, NOT_READING, QUIET, READING, median};

impl Report {
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

    pub(super) fn pictures(&self) -> Vec<(&'static str, String)> {
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
        add(
            "newcomer",
            self.table(
                "A newcomer's first answer",
                "connect, 64 bytes and their echo, beside clients that have asked for 100 MB each; median and worst, less is better",
                vec![
                    ("beside 400 that do not read", micros, self.figure("newcomer", NOT_READING, "p50")),
                    ("worst", micros, self.figure("newcomer", NOT_READING, "worst")),
                    ("beside 100 that read", micros, self.figure("newcomer", READING, "p50")),
                    ("worst", micros, self.figure("newcomer", READING, "worst")),
                ],
            ),
        );
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
                    ("1 quiet connection", calls, self.figure("calls", QUIET, "calls")),
                    ("50 busy connections", calls, self.figure("calls", BUSY, "calls")),
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
    pub(super) fn beside_stalled(&self, record: &Record) -> (Vec<f64>, f64) {
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
}
