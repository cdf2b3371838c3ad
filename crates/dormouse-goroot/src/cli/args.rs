//! What the command takes.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Merges an upstream Go source tree with an overlay, as TinyGo does: only files of the overlay that belong to the build
/// claim a directory.
#[derive(Debug, Parser)]
#[command(name = "dormouse-goroot", version, no_binary_name = true, after_help = AFTER)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

const AFTER: &str = "\
An overlay may bring its table, as the file goroot.overrides beside its src: it counts unless
--overrides names another one. TinyGo's is built in.

Exit codes: 0; 1 if something cannot be read or written, or a file or a table is malformed; 2 for a
mistake on the command line; 3 if a check has found warnings, 4 if it has found errors.

Its page, with examples, is README.md of the crate dormouse-goroot.";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Says what would be linked from where; as a tree, unless an option says otherwise
    Plan(PlanArgs),
    /// Makes the merged tree, unless it is there, and prints its path: a GOROOT
    Apply(ApplyArgs),
    /// Names what is odd about an overlay: files that no build would use, directories that are never linked, names such as
    /// x_wasip2.go that guard nothing; and with --goroot what does not fit the Go tree and what of it is hidden
    Check(CheckArgs),
    /// Says what the standard library gains and loses between two targets, two versions of Go or two overlays: the files that
    /// belong to the one build and not to the other
    Diff(DiffArgs),
    /// Lists the targets there are, with what Go calls each and its tags
    Targets(TargetsArgs),
}

#[derive(Args, Debug)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub(super) inputs: Inputs,
    #[command(flatten)]
    pub(super) form: Form,
}

#[derive(Args, Debug)]
#[group(multiple = false)]
pub(super) struct Form {
    /// As a tree
    #[arg(long)]
    pub(super) tree: bool,
    /// As JSON, with all reasons
    #[arg(long)]
    pub(super) json: bool,
    /// What is decided of PATH, for example src/net, and why; exit code 1 if it is in neither tree
    #[arg(long, value_name = "PATH")]
    pub(super) why: Option<String>,
    /// As the file that `go build -overlay` takes: the same merge, without a tree of its own
    #[arg(long)]
    pub(super) go_overlay: bool,
}

#[derive(Args, Debug)]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    pub(super) inputs: Inputs,
    /// Where the tree is made, under a name that is a hash of what is in it
    #[arg(long, value_name = "DIR")]
    pub(super) cache: PathBuf,
    /// How files are linked: one falls back to the next
    #[arg(long, value_enum, default_value_t = LinkArg::Symbolic)]
    pub(super) link: LinkArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LinkArg {
    Symbolic,
    Hard,
    Copy,
}

#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// The overlay: what holds its src, and perhaps TinyGo's targets
    #[arg(long, value_name = "DIR")]
    pub(super) overlay: PathBuf,
    /// The Go tree, to be told what does not fit it and what is hidden of it
    #[arg(long, value_name = "DIR")]
    pub(super) goroot: Option<PathBuf>,
    /// The table of directories; the overlay's or TinyGo's if left out
    #[arg(long, value_name = "FILE")]
    pub(super) overrides: Option<PathBuf>,
    /// The release, 1.26 for example; that of the Go tree, or the newest that is known, if left out
    #[arg(long, value_name = "1.N", value_parser = parse_release)]
    pub(super) go: Option<u32>,
    /// Tags that a build may set or not, beside those that are known
    #[arg(long, value_name = "TAG,…", value_delimiter = ',')]
    pub(super) tags: Vec<String>,
    /// Findings that are allowed: lines such as `never-used src/os/deadline_test.go`
    #[arg(long, value_name = "FILE")]
    pub(super) allow: Option<PathBuf>,
    /// How bad a finding has to be for the exit code to tell
    #[arg(long, value_enum, default_value_t = FailOn::Warning)]
    pub(super) fail_on: FailOn,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum FailOn {
    Note,
    Warning,
    Error,
}

#[derive(Args, Debug)]
pub(super) struct DiffArgs {
    #[command(flatten)]
    pub(super) inputs: Inputs,
    #[command(flatten)]
    pub(super) to: To,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What is different in the other build.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(super) struct To {
    /// The other target
    #[arg(long, value_name = "NAME")]
    pub(super) to_target: Option<String>,
    /// The other Go tree, whose release counts unless --to-go names one
    #[arg(long, value_name = "DIR")]
    pub(super) to_goroot: Option<PathBuf>,
    /// The other overlay
    #[arg(long, value_name = "DIR")]
    pub(super) to_overlay: Option<PathBuf>,
    /// The other release
    #[arg(long, value_name = "1.N", value_parser = parse_release)]
    pub(super) to_go: Option<u32>,
    /// The tags of the other tool chain, in place of --tool-tags
    #[arg(long, value_name = "TAG,…", value_delimiter = ',')]
    pub(super) to_tool_tags: Option<Vec<String>>,
}

#[derive(Args, Debug)]
pub(super) struct TargetsArgs {
    /// The overlay, which may have TinyGo's targets
    #[arg(long, value_name = "DIR")]
    pub(super) overlay: PathBuf,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Inputs {
    /// The Go tree: what holds its src
    #[arg(long, value_name = "DIR")]
    pub(super) goroot: PathBuf,
    /// The overlay: what holds its src, and perhaps TinyGo's targets
    #[arg(long, value_name = "DIR")]
    pub(super) overlay: PathBuf,
    /// The table of directories, with lines such as `net/ merge` and `net/http/ overlay if tinygo.wasm`; the overlay's or
    /// TinyGo's if left out
    #[arg(long, value_name = "FILE")]
    pub(super) overrides: Option<PathBuf>,
    /// A target of TinyGo's (wasip1, wasip2, wasm, … or a name in the overlay's targets), a file ….json, or GOOS/GOARCH
    #[arg(long, value_name = "NAME")]
    pub(super) target: String,
    /// The release, 1.26 for example; that of the Go tree if left out
    #[arg(long, value_name = "1.N", value_parser = parse_release)]
    pub(super) go: Option<u32>,
    /// GOOS/GOARCH as Go itself has it: no tags of TinyGo's, and no cgo
    #[arg(long)]
    pub(super) plain: bool,
    /// As TinyGo's -gc: in place of what the target has
    #[arg(long, conflicts_with = "plain",
        value_parser = PossibleValuesParser::new(["none", "leaking", "conservative", "custom", "precise", "boehm"]))]
    pub(super) gc: Option<String>,
    /// As TinyGo's -scheduler: in place of what the target has
    #[arg(long, conflicts_with = "plain",
        value_parser = PossibleValuesParser::new(["none", "tasks", "asyncify", "jspi", "threads", "cores"]))]
    pub(super) scheduler: Option<String>,
    /// As TinyGo's -serial: in place of what the target has
    #[arg(long, conflicts_with = "plain", value_parser = PossibleValuesParser::new(["none", "uart", "usb", "rtt"]))]
    pub(super) serial: Option<String>,
    /// Tags to set beside the target's own, as TinyGo's -tags
    #[arg(long, value_name = "TAG,…", value_delimiter = ',')]
    pub(super) tags: Vec<String>,
    /// Tags of the tool chain to set: goexperiment.…, amd64.v1
    #[arg(long, value_name = "TAG,…", value_delimiter = ',')]
    pub(super) tool_tags: Vec<String>,
    /// Without cgo, which TinyGo's targets have
    #[arg(long, conflicts_with = "cgo")]
    pub(super) no_cgo: bool,
    /// With cgo, which --plain does not have
    #[arg(long)]
    pub(super) cgo: bool,
}

/// `1.26`, `1.26.1`, `1.26rc1`.
pub(super) fn parse_release(text: &str) -> Result<u32, String> {
    let minor =
        text.strip_prefix("1.").map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
    // There is a tag for each release up to this one.
    minor
        .and_then(|minor| minor.parse().ok())
        .filter(|minor| *minor < 1000)
        .ok_or_else(|| "a release of Go is written 1.N, for example 1.26".to_owned())
}
