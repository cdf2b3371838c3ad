//! Several instances of a program behind one listener, as the `dormouse` command runs them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use std::{fs, thread};

use crate::clients::dormouse_run;
use crate::drivers::{PATIENCE, Subject, Wasi, native};

/// The runner with these options, and where the program listens.
fn service(wasi: Wasi, options: &[&str], wasm: &Path) -> (Subject, SocketAddr) {
    let options = [&["--listen", "127.0.0.1:0"], options].concat();
    let mut command = dormouse_run(&options, wasm);
    command.arg("one_of_several");
    let subject = native::spawn(command);
    let addr = match wasi {
        // The runner has opened it.
        Wasi::P1 => said(&subject, "FD 3 listens on").rsplit(' ').next().and_then(|addr| addr.parse().ok()),
        _ => Some(subject.addr()),
    };
    (subject, addr.expect("an address"))
}

/// Waits until the runner says something, and gives the line.
fn said(subject: &Subject, what: &str) -> String {
    let start = Instant::now();
    loop {
        let all = subject.stderr();
        if let Some(line) = all.lines().find(|line| line.contains(what)) {
            return line.to_owned();
        }
        assert!(start.elapsed() < PATIENCE, "it does not say {what:?}: {all}");
        thread::yield_now();
    }
}

fn kill(subject: &Subject, signal: &str) {
    let pid = subject.process.pid().expect("a process").to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().expect("start kill").success());
}

/// A client that has been told which instance serves it.
struct Client {
    stream: BufReader<TcpStream>,
    instance: String,
}

impl Client {
    fn new(addr: SocketAddr) -> Client {
        let mut stream = BufReader::new(Subject::connect(addr));
        let mut instance = String::new();
        stream.read_line(&mut instance).unwrap();
        Client { stream, instance: instance.trim_end().to_owned() }
    }

    fn echoes(&mut self) {
        self.stream.get_mut().write_all(b"hello").unwrap();
        let mut answer = [0; 5];
        self.stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"hello");
    }

    /// Its connection has ended, well or not.
    fn is_cut(&mut self) {
        assert_eq!(self.stream.read(&mut [0]).unwrap_or(0), 0);
    }

    /// Clients until each of these instances has one.
    fn of_each(addr: SocketAddr, instances: &[&str]) -> Vec<Client> {
        let (mut clients, start) = (Vec::<Client>::new(), Instant::now());
        while !instances.iter().all(|number| clients.iter().any(|client| client.instance == *number)) {
            assert!(start.elapsed() < PATIENCE && clients.len() < 5000, "some instance serves none");
            // Those that have one are busy with it.
            let mut client = Client::new(addr);
            client.echoes();
            clients.push(client);
        }
        clients
    }
}

#[test]
fn several_instances_are_behind_one_listener_and_stop_together() {
    for wasi in Wasi::ALL {
        let (mut subject, addr) = service(wasi, &["--instances", "3"], &wasi.battery());
        let mut clients = Client::of_each(addr, &["0", "1", "2"]);
        clients.iter_mut().for_each(Client::echoes);
        kill(&subject, "-TERM");
        clients.iter_mut().for_each(Client::is_cut);
        let lines = subject.ends_well();
        for number in 0..3 {
            assert!(lines.contains(&format!("instance {number} has ended")), "{wasi:?}: {lines:?}");
        }
    }
}

/// The connections of one that fails end, and no others; clients are served meanwhile.
#[test]
fn an_instance_that_fails_is_started_again_and_stops_no_other() {
    for wasi in Wasi::ALL {
        let options = ["--instances", "2", "--restart", "on-failure"];
        let (mut subject, addr) = service(wasi, &options, &wasi.battery());
        let mut clients = Client::of_each(addr, &["0", "1"]);
        let failing = clients.iter().position(|client| client.instance == "1").unwrap();
        clients[failing].stream.get_mut().write_all(b"!").unwrap();
        for client in &mut clients {
            match client.instance.as_str() {
                "1" => client.is_cut(),
                _ => client.echoes(),
            }
        }
        said(&subject, "instance 1: starts again in 100ms");
        assert!(subject.stderr().contains("a client wants it to fail"), "{}", subject.stderr());
        drop(clients);
        let again = Client::of_each(addr, &["0", "1"]);
        kill(&subject, "-INT");
        drop(again);
        subject.ends_well();
    }
}

#[test]
fn an_instance_is_started_again_so_often_and_no_more() {
    let options = ["--instances", "2", "--restart", "on-failure:1"];
    let (mut subject, addr) = service(Wasi::P2, &options, &Wasi::P2.battery());
    for _ in 0..4 {
        let mut client = Client::new(addr);
        client.stream.get_mut().write_all(b"!").unwrap();
        client.is_cut();
    }
    let (code, _, stderr) = subject.end();
    assert_eq!(code, 134, "{stderr}");
    assert_eq!(stderr.matches("has failed 1 times after a restart, and stays down").count(), 2, "{stderr}");
}

/// A client that connects all the time is served all the time.
#[test]
fn a_program_is_loaded_anew_under_its_clients() {
    for wasi in Wasi::ALL {
        let wasm = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("reloaded-{wasi:?}.wasm"));
        fs::copy(wasi.battery(), &wasm).unwrap();
        let (mut subject, addr) = service(wasi, &["--instances", "2"], &wasm);
        let mut old = Client::new(addr);
        let (ends, all) = (Arc::new(AtomicBool::new(false)), Arc::clone);
        let connecting = thread::spawn({
            let ends = all(&ends);
            move || {
                let mut served = 0;
                while !ends.load(Ordering::SeqCst) {
                    let mut client = Client::new(addr);
                    // One that was accepted by an old instance may end at once, in good order: it was served.
                    assert!(client.instance == "0" || client.instance == "1", "{}", client.instance);
                    let _ = client.stream.get_mut().write_all(b"x");
                    served += 1;
                }
                served
            }
        });
        fs::write(&wasm, "no program").unwrap();
        kill(&subject, "-HUP");
        said(&subject, "not reloaded, the old instances go on");
        old.echoes();
        fs::copy(wasi.battery(), &wasm).unwrap();
        kill(&subject, "-HUP");
        said(&subject, "reloaded (1)");
        old.is_cut();
        Client::new(addr).echoes();
        ends.store(true, Ordering::SeqCst);
        assert!(connecting.join().expect("none is refused or reset") > 0, "{wasi:?}");
        kill(&subject, "-TERM");
        subject.ends_well();
    }
}
