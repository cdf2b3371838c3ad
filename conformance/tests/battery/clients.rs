//! Programs as users meet them: the examples, the `dormouse` command, `nc`.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::differences::nc_udp;
#[cfg(feature = "wasmi")]
use crate::drivers::wasmi;
use crate::drivers::{self, Subject, Wasi, load, native, p1, p2};
use crate::{echo, pattern};

#[test]
fn a_program_whose_output_nobody_reads_still_serves() {
    for (_, command) in commands() {
        unread_stdout(command);
    }
}

/// The battery as a command, on every backend.
fn commands() -> [(&'static str, Command); 4] {
    [
        ("natively", Command::new(env!("CARGO_BIN_EXE_battery"))),
        ("wasip1", dormouse_run(&["--listen", "127.0.0.1:0"], &Wasi::P1.battery())),
        ("wasip2", dormouse_run(&["--allow-net"], &Wasi::P2.battery())),
        ("WASI 0.3", dormouse_run(&["--allow-net"], &Wasi::P3.battery())),
    ]
}

#[test]
fn a_program_whose_output_a_pipe_holds_ends_before_it_is_read() {
    // On wasip1 what is written at once is 512 bytes, and poll(2) calls a pipe full when its last page has been begun.
    for (on, mut command) in commands().into_iter().filter(|(on, _)| *on != "wasip1") {
        let child = command.arg("full_pipe").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = Killed(child.expect("start"));
        assert!(child.0.wait().unwrap().success(), "{on}");
        let (mut out, mut err) = (Vec::new(), String::new());
        child.0.stdout.take().expect("piped").read_to_end(&mut out).unwrap();
        child.0.stderr.take().expect("piped").read_to_string(&mut err).unwrap();
        assert_eq!((out.len(), err.contains("lost")), (65_536, false), "{on}: {err}");
    }
}

#[test]
fn output_that_is_read_late_is_complete() {
    for case in ["late_reader", "late_reader_and_exit"] {
        for (on, mut command) in commands() {
            let child = command.arg(case).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("start");
            let mut child = Killed(child);
            let mut stdout = child.0.stdout.take().expect("piped");
            // What a pipe holds is left in it, and there is more to come.
            let most = 40 * 8192 - 65_536;
            stdout.read_exact(&mut vec![0; most]).unwrap();
            // If it would end without its last output, it may do so now.
            thread::sleep(Duration::from_millis(300));
            let mut rest = Vec::new();
            stdout.read_to_end(&mut rest).unwrap();
            assert_eq!(rest.len(), 65_536 + 1000, "{case}, {on}");
            assert!(rest.ends_with(&[b'y'; 1000]), "{case}, {on}");
            assert!(child.0.wait().unwrap().success(), "{case}, {on}");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_a_full_device_refuses_ends_the_program_with_a_sentence_and_exit_code_1() {
    for (case, code, prefix) in
        [("refused", 1, "dormouse: "), ("refused_line", 1, "dormouse: "), ("refused_and_told", 0, "told: ")]
    {
        for (on, mut command) in commands() {
            let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
            let out = command.arg(case).stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).output().expect("run");
            let err = String::from_utf8(out.stderr).unwrap();
            assert_eq!(out.status.code(), Some(code), "{case}, {on}: {err}");
            let told: Vec<_> = err.lines().filter(|line| line.contains("write to standard output: ")).collect();
            assert!(matches!(told[..], [line] if line.starts_with(prefix)), "{case}, {on}: {err}");
        }
    }
}

/// The runner, as a command.
pub fn dormouse_run(options: &[&str], wasm: &Path) -> Command {
    let runner = drivers::build(&["--package", "dormouse-host"]).join("debug/dormouse");
    let mut command = Command::new(runner);
    command.env("XDG_CACHE_HOME", drivers::cache_dir());
    command.arg("run").args(options).arg(wasm);
    command
}

fn unread_stdout(mut command: Command) {
    command.arg("unread_stdout");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start");
    let mut child = Killed(child);
    let mut stderr = BufReader::new(child.0.stderr.take().expect("piped"));
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    // The program says it, or the runner if it has opened the listener.
    let addr =
        line.trim_end().rsplit(' ').next().and_then(|addr| addr.parse().ok()).unwrap_or_else(|| panic!("{line}"));
    let mut stream = Subject::connect(addr);
    for round in 0..200 {
        echo(&mut stream, &pattern(1 + round));
    }
    // And nothing that was printed is torn or lost.
    let mut stdout = BufReader::new(child.0.stdout.take().expect("piped"));
    for n in 0..20_000 {
        line.clear();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, format!("line {n} of a program that prints a lot\n"));
    }
}

/// A child that goes with its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An example, natively and as guests.
fn example(name: &str, args: &[&str]) -> Vec<Subject> {
    let mut all = example_that_connects(name, args);
    let module = Wasi::P1.example(name);
    all.push(p1::run(&load(&module), args));
    #[cfg(feature = "wasmi")]
    all.push(wasmi::run(&module, args));
    all
}

/// An example that connects to addresses, natively and as components.
fn example_that_connects(name: &str, args: &[&str]) -> Vec<Subject> {
    let mut command = native_example(name);
    command.args(args);
    let components = [Wasi::P2, Wasi::P3].map(|wasi| p2::run(&load(&wasi.example(name)), args, p2::Net::Allowed));
    [native::spawn(command)].into_iter().chain(components).collect()
}

pub fn native_example(name: &str) -> Command {
    Command::new(drivers::build(&["--package", "dormouse", "--example", name]).join("debug/examples").join(name))
}

#[test]
fn many_sleeps_end_in_order() {
    for mut subject in example("sleep", &["2000"]) {
        assert_eq!(subject.ends_well(), ["2000 sleeps ended, in order"]);
    }
}

#[test]
fn a_task_parked_on_nothing_but_a_wake_is_woken_once() {
    for mut subject in example("synthetic_park", &[]) {
        assert_eq!(subject.ends_well(), ["parked", "woken"]);
    }
}

#[test]
fn who_waits_for_a_line_of_standard_input_stops_nobody_else() {
    let name = "stdin_upper";
    let mut commands = vec![native_example(name)];
    for wasi in Wasi::ALL {
        commands.push(dormouse_run(&[], &wasi.example(name)));
    }
    #[cfg(feature = "wasmi")]
    commands.push(wasmi::command(&Wasi::P1.example(name)));
    for command in commands {
        let (mut subject, mut stdin) = native::spawn_fed(command);
        for (said, heard) in [("hello\n", "HELLO"), ("who ticks?\n", "WHO TICKS?")] {
            stdin.write_all(said.as_bytes()).unwrap();
            subject.line_with(heard);
            subject.line_with("tick ");
        }
        drop(stdin);
        subject.ends_well();
    }
}

/// A program that reads standard input is asked to end by the end of it, and ends in its own way; no other program is asked.
#[test]
fn ctrl_c_ends_the_standard_input_of_a_guest_that_reads_it_and_else_the_guest() {
    for wasi in Wasi::ALL {
        let mut command = dormouse_run(&[], &wasi.example("stdin_upper"));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut child = Killed(child);
        let mut stdout = BufReader::new(child.0.stdout.take().expect("piped"));
        child.0.stdin.as_mut().expect("piped").write_all(b"hello\n").unwrap();
        let mut line = String::new();
        while line != "HELLO\n" {
            line.clear();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "it says HELLO before it ends");
        }
        interrupt(&child);
        assert_eq!(child.0.wait().unwrap().code(), Some(0), "on {wasi:?}");

        let mut command = dormouse_run(&["--listen", "127.0.0.1:0"], &wasi.example("ticker_echo"));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut child = Killed(child);
        line.clear();
        BufReader::new(child.0.stdout.take().expect("piped")).read_line(&mut line).unwrap();
        interrupt(&child);
        assert_eq!(child.0.wait().unwrap().code(), Some(130), "on {wasi:?}");
    }
}

/// A client that has been answered, one that has sent nothing, and standard input at its end: the program is asked to stop and does.
#[test]
fn a_program_that_waits_to_be_asked_ends_in_good_order() {
    let name = "drain_echo";
    let mut commands = vec![native_example(name)];
    commands.extend(Wasi::ALL.map(|wasi| dormouse_run(&["--listen", "127.0.0.1:0"], &wasi.example(name))));
    for mut command in commands {
        for signal in ["-TERM", "-INT"] {
            let on = format!("{command:?}");
            let (mut child, addr) = listening(&mut command);
            let mut served = Subject::connect(addr);
            echo(&mut served, b"hello");
            let mut silent = Subject::connect(addr);
            kill(&child, signal);
            assert_eq!(served.read(&mut [0]).unwrap(), 0, "{on}: its half is closed");
            assert_eq!(silent.read(&mut [0]).unwrap_or_default(), 0, "{on}");
            assert_eq!(child.0.wait().unwrap().code(), Some(0), "{on}");
        }
    }
}

#[test]
fn a_program_that_does_not_end_when_asked_is_ended() {
    for wasi in Wasi::ALL {
        for (time, again) in [("200ms", false), ("1h", true)] {
            let mut command = dormouse_run(&["--stop-timeout", time], &wasi.battery());
            let command = command.arg("stays_when_asked").stdin(Stdio::null()).stdout(Stdio::piped());
            let mut child = Killed(command.stderr(Stdio::piped()).spawn().unwrap());
            let mut stdout = BufReader::new(child.0.stdout.take().expect("piped")).lines().map_while(Result::ok);
            assert_eq!(stdout.next().as_deref(), Some("waiting"), "{wasi:?}");
            kill(&child, "-TERM");
            assert_eq!(stdout.next().as_deref(), Some("asked"), "{wasi:?}");
            if again {
                kill(&child, "-TERM");
            }
            assert_eq!(child.0.wait().unwrap().code(), Some(143), "{wasi:?}");
            let mut said = String::new();
            child.0.stderr.take().expect("piped").read_to_string(&mut said).unwrap();
            assert_eq!(
                said.contains("the program was asked to stop and has not in 200ms, so it is ended"),
                !again,
                "{wasi:?}: {said}"
            );
        }
    }
}

/// Starts a server, with standard input at its end, and waits until it listens.
fn listening(command: &mut Command) -> (Killed, SocketAddr) {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut child = Killed(child);
    // On wasip1 the runner says it, and the program afterwards that it has taken the listener. Both streams stay open.
    let mut line = String::new();
    BufReader::new(child.0.stdout.as_mut().expect("piped")).read_line(&mut line).unwrap();
    if line.contains("FD") {
        line.clear();
        BufReader::new(child.0.stderr.as_mut().expect("piped")).read_line(&mut line).unwrap();
    }
    let addr = line.trim_end().rsplit(' ').next().and_then(|addr| addr.parse().ok());
    (child, addr.unwrap_or_else(|| panic!("{line}")))
}

fn interrupt(child: &Killed) {
    kill(child, "-INT");
}

fn kill(child: &Killed, signal: &str) {
    let kill = Command::new("kill").args([signal, &child.0.id().to_string()]).status();
    assert!(kill.expect("start kill").success());
}

/// As systemd's socket activation hands a listener over: descriptor 3, and variables for this process alone.
#[test]
fn a_native_program_takes_the_listener_that_it_is_activated_with() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" 3<&0 0</dev/null"]);
    command.arg(native_example("echo").get_program());
    let server = native::spawn_with(command, OwnedFd::from(listener).into());
    assert_eq!(server.addr(), addr, "it is that one, and no other");
    echo(&mut Subject::connect(addr), &pattern(100));
}

#[test]
fn the_client_prints_what_the_echo_server_sends_back() {
    for server in example("echo", &[]) {
        let addr = server.addr().to_string();
        for mut client in example_that_connects("client", &[&addr, "one", "two words"]) {
            assert_eq!(client.ends_well(), ["one", "two words"]);
        }
    }
}

#[test]
fn names_are_resolved_by_the_example_that_does_it() {
    for mut subject in example_that_connects("resolve", &["localhost", "127.0.0.1"]) {
        let lines = subject.ends_well();
        assert!(lines[0].starts_with("localhost: ") && lines[0].contains("1"), "{lines:?}");
        assert_eq!(lines[1], "127.0.0.1: 127.0.0.1");
    }
}

/// On WASI 0.3 alone: two versions of wit-bindgen, and its `spawn_local`.
#[test]
fn futures_of_wit_bindgen_wait_beside_ours() {
    let wasm = Wasi::P3.example_with("wasip3_futures", &["--features", "p3-spawn"]);
    let mut subject = p2::run(&load(&wasm), &[], p2::Net::Denied);
    let expected = [
        "an hour in five milliseconds: deadline has elapsed",
        "in order: spawned by wit-bindgen, wasip3 0.7, wasip3 0.10",
    ];
    assert_eq!(subject.ends_well(), expected);
}

/// An async function that wit-bindgen exports, on its executor, enters ours and leaves it again.
#[test]
fn a_component_that_is_called_may_block_on() {
    let mut subject = p2::run(&load(&Wasi::P3.called()), &[], p2::Net::Allowed);
    assert_eq!(subject.line(), "outside: no Dormouse runtime is running: call it inside dormouse::block_on");
    echo(&mut Subject::connect(subject.addr()), &pattern(1000));
    assert_eq!(subject.ends_well(), ["inside: 1000 bytes", "afterwards"]);
}

#[test]
fn nc_hears_what_it_says_to_the_udp_echo_server() {
    for server in example_that_connects("udp_echo", &[]) {
        nc_udp(server.addr());
    }
}

#[test]
fn the_udp_client_prints_what_the_udp_echo_server_sends_back() {
    for addr in ["127.0.0.1:0", "[::1]:0"] {
        if let Err(error) = std::net::UdpSocket::bind(addr) {
            assert_eq!((error.kind(), addr), (ErrorKind::AddrNotAvailable, "[::1]:0"), "a machine without IPv6");
            continue;
        }
        for server in example_that_connects("udp_echo", &[addr]) {
            let addr = server.addr().to_string();
            for mut client in example_that_connects("udp_client", &[&addr, "one", "two words", ""]) {
                assert_eq!(client.ends_well(), ["one", "two words", ""]);
            }
        }
    }
}

/// However slow the other end is, what is on its way is in the host's buffers, and in two of the program's.
#[test]
fn a_proxy_passes_64_mebibytes_on_and_its_memory_stays_flat() {
    const SENT: usize = 64 << 20;
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let args = [target.local_addr().unwrap().to_string()];
    let args = [args[0].as_str()];
    let mut command = native_example("proxy");
    command.args(args);
    // Their memory is 1.1 MiB at the start.
    let [p2, p3] = [Wasi::P2, Wasi::P3].map(|wasi| p2::run_within(&load(&wasi.example("proxy")), &args, 3 << 20));
    for proxy in [native::spawn(command), p2, p3] {
        let block = pattern(1 << 20);
        let mut client = Subject::connect(proxy.addr());
        let (mut served, _) = target.accept().unwrap();
        // Nothing is read until all buffers are full, and it stalls.
        let mut sent = 0;
        client.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        while let Ok(n) = client.write(&block[sent % block.len()..]) {
            sent += n;
            assert!(sent < SENT, "nobody reads, and all of it was taken");
        }
        client.set_write_timeout(None).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let block = pattern(1 << 20);
                while sent < SENT {
                    sent += client.write(&block[sent % block.len()..]).expect("send");
                }
                client.shutdown(std::net::Shutdown::Write).unwrap();
                let mut answer = String::new();
                client.read_to_string(&mut answer).unwrap();
                assert_eq!(answer, "all of it");
            });
            let (mut buf, mut heard) = (vec![0; block.len()], 0);
            loop {
                let n = served.read(&mut buf).expect("receive");
                if n == 0 {
                    break;
                }
                let expected = block[heard % block.len()..].iter().chain(&block);
                assert!(buf[..n].iter().eq(expected.take(n)), "changed after {heard} bytes");
                heard += n;
            }
            assert_eq!(heard, SENT);
            served.write_all(b"all of it").unwrap();
            drop(served);
        });
    }
}

#[test]
fn who_is_silent_is_hung_up_on_and_who_says_quit_ends_the_server() {
    for mut server in example("idle_echo", &[]) {
        let addr = server.addr();
        let (mut silent, mut talker) = (Subject::connect(addr), Subject::connect(addr));
        assert_eq!(silent.read(&mut [0; 8]).expect("an orderly end"), 0);
        // It has been silent, too.
        assert_eq!(talker.read(&mut [0; 8]).expect("an orderly end"), 0);
        let mut talker = Subject::connect(addr);
        echo(&mut talker, b"hello");
        talker.write_all(b"quit").unwrap();
        assert!(server.ends_well().is_empty());
    }
}

/// The program of the seed, with the clients of the seed: two `nc` at once, and a ticker.
#[test]
fn two_nc_clients_echo_while_the_ticker_ticks() {
    for subject in example("ticker_echo", &[]) {
        two_nc_clients(&subject);
    }
}

fn two_nc_clients(subject: &Subject) {
    let port = subject.addr().port().to_string();
    let mut clients = [nc(&port), nc(&port)];
    // Each says something between ticks, and hears it back.
    for tick in 1..=3 {
        assert_eq!(subject.line_with("tick "), format!("tick {tick}"));
        for (n, client) in clients.iter_mut().enumerate() {
            let said = format!("client {n} after tick {tick}\n");
            client.0.stdin.as_mut().expect("piped").write_all(said.as_bytes()).unwrap();
            let mut heard = vec![0; said.len()];
            client.0.stdout.as_mut().expect("piped").read_exact(&mut heard).expect("the echo comes back");
            assert_eq!(String::from_utf8_lossy(&heard), said);
        }
    }
    // The end of input is passed on and comes back, and nc ends.
    for mut client in clients {
        drop(client.0.stdin.take());
        assert!(client.0.wait().unwrap().success());
    }
}

fn nc(port: &str) -> Killed {
    let client =
        Command::new("nc").args(["-N", "127.0.0.1", port]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    Killed(client.unwrap_or_else(|error| panic!("start nc: {error}; `cargo xtask setup` installs it (netcat-openbsd)")))
}
