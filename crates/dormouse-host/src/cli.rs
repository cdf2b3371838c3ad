//! The command line: options to a [`Run`], mistakes to one sentence.

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use dormouse_host::{ConnectAddr, Error, ListenAddr, Policy, Program, Run};
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
    Run(RunArgs),
    Goroot(GorootArgs),
}

/// Merge an upstream Go source tree with an overlay: `dormouse goroot --help` says how.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct GorootArgs {
    /// Read by `dormouse_goroot::cli`, help and mistakes too.
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<OsString>,
}

const EXIT_CODES: &str = "\
Exit codes: the program's own; 1 if it could not be loaded or set up; 2 for a mistake on the
command line; 134 for a trap; 130 and 143 for SIGINT and SIGTERM.";

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
/// network, no directory, no environment variable but what the runner says itself: LISTEN_FDS and LISTEN_FDNAMES with
/// --listen, and DORMOUSE_TCP_NODELAY=1 for a component that has this name in its bytes, where its TCP sockets have TCP_NODELAY, which is on Linux.
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

    /// Give it the directory HOST, named GUEST there (the same name if left out)
    #[arg(long, value_name = "HOST[::GUEST]", value_parser = parse_dir)]
    dir: Vec<Dir>,

    /// Set an environment variable; with NAME alone, to the value it has here
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = parse_env)]
    env: Vec<(String, String)>,

    /// Bound its memory: bytes, or with KiB, MiB or GiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_memory: Option<usize>,

    /// Bound the sockets that a wasip1 program may have open at a time
    #[arg(long, value_name = "N")]
    max_sockets: Option<usize>,

    /// Count its host calls; print the table at the end and on SIGUSR1
    #[arg(long)]
    pub(crate) count_calls: bool,

    /// The program, and its arguments: everything that follows it, options too
    // One positional for both, so that nothing after the program is taken for an option of ours.
    #[arg(value_names = ["APP.wasm", "ARGS"], trailing_var_arg = true, required = true)]
    app_and_args: Vec<OsString>,
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
}

impl RunArgs {
    /// The file to run.
    pub(crate) fn app(&self) -> &Path {
        Path::new(self.app_and_args.first().map_or("".as_ref(), OsString::as_os_str))
    }

    /// The program's arguments.
    fn args(&self) -> Result<Vec<&str>, String> {
        let args = self.app_and_args.iter().skip(1);
        args.map(|arg| arg.to_str().ok_or_else(|| format!("the argument {arg:?} is not UTF-8"))).collect()
    }

    /// The run of `program` that the options describe; listeners are opened, and `say` is told where.
    pub(crate) fn run<'a>(&self, program: &'a Program, say: impl Fn(String)) -> Result<Run<'a>, Error> {
        // Checked when the command line was read.
        let args = self.args().unwrap_or_default();
        let mut run = Run::new(program).args(args).policy(self.policy());
        for (name, value) in &self.env {
            run = run.env(name, value);
        }
        for Dir { host, guest } in &self.dir {
            run = run.dir(host, guest);
        }
        if program.is_wasip1() {
            for (n, Listen { addr, name }) in self.listen.iter().enumerate() {
                let failed = |source| Error::Listen { addr: *addr, source };
                let listener = listen(*addr).map_err(failed)?;
                say(format!("FD {} listens on {}", 3 + n, listener.local_addr().map_err(failed)?));
                run = run.listener(name, listener);
            }
        }
        if let Some(most) = self.max_sockets {
            run = run.max_sockets(most);
        }
        Ok(match self.max_memory {
            Some(bytes) => run.max_memory(bytes),
            None => run,
        })
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
fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
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
        Ok(cli) => {
            if let Command::Run(run) = &cli.command {
                run.args().map_err(Refused::Usage)?;
            }
            Ok(cli.command)
        }
        Err(error) => Err(match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Refused::Help(error.to_string()),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                Refused::Usage("what to do is missing; try `dormouse run APP.wasm` or `dormouse --help`".to_owned())
            }
            _ => Refused::Usage(sentence(&error.to_string())),
        }),
    }
}

/// Clap's message is a paragraph with a title, tips and the usage; this is its first statement as a sentence.
fn sentence(message: &str) -> String {
    let statement = message.split("\n\n").next().unwrap_or(message);
    let words: Vec<&str> = statement.trim_start_matches("error: ").split_whitespace().collect();
    format!("{}; see `dormouse run --help`", words.join(" "))
}

fn parse_listen(text: &str) -> Result<Listen, String> {
    let (addr, name) = text.split_once('=').unwrap_or((text, "unknown"));
    let addr = addr.parse().map_err(|_| {
        format!("`{addr}` is no address to listen on: write IP:PORT, for example 127.0.0.1:8080 or [::1]:0")
    })?;
    if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
        return Err("a listener's name is not empty and has no colon in it: colons separate LISTEN_FDNAMES".to_owned());
    }
    Ok(Listen { addr, name: name.to_owned() })
}

fn parse_dir(text: &str) -> Result<Dir, String> {
    let (host, guest) = text.split_once("::").unwrap_or((text, text));
    if host.is_empty() || guest.is_empty() {
        return Err("a directory is written HOST::GUEST, and neither name is empty".to_owned());
    }
    let host = PathBuf::from(host);
    match std::fs::metadata(&host) {
        Ok(found) if found.is_dir() => Ok(Dir { host, guest: guest.to_owned() }),
        Ok(_) => Err(format!("{} is not a directory", host.display())),
        Err(_) => Err(format!("there is no directory {} that can be opened", host.display())),
    }
}

fn parse_env(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("the name of the variable is missing before `=`".to_owned()),
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
    let size = digits.parse::<usize>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    size.ok_or_else(|| "a size is a number of bytes, or a number followed by KiB, MiB or GiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> RunArgs {
        let all = ["dormouse", "run"].iter().chain(args);
        match parse_from(all) {
            Ok(Command::Run(args)) => args,
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
        assert_eq!(args.args().unwrap(), ["--allow-net", "-x", "--", "y"]);
    }

    #[test]
    fn what_follows_goroot_is_for_others_to_read() {
        for args in [&["--help"][..], &["plan", "--target", "wasip2", "--", "-x"], &[]] {
            match parse_from(["dormouse", "goroot"].iter().chain(args)) {
                Ok(Command::Goroot(goroot)) => assert_eq!(goroot.args, args),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn sizes_are_bytes_or_have_a_binary_unit() {
        for (text, bytes) in [("0", 0), ("65536", 65536), ("64KiB", 65536), ("3MiB", 3 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1.5GiB", "64 MiB", "64MB", "-1", "99999999999999999999", "99999999999999GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_directory_may_have_another_name_in_the_guest() {
        let dir = |host: &str, guest: &str| Ok(Dir { host: host.into(), guest: guest.into() });
        assert_eq!(parse_dir("/::/data"), dir("/", "/data"));
        assert_eq!(parse_dir("/"), dir("/", "/"));
        for text in ["", "::", "/::", "::x", "/no/such/directory"] {
            assert!(parse_dir(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_listener_may_have_a_name() {
        let listen = |addr: &str, name: &str| Ok(Listen { addr: addr.parse().unwrap(), name: name.to_owned() });
        assert_eq!(parse_listen("127.0.0.1:80=web"), listen("127.0.0.1:80", "web"));
        // As systemd calls it.
        assert_eq!(parse_listen("[::1]:0"), listen("[::1]:0", "unknown"));
        for text in ["", "80", "localhost:80", "127.0.0.1:*", "127.0.0.1:80=", "127.0.0.1:80=a:b", "127.0.0.1:80=a\nb"]
        {
            assert!(parse_listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_variable_has_a_name_and_may_have_an_empty_value() {
        assert_eq!(parse_env("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(parse_env("A="), Ok(("A".to_owned(), String::new())));
        assert_eq!(parse_env("PATH").unwrap().1, std::env::var("PATH").unwrap());
        assert!(parse_env("=b").is_err());
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
