//! `apps/tracing`: which connection each line is of, and that a log which is not read stops no task.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cookbook_tests::{Backend, PATIENCE, serve, server};

fn connect(addr: SocketAddr) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(addr).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    BufReader::new(stream)
}

fn ask(conn: &mut BufReader<TcpStream>, line: &str) -> String {
    let mut answer = String::new();
    conn.get_mut().write_all(format!("{line}\n").as_bytes()).expect("it reads");
    conn.read_line(&mut answer).expect("it answers");
    answer.trim_end().to_owned()
}

#[test]
fn spans_stay_with_their_tasks() {
    const CLIENTS: usize = 8;
    const REQUESTS: usize = 5;
    for backend in Backend::ALL {
        let server = serve("tracing", "tracing-server", backend, &[]);
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let addr = server.addr;
                scope.spawn(move || {
                    let mut conn = connect(addr);
                    for _ in 0..REQUESTS {
                        assert_eq!(ask(&mut conn, &format!("ab{client} cd{client}")), format!("{client}ba {client}dc"));
                    }
                });
            }
        });
        connect(server.addr).get_mut().write_all(b"quit\n").expect("it reads");
        let (status, log) = server.end();
        assert!(status.success(), "{backend:?}: {log}");
        assert!(log.contains("INFO good night"), "{backend:?}: the last line is written too");

        // The words of a client are all in the span of one connection, and no other client's are in it.
        let mut words: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in log.lines() {
            if let Some((spans, word)) = line.split_once(":turn_words{words=2}: word=") {
                words.entry(spans.trim()).or_default().push(&word[2..]);
            }
        }
        assert_eq!(words.len(), CLIENTS, "{backend:?}: {log}");
        for (spans, clients) in &words {
            assert!(spans.starts_with("INFO connection{n="), "{backend:?}: {spans}");
            assert_eq!(clients.len(), 2 * REQUESTS, "{backend:?}: {spans}");
            assert!(clients.iter().all(|client| client == &clients[0]), "{backend:?}: {spans} has {clients:?}");
        }
    }
}

/// A server whose standard error is not read, but for the line with its address where that is there.
struct Unread {
    child: Child,
    addr: SocketAddr,
    stderr: BufReader<ChildStderr>,
    /// Kept: a program that prints to a closed pipe fails.
    _stdout: BufReader<ChildStdout>,
}

impl Unread {
    fn start(backend: Backend, args: &[&str]) -> Unread {
        let mut command = server(&[], "tracing", "tracing-server", backend, args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it is built");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        match backend {
            Backend::P1 => stderr.read_line(&mut line),
            _ => stdout.read_line(&mut line),
        }
        .expect("it says where it listens");
        let addr = line.split_whitespace().last().and_then(|addr| addr.parse().ok()).expect("an address");
        Unread { child, addr, stderr, _stdout: stdout }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes some 8 KB of log.
fn hundred_words() -> String {
    vec!["dormouse"; 100].join(" ")
}

#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    for backend in Backend::ALL {
        let mut server = Unread::start(backend, &[]);
        let (mut conn, words) = (connect(server.addr), hundred_words());
        // More than a pipe, standard error's buffer and the queue hold.
        for _ in 0..100 {
            assert_eq!(ask(&mut conn, &words).len(), words.len(), "{backend:?}");
        }
        conn.get_mut().write_all(b"quit\n").expect("it reads");
        let mut log = String::new();
        server.stderr.read_to_string(&mut log).expect("it is text");
        assert!(log.contains(" lines were lost\n"), "{backend:?}: {} bytes", log.len());
        assert!(server.child.wait().is_ok_and(|status| status.success()), "{backend:?}");
    }
}

/// What the program's writer is for. The whole process waits in write(2), to standard error.
#[test]
fn with_stds_standard_error_everybody_waits_for_the_reader() {
    let server = Unread::start(Backend::Native, &["std"]);
    let addr = server.addr;
    let asking = thread::spawn(move || {
        let (mut conn, words) = (connect(addr), hundred_words());
        (0..100).all(|_| ask(&mut conn, &words).len() == words.len())
    });
    let end = Instant::now() + PATIENCE;
    let in_write = || {
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", server.child.id())).unwrap_or_default();
        call.starts_with("1 0x2 ")
    };
    // A write that waits is found twice, with nothing written in between.
    while !(in_write() && {
        thread::sleep(Duration::from_millis(20));
        in_write()
    }) {
        assert!(Instant::now() < end && !asking.is_finished(), "it has not stopped");
    }
    drop(server);
    let _ = asking.join();
}
