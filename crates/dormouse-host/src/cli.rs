//! The command line: options to a [`Run`](dormouse_host::Run), mistakes to one sentence.

mod policy;
mod run;
mod values;
mod wasmtime;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

pub(crate) use run::{RunArgs, listen};

/// Serves WASI programs, sockets included. `dormouse APP.wasm` is `dormouse run APP.wasm`.
#[derive(Debug, Parser)]
#[command(name = "dormouse", version, after_help = EXAMPLES)]
#[command(override_usage = "dormouse [OPTIONS OF run] APP.wasm [ARGS]...\n       dormouse <COMMAND>")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Box<RunArgs>),
    Compile(CompileArgs),
}

const EXAMPLES: &str = "\
Examples:
  dormouse app.wasm --verbose                              run it with the argument --verbose
  dormouse --allow-listen 127.0.0.1:8080 server.wasm       it may listen on that address
  dormouse --listen 127.0.0.1:8080 server-p1.wasm          the same for a wasip1 program, which finds it as descriptor 3
  dormouse --allow-connect db.internal:5432 client.wasm    it may look that name up and connect to what it finds
  dormouse --dir ./data::/data:ro --env MODE=test app.wasm a directory to read, and a variable
  dormouse --policy app.toml app.wasm                      all of that from a file
  dormouse --invoke add module.wasm 1 2                    call a function
  curl https://example.com/app.wasm | dormouse -           run what comes from standard input

See `dormouse run --help` for all options.";

const EXIT_CODES: &str = "\
Exit codes: the program's own, of which the low eight bits are shown (a wasip1 program may give any
32, and a component built with Rust's std has only 0 and 1); 1 if it could not be loaded or set up;
2 for a mistake on the command line; 124 if --timeout ended it; 134 for a trap; 130 and 143 for
SIGINT and SIGTERM.

SIGINT and SIGTERM ask the program to stop, which then has the time of --stop-timeout to end by itself.
It hears that if it waits for it (dormouse::signal, and tokio::signal where dormouse-tokio stands for
tokio), or else if it reads standard input, which ends. A second one, or one that the program does not
hear, ends it at once.

SIGHUP loads the file of the program anew, unless standard input is a terminal: when all new instances
listen, the old ones are asked to stop. If the file does not compile, or a new one ends before, the old
ones go on.";

/// Compile a program once for all: `dormouse run --allow-precompiled` runs what it makes without compiling anything.
///
/// The file is for this version of the runner, and for processors that have what this one has. It holds machine code, which is run
/// without a check: keep it where nobody else can write.
#[derive(Args, Debug)]
pub(crate) struct CompileArgs {
    /// The program
    #[arg(value_name = "APP.wasm")]
    pub(crate) app: PathBuf,

    /// Where to put what is compiled [default: the program's name with .cwasm, in this directory]
    #[arg(short, long, value_name = "APP.cwasm")]
    output: Option<PathBuf>,
}

impl CompileArgs {
    /// Where it is put.
    pub(crate) fn output(&self) -> PathBuf {
        let name = || PathBuf::from(self.app.file_name().unwrap_or(self.app.as_os_str())).with_extension("cwasm");
        self.output.clone().unwrap_or_else(name)
    }
}

/// Why there is no command to carry out.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Help or the version was asked for: the text.
    Help(String),
    /// A mistake: the sentence.
    Usage(String),
}

/// Reads the command line of this process.
pub(crate) fn parse() -> Result<Command, Refused> {
    parse_from(std::env::args_os())
}

fn parse_from(args: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Command, Refused> {
    let mut args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    if is_run(args.get(1)) {
        args.insert(1, "run".into());
    }
    match Cli::try_parse_from(&args) {
        Ok(Cli { command: Command::Run(mut args) }) => {
            args.settle().map_err(Refused::Usage)?;
            Ok(Command::Run(args))
        }
        Ok(cli) => Ok(cli.command),
        Err(error) => Err(match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Refused::Help(error.to_string()),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                Refused::Usage("what to do is missing; try `dormouse run APP.wasm` or `dormouse --help`".to_owned())
            }
            ErrorKind::InvalidSubcommand => Refused::Usage(format!(
                "there is no command {}, and no file of that name; run a program with `dormouse APP.wasm`, and see `dormouse --help`",
                args.get(1).map(|word| word.to_string_lossy()).unwrap_or_default()
            )),
            _ => {
                let command = args.get(1).map(|word| word.to_string_lossy()).unwrap_or_default();
                Refused::Usage(sentence(&error.to_string(), &format!("dormouse {command} --help")))
            }
        }),
    }
}

/// Whether the first word begins a `dormouse run` that is not written: an option of it, or a program. A command wins over a file of its name.
fn is_run(word: Option<&OsString>) -> bool {
    let Some(word) = word else { return false };
    let text = word.to_string_lossy();
    let ours = Cli::command().get_subcommands().any(|command| command.get_name() == text);
    let ours = ours || ["help", "-h", "--help", "-V", "--version"].contains(&&*text);
    !ours && (text.starts_with('-') || text.contains(['.', '/']) || Path::new(word).exists())
}

/// Clap's message is a paragraph with a title, tips and the usage; this is its first statement as a sentence, and the
/// command that has the rest.
fn sentence(message: &str, help: &str) -> String {
    let statement = message.split("\n\n").next().unwrap_or(message);
    let words: Vec<&str> = statement.trim_start_matches("error: ").split_whitespace().collect();
    format!("{}; see `{help}`", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> RunArgs {
        let all = ["dormouse", "run"].iter().chain(args);
        match parse_from(all) {
            Ok(Command::Run(args)) => *args,
            other => panic!("{other:?}"),
        }
    }

    fn usage(args: &[&str]) -> String {
        match parse_from(["dormouse"].iter().chain(args)) {
            Err(Refused::Usage(sentence)) => sentence,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_program_is_the_programs() {
        let args = run(&["--allow-net", "app.wasm", "--allow-net", "-x", "--", "y"]);
        assert_eq!(args.app(), Path::new("app.wasm"));
        assert_eq!(args.args(), ["--allow-net", "-x", "--", "y"]);
    }

    #[test]
    fn an_argument_that_is_not_utf_8_is_a_mistake_and_not_dropped() {
        use std::os::unix::ffi::OsStringExt as _;
        let words = ["dormouse", "run", "app.wasm", "a"].map(OsString::from);
        match parse_from(words.into_iter().chain([OsString::from_vec(vec![b'a', 0xff])])) {
            Err(Refused::Usage(sentence)) => assert!(sentence.contains("is not UTF-8"), "{sentence}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn mistakes_are_one_sentence() {
        let cases: [(&[&str], &str); 8] = [
            (&[], "dormouse run APP.wasm"),
            (&["walk"], "there is no command walk, and no file"),
            (&["run"], "required arguments were not provided: <APP.wasm>"),
            (&["run", "--allow-lisen", "x", "a.wasm"], "unexpected argument '--allow-lisen'"),
            (&["run", "--allow-listen", "local host:80", "a.wasm"], "neither an IP address nor a name"),
            (&["run", "--max-memory", "lots", "a.wasm"], "KiB, MiB or GiB"),
            (&["--max-memory", "lots", "a.wasm"], "see `dormouse run --help`"),
            (&["compile"], "see `dormouse compile --help`"),
        ];
        for (args, expected) in cases {
            let sentence = usage(args);
            assert!(sentence.contains(expected) && !sentence.contains('\n'), "{sentence}");
        }
    }
}
