//! `crates/dormouse-tokio/TESTS.md`.

use std::fmt::Write as _;

use super::known::{self, Class};
use super::package::Package;
use super::{On, Outcomes, Results};
use crate::{Result, report};

const HEAD: &str = "\
# tokio's own tests

tokio's integration tests (`tokio/tests`), on what takes its place on WASI, under `dormouse run`. `cargo xtask tokio-tests CHECKOUT`
builds them, runs them and writes this file; it fails if a result is not as it is here. The tests are tokio's, but for this: conditions
that keep a test from WASI are taken out, since what they say of WASI is what is asked here, and a test that has to panic passes if its
panic ends the program, since on WASI a panic ends it. *Cannot* is what needs more than WASI has: a second thread, a panic that is
caught, Unix sockets, signals, processes. `?` is what was not run when this was written. A test
that fails and is not below under *What fails* has no known reason yet.
";

/// The cell of what has not been run on the machine that wrote the table.
const NOT_RUN: &str = "?";

/// What came of a file, as one reads it while they run.
pub fn line(on: On, file: &str, outcomes: &Result<Outcomes>) -> String {
    let mut text = format!("{file} on {}: ", on.name());
    // Writing to a String does not fail.
    match outcomes {
        Err(problem) => text.push_str(problem),
        Ok(outcomes) => {
            let passed = outcomes.values().filter(|why| why.is_none()).count();
            let _ = write!(text, "{passed} of {} pass", outcomes.len());
            for (test, why) in outcomes.iter().filter_map(|(test, why)| Some((test, why.as_ref()?))) {
                let known = on != On::Native && known::find(file, test, on).is_some();
                let _ = write!(text, "\n    {}{test}: {why}", if known { "(known) " } else { "" });
            }
        }
    }
    text
}

/// Writes the table. What was not run now is as it was when it was run last.
pub fn write(package: &Package, results: &Results) -> Result {
    report::renew("crates/dormouse-tokio/TESTS.md", &text(package, results)).map(drop)
}

/// How many pass, cannot and fail.
#[derive(Clone, Copy, Default)]
struct Counts([usize; 3]);

impl Counts {
    fn of(file: &str, on: On, outcomes: &Result<Outcomes>) -> Counts {
        let mut counts = Counts::default();
        for (test, why) in outcomes.iter().flatten() {
            let known = known::find(file, test, on).map(|known| known.class);
            counts.0[match (why, known) {
                (None, _) => 0,
                (Some(_), Some(Class::Cannot)) => 1,
                (Some(_), _) => 2,
            }] += 1;
        }
        counts
    }

    fn add(&mut self, other: Counts) {
        for (mine, other) in self.0.iter_mut().zip(other.0) {
            *mine += other;
        }
    }

    fn cells(self) -> String {
        self.0.map(|count| if count == 0 { "–".to_owned() } else { count.to_string() }).join(" | ")
    }
}

fn text(package: &Package, results: &Results) -> String {
    let mut rows = String::new();
    let mut sums = [Counts::default(); 2];
    let mut natively = 0;
    for file in &package.files {
        let of = |on| match results.get(&(file.name.clone(), on)) {
            Some(outcomes) => Some(outcomes.clone()),
            None => package.of_record(on, &file.name),
        };
        let native = of(On::Native).and_then(Result::ok);
        let native = native.map(|outcomes| outcomes.values().filter(|why| why.is_none()).count());
        let counts = [On::P2, On::P3].map(|on| of(on).map(|outcomes| Counts::of(&file.name, on, &outcomes)));
        if native.is_none_or(|native| native == 0)
            && counts.iter().any(Option::is_some)
            && counts.iter().flatten().all(|counts| counts.0 == [0; 3])
        {
            continue;
        }
        natively += native.unwrap_or_default();
        let native = native.map_or_else(|| NOT_RUN.to_owned(), |native| native.to_string());
        let mut cells = String::new();
        for (sum, counts) in sums.iter_mut().zip(counts) {
            sum.add(counts.unwrap_or_default());
            let _ = write!(cells, " {} |", counts.map_or_else(|| [NOT_RUN; 3].join(" | "), Counts::cells));
        }
        let _ = writeln!(rows, "| `{}` | {native} |{cells}", file.name);
    }
    let mut text = HEAD.to_owned();
    let _ = writeln!(text, "\ntokio {}.\n", package.version);
    text.push_str("| file | natively | p2: pass | cannot | fail | p3: pass | cannot | fail |\n|---|---|---|---|---|---|---|---|\n");
    let _ = writeln!(text, "| **all** | {natively} | {} | {} |\n{}", sums[0].cells(), sums[1].cells(), rows.trim_end());
    for (class, title) in [(Class::Fails, "What fails"), (Class::Cannot, "What cannot be")] {
        let _ = writeln!(text, "\n## {title}\n\n| file | tests | why |\n|---|---|---|");
        for known in known::NOT_A_PASS.iter().filter(|known| known.class == class) {
            let tests = known.tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join(", ");
            let on = known.on.map_or_else(String::new, |on| format!("{}: ", on.name()));
            let _ = writeln!(text, "| `{}` | {tests} | {on}{} |", known.file, known.reason);
        }
    }
    text.push_str("\n## Not built for WASI\n\n| file | tests | what they need |\n|---|---|---|\n");
    for file in &package.left_out {
        let _ = writeln!(text, "| `{}` | {} | {} |", file.name, file.tests, file.reason);
    }
    text
}
