//! The demo: an echo server for WASI, with a ticker, and two clients at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::{Result, cargo, say, setup, target_dir};

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn run() -> Result {
    setup::targets()?;
    run_step(
        "building the runner, dormouse (wasmtime is in it: some minutes the first time)",
        &["-p", "dormouse-host"],
    )?;
    for target in setup::TARGETS {
        run_step(
            &format!("building the example ticker_echo for {target}"),
            &["-p", "dormouse", "--example", "ticker_echo", "--target", target, "--release"],
        )?;
    }
    show("wasm32-wasip2", "--allow-listen", "here the program opens its listener itself")?;
    show("wasm32-wasip1", "--listen", "the same program, for which the runner opens the listener")?;
    say("both clients were served while the ticker ticked, on one thread inside a WebAssembly module, on each target");
    Ok(())
}

/// The server for this target, started with this option, and its two clients.
fn show(target: &str, option: &str, remark: &str) -> Result {
    say(&format!("dormouse run {option} 127.0.0.1:0 ticker_echo.wasm    # {target}: {remark}"));
    let wasm = target_dir()?.join(target).join("release/examples/ticker_echo.wasm");
    let server = Command::new(target_dir()?.join("debug/dormouse"))
        .args(["run", option, "127.0.0.1:0"])
        .arg(&wasm)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut server = Server(server.map_err(|error| format!("cannot start the runner just built: {error}"))?);
    let lines = lines_of(server.0.stdout.take().ok_or("the server has no output")?);
    let said = lines_of(server.0.stderr.take().ok_or("the server has no standard error")?);
    let heard = next(&lines, &said)?;
    let mut addr = heard.strip_prefix("listening on ").ok_or("the server did not say where it listens")?.to_owned();
    if addr.starts_with("FD ") {
        // The program does not know, and the runner has said it before the start.
        let told = said.recv_timeout(PATIENCE).map_err(|_| "the runner did not say where it listens")?;
        println!("  runner    {told}");
        addr = told.rsplit(' ').next().unwrap_or_default().to_owned();
    }
    println!("  server    {heard}");

    let mut clients = [connect(&addr)?, connect(&addr)?];
    println!("  client 1  connected\n  client 2  connected");
    for round in 1..=3 {
        println!("  server    {}", next(&lines, &said)?);
        for (n, client) in clients.iter_mut().enumerate() {
            let n = n + 1;
            let said = format!("hello {round} from client {n}");
            let heard = exchange(client, &said).map_err(|error| format!("client {n}: {error}"))?;
            println!("  client {n}  sent {said:?}, heard {heard:?}");
            if heard != said {
                return Err(format!("client {n} heard something else than it said: this is a bug"));
            }
        }
    }
    println!("  server    {}", next(&lines, &said)?);
    Ok(())
}

fn run_step(what: &str, args: &[&str]) -> Result {
    let mut build = cargo(&["build"]);
    build.args(args);
    crate::run(what, build)
}

fn connect(addr: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(addr).map_err(|error| format!("cannot connect to {addr}: {error}"))?;
    let limited = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    limited.map_err(|error| format!("cannot set a time limit: {error}"))?;
    Ok(stream)
}

/// Sends `said` and reads as much back.
fn exchange(client: &mut TcpStream, said: &str) -> std::io::Result<String> {
    client.write_all(said.as_bytes())?;
    let mut heard = vec![0; said.len()];
    client.read_exact(&mut heard)?;
    Ok(String::from_utf8_lossy(&heard).into_owned())
}

/// The next line that the server prints.
fn next(lines: &Receiver<String>, said: &Receiver<String>) -> Result<String> {
    lines.recv_timeout(PATIENCE).map_err(|_| {
        let said: Vec<String> = said.try_iter().collect();
        format!("the server has fallen silent; on standard error it said: {}", said.join("\n"))
    })
}

fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// Ends with the demo.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
