//! `apps/postgres`, with Debian's postgresql. Not on wasip1: see the last test.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use cookbook_tests::{Backend, PATIENCE, Running, client, dormouse_run, free_addr, output, program};

const PASSWORD: &str = "it sleeps in winter";

/// A cluster of its own in a temporary directory, with the one user `mouse`, whose password is asked for by SCRAM-SHA-256.
struct Server {
    postgres: Option<Running>,
    dir: PathBuf,
    addr: SocketAddr,
}

impl Server {
    fn start() -> Server {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("cookbook-postgres-{}-{count}", std::process::id()));
        fs::create_dir(&dir).expect("the temporary directory can be written to");
        fs::write(dir.join("password"), PASSWORD).expect("it can be written to");
        if let Some((uid, gid)) = unprivileged() {
            chown(&dir, Some(uid), Some(gid)).expect("we are root");
        }
        let mut initdb = server_program("initdb", &dir);
        initdb.args([
            "--username=mouse",
            "--auth=scram-sha-256",
            "--pwfile=password",
            "--no-sync",
            "--locale=C",
            "data",
        ]);
        output(&mut initdb);
        let mut server = Server { postgres: None, dir, addr: free_addr() };
        server.run();
        server
    }

    fn run(&mut self) {
        let mut postgres = server_program("postgres", &self.dir);
        postgres.args(["-D", "data", "-p", &self.addr.port().to_string(), "-c", "listen_addresses=127.0.0.1"]);
        postgres.args(["-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "log_destination=stderr"]);
        let mut postgres = Running::start(postgres, false);
        postgres.until("ready to accept connections");
        self.postgres = Some(postgres);
    }

    fn config(&self) -> String {
        format!("host=127.0.0.1 port={} user=mouse dbname=postgres password='{PASSWORD}'", self.addr.port())
    }

    /// At once, without a goodbye to anybody's query. Killed instead, it would leave shared memory behind.
    fn kill(&mut self) {
        if let Some(postgres) = self.postgres.take() {
            let _ = Command::new("kill").args(["-QUIT", &postgres.id().to_string()]).status();
            postgres.end();
        }
    }

    /// Waits until so many sessions with a client program have this as their latest query.
    fn until_sessions(&self, query: &str, count: usize) {
        let sql = format!(
            "select count(*) from pg_stat_activity
             where backend_type = 'client backend' and pid <> pg_backend_pid() and query like '{query}'"
        );
        let (config, end) = (self.config(), Instant::now() + PATIENCE);
        loop {
            let there = output(Command::new("psql").args(["-d", &config, "-Atc", &sql]));
            if there.trim() == count.to_string() {
                return;
            }
            assert!(Instant::now() < end, "{} sessions, not {count}, with {query:?}", there.trim());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A program of the newest PostgreSQL, in a directory. It refuses to run as root.
fn server_program(name: &str, dir: &Path) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|entry| entry.path()).max_by_key(|path| version(path));
    let mut command = Command::new(newest.expect("postgresql is installed").join("bin").join(name));
    command.current_dir(dir).stdin(Stdio::null());
    if let Some((uid, gid)) = unprivileged() {
        command.uid(uid).gid(gid);
    }
    command
}

fn version(path: &Path) -> u32 {
    path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok()).unwrap_or(0)
}

/// The user that Debian's package made, if we are root.
fn unprivileged() -> Option<(u32, u32)> {
    let id = |args: &[&str]| output(Command::new("id").args(args)).trim().parse::<u32>().expect("id prints a number");
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}

fn query(backend: Backend, config: &str, rest: &[&str]) -> Running {
    let mut command = client("postgres", "postgres-query", backend);
    command.arg(config).args(rest);
    Running::start(command, false)
}

#[test]
fn everything_one_does_with_postgres() {
    let server = Server::start();
    for backend in Backend::CONNECT {
        let said = output(client("postgres", "postgres-client", backend).arg(server.config()));
        let expected = [
            "committed: dormouse; dropped: rolled back",
            "a mistake is told: true, db error: ERROR: duplicate key value violates unique constraint \"animals_pkey\"",
            "DETAIL: Key (id)=(-1) already exists.",
            "200 tasks share the connection",
            "copied in 50000 rows",
            "their sum is 1249975000",
            "copied out 288890 bytes",
            "a value of 8388608 bytes came back whole",
            "winter: 0 days to go",
            "winter: 1 days to go",
            "winter: 2 days to go",
            "cancelled: db error: ERROR: canceling statement due to user request",
            "dropped, and done all the same: 1",
            "50 connections came and went",
        ];
        assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{backend:?}");
        // The clients have gone, and said so.
        server.until_sessions("%", 0);
    }
}

#[test]
fn nothing_leaks() {
    let server = Server::start();
    for backend in [Backend::P2, Backend::P3] {
        let mut command = dormouse_run();
        command.args(["--allow-net", "--count-calls"]);
        command.arg(program("postgres", "postgres-client", backend)).arg(server.config());
        let mut client = Running::start(command, false);
        client.until("50 connections came and went");
        let line = client.until("entries in the resource table");
        let held: usize = line.split_whitespace().next().and_then(|count| count.parse().ok()).expect("a number");
        // Those of the connection that is left, and of standard output.
        assert!(held < 15, "{backend:?}: {line}");
    }
}

#[test]
fn a_wrong_password_is_refused() {
    let server = Server::start();
    for backend in Backend::CONNECT {
        let (status, said) = query(backend, &server.config().replace("winter", "summer"), &["select 1"]).end();
        assert!(!status.success(), "{backend:?}: {said}");
        assert!(said.contains("password authentication failed for user \"mouse\""), "{backend:?}: {said}");
    }
}

#[test]
fn a_query_that_takes_too_long_is_cancelled() {
    let server = Server::start();
    for backend in Backend::CONNECT {
        let (status, said) = query(backend, &server.config(), &["select pg_sleep(3600)", "1"]).end();
        assert!(!status.success(), "{backend:?}: {said}");
        assert!(said.contains("canceling statement due to user request"), "{backend:?}: {said}");
        server.until_sessions("select pg_sleep%", 0);
    }
}

#[test]
fn a_server_that_goes_away_is_an_error() {
    let mut server = Server::start();
    for backend in Backend::CONNECT {
        let mut client = query(backend, &server.config(), &["select pg_sleep(3600)"]);
        client.until("connected");
        server.until_sessions("select pg_sleep%", 1);
        server.kill();
        let (status, said) = client.end();
        assert!(!status.success(), "{backend:?}: {said}");
        assert!(said.contains("terminating connection due to immediate shutdown"), "{backend:?}: {said}");
        assert!(said.contains("Error: connection closed"), "{backend:?}: {said}");
        let (status, said) = query(backend, &server.config(), &["select 1"]).end();
        assert!(!status.success(), "{backend:?}: {said}");
        let refused = format!("connect {}: ", server.addr);
        assert!(said.contains(&refused) && said.to_lowercase().contains("connection refused"), "{backend:?}: {said}");
        server.run();
    }
}

/// Not ours to mend: the crate that tokio-postgres asks for the user's name calls WASI 0.2 on every WASI target.
#[test]
fn a_wasip1_module_is_not_loaded() {
    let (status, said) = query(Backend::P1, "host=127.0.0.1 user=mouse", &["select 1"]).end();
    assert!(!status.success() && said.contains("imports wasi:cli/environment@0.2"), "{said}");
}
