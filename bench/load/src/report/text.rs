//! The words and tables around the pictures.

use std::fmt::Write;

use super::{CEILING, IDLE, Report, group, kilobytes, label, megabytes, micros, whole};
use crate::process::{GUEST, PARTS};
use crate::scenario::{ECHOES, NOT_READING, READING, several};
use crate::server::{COMPUTE, OURS};

impl Report {
    pub(super) fn head(&self) -> String {
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

    pub(super) fn body(&self, text: &mut String) {
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
             got so far, the load has work with them, and less time for the others. So what they cost once they are there is measured \
             apart: two servers take turns, one of which has ten such clients from the beginning.",
            &[("stalled", ""), ("beside-stalled", "stalled")],
        );
        section(
            "A newcomer among clients that ask for much",
            "newcomer",
            "A task that moves much gives way after 256 KiB, so a newcomer waits for one round of the others.",
            &[("newcomer", NOT_READING), ("newcomer", READING)],
        );
        section("Busy connections", "busy", "", &[("busy-1", ""), ("busy-50", ""), ("busy-400", "")]);
        section("Latency", "latency", "", &[]);
        section("Processor time", "cpu", "", &[("timer", "")]);
        let profile = self.profile();
        section("Host calls", "calls", &profile, &[]);
        section("Large, one way, short-lived", "bulk", "", &[("big", ""), ("sink", ""), ("churn", "")]);
        section("Timers and tasks", "tasks", "", &[]);
        section("Memory", "memory", &self.memory(), &[]);
        section("Sizes", "sizes", "", &[]);
        self.instances(text);
    }

    /// Several instances behind one address.
    fn instances(&self, text: &mut String) {
        text.push_str(
            "## Instances\n\n`--instances 2` against one. *Computes* is a server that computes for some hundred microseconds before it answers each of 16 \
             connections, on both processors, of which the load takes next to nothing; echoes are served on one processor, beside the load on the \
             other. What 64 processors would do is calculated, and not measured: 64 times one instance's echoes for a second of processor time. \
             The last column is what one more idle instance has resident.\n\n\
             | | computes: rate of two by one | echo: CPU of two by one | echoes/s on 64 processors, calculated | an instance |\n|---|---|---|---|---|\n",
        );
        for server in self.servers() {
            let Some(cpu) = self.median("instances", server, ECHOES, "cpu") else { continue };
            let pair = |load| ((server, several(load)), (server, load));
            let ((two, one), (echo_two, echo_one)) = (pair(COMPUTE), pair(ECHOES));
            let spread = |of: Option<(f64, f64, f64)>| {
                of.map(|(median, low, high)| format!("{median:.2} ({low:.2}–{high:.2})")).unwrap_or_default()
            };
            let of = |figure| self.median("instances", server, "idle", figure);
            let each = || Some((of("all")? - of("one")?) / (of("instances")? - 1.0));
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                group(server),
                spread(self.ratios("instances", two, one, "rate")),
                spread(self.ratios("instances", echo_two, echo_one, "cpu")),
                whole(64.0 * 1e6 / cpu),
                each().map(kilobytes).unwrap_or_default(),
            );
        }
    }

    /// What the processor's time for an echo is made of.
    fn profile(&self) -> String {
        let mut text = "What an echo takes of the processor, with 50 busy connections, as `perf` divides it: the system, which sends and \
                        receives; the host, or the native program; libc, which is allocating, for the most part; and the guest's own \
                        code. What a runtime can save is in the last column, and in how often it calls the host.\n\n\
                        | | kernel | host, program | libc | guest |\n|---|---|---|---|---|\n"
            .to_owned();
        for server in self.servers() {
            let of = |part| self.median("profile", server, "", part).map(micros);
            let [Some(a), Some(b), Some(c), Some(d)] = PARTS.map(of) else { continue };
            let _ = writeln!(text, "| {} {} | {a} | {b} | {c} | {d} |", group(server), label(server));
        }
        text.push_str(&self.limits());
        text
    }

    /// What a guest would reach that took no time itself: the aims beyond that are for hosts to meet. The times are those of the
    /// scenario, which `perf` does not slow down; its share is the profile's.
    fn limits(&self) -> String {
        let mut text = "\nWith 50 busy connections, by processor time, a guest that makes our calls and takes no time itself would be so much \
                        ahead of tokio:\n\n| | | Dormouse | a guest that takes no time |\n|---|---|---|---|\n"
            .to_owned();
        for host in ["wasmtime", "dormouse run"] {
            let tokio = format!("p2/tokio/{host}");
            for (wasi, to, than) in [("p2", tokio.as_str(), "tokio on wasip2"), ("p3", CEILING, "native tokio")] {
                let ours = format!("{wasi}/{OURS}/{host}");
                let parts: Option<Vec<f64>> =
                    PARTS.iter().map(|part| self.median("profile", &ours, "", part)).collect();
                let ratio = self.ratios("busy-50", (to, ""), (&ours, ""), "cpu");
                let (Some(parts), Some((ratio, ..))) = (parts, ratio) else { continue };
                let rest = 1.0 - parts[GUEST] / parts.iter().sum::<f64>();
                let _ = writeln!(text, "| {} | {host} | {ratio:.2} × {than} | {:.2} × |", group(wasi), ratio / rest);
            }
        }
        text
    }

    /// What an idle connection holds, and what is left of those that have gone.
    fn memory(&self) -> String {
        let mut text = "Bytes for each of 10 000 idle connections: in the guest, and in the whole process, the guest in it. An echo of ours \
                        holds the buffer of `io::copy`.\n\n| | guest | process |\n|---|---|---|\n"
            .to_owned();
        for server in self.servers() {
            let of = |figure| {
                let with = self.median(IDLE[2], server, "idle", figure)?;
                Some((with - self.median(IDLE[2], server, "", figure)?) / 10_000.0)
            };
            let Some(host) = of("host") else { continue };
            let guest = of("guest").map(|guest| format!("{guest:.0}")).unwrap_or_default();
            let _ = writeln!(text, "| {} {} | {guest} | {host:.0} |", group(server), label(server));
        }
        text.push_str(
            "\nAfter 10 000 connections have come and gone, and after 100 000:\n\n| | guest | | process | |\n|---|---|---|---|---|\n",
        );
        for server in self.servers() {
            let of = |figure| self.median("gone", server, "", figure).map(megabytes);
            let (Some(c), Some(d)) = (of("host_before"), of("host")) else { continue };
            let (a, b) = (of("guest_before").unwrap_or_default(), of("guest").unwrap_or_default());
            let _ = writeln!(text, "| {} {} | {a} | {b} | {c} | {d} |", group(server), label(server));
        }
        text
    }

    /// All figures of a scenario, folded.
    fn numbers(&self, text: &mut String, scenario: &str, load: &str) {
        let title = match scenario {
            "timer" => "50 connections and a timer that is pending",
            "newcomer" => load,
            scenario => scenario,
        };
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
}
