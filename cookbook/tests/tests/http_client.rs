//! `apps/http`: its client, against its server and against what is none.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Output;
use std::thread;

use cookbook_tests::{Backend, client, free_addr, serve};

/// What the client says, on standard output and on standard error, and whether it succeeded.
fn run(backend: Backend, args: &[&str]) -> (String, String, bool) {
    let mut command = client("http", "http-client", backend);
    let Output { status, stdout, stderr } = command.args(args).output().expect("it is built");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(stdout), text(stderr), status.success())
}

#[test]
fn it_gets_and_posts_in_both_versions_on_one_connection() {
    for on in Backend::ALL {
        let server = serve("http", "http-server", on, &[]);
        let url = format!("http://{}/", server.addr);
        for backend in Backend::CONNECT {
            for (version, name) in [(&[][..], "HTTP/1.1"), (&["--http2"][..], "HTTP/2.0")] {
                let with = |args: &[&str]| run(backend, &[version, args].concat());
                let (out, err, done) = with(&[&url, "/ticks/2", "/nothing", "/"]);
                assert!(done, "{backend:?} from {on:?}: {err}");
                let expected = "hello\ntick 0\ntick 1\nthere is /, /echo, /large/BYTES and /ticks/NUMBER\nhello\n";
                assert_eq!(out, expected, "{backend:?} from {on:?}");
                let expected = ["200 OK", "200 OK", "404 Not Found", "200 OK"].map(|told| format!("{name} {told}\n"));
                assert_eq!(err, expected.concat(), "{backend:?} from {on:?}");
                let (out, err, done) = with(&["--post", "some nuts", &format!("{url}echo"), "/echo"]);
                assert!(done && out == "some nutssome nuts", "{backend:?} from {on:?}: {out} {err}");
                let (out, err, done) = with(&[&format!("{url}large/3000000")]);
                assert!(done && out.len() == 3_000_000, "{backend:?} from {on:?}: {} {err}", out.len());
            }
        }
    }
}

#[test]
fn names_are_looked_up() {
    let server = serve("http", "http-server", Backend::Native, &[]);
    for backend in Backend::CONNECT {
        let (out, err, _) = run(backend, &[&format!("http://localhost:{}/", server.addr.port())]);
        assert_eq!(out, "hello\n", "{backend:?}: {err}");
        let (_, err, done) = run(backend, &["http://no-such-host.invalid/"]);
        assert!(!done && err.contains("no-such-host.invalid"), "{backend:?}: {err}");
    }
}

/// A listener that says this to each connection, and then keeps it until the other side hangs up; or hangs up itself.
fn says(what: &'static str, stays: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let addr = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for conn in listener.incoming() {
            let mut conn = conn.expect("it comes");
            thread::spawn(move || {
                // What it asks first, so that hanging up is no reset.
                let _ = conn.read(&mut [0; 1024]);
                let _ = conn.write_all(what.as_bytes());
                while stays && conn.read(&mut [0; 1024]).is_ok_and(|n| n > 0) {}
            });
        }
    });
    addr
}

#[test]
fn what_goes_wrong_is_told() {
    let refused = free_addr();
    let silent = says("", false);
    let deaf = says("", true);
    let other = says("SSH-2.0-OpenSSH_9.2\r\n", true);
    let half = says("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", false);
    for backend in Backend::CONNECT {
        for (version, is_two) in [(&[][..], false), (&["--http2"][..], true)] {
            let fails = |addr: SocketAddr, path: &str| {
                let url = format!("http://{addr}{path}");
                let (_, err, done) = run(backend, &[version, &["--timeout", "500", &url]].concat());
                assert!(!done, "{backend:?}: {err}");
                err
            };
            let told = fails(refused, "/");
            assert!(told.contains(&format!("connect {refused}: ")) && told.contains("refused"), "{backend:?}: {told}");
            let told = fails(deaf, "/x");
            assert!(told.contains(&format!("GET http://{deaf}/x: no answer within 500ms")), "{backend:?}: {told}");
            let told = fails(silent, "/");
            assert!(told.contains(&format!("GET http://{silent}/: the server has hung up")), "{backend:?}: {told}");
            let told = fails(other, "/");
            let what = if is_two { "is no HTTP/2" } else { "is no HTTP/1.1" };
            assert!(told.contains(&format!("GET http://{other}/: ")) && told.contains(what), "{backend:?}: {told}");
            if !is_two {
                let told = fails(half, "/half");
                assert!(told.contains("/half: ") && told.contains("end of file"), "{backend:?}: {told}");
            }
        }
        for (args, what) in [
            (&["https://localhost/"][..], "https://localhost/: this client speaks http:// alone"),
            (&["no address"][..], "no address: invalid uri character"),
            (&[][..], "there is no address; usage: "),
            (&["--timeout", "soon"][..], "soon is no number"),
        ] {
            let (_, err, done) = run(backend, args);
            assert!(!done && err.contains(what), "{backend:?}: {err}");
        }
    }
}

/// It has no call for it.
#[test]
fn on_wasip1_it_cannot_connect_and_says_so() {
    let (_, err, done) = run(Backend::P1, &["http://127.0.0.1:80/"]);
    assert!(!done, "{err}");
    println!("{err}");
    assert!(err.contains("connect 127.0.0.1:80: ") && err.contains("wasip1"), "{err}");
}
