//! Runs the tests of one file. They share a process as long as they pass: one that does not ends it, is run again by itself unless that
//! is known, and the next process goes on behind it.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::package::{File, Package};
use super::{On, Outcomes, known};
use crate::{Result, outside};

/// The longest file takes some seconds on a quiet machine.
const BOUND: Duration = Duration::from_secs(600);
/// And a test by itself. Most of it is the compiling of the program, on a machine that is busy.
const BOUND_OF_ONE: Duration = Duration::from_secs(300);

/// How a process ended, and what it printed.
struct Ended {
    end: String,
    output: String,
    errors: String,
}

/// Runs all tests of a file.
pub fn file(on: On, dormouse: &Path, binary: &Path, file: &File, package: &Package) -> Result<Outcomes> {
    let scratch = &package.scratch(on, &file.name);
    let process = |args: &[&str], bound: Duration| -> Result<Ended> {
        outside::empty(scratch)?;
        let manifest = scratch.join("Cargo.toml");
        fs::write(&manifest, &package.manifest)
            .map_err(|error| format!("cannot write {}: {error}", manifest.display()))?;
        let mut command = match on {
            On::Native => {
                let mut command = Command::new(binary);
                command.current_dir(scratch);
                not_root(&mut command);
                command
            }
            On::P2 | On::P3 => {
                let mut command = Command::new(dormouse);
                command
                    .args(["run", "--allow-net", "--allow-dns", "--dir"])
                    .arg(format!("{}::/tmp", scratch.display()));
                command.args(["--dir", &format!("{}::.", scratch.display())]).arg(binary);
                command
            }
        };
        command.args(["--nocapture", "--test-threads=1", "--exact"]).args(args);
        // With a backtrace the cause is not the last line.
        command.env_remove("RUST_BACKTRACE");
        attend(command, bound)
    };
    let mut outcomes = Outcomes::new();
    if on != On::Native {
        let not_run = known::endless(&file.name, on).map(|name| (name.to_owned(), Some("is not run".to_owned())));
        outcomes.extend(not_run);
    }
    loop {
        let done: Vec<&str> = outcomes.keys().flat_map(|name: &String| ["--skip", name]).collect();
        let ended = process(&done, BOUND)?;
        let (finished, last) = read(&ended.output);
        let before = outcomes.len();
        for (name, passed) in finished {
            let why = match file.panics.get(last_part(&name)) {
                _ if !passed => Some("fails".to_owned()),
                Some(expected) if on != On::Native => Some(does_not_panic(expected)),
                _ => None,
            };
            outcomes.insert(name, why);
        }
        if let Some(name) = last {
            let mut verdict = judge(&ended, &name, file, false);
            // What others left behind may be why.
            if verdict.is_some() && known::find(&file.name, &name, on).is_none() {
                verdict = judge(&process(&[&name], BOUND_OF_ONE)?, &name, file, true);
            }
            outcomes.insert(name, verdict);
        } else if ended.output.contains("test result: ") {
            return Ok(outcomes);
        }
        if outcomes.len() == before {
            return Err(format!("ends before a test: {}", why(&ended)));
        }
    }
}

/// The tests that ended, with whether they passed, and the one that did not end.
fn read(output: &str) -> (Vec<(String, bool)>, Option<String>) {
    let mut finished = Vec::new();
    let mut last = None;
    let mut rest = output.trim_start_matches('\n');
    while let Some((name, after)) = begin(rest) {
        let end = after.match_indices('\n').map(|(at, _)| at + 1).find(|at| begin(&after[*at..]).is_some());
        let (said, next) = after.split_at(end.unwrap_or(after.len()));
        // Behind the last one is the summary.
        let said = said.split("\ntest result: ").next().unwrap_or(said);
        let said =
            said.split("\nsuccesses:").next().unwrap_or(said).split("\nfailures:").next().unwrap_or(said).trim_end();
        let ended = [("ok", true), ("FAILED", false)].into_iter().find(|(word, _)| said.ends_with(word));
        match ended {
            Some((_, passed)) => finished.push((name.to_owned(), passed)),
            None if said.starts_with("ignored") => {}
            None => last = Some(name.to_owned()),
        }
        rest = next;
    }
    (finished, last)
}

/// The name of a test that begins here, and what comes behind it.
fn begin(text: &str) -> Option<(&str, &str)> {
    let mut text = text;
    // The lines before the first one.
    while !text.starts_with("test ") || text.starts_with("test result") {
        if !text.starts_with("running ") {
            return None;
        }
        text = text.split_once('\n')?.1;
    }
    let line = text.split('\n').next()?;
    let name = line.strip_prefix("test ")?.split_once(" ... ")?.0;
    Some((name.split(" - ").next()?, &text[line.find(" ... ")? + 5..]))
}

/// Why a test does not pass, if so: one by itself, or one that has ended a process.
fn judge(ended: &Ended, name: &str, file: &File, alone: bool) -> Option<String> {
    let (finished, _) = read(&ended.output);
    let passed = alone && finished.first().is_some_and(|(_, passed)| *passed);
    let panics = file.panics.get(last_part(name));
    match panics {
        None if passed => None,
        Some(expected) if ended.errors.contains("panicked at") && ended.errors.contains(expected.as_str()) => None,
        Some(expected) if passed => Some(does_not_panic(expected)),
        _ => Some(why(ended)),
    }
}

fn does_not_panic(expected: &str) -> String {
    format!("does not panic, and has to: {expected}")
}

/// A test without its modules.
fn last_part(name: &str) -> &str {
    name.rsplit("::").next().unwrap_or(name)
}

/// Files that nobody may read are read by root, which a test does not expect.
#[cfg(unix)]
fn not_root(command: &mut Command) {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    if fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        command.uid(NOBODY).gid(NOBODY);
    }
}

#[cfg(not(unix))]
fn not_root(_command: &mut Command) {}

/// Of a panic the message, else the first line of standard error.
fn why(ended: &Ended) -> String {
    let mut lines = ended.errors.lines().map(str::trim).filter(|line| !line.is_empty());
    let Some(first) = lines.next() else { return ended.end.clone() };
    let mut all = std::iter::once(first).chain(lines);
    match all.find(|line| line.contains("panicked at")) {
        Some(panicked) => {
            let place = panicked.split("panicked at ").nth(1).unwrap_or(panicked).trim_end_matches(':');
            format!("{} ({place})", all.next().unwrap_or_default())
        }
        None => format!("{}: {first}", ended.end),
    }
}

/// Waits for a process to end, and ends it after `bound`.
fn attend(mut command: Command, bound: Duration) -> Result<Ended> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    // Both streams end with the process.
    let (open, ended) = mpsc::channel();
    let output = reader(child.stdout.take(), open.clone());
    let errors = reader(child.stderr.take(), open);
    let end = wait(&mut child, &ended, bound).map_err(|error| format!("cannot wait for a process: {error}"))?;
    let text = |reader: JoinHandle<String>| reader.join().map_err(|_| "the reader of a stream panicked".to_owned());
    Ok(Ended { end, output: text(output)?, errors: text(errors)? })
}

/// `ended` is disconnected when the process has.
fn wait(child: &mut Child, ended: &Receiver<()>, bound: Duration) -> std::io::Result<String> {
    if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(bound) {
        child.kill()?;
        child.wait()?;
        return Ok(format!("hangs: it was ended after {} s", bound.as_secs()));
    }
    let status = child.wait()?;
    Ok(status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}")))
}

/// `_open` is dropped at the end of the stream.
fn reader(stream: Option<impl Read + Send + 'static>, _open: Sender<()>) -> JoinHandle<String> {
    thread::spawn(move || {
        let _open = _open;
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What it printed before an error counts.
            let _ = stream.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
