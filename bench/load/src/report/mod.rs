//! The report: a page of Markdown and its pictures, from the files of figures. The same figures give the same bytes.

mod aims;
mod pictures;
mod text;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::Result;
use crate::plot::Bar;
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
        crate::server::LAID => "#6aa7e8",
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
        let peers = ["by hand", "tokio", "wstd", "wit-bindgen", crate::server::LAID, "Dormouse"];
        let rank = |server: &str| {
            let words: Vec<&str> = server.split('/').collect();
            let place = |of: &[&str], n: usize| of.iter().position(|word| words.get(n) == Some(word));
            (place(&["native", "p1", "p2", "p3"], 0), place(&peers, 1), !is_stock(server))
        };
        all.sort_by_key(|server| rank(server));
        all
    }
}
