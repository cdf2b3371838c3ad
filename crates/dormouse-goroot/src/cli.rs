//! The command: `dormouse goroot …`, and `dormouse-goroot …` on its own.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::overrides::src;
use crate::{Error, Link, Listing, Overrides, Plan, Report, Target, tinygo_targets};

/// Exit code of what went wrong, and of a check that found something.
const FAILED: u8 = 1;
/// Exit code of a mistake on the command line.
const USAGE: u8 = 2;
/// The release whose tags a check has, where there is no Go tree to ask.
const NEWEST: u32 = 26;

/// Merges an upstream Go source tree with an overlay, as TinyGo does: only files of the overlay that belong to the build
/// claim a directory.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0; 1 if something cannot be read or written, a file or a table is malformed, or a check
has found something; 2 for a mistake on the command line.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Says what would be linked from where; as a tree, unless an option says otherwise
    Plan(PlanArgs),
    /// Makes the merged tree, unless it is there, and prints its path: a GOROOT
    Apply(ApplyArgs),
    /// Names what is odd about an overlay: files that no target would use, directories that are never linked, names such as
    /// x_wasip2.go that guard nothing; and what of upstream it hides, for each target that has a name
    Check(CheckArgs),
}

#[derive(Args, Debug)]
struct PlanArgs {
    #[command(flatten)]
    inputs: Inputs,
    #[command(flatten)]
    form: Form,
}

#[derive(Args, Debug)]
#[group(multiple = false)]
struct Form {
    /// As a tree
    #[arg(long)]
    tree: bool,
    /// As JSON, with all reasons
    #[arg(long)]
    json: bool,
    /// What is decided of PATH, for example src/net, and why
    #[arg(long, value_name = "PATH")]
    why: Option<String>,
    /// As the file that `go build -overlay` takes: the same merge, without a tree of its own
    #[arg(long)]
    go_overlay: bool,
}

#[derive(Args, Debug)]
struct ApplyArgs {
    #[command(flatten)]
    inputs: Inputs,
    /// Where the tree is made, under a name that is a hash of what is in it
    #[arg(long, value_name = "DIR")]
    cache: PathBuf,
    /// How files are linked: one falls back to the next
    #[arg(long, value_enum, default_value_t = LinkArg::Symbolic)]
    link: LinkArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LinkArg {
    Symbolic,
    Hard,
    Copy,
}

#[derive(Args, Debug)]
struct CheckArgs {
    /// The overlay: what holds its src, and perhaps TinyGo's targets
    #[arg(long, value_name = "DIR")]
    overlay: PathBuf,
    /// The Go tree, to be told what is hidden of it
    #[arg(long, value_name = "DIR")]
    goroot: Option<PathBuf>,
    /// The table of directories; TinyGo's if left out
    #[arg(long, value_name = "FILE")]
    overrides: Option<PathBuf>,
    /// Tags that a target may have beside those that are known
    #[arg(long, value_name = "TAG,…", value_delimiter = ',')]
    tags: Vec<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Inputs {
    /// The Go tree: what holds its src
    #[arg(long, value_name = "DIR")]
    goroot: PathBuf,
    /// The overlay: what holds its src, and perhaps TinyGo's targets
    #[arg(long, value_name = "DIR")]
    overlay: PathBuf,
    /// The table of directories, with lines such as `net/ merge` and `net/http/ overlay if tinygo.wasm`; TinyGo's if left out
    #[arg(long, value_name = "FILE")]
    overrides: Option<PathBuf>,
    /// A target of TinyGo's (wasip1, wasip2, wasm, … or a name in the overlay's targets), or GOOS/GOARCH
    #[arg(long, value_name = "NAME")]
    target: String,
    /// The release, 1.26 for example; that of the Go tree if left out
    #[arg(long, value_name = "1.N", value_parser = parse_release)]
    go: Option<u32>,
    /// Tags to set beside the target's own
    #[arg(long, value_name = "TAG,…", value_delimiter = ',')]
    tags: Vec<String>,
    /// Tags of the tool chain to set: goexperiment.…, amd64.v1
    #[arg(long, value_name = "TAG,…", value_delimiter = ',')]
    tool_tags: Vec<String>,
    /// Without cgo, which TinyGo's targets have
    #[arg(long, conflicts_with = "cgo")]
    no_cgo: bool,
    /// With cgo, which GOOS/GOARCH does not have
    #[arg(long)]
    cgo: bool,
}

/// Runs the command with `args`, which do not have its name: that is `name`, for its help. Writes what it says to `out` and
/// complaints to `err`, and gives the exit code.
pub fn run(
    name: &'static str,
    args: impl IntoIterator<Item = OsString>,
    out: &mut impl Write,
    err: &mut impl Write,
) -> u8 {
    let matches = Cli::command().name(name).bin_name(name).try_get_matches_from(args);
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => match error.kind() {
            // Help that nobody reads any more is no error.
            ErrorKind::DisplayHelp => return write!(out, "{error}").map_or(0, |()| 0),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                return complain(err, USAGE, &format!("what to do is missing; see `{name} --help`"));
            }
            _ => return complain(err, USAGE, &format!("{}; see `{name} --help`", sentence(&error.to_string()))),
        },
    };
    match cli.command.run() {
        Ok(Said { text, code }) => match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => code,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => code,
            Err(error) => complain(err, FAILED, &format!("write the answer: {error}")),
        },
        Err(Refused::Usage(what)) => complain(err, USAGE, &what),
        Err(Refused::Failed(error)) => complain(err, FAILED, &error.to_string()),
    }
}

fn complain(err: &mut impl Write, code: u8, what: &str) -> u8 {
    // It may be closed.
    let _ = writeln!(err, "dormouse: {what}");
    code
}

/// Clap's message is a paragraph with a title, tips and the usage; this is its first statement as a sentence.
fn sentence(message: &str) -> String {
    let statement = message.split("\n\n").next().unwrap_or(message);
    statement.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a command has to say, and its exit code.
struct Said {
    text: String,
    code: u8,
}

enum Refused {
    Usage(String),
    Failed(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Command {
    fn run(&self) -> Result<Said, Refused> {
        let said = |text| Ok(Said { text, code: 0 });
        match self {
            Self::Plan(PlanArgs { inputs, form }) => {
                let plan = inputs.plan()?;
                match form {
                    Form { json: true, .. } => said(plan.json()? + "\n"),
                    Form { go_overlay: true, .. } => said(plan.go_overlay()? + "\n"),
                    Form { why: Some(path), .. } => said(plan.why(path)),
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
                said(format!("{}\n", inputs.plan()?.apply(&cache, link)?.path.display()))
            }
            Self::Check(args) => {
                let report = args.report()?;
                let text = match args.json {
                    true => serde_json::to_string_pretty(&report).expect("strings and lists can be written") + "\n",
                    false => report.to_string(),
                };
                Ok(Said { text, code: if report.is_clean() { 0 } else { FAILED } })
            }
        }
    }
}

impl Inputs {
    fn plan(&self) -> Result<Plan, Refused> {
        Ok(Plan::read(&self.goroot, &self.overlay, &table(self.overrides.as_deref())?, &self.target()?)?)
    }

    fn target(&self) -> Result<Target, Refused> {
        let release = match self.go {
            Some(release) => release,
            None => release_of(&self.goroot)?,
        };
        let own = tinygo_targets(&self.overlay.join("targets"), release)?.remove(&self.target);
        let target =
            own.or_else(|| Target::tinygo(&self.target, release)).or_else(|| Target::pair(&self.target, release));
        let Some(mut target) = target else {
            let known: Vec<&str> = Target::tinygo_names().collect();
            let (target, known) = (&self.target, known.join(", "));
            return Err(Refused::Usage(format!("there is no target {target}: write one of {known}, or GOOS/GOARCH")));
        };
        target.tags.extend(self.tags.iter().cloned());
        target.tool_tags.extend(self.tool_tags.iter().cloned());
        target.cgo = self.cgo || target.cgo && !self.no_cgo;
        Ok(target)
    }
}

impl CheckArgs {
    fn report(&self) -> Result<Report, Refused> {
        let release = self.goroot.as_deref().map_or(Ok(NEWEST), release_of)?;
        let own = tinygo_targets(&self.overlay.join("targets"), release)?;
        let built_in = Target::tinygo_names().filter(|name| !own.contains_key(*name));
        let built_in = built_in.filter_map(|name| Target::tinygo(name, release));
        let mut targets: Vec<Target> = own.values().cloned().chain(built_in).collect();
        targets.iter_mut().for_each(|target| target.tags.extend(self.tags.iter().cloned()));
        let table = table(self.overrides.as_deref())?;
        let overlay = Listing::of_tree(&self.overlay, "src")?.with_rules();
        if overlay.dir("src").is_none() {
            return Err(Refused::Usage(format!("{} is no overlay: it has no directory src", self.overlay.display())));
        }
        let upstream = match &self.goroot {
            Some(goroot) => {
                let dirs: Vec<String> = table.lines().map(|line| src(&line.dir)).collect();
                Some(Listing::of_dirs(goroot, dirs.iter().map(String::as_str))?.with_rules())
            }
            None => None,
        };
        Ok(Report::new(&overlay, upstream.as_ref(), &table, &targets)?)
    }
}

fn table(path: Option<&Path>) -> Result<Overrides, Error> {
    path.map_or_else(|| Ok(Overrides::tinygo()), Overrides::read)
}

/// The N of the release 1.N that a Go tree is, by its file VERSION.
fn release_of(goroot: &Path) -> Result<u32, Refused> {
    let path = goroot.join("VERSION");
    let text = fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    let first = text.lines().next().unwrap_or_default();
    let release = first.strip_prefix("go").and_then(|release| parse_release(release).ok());
    let unknown = || format!("{} says `{first}`, which is no release of Go: say which it is with --go", path.display());
    release.ok_or_else(|| Refused::Usage(unknown()))
}

/// `1.26`, `1.26.1`, `1.26rc1`.
fn parse_release(text: &str) -> Result<u32, String> {
    let minor =
        text.strip_prefix("1.").map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
    // There is a tag for each release up to this one.
    minor
        .and_then(|minor| minor.parse().ok())
        .filter(|minor| *minor < 1000)
        .ok_or_else(|| "a release of Go is written 1.N, for example 1.26".to_owned())
}
