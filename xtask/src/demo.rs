//! The demo: an echo server for WASI, with a ticker, and two clients at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::{Result, capi, cargo, say, setup, target_dir};

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn run() -> Result {
    setup::targets()?;
    run_step(
        "building the runner, dormouse (wasmtime is in it: some minutes the first time)",
        &["-p", "dormouse-host"],
    )?;
    run_step(
        "building the example ticker_echo natively",
        &["-p", "dormouse", "--example", "ticker_echo", "--release"],
    )?;
    for guest in &setup::GUESTS {
        let args = guest.args()?;
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        run_step(
            &format!("building the example ticker_echo for {}", guest.name),
            &[&["-p", "dormouse", "--example", "ticker_echo", "--release"], &args[..]].concat(),
        )?;
    }
    native()?;
    for guest in &setup::GUESTS {
        match guest.name {
            "wasip1" => show(guest, "--listen", "the runner opens the listener")?,
            _ => show(guest, "--allow-listen", "the program opens its listener itself")?,
        }
    }
    if let Some(dir) = capi::echo()? {
        say("and in C: crates/dormouse-capi/examples/echo_ticker.c, by gcc and clang");
        in_c(&dir)?;
    }
    say(
        "one source, four builds: on each both clients were served while the ticker ticked, on one thread, and under WASI inside \
         a WebAssembly module",
    );
    Ok(())
}

/// The server as a program of this machine.
fn native() -> Result {
    say("ticker_echo 127.0.0.1:0    # native: the same program, to develop and to test on");
    let mut command = Command::new(target_dir()?.join("release/examples/ticker_echo"));
    serve(command.arg("127.0.0.1:0"))
}

/// The server in C, on each backend.
fn in_c(dir: &Path) -> Result {
    say("echo_ticker 127.0.0.1:0    # native");
    serve(Command::new(dir.join("native/bin/echo_ticker")).arg("127.0.0.1:0"))?;
    for guest in &setup::GUESTS {
        let option = if guest.name == "wasip1" { "--listen" } else { "--allow-listen" };
        say(&format!("dormouse run {option} 127.0.0.1:0 echo_ticker.wasm    # {}", guest.name));
        let mut command = Command::new(target_dir()?.join("debug/dormouse"));
        serve(command.args(["run", option, "127.0.0.1:0"]).arg(dir.join(guest.name).join("bin/echo_ticker.wasm")))?;
    }
    Ok(())
}

/// The server as a guest, started with this option.
fn show(guest: &setup::Guest, option: &str, remark: &str) -> Result {
    say(&format!("dormouse run {option} 127.0.0.1:0 ticker_echo.wasm    # {}: {remark}", guest.name));
    let mut command = Command::new(target_dir()?.join("debug/dormouse"));
    serve(command.args(["run", option, "127.0.0.1:0"]).arg(guest.examples()?.join("ticker_echo.wasm")))
}

/// The server and its two clients.
fn serve(command: &mut Command) -> Result {
    let server = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut server = Server(server.map_err(|error| format!("cannot start what has just been built: {error}"))?);
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
