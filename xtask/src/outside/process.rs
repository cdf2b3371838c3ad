//! Runs one program on one host: its streams, its time, how it ended.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::case::{Case, Ends, Host, Stdin, Step};
use super::empty;
use crate::Result;

/// The longest of the programs takes a second or two on a quiet machine.
const BOUND: Duration = Duration::from_secs(60);

/// What a program has left.
struct Ended {
    status: ExitStatus,
    output: String,
    errors: String,
    talk: Result,
}

/// Runs `case` on `host`: why it does not pass, if so.
pub fn run(host: &Host, case: &Case, scratch: &Path) -> Result<Option<String>> {
    empty(scratch)?;
    let dir = scratch.join("dir");
    prepare(case, &dir).map_err(|error| format!("cannot prepare {}: {error}", dir.display()))?;
    let mut file = case.file.clone();
    if let Some(name) = case.named {
        file = scratch.join(name);
        fs::copy(&case.file, &file).map_err(|error| format!("cannot copy {}: {error}", case.file.display()))?;
    }
    let mut command = host.command(case, &file, &dir);
    command.stdin(match case.stdin {
        Stdin::Pipe => Stdio::piped(),
        Stdin::Directory => File::open(&dir).map_err(|error| format!("cannot open {}: {error}", dir.display()))?.into(),
    });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    Ok(match attend(child, case.talk)? {
        Some(ended) => judge(host, case, &ended),
        None => Some(format!("hangs: it was ended after {} s", BOUND.as_secs())),
    })
}

fn prepare(case: &Case, dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    for (name, content) in case.files {
        match name.strip_suffix('/') {
            Some(name) => fs::create_dir_all(dir.join(name))?,
            None => fs::write(dir.join(name), content)?,
        }
    }
    Ok(())
}

/// Talks to the process until it ends; `None` if it did not.
fn attend(mut child: Child, steps: &'static [Step]) -> Result<Option<Ended>> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdout), Some(mut stderr)) = (stdout, stderr) else {
        return Err("the process has no standard streams".into());
    };
    let (tell, told) = mpsc::channel();
    let errors = thread::spawn(move || {
        let mut errors = Vec::new();
        let _ = stderr.read_to_end(&mut errors);
        // Both are closed by the end of the process at the latest.
        let _ = tell.send(());
        String::from_utf8_lossy(&errors).into_owned()
    });
    let talk = thread::spawn(move || talk(stdin, stdout, steps));
    let in_time = told.recv_timeout(BOUND).is_ok();
    if !in_time {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| format!("cannot wait for a process: {error}"))?;
    // Its streams are closed, so that both end.
    let errors = errors.join().map_err(|_| "the reader of standard error panicked")?;
    let (output, talk) = talk.join().map_err(|_| "the reader of standard output panicked")?;
    Ok(in_time.then_some(Ended { status, output, errors, talk }))
}

/// Takes the steps, closes standard input and reads the rest of the output: all of the output, and what went wrong.
fn talk(mut stdin: Option<ChildStdin>, stdout: ChildStdout, steps: &[Step]) -> (String, Result) {
    let mut stdout = Some(stdout);
    let mut output = Vec::new();
    let mut done = Ok(());
    for step in steps {
        done = take(*step, &mut stdin, &mut stdout, &mut output);
        if done.is_err() {
            break;
        }
    }
    drop(stdin);
    if let Some(mut stdout) = stdout {
        let _ = stdout.read_to_end(&mut output);
    }
    (String::from_utf8_lossy(&output).into_owned(), done)
}

fn take(step: Step, stdin: &mut Option<ChildStdin>, stdout: &mut Option<ChildStdout>, output: &mut Vec<u8>) -> Result {
    let gone = || "its standard stream is closed".to_owned();
    match step {
        Step::Read(expected) => {
            let mut got = vec![0; expected.len()];
            let read = stdout.as_mut().ok_or_else(gone)?.read_exact(&mut got);
            read.map_err(|error| format!("it does not print {expected:?}: {error}"))?;
            output.extend_from_slice(&got);
            if got != expected.as_bytes() {
                return Err(format!("prints {:?} instead of {expected:?}", String::from_utf8_lossy(&got)));
            }
        }
        Step::CloseOutput(bytes) => {
            let read = stdout.take().ok_or_else(gone)?.read_exact(&mut vec![0; bytes]);
            read.map_err(|error| format!("it does not print {bytes} bytes: {error}"))?;
        }
        // That it does not read is its affair.
        Step::Write(text) => {
            let _ = stdin.as_mut().ok_or_else(gone)?.write_all(text.as_bytes());
        }
        Step::Echo(text) => {
            let mut line = Vec::new();
            while line.last() != Some(&b'\n') {
                let mut byte = [0];
                let read = stdout.as_mut().ok_or_else(gone)?.read_exact(&mut byte);
                read.map_err(|error| format!("it does not print its address: {error}"))?;
                line.push(byte[0]);
            }
            let addr = String::from_utf8_lossy(&line).trim().to_owned();
            echo(&addr, text).map_err(|error| format!("its echo fails: {error}"))?;
        }
    }
    Ok(())
}

fn echo(addr: &str, text: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(BOUND))?;
    stream.write_all(text.as_bytes())?;
    let mut got = vec![0; text.len()];
    stream.read_exact(&mut got)?;
    if got == text.as_bytes() { Ok(()) } else { Err(std::io::Error::other("another text comes back")) }
}

/// Why it does not pass, if so.
fn judge(host: &Host, case: &Case, ended: &Ended) -> Option<String> {
    let code = ended.status.code();
    let passes = match case.ends {
        Ends::Code(expected) => code == Some(expected),
        Ends::Saying(expected, text) => code == Some(expected) && ended.errors.contains(text),
        // Not a panic, which ends in a trap too.
        Ends::Trap(_) if host.is_ours() => code == Some(134) && !ended.errors.contains("panicked at"),
        Ends::Trap(text) => code == Some(1) && ended.errors.contains(text),
        Ends::TimedOut if host.is_ours() => code == Some(124),
        Ends::TimedOut => code == Some(134) && ended.errors.contains("interrupt"),
    };
    if !passes {
        return Some(why(ended));
    }
    if let Err(talk) = &ended.talk {
        return Some(talk.clone());
    }
    let prints = case.prints.as_ref()?;
    (*prints != ended.output).then(|| format!("prints {} bytes that are not those expected", ended.output.len()))
}

/// The first line that says something: of a panic the message with its place, else the first of standard error.
fn why(ended: &Ended) -> String {
    let end = match ended.status.code() {
        Some(code) => format!("exit code {code}"),
        None => format!("{}", ended.status),
    };
    let mut lines = ended.errors.lines().map(str::trim).filter(|line| !line.is_empty());
    let Some(first) = lines.next() else { return end };
    let mut all = std::iter::once(first).chain(lines);
    match all.find(|line| line.contains("panicked at")) {
        Some(panicked) => {
            let place = panicked.split("panicked at ").nth(1).unwrap_or(panicked).trim_end_matches(':');
            let message = all.next().unwrap_or_default();
            format!("{end}: {message} ({place})")
        }
        None => format!("{end}: {first}"),
    }
}
