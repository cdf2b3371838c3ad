//! `apps/http`: its server, with curl and with sockets by hand.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use cookbook_tests::{Backend, PATIENCE, Running, output, serve};

/// What curl needs to speak each version, and how it calls it.
const VERSIONS: [(&str, &str); 2] = [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")];

fn server(backend: Backend, limits: &[&str]) -> Running {
    serve("http", "http-server", backend, limits)
}

fn curl(args: &[&str]) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", &PATIENCE.as_secs().to_string()]).args(args);
    curl
}

/// A file for a test, of its own name.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn connect(addr: SocketAddr) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(addr).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    BufReader::new(stream)
}

fn send(conn: &mut BufReader<TcpStream>, text: &str) {
    conn.get_mut().write_all(text.as_bytes()).expect("it reads");
}

/// Reads until this line, which it returns.
fn line(conn: &mut BufReader<TcpStream>, with: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(conn.read_line(&mut line).expect("it answers") > 0, "{with:?} did not come");
        if line.contains(with) {
            return line;
        }
    }
}

/// What comes until the other side hangs up, with a reset or without.
fn rest(conn: &mut BufReader<TcpStream>) -> String {
    let mut all = Vec::new();
    match conn.read_to_end(&mut all) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("it has not hung up: {error}"),
        _ => String::from_utf8_lossy(&all).into_owned(),
    }
}

/// That others are served.
fn serves(server: &Running) {
    let url = format!("http://{}/", server.addr);
    for (version, _) in VERSIONS {
        assert_eq!(output(&mut curl(&[version, &url])), "hello\n");
    }
}

#[test]
fn curl_gets_an_answer() {
    for backend in Backend::ALL {
        let server = server(backend, &[]);
        let base = format!("http://{}", server.addr);
        for (version, name) in VERSIONS {
            let told = "-w%{http_code} HTTP/%{http_version}, %{num_connects} connected\n";
            let get = |args: &[&str]| output(curl(&[version, told]).args(args));
            assert_eq!(get(&[&base]), format!("hello\n200 HTTP/{name}, 1 connected\n"), "{backend:?}");
            let expected = format!("tick 0\ntick 1\ntick 2\n200 HTTP/{name}, 1 connected\n");
            assert_eq!(get(&["-N", &format!("{base}/ticks/3")]), expected, "{backend:?}");
            let nothing = get(&[&format!("{base}/nothing/here")]);
            assert!(nothing.ends_with(&format!("\n404 HTTP/{name}, 1 connected\n")), "{backend:?}: {nothing}");
            let wrong = get(&["-i", &format!("{base}/echo")]);
            assert!(wrong.contains("allow: POST"), "{backend:?}: {wrong}");
            assert!(wrong.ends_with(&format!("\n405 HTTP/{name}, 1 connected\n")), "{backend:?}: {wrong}");
        }
    }
}

#[test]
fn a_connection_serves_many_requests() {
    for backend in Backend::ALL {
        let server = server(backend, &[]);
        let one = format!("http://{}/", server.addr);
        let two = format!("{one}ticks/2");
        let told = output(&mut curl(&["-w%{num_connects}\n", &one, &two, &one]));
        assert_eq!(told, "hello\n1\ntick 0\ntick 1\n0\nhello\n0\n", "{backend:?}");
        // With HTTP/2 by prior knowledge, the curl of Debian 12 fails at the second request, with nghttpd as well.
        let told = output(Command::new("nghttp").args(["-v", &one, &two, &format!("{one}ticks/3")]));
        assert_eq!(told.matches("Connected").count(), 1, "{backend:?}: {told}");
        assert_eq!(told.matches(":status: 200").count(), 3, "{backend:?}: {told}");
    }
}

#[test]
fn large_bodies_are_whole_both_ways() {
    const SIZE: usize = 16 * 1024 * 1024 + 5;
    let (sent, back) = (file("sent"), file("back"));
    // Something of which no two places look the same.
    let bytes: Vec<u8> = (0..SIZE as u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
    fs::write(&sent, &bytes).expect("it can be written");
    for backend in Backend::ALL {
        let server = server(backend, &[]);
        let base = format!("http://{}", server.addr);
        for (version, _) in VERSIONS {
            let upload = format!("@{}", sent.display());
            let mut echo = curl(&[version, "-w%{size_download}", "--data-binary", &upload, &format!("{base}/echo")]);
            assert_eq!(output(echo.arg("-o").arg(&back)), SIZE.to_string(), "{backend:?}");
            assert!(fs::read(&back).expect("it was written") == bytes, "{backend:?} {version}: other bytes came back");
            let mut large = curl(&[version, &format!("{base}/large/{SIZE}")]);
            large.arg("-o").arg(&back);
            output(&mut large);
            let came = fs::read(&back).expect("it was written");
            let expected = |n: usize| if n % 1024 == 1023 { b'\n' } else { b'a' };
            assert_eq!(came.len(), SIZE, "{backend:?} {version}");
            assert!(came.iter().enumerate().all(|(n, byte)| *byte == expected(n % 65536)), "{backend:?} {version}");
        }
    }
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    for backend in Backend::ALL {
        let server = server(backend, &[]);
        let mut conn = connect(server.addr);
        send(&mut conn, "POST /echo HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 6\r\n\r\n");
        assert_eq!(line(&mut conn, "HTTP"), "HTTP/1.1 100 Continue\r\n", "{backend:?}");
        send(&mut conn, "nuts\r\n");
        line(&mut conn, "200 OK");
        line(&mut conn, "nuts");
        // curl does so with a body of more than a megabyte, or if it is told to.
        let args = ["-v", "-H", "expect: 100-continue", "-d", "nuts", &format!("http://{}/echo", server.addr)];
        let Output { stdout, stderr, .. } = curl(&args).output().expect("there is curl");
        assert_eq!(stdout, b"nuts", "{backend:?}");
        assert!(String::from_utf8_lossy(&stderr).contains("HTTP/1.1 100 Continue"), "{backend:?}");
    }
}

/// Each piece is sent when the one before has come back: a server that collected the body would wait for ever.
#[test]
fn a_body_is_sent_back_while_it_comes() {
    for backend in Backend::ALL {
        let server = server(backend, &[]);
        let mut conn = connect(server.addr);
        send(&mut conn, "POST /echo HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n");
        for n in 0..10 {
            send(&mut conn, &format!("7\r\npiece{n}\n\r\n"));
            line(&mut conn, &format!("piece{n}"));
        }
        send(&mut conn, "0\r\n\r\n");
        line(&mut conn, "0\r\n");
        // And the connection is good for another one; then there is a body without an end.
        send(&mut conn, "\r\nGET /ticks/9999999999 HTTP/1.1\r\nhost: h\r\n\r\n");
        (0..3).for_each(|n| drop(line(&mut conn, &format!("tick {n}"))));
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    for backend in Backend::ALL {
        let server = server(backend, &[]);
        let mut conn = connect(server.addr);
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n");
        send(&mut conn, &(get("/ticks/2") + &get("/") + &get("/nothing") + &get("/ticks/1")));
        for what in ["tick 1", "hello", "404", "there is", "tick 0"] {
            line(&mut conn, what);
        }
    }
}

/// There are requests whose target is no path.
#[test]
fn a_target_without_a_path_is_not_found() {
    for backend in Backend::ALL {
        let server = server(backend, &[]);
        for target in ["OPTIONS *", "CONNECT h:80", "GET http://h/nothing"] {
            let mut conn = connect(server.addr);
            send(&mut conn, &format!("{target} HTTP/1.1\r\nhost: h\r\n\r\n"));
            assert!(line(&mut conn, "HTTP/1.1 ").contains("404"), "{backend:?}, {target}");
        }
        serves(&server);
    }
}

#[test]
fn what_is_no_http_is_told_so() {
    for backend in Backend::ALL {
        let server = server(backend, &[]);
        // What is far too long is not read to its end.
        let long = format!("GET / HTTP/1.1\r\nhost: {}", "h".repeat(1 << 20));
        for (what, told) in [
            ("hello\r\n\r\n", "HTTP/1.1 400 Bad Request"),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", "HTTP/1.1 400 Bad Request"),
            ("POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: some\r\n\r\n", "HTTP/1.1 400 Bad Request"),
            (&long, "HTTP/1.1 431 Request Header Fields Too Large"),
        ] {
            let mut conn = connect(server.addr);
            // It may hang up before it has read all.
            let _ = conn.get_mut().write_all(what.as_bytes());
            let said = rest(&mut conn);
            let cut = what.len() > 1 << 20 && said.is_empty();
            assert!(said.starts_with(told) || cut, "{backend:?}: {said:?} to {:?}", &what[..20.min(what.len())]);
        }
        serves(&server);
    }
}

/// A client that keeps a server waiting is hung up on, however it does it.
#[test]
fn slow_clients_are_hung_up_on() {
    for backend in Backend::ALL {
        let mut server = server(backend, &["head=200", "body=200", "write=200"]);
        for (what, told) in [
            ("nothing at all", ""),
            ("half of a head", "GET / HTTP/1.1\r\nho"),
            ("half of HTTP/2's first words", "PRI * HTTP/2.0\r\n"),
            ("all of HTTP/2's first words, and no more", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
            ("half of a body", "POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\nabc"),
            ("a request, and no other", "GET / HTTP/1.1\r\nhost: h\r\n\r\n"),
        ] {
            let mut conn = connect(server.addr);
            send(&mut conn, told);
            println!("{backend:?}, {what}: {:?}", rest(&mut conn));
        }
        // A head that grows by a byte whenever the server has had the time to look is not waited for either.
        let mut conn = connect(server.addr);
        conn.get_ref().set_read_timeout(Some(std::time::Duration::from_millis(10))).expect("it is not zero");
        send(&mut conn, "GET / HTTP/1.1\r\nx: ");
        let hung_up = loop {
            match conn.read(&mut [0; 100]) {
                Ok(0) => break true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => break error.kind() == ErrorKind::ConnectionReset,
                Ok(_) => {}
            }
            if conn.get_mut().write_all(b"x").is_err() {
                break true;
            }
        };
        assert!(hung_up, "{backend:?}");
        // Nor a client that does not read.
        let mut conn = connect(server.addr);
        send(&mut conn, "GET /large/1000000000 HTTP/1.1\r\nhost: h\r\n\r\n");
        server.until("connection: timed out");
        assert!(rest(&mut conn).len() < 1_000_000_000, "{backend:?}");
        serves(&server);
    }
}

#[test]
fn clients_that_hang_up_in_the_middle_harm_nobody() {
    for backend in Backend::ALL {
        let server = server(backend, &[]);
        for _ in 0..20 {
            for request in [
                "GET / HT",
                "POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\nabc",
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04",
            ] {
                send(&mut connect(server.addr), request);
            }
            for path in ["/large/100000000", "/ticks/1000000"] {
                let mut conn = connect(server.addr);
                send(&mut conn, &format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n"));
                line(&mut conn, "200 OK");
            }
        }
        serves(&server);
    }
}

#[test]
fn too_few_descriptors_are_survived() {
    for backend in Backend::ALL {
        let mut server = server(backend, &[]);
        serves(&server);
        let now = server.held(Backend::Native);
        let limit = |n: usize| {
            let nofile = format!("--nofile={n}:");
            output(Command::new("prlimit").args(["--pid", &server.id().to_string(), &nofile]));
        };
        limit(now + 2);
        let waiting: Vec<_> = (0..8).map(|_| connect(server.addr)).collect();
        let said = server.until("accept: ");
        println!("{backend:?}: {said}");
        drop(waiting);
        serves(&server);
    }
}

/// A process that goes with its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    for backend in Backend::ALL {
        let mut command = cookbook_tests::server(&[], "http", "http-server", backend, &[]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut server = Killed(command.spawn().expect("it is built"));
        let mut stdout = BufReader::new(server.0.stdout.take().expect("piped"));
        let mut stderr = BufReader::new(server.0.stderr.take().expect("piped"));
        let mut said = String::new();
        match backend {
            Backend::P1 => stderr.read_line(&mut said),
            _ => stdout.read_line(&mut said),
        }
        .expect("it says where it listens");
        let addr = said.split_whitespace().last().and_then(|addr| addr.parse().ok()).expect("an address");
        // Each is a line of the log. A pipe holds 64 KiB, and standard error as much and a bit.
        for _ in 0..4000 {
            let mut conn = connect(addr);
            send(&mut conn, "nonsense\r\n\r\n");
            rest(&mut conn);
        }
        let mut conn = connect(addr);
        send(&mut conn, "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        line(&mut conn, "hello");
        // When it is read again, the next line tells how many there are not.
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let end = Instant::now() + PATIENCE;
        while !lines.try_iter().any(|line| line.ends_with(" lines were lost")) {
            assert!(Instant::now() < end, "{backend:?}: it does not say how many lines were lost");
            let mut conn = connect(addr);
            send(&mut conn, "nonsense\r\n\r\n");
            rest(&mut conn);
        }
    }
}

/// What has been begun is finished, what has not is refused.
#[test]
fn a_server_that_is_to_end_finishes_what_it_has_begun() {
    for backend in Backend::ALL {
        let mut server = server(backend, &[]);
        let mut curls: Vec<_> = VERSIONS
            .iter()
            .map(|(version, _)| {
                let url = format!("http://{}/ticks/100", server.addr);
                let mut child = curl(&["-N", version, &url]).stdout(Stdio::piped()).spawn().expect("there is curl");
                let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
                stdout.read_line(&mut String::new()).expect("it has begun");
                (child, stdout)
            })
            .collect();
        let mut idle = connect(server.addr);
        send(&mut idle, "GET / HTTP/1.1\r\nhost: h\r\n\r\n");
        line(&mut idle, "hello");
        let mut upload = connect(server.addr);
        send(&mut upload, "POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nabcd\n");
        line(&mut upload, "abcd");
        server.interrupt();
        server.until("ending, with 4 connections");
        assert_eq!(rest(&mut idle), "", "{backend:?}: an idle connection is closed");
        let refused = TcpStream::connect(server.addr).map_err(|error| error.kind());
        assert_eq!(refused.err(), Some(ErrorKind::ConnectionRefused), "{backend:?}");
        send(&mut upload, "efgh\n");
        assert!(rest(&mut upload).ends_with("efgh\n\r\n0\r\n\r\n"), "{backend:?}: the body has its end");
        for (child, stdout) in &mut curls {
            let mut ticks = String::new();
            stdout.read_to_string(&mut ticks).expect("it is text");
            assert!(child.wait().is_ok_and(|status| status.success()), "{backend:?}");
            assert!(ticks.ends_with("tick 98\ntick 99\n"), "{backend:?}: {ticks}");
        }
        let (status, said) = server.end();
        assert!(status.success(), "{backend:?}: {said}");
        assert!(!said.contains("cut off") && !said.contains("error"), "{backend:?}: {said}");
    }
}

#[test]
fn what_does_not_finish_is_cut_off() {
    for backend in Backend::ALL {
        let mut server = server(backend, &["drain=200"]);
        let mut conn = connect(server.addr);
        send(&mut conn, "GET /ticks/9999999999 HTTP/1.1\r\nhost: h\r\n\r\n");
        line(&mut conn, "tick 0");
        server.interrupt();
        server.until("1 connections are cut off");
        rest(&mut conn);
        let (status, said) = server.end();
        assert!(status.success(), "{backend:?}: {said}");
    }
}
