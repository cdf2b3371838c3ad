//! What we aim for.

use std::fmt::Write;

use super::{CEILING, IDLE, Report, group, ratio, spread};
use crate::scenario::{BUSY, NOT_READING, QUIET, READING};
use crate::server::{MOST_CALLS, OURS};

/// The scenarios of which something is aimed for in every one.
const EVERY: [(&str, &str); 10] = [
    ("busy-1", ""),
    ("busy-50", ""),
    ("busy-400", ""),
    (IDLE[0], "idle"),
    (IDLE[1], "idle"),
    (IDLE[2], "idle"),
    ("timer", ""),
    ("big", ""),
    ("sink", ""),
    ("churn", ""),
];

/// Servers, and how much of native tokio's rate they are to reach with 1 and with 50 busy connections.
const OF_NATIVE_TOKIO: [(&str, f64, f64); 4] = [
    ("native/Dormouse", 1.0, 1.0),
    ("p1/Dormouse/dormouse run", 0.9, 0.85),
    ("p2/Dormouse/dormouse run", 0.9, 0.8),
    ("p3/Dormouse/dormouse run", 0.9, 0.78),
];

impl Report {
    /// What we aim for, and where we are.
    pub(super) fn aims(&self, text: &mut String) {
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
        for server in self.servers().into_iter().filter(|server| server.contains("/Dormouse")) {
            let aim = format!("{}, beside ten stalled clients: ≥ 0.9 × without", group(server));
            let host = server.rsplit('/').next().unwrap_or_default();
            against(&aim, host, "beside-stalled", (server, "stalled"), (server, ""), 0.9);
        }
        for (server, busy_1, busy_50) in OF_NATIVE_TOKIO {
            for (scenario, least) in [("busy-1", busy_1), ("busy-50", busy_50)] {
                let aim = format!("{}, {scenario}: ≥ {least} × native tokio", group(server));
                let host = server.rsplit('/').next().unwrap_or_default();
                against(&aim, host, scenario, (server, ""), (CEILING, ""), least);
            }
        }
        let p2 = format!("p2/{OURS}/dormouse run");
        against("wasip2, 10 000 idle: ≥ 0.95 × without", "dormouse run", IDLE[2], (&p2, "idle"), (&p2, ""), 0.95);
        for (scenario, load) in EVERY {
            let [p1, p2] = ["p1", "p2"].map(|wasi| format!("{wasi}/Dormouse/dormouse run"));
            let aim = format!("wasip1, {scenario}: ≥ wasip2");
            against(&aim, "dormouse run", scenario, (&p1, load), (&p2, load), 1.0);
            for wasi in ["p2", "p3"] {
                let [ours, stock] = ["dormouse run", "wasmtime"].map(|host| format!("{wasi}/Dormouse/{host}"));
                let aim = format!("{}, {scenario}: our runner ≥ wasmtime", group(wasi));
                against(&aim, "Dormouse", scenario, (&ours, load), (&stock, load), 1.0);
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
        for server in self.servers().into_iter().filter(|server| server.contains("/Dormouse")) {
            for load in [NOT_READING, READING] {
                let aim = format!("{}, a newcomer beside {load}: its median wait ≤ native tokio's", group(server));
                let waits = self.ratios("newcomer", (server, load), (CEILING, load), "p50");
                row(&aim, server.rsplit('/').next().unwrap_or_default(), waits, None, &|ratio| ratio <= 1.0);
            }
        }
        for server in self.servers() {
            let grown = self.of("gone", server, "").filter_map(|record| {
                let of = |figure| record.figures.get(figure);
                Some(of("host")? / of("host_before")?)
            });
            let aim = format!("{}, memory after 100 000 connections: ≤ 1.05 × after 10 000", group(server));
            row(&aim, server.rsplit('/').next().unwrap_or_default(), spread(grown.collect()), None, &|ratio| {
                ratio <= 1.05
            });
        }
        for (wasi, quiet, busy) in MOST_CALLS {
            for (load, most) in [(QUIET, quiet), (BUSY, busy)] {
                for (load, aside) in [(load.to_owned(), ""), (format!("{load}, timer"), ", with a timer pending")] {
                    let server = format!("{wasi}/Dormouse/dormouse run");
                    let found = spread(self.values("calls", &server, &load, "calls"));
                    let aim = format!(
                        "{}, {}: ≤ {most} host calls{aside}",
                        group(wasi),
                        load.split(',').next().unwrap_or_default()
                    );
                    // What begins and ends a run may differ by one.
                    row(&aim, "dormouse run", found, None, &|calls| calls <= most + 0.005);
                }
            }
        }
        text.push('\n');
    }
}
