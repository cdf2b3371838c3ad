//! How fast the cookbook's HTTP server is: `wrk` on it on each backend, on the same program on tokio, and on `wasmtime serve`.
//!
//! All of them run at once, and idle when it is not their turn. They are measured in turns, A B C A B C …, so that what else the machine
//! does falls on all of them. A line has the median of its rounds, and of each round's ratio to tokio's.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::setup::{self, GUESTS};
use crate::{Result, cargo, root, say, target_dir};

const PACKAGE: &str = "cookbook-http";

/// The line that the others are compared with.
const BASE: &str = "tokio, natively";

/// What a round has measured.
struct Round {
    /// Requests a second.
    rate: f64,
    /// The server's processor time a request, in microseconds.
    cpu: f64,
}

struct Server {
    name: String,
    child: Child,
    addr: String,
    rounds: Vec<Round>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `cargo xtask cookbook compare [ROUNDS [WASMTIME]]`.
pub fn run(rounds: usize, wasmtime: Option<&str>) -> Result {
    setup::targets()?;
    setup::cookbook()?;
    let build = cargo(&["build", "--quiet", "-p", "dormouse-host", "--profile", "runner"]);
    crate::run("building the runner as one installs it (some minutes the first time)", build)?;
    let wasmtime = wasmtime.map(PathBuf::from).or_else(on_the_path);
    if wasmtime.is_none() {
        say("there is no `wasmtime` command on the path, and none was named: our runner only");
    }
    let mut servers = start(wasmtime.as_deref())?;
    for round in 0..=rounds {
        for server in &mut servers {
            // The first, which is short, is for warming up.
            let measured = measure(server, if round == 0 { 1 } else { 2 })?;
            if round > 0 {
                server.rounds.push(measured);
            }
        }
        say(&format!("round {round} of {rounds}"));
    }
    print(&servers);
    if let Some(wasmtime) = wasmtime {
        println!("\n{}", output(Command::new(wasmtime).arg("--version"))?.trim());
    }
    Ok(())
}

fn on_the_path() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join("wasmtime")).find(|path| path.is_file())
}

fn start(wasmtime: Option<&Path>) -> Result<Vec<Server>> {
    let dir = target_dir()?.join("cookbook");
    let runner = target_dir()?.join("runner/dormouse");
    let build = |workspace: &str, args: &[&str], dir: &Path| {
        let mut command = cargo(&["build", "--quiet", "--release", "--manifest-path"]);
        command.arg(root().join(workspace).join("Cargo.toml")).args(args).arg("--target-dir").arg(dir);
        crate::run(&format!("building {} of {workspace}", args.join(" ")), command)
    };
    build("cookbook/peers", &["-p", "peer-http-tokio"], &dir)?;
    build("cookbook", &["-p", PACKAGE], &dir)?;
    let mut servers = vec![
        serve(BASE, Command::new(dir.join("release/peer-http-tokio")))?,
        serve("Dormouse, natively", with_addr(Command::new(dir.join("release/http-server"))))?,
    ];
    for guest in &GUESTS {
        let mut args = vec!["-p", PACKAGE, "--target", guest.target];
        let mut dir = dir.clone();
        if let Some(features) = guest.features {
            args.extend(["--features", features]);
            dir = dir.join(features);
        }
        build("cookbook", &args, &dir)?;
        let program = dir.join(guest.target).join("release/http-server.wasm");
        let mut command = Command::new(&runner);
        command.arg("run");
        match guest.name {
            "wasip1" => command.args(["--listen", "127.0.0.1:0"]),
            _ => command.arg("--allow-net"),
        };
        command.arg(&program);
        servers.push(serve(&format!("Dormouse, {}, `dormouse run`", guest.name), with_addr(command))?);
        // The stock command has no sockets for wasip1.
        if let Some(wasmtime) = wasmtime.filter(|_| guest.name != "wasip1") {
            let mut command = Command::new(wasmtime);
            command.args(["run", "-Sinherit-network"]);
            if guest.features.is_some() {
                command.args(["-Sp3", "-Wcomponent-model-async"]);
            }
            command.arg(&program);
            servers.push(serve(&format!("Dormouse, {}, `wasmtime run`", guest.name), with_addr(command))?);
        }
    }
    if let Some(wasmtime) = wasmtime {
        let target = "wasm32-wasip2";
        build("cookbook/peers", &["-p", "peer-http-wstd", "--target", target], &dir)?;
        let mut command = Command::new(wasmtime);
        command.args(["serve", "-Scli", "--addr", "127.0.0.1:0"]);
        command.arg(dir.join(target).join("release/peer-http-wstd.wasm"));
        servers.push(serve("wstd's hello, wasi:http, `wasmtime serve`", command)?);
    }
    Ok(servers)
}

fn with_addr(mut command: Command) -> Command {
    command.arg("127.0.0.1:0");
    command
}

/// Starts a server, and waits until it says where it listens.
fn serve(name: &str, mut command: Command) -> Result<Server> {
    // Standard input stays open: its end is how a guest is told to end.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let (sender, lines) = mpsc::channel();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let pump = |lines: Box<dyn BufRead + Send>, sender: mpsc::Sender<String>| {
        thread::spawn(move || {
            lines.lines().map_while(std::result::Result::ok).for_each(|line| drop(sender.send(line)))
        });
    };
    out.into_iter().for_each(|out| pump(Box::new(BufReader::new(out)), sender.clone()));
    err.into_iter().for_each(|err| pump(Box::new(BufReader::new(err)), sender.clone()));
    drop(sender);
    let mut server = Server { name: name.to_owned(), child, addr: String::new(), rounds: Vec::new() };
    let mut said = String::new();
    while server.addr.is_empty() {
        let line = lines.recv_timeout(Duration::from_secs(60));
        let line = line.map_err(|_| format!("{name} does not say where it listens, but: {said}"))?;
        if let Some(at) = line.find("127.0.0.1:") {
            server.addr = line[at..].chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
        }
        said += &line;
    }
    Ok(server)
}

fn measure(server: &Server, seconds: u32) -> Result<Round> {
    let before = cpu(server.child.id())?;
    let url = format!("http://{}/", server.addr);
    let told = output(Command::new("wrk").args(["-t2", "-c50", &format!("-d{seconds}"), &url]))?;
    let used = cpu(server.child.id())? - before;
    if told.contains("Socket errors") || told.contains("Non-2xx") {
        return Err(format!("{}: {told}", server.name));
    }
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<f64>().ok());
    let rate = number(told.lines().find_map(|line| line.strip_prefix("Requests/sec:")));
    let requests = number(told.lines().find_map(|line| line.split_once(" requests in ")).map(|(n, _)| n));
    match (rate, requests) {
        (Some(rate), Some(requests)) if requests > 0.0 => Ok(Round { rate, cpu: used * 1e6 / requests }),
        _ => Err(format!("{}: wrk says no rate: {told}", server.name)),
    }
}

/// The processor time of a process, user and system, in seconds. The system counts it in hundredths.
fn cpu(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| format!("process {pid}: {error}"))?;
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let fields: Vec<f64> = after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    Ok(fields.iter().sum::<f64>() / 100.0)
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(told) } else { Err(format!("{command:?}: {}\n{told}", output.status)) }
}

/// The least, the one in the middle, and the most.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    (values[0], values[values.len() / 2], values[values.len() - 1])
}

fn print(servers: &[Server]) {
    let base: BTreeMap<usize, f64> = servers[0].rounds.iter().map(|round| round.rate).enumerate().collect();
    println!("| | requests/s | of tokio's | least – most | CPU a request |\n|---|---|---|---|---|");
    for server in servers {
        let (_, rate, _) = spread(server.rounds.iter().map(|round| round.rate));
        let ratios = server.rounds.iter().enumerate().map(|(n, round)| round.rate / base[&n]);
        let (least, ratio, most) = spread(ratios);
        let (_, cpu, _) = spread(server.rounds.iter().map(|round| round.cpu));
        println!("| {} | {rate:.0} | {ratio:.2} | {least:.2} – {most:.2} | {cpu:.1} µs |", server.name);
    }
}
