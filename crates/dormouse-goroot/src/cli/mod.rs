//! The command `dormouse-goroot`.

mod args;
mod inputs;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use self::args::{ApplyArgs, Cli, Command, FailOn, Form, LinkArg, PlanArgs};
use crate::{Error, Link, Severity};

/// Exit code of what went wrong.
const FAILED: u8 = 1;
/// Exit code of a mistake on the command line.
const USAGE: u8 = 2;
/// Exit code of a check that found warnings.
const WARNED: u8 = 3;
/// Exit code of a check that found errors.
const FOUND_ERRORS: u8 = 4;

/// What the command is called.
const NAME: &str = "dormouse-goroot";

/// Runs the command with `args`, which do not have its name. Writes what it says to `out` and complaints to `err`, and gives the
/// exit code.
pub fn run(args: impl IntoIterator<Item = OsString>, out: &mut impl Write, err: &mut impl Write) -> u8 {
    let matches = Cli::command().bin_name(NAME).try_get_matches_from(args);
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => match error.kind() {
            // A closed pipe that was to get help is no error.
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return write!(out, "{error}").map_or(0, |()| 0),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                return complain(err, USAGE, &format!("what to do is missing; see `{NAME} --help`"));
            }
            _ => return complain(err, USAGE, &format!("{}; see `{NAME} --help`", sentence(&error.to_string()))),
        },
    };
    match cli.command.run() {
        Ok(Said { text, code }) => match out.write_all(&text).and_then(|()| out.flush()) {
            Ok(()) => code,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => code,
            Err(error) => complain(err, FAILED, &format!("write the answer: {error}")),
        },
        Err(Refused::Usage(what)) => complain(err, USAGE, &what),
        Err(Refused::Failed(error)) => complain(err, FAILED, &error.to_string()),
        Err(Refused::Sentence(what)) => complain(err, FAILED, &what),
    }
}

fn complain(err: &mut impl Write, code: u8, what: &str) -> u8 {
    // It may be closed.
    let _ = writeln!(err, "{NAME}: {what}");
    code
}

/// Clap's message is a paragraph with a title, tips and the usage; this is its first statement as a sentence.
fn sentence(message: &str) -> String {
    let statement = message.split("\n\n").next().unwrap_or(message);
    statement.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a command has to say, and its exit code.
struct Said {
    /// A path is said as it is, which may not be UTF-8.
    text: Vec<u8>,
    code: u8,
}

enum Refused {
    Usage(String),
    Failed(Error),
    /// Something else that failed, in a sentence.
    Sentence(String),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Command {
    fn run(&self) -> Result<Said, Refused> {
        let said = |text: String| Ok(Said { text: text.into_bytes(), code: 0 });
        match self {
            Self::Plan(PlanArgs { inputs, form }) => {
                let plan = inputs.plan()?;
                match form {
                    Form { json: true, .. } => said(plan.json()? + "\n"),
                    Form { go_overlay: true, .. } => said(plan.go_overlay()? + "\n"),
                    Form { why: Some(path), .. } => said(plan.why(path).map_err(Refused::Sentence)?),
                    _ => said(plan.tree()),
                }
            }
            Self::Apply(ApplyArgs { inputs, cache, link }) => {
                let link = match link {
                    LinkArg::Symbolic => Link::Symbolic,
                    LinkArg::Hard => Link::Hard,
                    LinkArg::Copy => Link::Copy,
                };
                // As GOROOT it is to be the same wherever go is started.
                let cache =
                    std::path::absolute(cache).map_err(|source| Error::Write { path: cache.clone(), source })?;
                let path = inputs.plan()?.apply(&cache, link)?.path;
                Ok(Said { text: [path.as_os_str().as_encoded_bytes(), b"\n"].concat(), code: 0 })
            }
            Self::Check(args) => {
                let report = args.report()?;
                let text = match args.json {
                    true => serde_json::to_string_pretty(&report).expect("strings and lists can be written") + "\n",
                    false => report.to_string(),
                };
                let least = match args.fail_on {
                    FailOn::Note => Severity::Note,
                    FailOn::Warning => Severity::Warning,
                    FailOn::Error => Severity::Error,
                };
                let code = match report.worst().filter(|worst| *worst >= least) {
                    None => 0,
                    Some(Severity::Note | Severity::Warning) => WARNED,
                    Some(Severity::Error) => FOUND_ERRORS,
                };
                Ok(Said { text: text.into_bytes(), code })
            }
            Self::Diff(args) => {
                let diff = args.diff()?;
                match args.json {
                    true => said(serde_json::to_string_pretty(&diff).expect("strings and lists can be written") + "\n"),
                    false => said(diff.to_string()),
                }
            }
            Self::Targets(args) => said(args.list()?),
        }
    }
}
