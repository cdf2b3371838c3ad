//! Servers, as Debian packages them, started for a test.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::{PATIENCE, Running, free_addr, output};

/// A server with nothing in it, on this address.
pub fn redis(addr: SocketAddr) -> Running {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &addr.port().to_string(), "--save", "", "--appendonly", "no"]);
    let mut server = Running::start(command, false);
    server.until("Ready to accept connections");
    server
}

/// mosquitto, a broker of MQTT, on this address. It says what comes and goes.
pub fn mosquitto(addr: SocketAddr) -> Running {
    // Given a port alone, it listens on loopback and lets every client in.
    let mut command = Command::new(program("mosquitto"));
    command.args(["-v", "-p", &addr.port().to_string()]);
    let mut broker = Running::start(command, false);
    broker.until("running");
    broker
}

/// Where Debian has servers, only root looks for programs.
fn program(name: &str) -> PathBuf {
    let path = Path::new("/usr/sbin").join(name);
    if path.exists() { path } else { name.into() }
}

const PASSWORD: &str = "it sleeps in winter";

/// A cluster of its own in a temporary directory, with the one user `mouse`, whose password is asked for by SCRAM-SHA-256.
pub struct Postgres {
    postgres: Option<Running>,
    dir: PathBuf,
    pub addr: SocketAddr,
}

impl Postgres {
    pub fn start() -> Postgres {
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
        let mut server = Postgres { postgres: None, dir, addr: free_addr() };
        server.run();
        server
    }

    /// Starts it again.
    pub fn run(&mut self) {
        let mut postgres = server_program("postgres", &self.dir);
        postgres.args(["-D", "data", "-p", &self.addr.port().to_string(), "-c", "listen_addresses=127.0.0.1"]);
        postgres.args(["-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "log_destination=stderr"]);
        let mut postgres = Running::start(postgres, false);
        postgres.until("ready to accept connections");
        self.postgres = Some(postgres);
    }

    /// What psql takes.
    pub fn config(&self) -> String {
        format!("host=127.0.0.1 port={} user=mouse dbname=postgres password='{PASSWORD}'", self.addr.port())
    }

    /// What sqlx takes.
    pub fn url(&self) -> String {
        format!("postgres://mouse:{}@localhost:{}/postgres", PASSWORD.replace(' ', "%20"), self.addr.port())
    }

    /// Ends it at once, without waiting for queries. Killed instead, it would leave shared memory behind.
    pub fn kill(&mut self) {
        if let Some(postgres) = self.postgres.take() {
            let _ = Command::new("kill").args(["-QUIT", &postgres.id().to_string()]).status();
            postgres.end();
        }
    }

    /// Waits until so many sessions with a client program have this as their latest query.
    pub fn until_sessions(&self, query: &str, count: usize) {
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

impl Drop for Postgres {
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
