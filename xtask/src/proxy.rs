//! The proxy beside others: how many bytes a second `examples/proxy.rs` passes on under our runner, and how long `examples/echo.rs`
//! takes to answer, next to the same programs run natively and by the `wasmtime` command, `socat`, and a loop that reads and writes
//! with std.
//!
//! All take turns in each round, on the same machine, over loopback. What arrives is compared with what was sent.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use crate::{CACHE_HOME, Result, cache_dir, cargo, say, setup, target_dir};

/// How much is passed on by default, in MiB.
const MIB: usize = 1024;

const ROUNDS: usize = 5;

/// The memory that our runner gives a guest; the guest traps if it wants more.
const MEMORY: &str = "3MiB";

/// Connections at once, how much is sent on each, and how often.
const CLIENTS: usize = 8;
const ECHO: usize = 64 << 10;
/// In pieces, as by a client that writes what it has: so the answer is several short segments, and without TCP_NODELAY each but
/// the first waits for the client's acknowledgement, which Linux delays by 40 ms.
const PIECE: usize = 4 << 10;
const TRIPS: usize = 100;

/// What is sent repeats after this many bytes.
const BLOCK: usize = 1 << 20;

/// As `io::copy` of the runtime has it.
const BUFFER: usize = 64 << 10;

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// The comparison at full size, or with this many MiB.
pub fn run(mib: Option<&str>) -> Result {
    let mib = match mib {
        None => MIB,
        Some(text) => text.parse().map_err(|_| format!("{text:?} is no number of MiB"))?,
    };
    compare(mib, ROUNDS, ("runner", "runner"))
}

/// Tests that it works, with little to pass on.
pub fn smoke() -> Result {
    compare(16, 1, ("dev", "debug"))
}

/// The contenders, in the order of the table. Ratios are to the last.
const NAMES: [&str; 7] = [RUNNER_P2, RUNNER_P3, WASMTIME_P2, WASMTIME_P3, "native", SOCAT, "loop of std"];

const RUNNER_P2: &str = "dormouse run, wasip2";
const RUNNER_P3: &str = "dormouse run, wasip3";
const WASMTIME_P2: &str = "wasmtime run, wasip2";
const WASMTIME_P3: &str = "wasmtime run, wasip3";
const SOCAT: &str = "socat";

/// With the runner of a profile, of which the second name is its directory's.
fn compare(mib: usize, rounds: usize, (profile, dir): (&str, &str)) -> Result {
    build("building the runner", &["-p", "dormouse-host", "--profile", profile])?;
    let runner = target_dir()?.join(dir).join("dormouse");
    setup::targets()?;
    for example in ["proxy", "echo"] {
        let native = ["-p", "dormouse", "--example", example, "--release"];
        build(&format!("building {example} natively"), &native)?;
        for guest in [guest(RUNNER_P2), guest(RUNNER_P3)] {
            let args = guest.args()?;
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            build(&format!("building {example} for {}", guest.name), &[&native[..], &args[..]].concat())?;
        }
    }
    let names: Vec<&str> = NAMES.into_iter().filter(|name| is_there(name)).collect();

    say(&format!("{mib} MiB through each proxy, {rounds} times"));
    let (mut rates, mut peaks) = (vec![Vec::new(); names.len()], vec![0; names.len()]);
    for _ in 0..rounds {
        for (n, name) in names.iter().enumerate() {
            let target = TcpListener::bind("127.0.0.1:0").map_err(|error| format!("cannot listen: {error}"))?;
            let addr = target.local_addr().map_err(|error| error.to_string())?.to_string();
            let proxy = start(name, Role::Proxy, &addr, &runner)?;
            let took = pass(&proxy, &target, mib << 20).map_err(|error| format!("{name}: {error}"))?;
            rates[n].push((mib << 20) as f64 / took.as_secs_f64() / 1e6);
            peaks[n] = proxy.peak().max(peaks[n]);
        }
    }
    let medians: Vec<f64> = rates.into_iter().map(median).collect();
    let last = medians.last().copied().unwrap_or(f64::NAN);
    println!("{:<22} {:>8} {:>8} {:>14}", "proxy", "MB/s", "ratio", "peak RSS, MB");
    for ((name, rate), peak) in names.iter().zip(&medians).zip(&peaks) {
        println!("{name:<22} {rate:>8.0} {:>8.2} {:>14.1}", rate / last, *peak as f64 / 1e6);
    }
    println!("Under `dormouse run` the guest had {MEMORY} of memory, and would have been ended if it had wanted more.");

    say(&format!(
        "{CLIENTS} clients at once, {TRIPS} echoes of {} KiB each in pieces of {}, {rounds} times",
        ECHO >> 10,
        PIECE >> 10
    ));
    let mut times = vec![Vec::new(); names.len()];
    for _ in 0..rounds {
        for (n, name) in names.iter().enumerate() {
            let server = start(name, Role::Echo, "", &runner)?;
            times[n].extend(echo(&server).map_err(|error| format!("{name}: {error}"))?);
        }
    }
    println!("{:<22} {:>8} {:>8} {:>8} {:>17}", "echo", "p50, ms", "p99, ms", "worst", "of 35 ms and more");
    for (name, mut times) in names.iter().zip(times) {
        times.sort_unstable();
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
        let stalls = times.iter().filter(|time| time.as_millis() >= 35).count();
        println!("{name:<22} {:>8.2} {:>8.2} {:>8.2} {stalls:>17}", at(0.5), at(0.99), at(1.0));
    }
    Ok(())
}

fn build(what: &str, args: &[&str]) -> Result {
    crate::run(what, cargo(&[&["build", "--quiet"], args].concat()))
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

// ---- the proxies that are compared ----

/// What a contender runs.
fn guest(name: &str) -> &'static setup::Guest {
    let which = if matches!(name, RUNNER_P3 | WASMTIME_P3) { "wasip3" } else { "wasip2" };
    setup::GUESTS.iter().find(|guest| guest.name == which).expect("it is in the list")
}

/// Some are not ours, and a machine may have none of them: then they are left out.
fn is_there(name: &str) -> bool {
    let mut command = match name {
        WASMTIME_P2 | WASMTIME_P3 => Command::new("wasmtime"),
        SOCAT => Command::new("socat"),
        _ => return true,
    };
    let quiet = command.arg("-V").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

#[derive(Clone, Copy)]
enum Role {
    Proxy,
    Echo,
}

/// Ends with its round.
struct Server {
    child: Child,
    addr: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// The most memory that it has had, in bytes; 0 where the system does not say.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).map_or(0, |kib: u64| kib * 1024)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let start = Instant::now();
        let stream = loop {
            match TcpStream::connect(&self.addr) {
                // socat does not say when it listens.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused && start.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(5));
                }
                result => break result?,
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

fn start(name: &str, role: Role, target: &str, runner: &Path) -> Result<Server> {
    let example = match role {
        Role::Proxy => "proxy",
        Role::Echo => "echo",
    };
    let built = target_dir()?;
    let mut command = match name {
        RUNNER_P2 | RUNNER_P3 | WASMTIME_P2 | WASMTIME_P3 => {
            let ours = matches!(name, RUNNER_P2 | RUNNER_P3);
            let mut command = if ours { Command::new(runner) } else { Command::new("wasmtime") };
            match ours {
                true => command.env(CACHE_HOME, cache_dir()?).args(["run", "--allow-net", "--max-memory", MEMORY]),
                false => command.args(["run", "-Sinherit-network"]),
            };
            command.arg(guest(name).examples()?.join(format!("{example}.wasm")));
            command
        }
        "native" => Command::new(built.join("release/examples").join(example)),
        SOCAT => return socat(role, target),
        _ => {
            let mut command = Command::new(env::current_exe().map_err(|error| error.to_string())?);
            command.args(["proxy", "--loop"]);
            command
        }
    };
    if !target.is_empty() {
        command.arg(target);
    }
    let mut server = Server { child: spawn(command.stdout(Stdio::piped()))?, addr: String::new() };
    let stdout = server.child.stdout.take().ok_or("it has no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).map_err(|error| format!("{name}: {error}"))?;
    server.addr = line.trim_end().rsplit(' ').next().unwrap_or_default().to_owned();
    if server.addr.is_empty() {
        return Err(format!("{name} has ended without saying where it listens"));
    }
    Ok(server)
}

fn socat(role: Role, target: &str) -> Result<Server> {
    // It cannot choose a port and say which.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let addr = free.map_err(|error| format!("cannot find a free port: {error}"))?;
    let mut command = Command::new("socat");
    command.args(["-b", &BUFFER.to_string()]);
    let listen = format!("TCP-LISTEN:{},bind=127.0.0.1,reuseaddr", addr.port());
    match role {
        Role::Proxy => command.args([listen, format!("TCP:{target}")]),
        Role::Echo => command.args([format!("{listen},fork"), "PIPE".to_owned()]),
    };
    Ok(Server { child: spawn(&mut command)?, addr: addr.to_string() })
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.stdin(Stdio::null()).spawn().map_err(|error| format!("cannot start {command:?}: {error}"))
}

/// The loop: a thread for each direction, no more than a buffer in it. Without a target it is an echo server.
pub fn std_loop(target: Option<&str>) -> Result {
    let serve = || -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        println!("listening on {}", listener.local_addr()?);
        loop {
            let (client, _) = listener.accept()?;
            match target {
                None => drop(thread::spawn(move || copy(&client, &client))),
                Some(target) => {
                    let (server, client_too) = (TcpStream::connect(target)?, client.try_clone()?);
                    let server_too = server.try_clone()?;
                    thread::spawn(move || copy(&client, &server));
                    thread::spawn(move || copy(&server_too, &client_too));
                }
            }
        }
    };
    serve().map_err(|error| error.to_string())
}

/// `std::io::copy` would have the kernel do it, with splice.
fn copy(mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    to.set_nodelay(true)?;
    let mut buf = vec![0; BUFFER];
    loop {
        match from.read(&mut buf)? {
            0 => return to.shutdown(Shutdown::Write),
            n => to.write_all(&buf[..n])?,
        }
    }
}

// ---- the load ----

/// Bytes that do not repeat with any buffer's size, twice, so that from any place on there is a whole block.
fn blocks() -> Vec<u8> {
    let block = (0..BLOCK as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8);
    block.clone().chain(block).collect()
}

/// Passes `len` bytes on to `target`; how long that took.
fn pass(proxy: &Server, target: &TcpListener, len: usize) -> io::Result<Duration> {
    let blocks = blocks();
    let client = proxy.connect()?;
    let (mut served, _) = target.accept()?;
    served.set_read_timeout(Some(PATIENCE))?;
    thread::scope(|scope| {
        let start = Instant::now();
        let sender = scope.spawn(|| -> io::Result<()> {
            for sent in (0..len).step_by(BLOCK) {
                (&client).write_all(&blocks[..BLOCK.min(len - sent)])?;
            }
            client.shutdown(Shutdown::Write)
        });
        let (mut buf, mut heard) = (vec![0; BLOCK], 0);
        loop {
            let n = served.read(&mut buf)?;
            if n == 0 {
                break;
            }
            if buf[..n] != blocks[heard % BLOCK..][..n] {
                return Err(io::Error::other(format!("changed after {heard} bytes")));
            }
            heard += n;
        }
        let took = start.elapsed();
        sender.join().map_err(|_| io::Error::other("the sender has panicked"))??;
        if heard == len { Ok(took) } else { Err(io::Error::other(format!("{heard} of {len} bytes have come"))) }
    })
}

/// How long each round trip took.
fn echo(server: &Server) -> io::Result<Vec<Duration>> {
    let said = &blocks()[..ECHO];
    let client = || -> io::Result<Vec<Duration>> {
        let (mut stream, mut heard) = (server.connect()?, vec![0; ECHO]);
        let trip = |_| {
            let start = Instant::now();
            said.chunks(PIECE).try_for_each(|piece| stream.write_all(piece))?;
            stream.read_exact(&mut heard)?;
            if heard == said { Ok(start.elapsed()) } else { Err(io::Error::other("something else came back")) }
        };
        (0..TRIPS).map(trip).collect()
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.join().map_err(|_| io::Error::other("a client has panicked"))??);
        }
        Ok(all)
    })
}
