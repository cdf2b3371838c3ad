//! Several instances of a program behind one listener, as the `dormouse` command runs them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
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

/// Otherwise the fastest instance would have most of them. The host decides by how many one may be ahead, and the machine how long the
/// others take: what is asserted is far from both.
#[test]
fn connections_are_shared_evenly() {
    for wasi in Wasi::ALL {
        let (subject, addr) = service(wasi, &["--instances", "3"], &wasi.battery());
        let mut clients = Client::of_each(addr, &["0", "1", "2"]);
        clients.extend((clients.len()..90).map(|_| Client::new(addr)));
        for number in ["0", "1", "2"] {
            let has = clients.iter().filter(|client| client.instance == number).count();
            assert!(has >= 15, "{wasi:?}: instance {number} has {has} of 90");
        }
        drop(subject);
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
        said(&subject, "instance 1 starts again in 100ms");
        let lost = clients.iter().filter(|client| client.instance == "1").count();
        said(&subject, &format!("connections that have ended with instance 1: {lost}"));
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

/// One that waits to be started again does not count, however it had failed: the other one ends well.
#[test]
fn an_instance_that_had_failed_before_the_signal_does_not_make_the_exit_code() {
    for wasi in Wasi::ALL {
        let (mut subject, addr) = service(wasi, &["--instances", "2", "--restart", "on-failure"], &wasi.battery());
        for pause in ["100ms", "200ms", "400ms", "800ms", "1.6s"] {
            for mut client in Client::of_each(addr, &["1"]) {
                if client.instance == "1" {
                    let _ = client.stream.get_mut().write_all(b"!");
                    client.is_cut();
                }
            }
            said(&subject, &format!("instance 1 starts again in {pause}"));
        }
        kill(&subject, "-TERM");
        let (code, _, stderr) = subject.end();
        assert_eq!(code, 0, "{wasi:?}: {stderr}");
    }
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

/// Where the metrics are, and what they say.
struct Metrics(String);

impl Metrics {
    fn of(subject: &Subject) -> Metrics {
        let line = said(subject, "metrics on ");
        Metrics(format!("http://{}", line.rsplit(' ').next().unwrap()))
    }

    fn get(&self, path: &str) -> (String, String) {
        let mut curl = Command::new("curl");
        let answer =
            curl.args(["-sS", "-w", "%{http_code}", &format!("{}{path}", self.0)]).output().expect("start curl");
        let text = String::from_utf8(answer.stdout).unwrap();
        let (body, status) = text.split_at(text.len() - 3);
        (status.to_owned(), body.to_owned())
    }

    fn value(&self, name: &str) -> u64 {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, "200");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("dormouse_{name} ")));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// Waits until it is so.
    fn becomes(&self, name: &str, value: u64) {
        let start = Instant::now();
        while self.value(name) != value {
            assert!(start.elapsed() < PATIENCE, "{name} is {} and not {value}", self.value(name));
        }
    }
}

/// What one may accept, carry and compute in a second is bounded, and all is done in the end.
#[test]
fn an_instance_has_its_rates() {
    for wasi in Wasi::ALL {
        let options = ["--accept-rate", "20", "--metrics", "127.0.0.1:0"];
        let (subject, addr) = service(wasi, &options, &wasi.battery());
        let metrics = Metrics::of(&subject);
        let mut clients: Vec<Client> = (0..12).map(|_| Client::new(addr)).collect();
        clients.iter_mut().for_each(Client::echoes);
        assert!(metrics.value("delayed_total") > 0, "{wasi:?}");
        drop((subject, clients));

        // A tenth of it is saved up.
        let (subject, addr) =
            service(wasi, &["--byte-rate", "2KiB", "--cpu-share", "50%", "--metrics", "127.0.0.1:0"], &wasi.battery());
        let metrics = Metrics::of(&subject);
        let mut client = Client::new(addr);
        (0..40).for_each(|_| client.echoes());
        assert!(metrics.value("delayed_total") > 0, "{wasi:?}");
        assert_eq!(metrics.get("/healthz").0, "200", "{wasi:?}");
    }
}

#[test]
fn a_service_is_seen_from_outside() {
    for wasi in Wasi::ALL {
        let options =
            ["--instances", "2", "--metrics", "127.0.0.1:0", "--restart", "on-failure", "--stop-timeout", "100ms"];
        let (mut subject, addr) = service(wasi, &options, &wasi.battery());
        let metrics = Metrics::of(&subject);
        let mut clients = Client::of_each(addr, &["0", "1"]);
        let open = clients.len() as u64;
        assert_eq!((metrics.value("instances"), metrics.value("connections")), (2, open), "{wasi:?}");
        assert_eq!(metrics.value("connections_accepted_total"), open, "{wasi:?}");
        assert_eq!(metrics.value("received_bytes_total"), 5 * open, "{wasi:?}");
        assert!(metrics.value("memory_bytes") >= 2 << 16, "{wasi:?}");
        assert_eq!(metrics.get("/healthz"), ("200".to_owned(), "serves\n".to_owned()), "{wasi:?}");
        assert_eq!(metrics.get("/").0, "404");

        // One fails, and comes again.
        let failing = clients.iter().position(|client| client.instance == "1").unwrap();
        clients[failing].stream.get_mut().write_all(b"!").unwrap();
        metrics.becomes("restarts_total", 1);
        clients.retain(|client| client.instance == "0");
        metrics.becomes("connections", clients.len() as u64);
        metrics.becomes("instances", 2);

        // One computes for ever: the other serves, and it is told. It hears that it should stop, and cannot.
        clients.extend(Client::of_each(addr, &["1"]));
        let computing = clients.iter().position(|client| client.instance == "1").unwrap();
        clients[computing].stream.get_mut().write_all(b"~").unwrap();
        let start = Instant::now();
        while metrics.get("/healthz").0 != "503" {
            assert!(start.elapsed() < PATIENCE, "{wasi:?}");
        }
        assert_eq!(metrics.get("/healthz").1, "an instance does not turn, or does not run\n", "{wasi:?}");
        clients.iter_mut().filter(|client| client.instance == "0").for_each(Client::echoes);
        kill(&subject, "-TERM");
        let (code, _, stderr) = subject.end();
        assert_eq!(code, 143, "{wasi:?}: {stderr}");
        assert!(stderr.contains("instance 1 was asked to stop and has not in 100ms, so it is ended"), "{stderr}");
    }
}

/// A service manager that has opened the listener, is told what happens, and whose service ends when nothing is connected to it.
#[test]
fn a_service_is_started_by_a_manager() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for wasi in Wasi::ALL {
        let path = dir.join(format!("notify-{wasi:?}"));
        let _ = fs::remove_file(&path);
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let heard = || {
            let mut buf = [0; 200];
            let n = manager.recv(&mut buf).expect("it tells something");
            String::from_utf8_lossy(&buf[..n]).into_owned()
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let at = format!("LISTEN_AT={addr}");
        let runner = dormouse_run(&["--idle-exit", "2s", "--env", &at], &wasi.battery());
        let mut command = Command::new("sh");
        command.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec \"$0\" \"$@\" 3<&0 0</dev/null"]);
        command.arg(runner.get_program()).args(runner.get_args()).arg("one_of_several");
        command.envs(runner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
        let mut subject = native::spawn_with(command, OwnedFd::from(listener).into());
        let mut client = Client::new(addr);
        client.echoes();
        let mut told = Vec::new();
        while !["READY=1", "WATCHDOG=1"].iter().all(|what| told.iter().any(|told: &String| told.contains(what))) {
            told.push(heard());
        }
        drop(client);
        while !heard().contains("STOPPING=1") {}
        subject.ends_well();
    }
}
