//! The command line: options to a [`Run`], mistakes to one sentence.

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, FromArgMatches, Parser, Subcommand};
use dormouse_host::{ConnectAddr, Error, ListenAddr, Policy, Restart, Run};
use socket2::{Domain, Protocol, Socket, Type};

/// Serves WASI programs, sockets included.
#[derive(Debug, Parser)]
#[command(name = "dormouse", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Box<RunArgs>),
    Compile(CompileArgs),
}

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

// Not doc comments, because rustdoc takes `[::1]` for a link.
const HELP_LISTEN: &str = "Let it listen on ADDR: 127.0.0.1:8080, [::1]:8080, 127.0.0.1:* (any port), \
    127.0.0.1:0 (a port that the system assigns)";
const HELP_OPEN: &str = "Listen on ADDR for it (127.0.0.1:8080, [::1]:8080, port 0 for one that the system assigns): \
    a wasip1 program finds the listener as descriptor 3, and the next as 4, with LISTEN_FDS and LISTEN_FDNAMES to tell; \
    to a component it is --allow-listen ADDR";
const HELP_CONNECT: &str = "Let it connect to ADDR: 192.0.2.1:443, [::1]:*, 10.0.0.0/8:443, [fd00::/8]:443";

/// Run a WASI program: a component of WASI 0.2 or 0.3, or a module of WASI 0.1.
///
/// The program gets standard input, output and error, its arguments, and nothing else that is not given here: no
/// network, no directory, no environment variable but LISTEN_FDS and LISTEN_FDNAMES, which the runner sets with --listen.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct RunArgs {
    #[arg(long, value_name = "ADDR[=NAME]", value_parser = parse_listen, help = HELP_OPEN)]
    listen: Vec<Listen>,

    #[arg(long, value_name = "ADDR", help = HELP_LISTEN)]
    allow_listen: Vec<ListenAddr>,

    #[arg(long, value_name = "ADDR", help = HELP_CONNECT)]
    allow_connect: Vec<ConnectAddr>,

    /// Let it use every address, TCP and UDP
    #[arg(long)]
    allow_net: bool,

    /// Let it look names up
    #[arg(long)]
    allow_dns: bool,

    /// Give it the directory HOST, named GUEST there (the same name if left out); with :ro for reading only. A name that
    /// ends in :ro itself is written with :rw behind it
    #[arg(long, value_name = "HOST[::GUEST][:ro]", value_parser = parse_dir)]
    dir: Vec<Dir>,

    /// Set an environment variable; with NAME alone, to the value it has here
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = parse_env)]
    env: Vec<(String, String)>,

    /// Bound its memories and tables together, in bytes or with KiB, MiB or GiB; what the host keeps for it is scaled to this
    /// [default: 4GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_memory: Option<usize>,

    /// Bound the handles that it may have at a time: streams, pollables, files, timers; about 1 KiB of the host's memory each
    /// [default: one for 2 KiB of --max-memory, 10000 to 1000000]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    max_resources: Option<usize>,

    /// Bound the sockets that it may have open at a time [default: the process's limit of descriptors less 64; for a
    /// component a twelfth of --max-resources if that is less]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    max_sockets: Option<usize>,

    /// End it after that long, waiting or computing: 30s (or 30), 500ms, 5m, 1h; compiling is not counted
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// Run so many instances of it, or one for each processor: each with a thread and a memory of its own, and all behind the listeners that
    /// it opens. Their number is in DORMOUSE_INSTANCE of a program built with Dormouse
    #[arg(long, value_name = "N|cores", default_value = "1", value_parser = parse_instances)]
    pub(crate) instances: NonZeroUsize,

    /// Bound what an instance may use of a processor: 50% is half of one
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    cpu_share: Option<NonZeroU32>,

    /// Bound the bytes that an instance may receive and send in a second, in bytes or with KiB, MiB or GiB
    #[arg(long, value_name = "SIZE", value_parser = parse_byte_rate)]
    byte_rate: Option<NonZeroU64>,

    /// Bound the connections that an instance may accept in a second; others wait
    #[arg(long, value_name = "N", value_parser = parse_rate)]
    pub(crate) accept_rate: Option<NonZeroU32>,

    /// Serve metrics over HTTP on ADDR: /metrics for Prometheus, and /healthz, which is 200 while each instance lets the host have its turn
    #[arg(long, value_name = "ADDR", value_parser = parse_metrics)]
    pub(crate) metrics: Option<SocketAddr>,

    /// Stop, as SIGTERM does, when there has been no connection for that long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) idle_exit: Option<Duration>,

    /// Start an instance again that traps or ends with another code than 0, after a pause that grows: no, on-failure, or on-failure:N for
    /// N times in a row at the most
    #[arg(long, value_name = "WHEN", default_value = "no", value_parser = parse_restart)]
    pub(crate) restart: Restart,

    /// How long it may take to end after SIGINT or SIGTERM, if it hears them
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub(crate) stop_timeout: Duration,

    /// Compile it even if that was done before, and keep nothing. Otherwise compiled programs are kept where the `wasmtime` command
    /// keeps them, by its configuration file
    #[arg(long)]
    pub(crate) no_cache: bool,

    /// Run a file that `dormouse compile` has made. It is trusted: it runs outside of any sandbox if somebody has changed it
    #[arg(long)]
    pub(crate) allow_precompiled: bool,

    /// Count its host calls; print the table at the end and on SIGUSR1
    #[arg(long)]
    pub(crate) count_calls: bool,

    #[command(flatten)]
    app: App,
}

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

/// The program and its arguments.
#[derive(Debug)]
struct App {
    file: PathBuf,
    args: Vec<String>,
}

/// One positional for both, so that nothing after the program is taken for an option of ours.
#[derive(Args, Debug)]
struct Positional {
    /// The program, and its arguments: everything that follows it, options too
    #[arg(value_names = ["APP.wasm", "ARGS"], trailing_var_arg = true, required = true)]
    app_and_args: Vec<OsString>,
}

impl Args for App {
    fn augment_args(command: clap::Command) -> clap::Command {
        Positional::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Positional::augment_args_for_update(command)
    }
}

impl FromArgMatches for App {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<App, clap::Error> {
        let mut words = Positional::from_arg_matches(matches)?.app_and_args.into_iter();
        let missing = || clap::Error::raw(ErrorKind::MissingRequiredArgument, "the program is missing");
        let file = words.next().ok_or_else(missing)?.into();
        let args = words.map(|word| word.into_string()).collect::<Result<_, _>>();
        let odd = |word| clap::Error::raw(ErrorKind::InvalidUtf8, format!("the argument {word:?} is not UTF-8"));
        Ok(App { file, args: args.map_err(odd)? })
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = App::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A listener to open for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listen {
    addr: SocketAddr,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Dir {
    host: PathBuf,
    guest: String,
    read_only: bool,
}

impl RunArgs {
    /// The file to run.
    pub(crate) fn app(&self) -> &Path {
        &self.app.file
    }

    /// Opens the listeners for a wasip1 program; `say` is told where.
    pub(crate) fn listeners(&self, say: impl Fn(String)) -> Result<Vec<(String, TcpListener)>, Error> {
        let mut listeners = Vec::new();
        for (n, Listen { addr, name }) in self.listen.iter().enumerate() {
            let failed = |source| Error::Listen { addr: *addr, source };
            let listener = listen(*addr).map_err(failed)?;
            say(format!("FD {} listens on {}", 3 + n, listener.local_addr().map_err(failed)?));
            listeners.push((name.clone(), listener));
        }
        Ok(listeners)
    }

    /// The run that the options describe.
    /// It may listen on these addresses as well.
    pub(crate) fn run<'a>(&self, run: Run<'a>, activated: &[SocketAddr]) -> Run<'a> {
        let policy = activated.iter().fold(self.policy(), |policy, addr| policy.allow_listen((*addr).into()));
        let mut run = run.args(&self.app.args).policy(policy);
        for (name, value) in &self.env {
            run = run.env(name, value);
        }
        for Dir { host, guest, read_only } in &self.dir {
            run = match read_only {
                true => run.dir_read_only(host, guest),
                false => run.dir(host, guest),
            };
        }
        if let Some(most) = self.max_sockets {
            run = run.max_sockets(most);
        }
        if let Some(most) = self.max_resources {
            run = run.max_resources(most);
        }
        if let Some(after) = self.timeout {
            run = run.timeout(after);
        }
        if let Some(percent) = self.cpu_share {
            run = run.cpu_share(percent);
        }
        if let Some(bytes) = self.byte_rate {
            run = run.byte_rate(bytes);
        }
        match self.max_memory {
            Some(bytes) => run.max_memory(bytes),
            None => run,
        }
    }

    fn policy(&self) -> Policy {
        match self.allow_dns {
            true => self.addresses().allow_dns(),
            false => self.addresses(),
        }
    }

    fn addresses(&self) -> Policy {
        if self.allow_net {
            return Policy::allow_all();
        }
        let policy = self
            .listen
            .iter()
            .fold(Policy::default(), |policy, Listen { addr, .. }| policy.allow_listen((*addr).into()));
        let policy = self.allow_listen.iter().fold(policy, |policy, addr| policy.allow_listen(*addr));
        self.allow_connect.iter().fold(policy, |policy, addr| policy.allow_connect(*addr))
    }
}

/// As std does it, but for more connections that nobody has accepted yet: with std's 128 a rush of clients waits for a second.
pub(crate) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
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

fn parse_from(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Command, Refused> {
    match Cli::try_parse_from(args) {
        Ok(cli) => Ok(cli.command),
        Err(error) => Err(match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Refused::Help(error.to_string()),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                Refused::Usage("what to do is missing; try `dormouse run APP.wasm` or `dormouse --help`".to_owned())
            }
            ErrorKind::InvalidSubcommand => Refused::Usage(sentence(&error.to_string(), "dormouse --help")),
            _ => Refused::Usage(sentence(&error.to_string(), "dormouse run --help")),
        }),
    }
}

/// Clap's message is a paragraph with a title, tips and the usage; this is its first statement as a sentence, and the
/// command that has the rest.
fn sentence(message: &str, help: &str) -> String {
    let statement = message.split("\n\n").next().unwrap_or(message);
    let words: Vec<&str> = statement.trim_start_matches("error: ").split_whitespace().collect();
    format!("{}; see `{help}`", words.join(" "))
}

fn parse_listen(text: &str) -> Result<Listen, String> {
    let (addr, name) = text.split_once('=').unwrap_or((text, "unknown"));
    // By the syntax of --allow-listen, which for a component it is.
    addr.parse::<ListenAddr>().map_err(|error| error.to_string())?;
    let addr = addr.parse().map_err(|_| {
        format!("`{addr}` is not an address to listen on: write IP:PORT, for example 127.0.0.1:8080 or [::1]:0")
    })?;
    if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
        return Err("a listener's name is not empty and has no colon in it: colons separate LISTEN_FDNAMES".to_owned());
    }
    Ok(Listen { addr, name: name.to_owned() })
}

fn parse_dir(text: &str) -> Result<Dir, String> {
    let (names, read_only) = match (text.strip_suffix(":ro"), text.strip_suffix(":rw")) {
        // A guest's name can be `ro`: `/data::ro`.
        (Some(names), _) if !names.ends_with(':') => (names, true),
        (_, Some(names)) if !names.ends_with(':') => (names, false),
        _ => (text, false),
    };
    let (host, guest) = names.split_once("::").unwrap_or((names, names));
    if host.is_empty() || guest.is_empty() {
        return Err("a directory is written HOST::GUEST, and neither name is empty".to_owned());
    }
    if guest.contains("::") {
        return Err(format!(
            "`{text}` has `::` twice; a directory is written HOST::GUEST, or HOST::GUEST:ro to read only"
        ));
    }
    let host = PathBuf::from(host);
    match std::fs::metadata(&host) {
        Ok(found) if found.is_dir() => Ok(Dir { host, guest: guest.to_owned(), read_only }),
        Ok(_) => Err(format!("{} is not a directory", host.display())),
        Err(_) => Err(format!("there is no directory {} that can be opened", host.display())),
    }
}

/// Digits, without a sign.
fn parse_count(text: &str) -> Result<usize, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| format!("`{text}` is not a number; write one like 1000"))
}

fn parse_metrics(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is no address: write 127.0.0.1:9090, or [::1]:9090"))
}

/// Of nothing there is no rate: it would be for ever.
fn parse_rate(text: &str) -> Result<NonZeroU32, String> {
    let number = parse_count(text).ok().and_then(|number| u32::try_from(number).ok()).and_then(NonZeroU32::new);
    number.ok_or_else(|| format!("`{text}` is no number a second; write one like 100"))
}

fn parse_percent(text: &str) -> Result<NonZeroU32, String> {
    let percent = text.strip_suffix('%').and_then(|number| parse_rate(number).ok());
    percent.ok_or_else(|| format!("`{text}` is no share of a processor; write 50% for half of one"))
}

fn parse_byte_rate(text: &str) -> Result<NonZeroU64, String> {
    let bytes = u64::try_from(parse_size(text)?).ok().and_then(NonZeroU64::new);
    bytes.ok_or_else(|| "with no byte a second nothing is ever moved; write a size like 1MiB".to_owned())
}

fn parse_instances(text: &str) -> Result<NonZeroUsize, String> {
    if text == "cores" {
        return std::thread::available_parallelism()
            .map_err(|error| format!("how many cores there are is not known: {error}"));
    }
    let number = parse_count(text).ok().and_then(NonZeroUsize::new);
    number.ok_or_else(|| format!("`{text}` is no number of instances; write one like 4, or cores"))
}

fn parse_restart(text: &str) -> Result<Restart, String> {
    let times =
        text.strip_prefix("on-failure:").map(|times| parse_count(times).ok().and_then(|n| u32::try_from(n).ok()));
    match (text, times) {
        ("no", _) => Ok(Restart::NEVER),
        ("on-failure", _) => Ok(Restart::ON_FAILURE),
        (_, Some(Some(times))) => Ok(Restart::on_failure_at_most(times)),
        _ => Err(format!(
            "`{text}` says no when: write no, on-failure, or on-failure:5 for five times in a row at the most"
        )),
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let milliseconds: Option<u64> = match &text[digits.len()..] {
        "ms" => Some(1),
        // As timeout(1) and the `wasmtime` command read a number alone.
        "s" | "" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let number = parse_count(digits).ok().and_then(|number| u64::try_from(number).ok());
    let duration = milliseconds.zip(number).and_then(|(unit, number)| number.checked_mul(unit));
    match duration {
        Some(0) => Err("a time of nothing would end every program at once; leave it out for the default".to_owned()),
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        None => Err(format!("`{text}` is not a duration: write 30s, 500ms, 5m or 1h")),
    }
}

fn parse_env(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("the name of the variable is missing before `=`".to_owned()),
        None if text.is_empty() => Err("the name of the variable is missing".to_owned()),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => match std::env::var(text) {
            Ok(value) => Ok((text.to_owned(), value)),
            Err(_) => Err(format!("{text} is not set here (or is not UTF-8); give it a value as {text}=VALUE")),
        },
    }
}

fn parse_size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: Option<usize> = match &text[digits.len()..] {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let size = parse_count(digits).ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    size.ok_or_else(|| "a size is a number of bytes, or a number followed by KiB, MiB or GiB".to_owned())
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
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn what_follows_the_program_is_the_programs() {
        let args = run(&["--allow-net", "app.wasm", "--allow-net", "-x", "--", "y"]);
        assert_eq!(args.app(), Path::new("app.wasm"));
        assert_eq!(args.app.args, ["--allow-net", "-x", "--", "y"]);
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
    fn counts_are_digits_and_times_have_a_unit() {
        assert_eq!(parse_count("020"), Ok(20));
        for text in ["", "+5", "-1", " 5", "5 ", "1e3", "99999999999999999999"] {
            assert!(parse_count(text).is_err(), "{text}");
        }
        for (text, milliseconds) in [("30s", 30_000), ("500ms", 500), ("2", 2000), ("5m", 300_000), ("1h", 3_600_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "0", "0ms", "+1s", "-1s", "1.5s", "1 s", "1d", "18446744073709551615h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_have_a_binary_unit() {
        for (text, bytes) in [("0", 0), ("65536", 65536), ("64KiB", 65536), ("3MiB", 3 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "MiB", "1.5GiB", "64 MiB", "64MB", "-1", "+5", "+5MiB", "99999999999999999999", "99999999999999GiB"]
        {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_not_0() {
        assert_eq!(parse_percent("50%").map(NonZeroU32::get), Ok(50));
        assert_eq!(parse_rate("100").map(NonZeroU32::get), Ok(100));
        assert_eq!(parse_byte_rate("1MiB").map(NonZeroU64::get), Ok(1 << 20));
        for text in ["", "0", "-1", "50", "0%", "0.5", "5000000000%"] {
            assert!(parse_percent(text).is_err(), "{text}");
        }
        assert!(parse_rate("0").is_err() && parse_byte_rate("0").is_err() && parse_byte_rate("1MB").is_err());
    }

    #[test]
    fn a_directory_may_have_another_name_in_the_guest() {
        let dir = |host: &str, guest: &str, read_only| Ok(Dir { host: host.into(), guest: guest.into(), read_only });
        assert_eq!(parse_dir("/::/data"), dir("/", "/data", false));
        assert_eq!(parse_dir("/"), dir("/", "/", false));
        assert_eq!(parse_dir("/:ro"), dir("/", "/", true));
        assert_eq!(parse_dir("/::/data:ro"), dir("/", "/data", true));
        assert_eq!(parse_dir("/::/data:rw"), dir("/", "/data", false));
        // Names that look like it.
        assert_eq!(parse_dir("/::ro"), dir("/", "ro", false));
        assert_eq!(parse_dir("/::x:ro:rw"), dir("/", "x:ro", false));
        for text in ["", "::", "/::", "::x", ":ro", "/::x::ro", "/no/such/directory"] {
            assert!(parse_dir(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_listener_may_have_a_name() {
        let listen = |addr: &str, name: &str| Ok(Listen { addr: addr.parse().unwrap(), name: name.to_owned() });
        assert_eq!(parse_listen("127.0.0.1:80=web"), listen("127.0.0.1:80", "web"));
        // As systemd calls it.
        assert_eq!(parse_listen("[::1]:0"), listen("[::1]:0", "unknown"));
        for text in [
            "",
            "80",
            "localhost:80",
            "127.0.0.1:*",
            "127.0.0.1:80=",
            "127.0.0.1:80=a:b",
            "127.0.0.1:80=a\nb",
            "127.0.0.1:080",
            "127.0.0.1:+80",
            "[::ffff:127.0.0.1]:80",
        ] {
            assert!(parse_listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_variable_has_a_name_and_may_have_an_empty_value() {
        assert_eq!(parse_env("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(parse_env("A="), Ok(("A".to_owned(), String::new())));
        assert_eq!(parse_env("PATH").unwrap().1, std::env::var("PATH").unwrap());
        assert!(parse_env("=b").is_err());
        assert_eq!(parse_env("").unwrap_err(), "the name of the variable is missing");
        assert!(parse_env("NO_SUCH_VARIABLE_IS_SET").unwrap_err().contains("NO_SUCH_VARIABLE_IS_SET=VALUE"));
    }

    #[test]
    fn mistakes_are_one_sentence() {
        let cases: [(&[&str], &str); 6] = [
            (&[], "dormouse run APP.wasm"),
            (&["walk"], "unrecognized subcommand 'walk'"),
            (&["run"], "required arguments were not provided: <APP.wasm>"),
            (&["run", "--allow-lisen", "x", "a.wasm"], "unexpected argument '--allow-lisen'"),
            (&["run", "--allow-listen", "localhost:80", "a.wasm"], "names are not looked up"),
            (&["run", "--max-memory", "lots", "a.wasm"], "KiB, MiB or GiB"),
        ];
        for (args, expected) in cases {
            let sentence = usage(args);
            assert!(sentence.contains(expected) && !sentence.contains('\n'), "{sentence}");
        }
    }
}
