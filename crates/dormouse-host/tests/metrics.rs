//! The port of the metrics, and clients that mean it no good.

mod support;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use dormouse_host::{Meter, Metrics, Program, Service};
use support::assemble;

/// A service that has not started, of a program that does this.
fn service(body: &str) -> Service {
    let bytes = assemble(&format!(r#"(module (memory (export "memory") 1) (func (export "_start") {body}))"#));
    Service::new(Arc::new(Program::from_bytes("metrics", &bytes).unwrap()), |run, _| run)
}

fn port(metrics: Metrics) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    metrics.serve(listener).unwrap();
    addr
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

fn ask(addr: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(get(path).as_bytes()).unwrap();
    stream
}

/// All that comes until the connection ends, well or not.
fn rest(mut stream: TcpStream) -> String {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => all.extend_from_slice(&piece[..n]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    String::from_utf8(all).unwrap()
}

#[test]
fn clients_that_neither_ask_nor_read_do_not_shut_the_port() {
    let control = service("").control();
    let addr = port(Metrics::new(control, Meter::new(), None));
    let silent: Vec<_> = (0..70).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let many = get("/metrics").repeat(200);
    let pipelining: Vec<_> = (0..70)
        .map(|_| {
            let mut stream = TcpStream::connect(addr).unwrap();
            // It may be closed before all is written.
            let _ = stream.write_all(many.as_bytes());
            stream
        })
        .collect();
    let answer = rest(ask(addr, "/metrics"));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("dormouse_instances 0\n"), "{answer}");
    for stream in pipelining {
        assert!(rest(stream).matches("HTTP/1.1 ").count() <= 1, "one answer each");
    }
    // The oldest had to go, and the others when their time had passed.
    for stream in silent {
        assert_eq!(rest(stream), "");
    }
}

/// Each question takes two seconds, and what asks meanwhile waits for that one.
#[cfg(target_os = "linux")]
#[test]
fn many_questions_about_a_service_that_is_stuck_take_no_threads() {
    let service = service("(loop (br 0))");
    let control = service.control();
    let addr = port(Metrics::new(control.clone(), Meter::new(), None));
    let running = std::thread::spawn(|| service.start());
    while control.status().running == 0 {
        std::thread::yield_now();
    }
    for _ in 0..300 {
        drop(ask(addr, "/healthz"));
    }
    let waiting: Vec<_> = (0..20).map(|_| ask(addr, "/healthz")).collect();
    assert!(rest(ask(addr, "/metrics")).contains("dormouse_instances 1\n"));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap().trim();
    assert!(threads.parse::<usize>().unwrap() < 20 + 2 * rayon(), "{threads} threads");
    for asker in waiting {
        let answer = rest(asker);
        assert!(
            answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("does not turn, or does not run\n"),
            "{answer}"
        );
    }
    control.kill();
    running.join().unwrap();
}

/// How many threads the compiler has.
#[cfg(target_os = "linux")]
fn rayon() -> usize {
    std::thread::available_parallelism().unwrap().get()
}
