//! `tokio/apps/web`: `axum::serve` and reqwest, with curl, wrk, bytes by hand, and servers of their own and of the TLS page's.

#[allow(dead_code)]
#[path = "tls/authority.rs"]
mod authority;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use authority::Authority;
use cookbook_tests::{Backend, PATIENCE, Running, free_addr, output, serve, server};

const GUESTS: [Backend; 3] = [Backend::P1, Backend::P2, Backend::P3];
/// Those that connect.
const CLIENTS: [Backend; 2] = [Backend::P2, Backend::P3];
const JSON: [&str; 2] = ["-H", "content-type: application/json"];

fn web(backend: Backend, args: &[&str]) -> Running {
    serve("tokio-web", "tokio-web", backend, args)
}

fn curl(server: &Running, path: &str, args: &[&str]) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", &PATIENCE.as_secs().to_string(), "-w%{http_code}"]).args(args);
    output(curl.arg(format!("http://{}{path}", server.addr)))
}

/// A listener that takes connections into its backlog, and does nothing with them.
fn silent() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let addr = listener.local_addr().expect("it is bound");
    (listener, addr)
}

fn connect(server: &Running) -> TcpStream {
    let stream = TcpStream::connect(server.addr).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    stream
}

/// Reads until it has come to `end`.
fn until(conn: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        let mut byte = [0];
        conn.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&read)));
        read.extend(byte);
    }
    String::from_utf8_lossy(&read).into_owned()
}

#[test]
fn axum_serves_json_from_its_state_and_compresses_it() {
    for backend in GUESTS {
        let server = web(backend, &[]);
        assert_eq!(curl(&server, "/", &[]), "hello\n200", "{backend:?}");
        let check = |body: &str| curl(&server, "/check", &[&["-d", body][..], &JSON].concat());
        assert_eq!(check("[]"), "{}200", "{backend:?}");
        assert!(check("[").ends_with("400"), "{backend:?}");
        assert!(curl(&server, "/check", &["-d", "[]"]).ends_with("415"), "{backend:?}");
        let refused = free_addr();
        let told = check(&format!(r#"["http://{refused}/acorns"]"#));
        let why = if backend == Backend::P1 { "not supported" } else { "refused" };
        assert!(told.to_lowercase().contains(why) && told.ends_with("200"), "{backend:?}: {told}");
        let told = curl(&server, "/checked", &["--compressed", "-i"]);
        let expected = format!(r#"{{"http://{refused}/acorns":{{"failed":""#);
        assert!(told.contains("content-encoding: gzip") && told.contains(&expected), "{backend:?}: {told}");
    }
}

#[test]
fn asked_to_end_it_answers_what_has_begun() {
    for backend in GUESTS {
        let server = web(backend, &[]);
        let mut upload = connect(&server);
        upload.write_all(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\nhalf").expect("it reads");
        let hello = output(Command::new("curl").args(["-sS", &format!("http://{}/", server.addr)]));
        assert_eq!(hello, "hello\n", "{backend:?}: it has turned since");
        server.terminate();
        // It is in the log of none when it hears that: the listener is closed then.
        while TcpStream::connect(server.addr).is_ok() {}
        upload.write_all(b"half").expect("it reads");
        let mut answer = String::new();
        upload.read_to_string(&mut answer).expect("it writes");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("halfhalf"), "{backend:?}: {answer}");
        let (status, said) = server.end();
        assert!(status.success() && said.contains("all have been answered"), "{backend:?}: {said}");
    }
}

#[test]
fn wrk_meets_no_error_beside_clients_that_stall() {
    for backend in GUESTS {
        let server = web(backend, &[]);
        let mut stalled = connect(&server);
        stalled.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n").expect("it reads");
        let mut deaf = connect(&server);
        deaf.write_all(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf").expect("it reads");
        let told = output(Command::new("wrk").args(["-t2", "-c50", "-d1", &format!("http://{}/", server.addr)]));
        let requests = told.lines().find_map(|line| line.trim().split_once(" requests in "));
        assert!(requests.is_some_and(|(n, _)| n.parse::<u64>().is_ok_and(|n| n > 100)), "{backend:?}: {told}");
        assert!(!told.contains("Socket errors") && !told.contains("Non-2xx"), "{backend:?}: {told}");
        stalled.write_all(b"connection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stalled.read_to_string(&mut answer).expect("it writes");
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello\n"),
            "{backend:?}: {answer}"
        );
    }
}

#[test]
fn what_takes_too_long_is_answered_for() {
    for backend in GUESTS {
        let server = web(backend, &["100"]);
        let mut conn = connect(&server);
        let head = "POST /check HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n[";
        conn.write_all(head.as_bytes()).expect("it reads");
        let answer = until(&mut conn, "\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 504 "), "{backend:?}: {answer}");
        if CLIENTS.contains(&backend) {
            let (_listener, addr) = silent();
            assert_eq!(curl(&server, &format!("/fetch?url=http://{addr}/"), &[]), "504", "{backend:?}");
        }
    }
}

#[test]
fn reqwest_asks_by_name_follows_redirects_and_gives_up() {
    for on in CLIENTS {
        let other = web(on, &[]);
        let port = other.addr.port();
        for backend in CLIENTS {
            let server = web(backend, &[]);
            let fetch = |url: &str| curl(&server, &format!("/fetch?url={url}"), &[]);
            assert_eq!(fetch(&format!("http://localhost:{port}/")), "hello\n200", "{backend:?} from {on:?}");
            assert_eq!(fetch(&format!("http://localhost:{port}/old")), "hello\n200", "{backend:?} from {on:?}");
            let fails = |url: &str, why: &str| {
                let told = fetch(url);
                assert!(told.contains(why) && told.ends_with("\n502"), "{backend:?} from {on:?}: {told}");
            };
            fails(&format!("http://localhost:{port}/round"), "too many redirects");
            fails("http://no-such-host.invalid/", "no-such-host.invalid");
            fails(&format!("http://{}/", free_addr()), "onnection refused");
            let (_listener, addr) = silent();
            fails(&format!("http://{addr}/&within=50"), "operation timed out");

            let urls =
                format!(r#"["http://localhost:{port}/", "http://localhost:{port}/old", "http://localhost:{port}/no"]"#);
            let told = curl(&server, "/check", &[&["-d", &urls][..], &JSON].concat());
            for (path, expected) in [("", r#""status":200,"bytes":6"#), ("no", r#""status":404,"bytes":0"#)] {
                let at = format!(r#"{{"found":{{{expected},"at":"http://localhost:{port}/{path}"}}}}"#);
                assert!(told.contains(&at), "{backend:?} from {on:?}: {told}");
            }
        }
    }
}

/// What is sent comes back through both of them before more is sent.
#[test]
fn bodies_are_streamed_both_ways() {
    for (backend, on) in [(Backend::P2, Backend::P3), (Backend::P3, Backend::P1)] {
        let (server, other) = (web(backend, &[]), web(on, &[]));
        let mut conn = connect(&server);
        let head = "HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        write!(conn, "POST /fetch?url=http://{}/echo {head}", other.addr).expect("it reads");
        write!(conn, "7\r\nacorns\n\r\n").expect("it reads");
        let answer = until(&mut conn, "acorns\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{backend:?} from {on:?}: {answer}");
        write!(conn, "7\r\nwinter\n\r\n0\r\n\r\n").expect("it reads");
        assert_eq!(until(&mut conn, "\r\n0\r\n\r\n"), "7\r\nwinter\n\r\n0\r\n\r\n", "{backend:?} from {on:?}");
    }
}

#[test]
fn reqwest_trusts_the_authorities_that_it_is_given() {
    let (one, other) = (Authority::new("reqwest").signs("localhost"), Authority::new("reqwest-other"));
    let tls = Running::start(server(&[], "tls", "tls-server", Backend::Native, &[&one.served_dir()]), true);
    let url = format!("/fetch?url=https://localhost:{}/", tls.addr.port());
    for backend in CLIENTS {
        for (authority, trusts) in [(&one, true), (&other, false)] {
            let flags = ["--dir", authority.dir()];
            let command = server(&flags, "tokio-web", "tokio-web", backend, &["30000", &authority.file()]);
            let told = curl(&Running::start(command, true), &url, &[]);
            let expected = if trusts { "200" } else { "invalid peer certificate: UnknownIssuer\n502" };
            assert!(told.ends_with(expected), "{backend:?}: {told}");
        }
    }
}
