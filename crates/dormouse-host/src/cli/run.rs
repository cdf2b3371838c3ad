//! `dormouse run`: its options, and the [`Run`] that they describe.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, FromArgMatches};
use dormouse_host::{ConnectAddr, Error, ListenAddr, Policy, Restart, Run, Source};
use socket2::{Domain, Protocol, Socket, Type};

use super::values::{self, Dir, Listen, Var};
use super::wasmtime::{self, Wasi, Wasm};
use super::{EXIT_CODES, policy};

// Not doc comments, because rustdoc takes `[::1]` for a link.
const HELP_LISTEN: &str = "Let it listen on ADDR: 127.0.0.1:8080, [::1]:8080, localhost:8080, 127.0.0.1:* (any port), *:8080 (any address), \
    127.0.0.1:0 (a port that the system assigns)";
const HELP_OPEN: &str = "Listen on ADDR for it (127.0.0.1:8080, [::1]:8080, localhost:8080, port 0 for one that the system assigns): \
    a wasip1 program finds the listener as descriptor 3, and the next as 4, with LISTEN_FDS and LISTEN_FDNAMES to tell; \
    to a component it is --allow-listen ADDR";
const HELP_CONNECT: &str = "Let it connect to ADDR: 192.0.2.1:443, [::1]:*, 10.0.0.0/8:443, [fd00::/8]:443, *:443 (any address); \
    or a name, db.internal:5432 or *.example.com:443: let it look that up, and connect to what the lookup gives";
const HELP_UDP: &str = "Let it bind UDP sockets to ADDR, and send to and receive from ADDR, which is written as for --allow-connect: \
    both ends of a datagram must be allowed, but for a local one that the system chooses. *:* is all of UDP";

/// Run a WASI program: a component of WASI 0.2 or 0.3, or a module of WASI 0.1.
///
/// The program gets standard input, output and error, its arguments, and nothing else that is not given here: no
/// network, no directory, no environment variable but LISTEN_FDS and LISTEN_FDNAMES, which the runner sets with --listen.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES, override_usage = "dormouse run [OPTIONS] APP.wasm [ARGS]...")]
pub(crate) struct RunArgs {
    #[arg(long, value_name = "ADDR[=NAME]", value_parser = values::listen, help = HELP_OPEN)]
    pub(super) listen: Vec<Listen>,

    #[arg(long, value_name = "ADDR", help = HELP_LISTEN)]
    pub(super) allow_listen: Vec<ListenAddr>,

    #[arg(long, value_name = "ADDR", help = HELP_CONNECT)]
    pub(super) allow_connect: Vec<ConnectAddr>,

    #[arg(long, value_name = "ADDR", help = HELP_UDP)]
    pub(super) allow_udp: Vec<ConnectAddr>,

    /// Let it use every address, TCP and UDP: --allow-listen '*:*', --allow-connect '*:*' and --allow-udp '*:*' in one. Names are --allow-dns
    #[arg(long)]
    pub(super) allow_net: bool,

    /// Let it look up every name
    #[arg(long)]
    pub(super) allow_dns: bool,

    /// Give it the directory HOST, named GUEST there (the same name if left out); with :ro for reading only. A name that
    /// ends in :ro itself is written with :rw behind it
    #[arg(long, value_name = "HOST[::GUEST][:ro]", value_parser = values::dir)]
    pub(super) dir: Vec<Dir>,

    /// Set an environment variable; with NAME alone, to the value it has here
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = values::env)]
    pub(super) env: Vec<Var>,

    /// Give it all environment variables that this process has; --env adds to them
    #[arg(long)]
    pub(super) inherit_env: bool,

    /// Say the same in a file: each key is one of the options above or of the bounds below, as --print-policy prints it. Options add to it
    #[arg(long, value_name = "FILE.toml")]
    policy: Option<PathBuf>,

    /// Print what it would be given, as a file for --policy, and run nothing
    #[arg(long)]
    pub(crate) print_policy: bool,

    /// Its argument 0 [default: the name of its file]
    #[arg(long, value_name = "NAME")]
    argv0: Option<String>,

    /// Call the function that it exports by NAME, with the ARGS as its arguments, and print what it returns: of a module after its
    /// _initialize; of a component one at the top, or INTERFACE#NAME
    #[arg(long, value_name = "NAME")]
    invoke: Option<String>,

    /// Bound its memories and tables together, in bytes or with KiB, MiB or GiB; what the host keeps for it is scaled to this
    /// [default: 4GiB]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(super) max_memory: Option<usize>,

    /// Bound the handles that it may have at a time: streams, pollables, files, timers; about 1 KiB of the host's memory each
    /// [default: one for 2 KiB of --max-memory, 10000 to 1000000]
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub(super) max_resources: Option<usize>,

    /// Bound the sockets that it may have open at a time [default: the process's limit of descriptors less 64; for a
    /// component a twelfth of --max-resources if that is less]
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub(super) max_sockets: Option<usize>,

    /// Bound the stack of its calls, in bytes or with KiB or MiB [default: 512KiB]
    #[arg(long, value_name = "SIZE", value_parser = values::stack)]
    pub(super) max_stack: Option<usize>,

    /// End it when it has used up so many units of fuel, about one for an instruction. It is compiled for that, and slower
    #[arg(long, value_name = "N", value_parser = values::fuel)]
    pub(super) fuel: Option<u64>,

    /// End it after that long, waiting or computing: 30s (or 30), 500ms, 5m, 1h; compiling is not counted
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub(crate) timeout: Option<Duration>,

    /// Bound what an instance may use of a processor: 50% is half of one
    #[arg(long, value_name = "PERCENT", value_parser = values::percent)]
    pub(super) cpu_share: Option<NonZeroU32>,

    /// Bound the bytes that an instance may receive and send in a second, in bytes or with KiB, MiB or GiB
    #[arg(long, value_name = "SIZE", value_parser = values::byte_rate)]
    pub(super) byte_rate: Option<NonZeroU64>,

    /// Bound the connections that an instance may accept in a second; others wait
    #[arg(long, value_name = "N", value_parser = values::rate)]
    pub(crate) accept_rate: Option<NonZeroU32>,

    /// Run so many instances of it, or one for each processor: each with a thread and a memory of its own, and all behind the listeners that
    /// it opens. Their number is in DORMOUSE_INSTANCE of a program built with Dormouse
    #[arg(long, value_name = "N|cores", default_value = "1", value_parser = values::instances)]
    pub(crate) instances: NonZeroUsize,

    /// Serve metrics over HTTP on ADDR: /metrics for Prometheus, and /healthz, which is 200 while each instance lets the host have its turn
    #[arg(long, value_name = "ADDR", value_parser = values::metrics)]
    pub(crate) metrics: Option<SocketAddr>,

    /// Stop, as SIGTERM does, when there has been no connection for that long
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub(crate) idle_exit: Option<Duration>,

    /// Start an instance again that traps or ends with another code than 0, after a pause that grows: no, on-failure, or on-failure:N for
    /// N times in a row at the most
    #[arg(long, value_name = "WHEN", default_value = "no", value_parser = values::restart)]
    pub(crate) restart: Restart,

    /// How long it may take to end after SIGINT or SIGTERM, if it hears them
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::duration)]
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

    /// As of the `wasmtime` command: max-wasm-stack=SIZE (--max-stack), fuel=N, timeout=DURATION
    #[arg(short = 'W', value_name = "KEY=VALUE", value_delimiter = ',', value_parser = wasmtime::wasm)]
    pub(super) wasm: Vec<Wasm>,

    /// As of the `wasmtime` command: inherit-env, inherit-network (--allow-net), allow-ip-name-lookup (--allow-dns)
    #[arg(short = 'S', value_name = "KEY", value_delimiter = ',', value_parser = wasmtime::wasi)]
    pub(super) wasi: Vec<Wasi>,

    #[command(flatten)]
    app: App,
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
    /// The program, `-` for one that comes from standard input, and its arguments: everything that follows it, options too
    #[arg(value_names = ["APP.wasm", "ARGS"], trailing_var_arg = true, required_unless_present = "print_policy")]
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
        // It is there, unless only the policy is printed.
        let file = words.next().unwrap_or_default().into();
        let args = words.map(|word| word.into_string()).collect::<Result<_, _>>();
        let odd = |word| clap::Error::raw(ErrorKind::InvalidUtf8, format!("the argument {word:?} is not UTF-8"));
        Ok(App { file, args: args.map_err(odd)? })
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = App::from_arg_matches(matches)?;
        Ok(())
    }
}

impl RunArgs {
    /// The file to run.
    pub(crate) fn app(&self) -> &Path {
        &self.app.file
    }

    #[cfg(test)]
    pub(super) fn args(&self) -> &[String] {
        &self.app.args
    }

    /// Adds what the file of --policy and the options in wasmtime's words say.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        wasmtime::settle(self);
        match self.policy.take() {
            Some(path) => policy::add(self, &path),
            None => Ok(()),
        }
    }

    /// The policy as a file has it.
    pub(crate) fn policy_text(&self) -> Result<String, String> {
        policy::print(self)
    }

    /// The program, read: from its file, or from standard input the first time.
    pub(crate) fn source(&self, again: bool) -> Result<Source, Error> {
        let source = match self.app().as_os_str() == "-" {
            false => Source::read(self.app())?,
            true => {
                let path = Path::new("standard input");
                let failed = |source| Error::Read { path: path.to_owned(), source };
                let mut bytes = Vec::new();
                match again {
                    true => Err(io::Error::other("it has been read")),
                    false => io::stdin().lock().read_to_end(&mut bytes),
                }
                .map_err(failed)?;
                Source::of_file(path, bytes)
            }
        };
        let source = if self.fuel.is_some() { source.fuel() } else { source };
        let source = if self.invoke.is_some() { source.reactor() } else { source };
        Ok(match self.max_stack {
            Some(bytes) => source.max_stack(bytes),
            None => source,
        })
    }

    /// Opens the listeners for a wasip1 program; `say` is told where.
    pub(crate) fn listeners(&self, say: impl Fn(String)) -> Result<Vec<(String, TcpListener)>, Error> {
        let mut listeners = Vec::new();
        for (n, Listen { addr, name }) in self.listen.iter().enumerate() {
            let unknown = |source| Error::Name { name: addr.to_string(), source };
            let addrs = addr.to_socket_addrs().map_err(unknown)?;
            // As std does it: the first of a name's addresses that can be had.
            let mut failed = None;
            let bound = addrs.into_iter().find_map(|addr| {
                let bound = listen(addr).and_then(|listener| Ok((listener.local_addr()?, listener)));
                bound.map_err(|source| failed = Some(Error::Listen { addr, source })).ok()
            });
            let Some((at, listener)) = bound else {
                return Err(failed.unwrap_or_else(|| unknown(io::ErrorKind::AddrNotAvailable.into())));
            };
            say(format!("FD {} listens on {at}", 3 + n));
            listeners.push((name.clone(), listener));
        }
        Ok(listeners)
    }

    /// The run that the options describe.
    /// It may listen on these addresses as well.
    pub(crate) fn run<'a>(&self, run: Run<'a>, activated: &[SocketAddr]) -> Run<'a> {
        let policy = activated.iter().fold(self.policy(), |policy, addr| policy.allow_listen((*addr).into()));
        let mut run = run.args(&self.app.args).policy(policy);
        if self.app().as_os_str() == "-" {
            run = run.argv0("-");
        }
        if let Some(name) = &self.argv0 {
            run = run.argv0(name);
        }
        if let Some(name) = &self.invoke {
            run = run.invoke(name);
        }
        if self.inherit_env {
            // What is not UTF-8 a program could not be given.
            let here = std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
            for (name, value) in here.filter(|(name, _)| self.env.iter().all(|var| var.name != *name)) {
                run = run.env(name, value);
            }
        }
        for Var { name, value, .. } in &self.env {
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
        if let Some(units) = self.fuel {
            run = run.fuel(units);
        }
        match self.max_memory {
            Some(bytes) => run.max_memory(bytes),
            None => run,
        }
    }

    fn policy(&self) -> Policy {
        let policy = if self.allow_net { Policy::allow_all() } else { Policy::default() };
        let listen = self.listen.iter().map(|listen| &listen.addr).chain(&self.allow_listen).cloned();
        let policy = listen.fold(policy, Policy::allow_listen);
        let policy = self.allow_connect.iter().cloned().fold(policy, Policy::allow_connect);
        let policy = self.allow_udp.iter().cloned().fold(policy, Policy::allow_udp);
        if self.allow_dns { policy.allow_dns() } else { policy }
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
