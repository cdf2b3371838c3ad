//! A server that has no more descriptors: what it serves, what it costs, and that it goes on. The limit is that of a process, so each
//! runs as a command.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::clients::{dormouse_run, native_example};
use crate::drivers::{Backend, PATIENCE, Subject, Wasi, native};
use crate::echo;

/// Descriptors that the process may have, those of its own among them.
const DESCRIPTORS: usize = 64;
const CLIENTS: usize = 100;
/// Sockets that the runner gives a program unless it is told otherwise: half of the descriptors, as there are so few.
const SOCKETS_BY_DEFAULT: usize = DESCRIPTORS / 2;
/// More than there are descriptors, so that those are what runs out.
const NO_OTHER_LIMIT: &str = "--max-sockets=1000";

/// A program of this backend as a command, if it is one.
fn command(on: Backend, native: impl FnOnce() -> Command, guest: impl FnOnce(Wasi) -> PathBuf) -> Option<Command> {
    Some(match on {
        Backend::Native => native(),
        Backend::P1 => dormouse_run(&["--listen", "127.0.0.1:0", NO_OTHER_LIMIT], &guest(Wasi::P1)),
        Backend::P2 => dormouse_run(&["--allow-net", NO_OTHER_LIMIT], &guest(Wasi::P2)),
        Backend::P3 => dormouse_run(&["--allow-net", NO_OTHER_LIMIT], &guest(Wasi::P3)),
        _ => return None,
    })
}

/// What the report says here of a backend that is another one under a different host.
const AS_THE_OTHER: &str = "needs a process of its own";

/// Starts it, with that limit. The runner says where a module listens, and a component itself.
fn limited(mut command: Command) -> (Subject, std::net::SocketAddr) {
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--nofile={DESCRIPTORS}")).arg(command.get_program()).args(command.get_args());
    command = limited;
    let subject = native::spawn(command);
    let start = Instant::now();
    let addr = loop {
        let said = subject.stderr();
        let told = said.lines().find_map(|line| line.rsplit(' ').next()?.parse().ok());
        if let Some(addr) = told.or_else(|| subject.try_addr()) {
            break addr;
        }
        assert!(start.elapsed() < PATIENCE, "it says no address: {said}");
        std::thread::yield_now();
    };
    (subject, addr)
}

/// Waits until the process has so many descriptors.
fn fills_up(subject: &Subject, descriptors: usize) {
    let start = Instant::now();
    while subject.held() < descriptors as u64 {
        assert!(start.elapsed() < PATIENCE, "it holds {}: {}", subject.held(), subject.stderr());
        std::thread::yield_now();
    }
}

/// The hundredths of a second for which the process has computed.
fn cpu(subject: &Subject) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", subject.pid())).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name in brackets").split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

pub fn a_server_without_descriptors_serves_those_it_has_and_then_the_others(on: Backend) -> String {
    let Some(command) = command(on, || native_example("echo"), |wasi| wasi.example("echo")) else {
        return AS_THE_OTHER.into();
    };
    let (subject, addr) = limited(command);
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| Subject::connect(addr)).collect();
    fills_up(&subject, DESCRIPTORS);
    for client in &mut clients[..10] {
        echo(client, b"served beside those who wait");
    }
    // No client has gone, so the last one is not served, and for as long as it waits for that the server has nothing to do.
    let last = clients.last_mut().expect("there are some");
    last.write_all(b"x").unwrap();
    last.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let before = cpu(&subject);
    let waited = last.read(&mut [0]).unwrap_err();
    assert!(matches!(waited.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{waited}");
    let computed = cpu(&subject) - before;
    assert!(computed < 10, "it has computed for {computed}0 ms in a second in which there was nothing to do");
    last.set_read_timeout(Some(PATIENCE)).unwrap();
    // Each that goes makes room for another.
    let mut last = clients.pop().expect("there are some");
    for mut client in clients {
        echo(&mut client, b"served in the end");
    }
    last.read_exact(&mut [0]).unwrap();
    echo(&mut last, b"the last");
    println!("{on:?}: {computed}0 ms of CPU in a second without descriptors");
    "✓".into()
}

pub fn an_accept_without_descriptors_says_so(on: Backend) -> String {
    let battery = || Command::new(env!("CARGO_BIN_EXE_battery"));
    let Some(mut command) = command(on, battery, Wasi::battery) else { return AS_THE_OTHER.into() };
    command.arg("accepts_until_exhausted");
    let (mut subject, addr) = limited(command);
    // It may have ended before all are there.
    let _clients: Vec<TcpStream> = (0..CLIENTS).map_while(|_| TcpStream::connect(addr).ok()).collect();
    let said = "QuotaExceeded, transient: no more sockets: the limit of descriptors is reached, and one has to be closed first";
    assert_eq!(subject.line_with("transient"), said);
    assert_eq!(subject.ends_well(), ["accepted again"]);
    "✓".into()
}

pub fn a_udp_socket_without_descriptors_says_so(on: Backend) -> String {
    // wasip1 has no datagrams to run out of.
    if on == Backend::P1 {
        return "says `Unsupported`".into();
    }
    let battery = || Command::new(env!("CARGO_BIN_EXE_battery"));
    let Some(mut command) = command(on, battery, Wasi::battery) else { return AS_THE_OTHER.into() };
    command.arg("datagrams_until_exhausted");
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--nofile={DESCRIPTORS}")).arg(command.get_program()).args(command.get_args());
    let lines = native::spawn(limited).ends_well();
    let [said, again] = &lines[..] else { panic!("{lines:?}") };
    assert!(
        said.starts_with("QuotaExceeded: ") && said.contains("no more sockets: the limit of descriptors is reached"),
        "{said}"
    );
    assert_eq!(again, "opened again");
    "✓".into()
}

/// Programs of which a README says that they serve.
#[test]
fn an_example_survives_a_client_that_takes_all_descriptors() {
    for name in ["ticker_echo", "idle_echo"] {
        for wasi in Wasi::ALL {
            let options = if wasi == Wasi::P1 { ["--listen", "127.0.0.1:0"].as_slice() } else { &["--allow-net"] };
            survives(dormouse_run(options, &wasi.example(name)), SOCKETS_BY_DEFAULT);
        }
        survives(native_example(name), DESCRIPTORS);
    }
}

fn survives(command: Command, descriptors: usize) {
    let (subject, addr) = limited(command);
    let clients: Vec<TcpStream> = (0..CLIENTS).map(|_| Subject::connect(addr)).collect();
    fills_up(&subject, descriptors);
    drop(clients);
    echo(&mut Subject::connect(addr), b"it serves");
}
