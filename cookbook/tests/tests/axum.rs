//! `apps/axum`, with curl.

use std::process::Command;

use cookbook_tests::{Backend, PATIENCE, Running, output, serve};

fn curl(server: &Running, path: &str, args: &[&str]) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", &PATIENCE.as_secs().to_string(), "-w%{http_code}"]).args(args);
    output(curl.arg(format!("http://{}{path}", server.addr)))
}

const JSON: [&str; 2] = ["-H", "content-type: application/json"];

#[test]
fn a_router_with_extractors_state_and_json() {
    for backend in Backend::ALL {
        let server = serve("axum", "axum-notes", backend, &[]);
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let get = |path: &str| curl(&server, path, &[version]);
            assert_eq!(get("/"), "notes\n200", "{backend:?}");
            assert_eq!(get("/nothing/here"), r#"{"nothing_at":"/nothing/here"}404"#, "{backend:?}");
            assert_eq!(get("/notes/x"), "Invalid URL: Cannot parse `x` to a `u64`400", "{backend:?}");
            assert_eq!(get("/notes/99"), "there is no note 99\n404", "{backend:?}");
            assert!(get("/notes?at_most=many").ends_with("400"), "{backend:?}");
            let post = |body: &str| curl(&server, "/notes", &[&[version, "-d", body][..], &JSON].concat());
            assert_eq!(post(r#"{"title":"acorns"}"#), r#"{"title":"acorns","text":""}201"#, "{backend:?}");
            assert!(post("acorns").ends_with("400"), "{backend:?}");
            assert!(post(r#"{"text":"no title"}"#).ends_with("422"), "{backend:?}");
            assert!(curl(&server, "/notes", &[version, "-X", "DELETE"]).ends_with("405"), "{backend:?}");
        }
        // Answered before the body is read, which the curl of Debian 12 takes for an error with HTTP/2, now and then.
        let post = |body: &str| curl(&server, "/notes", &[&["-d", body][..], &JSON].concat());
        let far_too_long = format!(r#"{{"title":"{}"}}"#, "x".repeat(70_000));
        assert!(post(&far_too_long).ends_with("413"), "{backend:?}");
        let unsaid = curl(&server, "/notes", &["-d", r#"{"title":"acorns"}"#]);
        assert!(unsaid.ends_with("415"), "{backend:?}: {unsaid}");
        // One from each version.
        let nuts =
            curl(&server, "/notes", &[&["-i", "-d", r#"{"title":"nuts","text":"no acorns"}"#][..], &JSON].concat());
        assert!(nuts.contains("location: /notes/2\r\n"), "{backend:?}: {nuts}");
        let get = |path: &str| curl(&server, path, &[]);
        assert_eq!(get("/notes/2"), r#"{"title":"nuts","text":"no acorns"}200"#, "{backend:?}");
        assert_eq!(get("/notes?with=nut&at_most=5"), r#"[{"title":"nuts","text":"no acorns"}]200"#, "{backend:?}");
        assert_eq!(get("/notes?with=acorn").matches("title").count(), 3, "{backend:?}");
        assert_eq!(get("/notes?with=acorn&at_most=1").matches("title").count(), 1, "{backend:?}");
    }
}

#[test]
fn bodies_that_are_made_while_they_are_sent() {
    for backend in Backend::ALL {
        let mut server = serve("axum", "axum-notes", backend, &[]);
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let events = curl(&server, "/events/3", &["-N", "-i", version]);
            assert!(events.contains("content-type: text/event-stream\r\n"), "{backend:?}: {events}");
            let expected: Vec<_> = (0..3).map(|n| format!("event: tick\nid: {n}\ndata: tick {n}\n\n")).collect();
            assert!(events.ends_with(&format!("\r\n\r\n{}200", expected.concat())), "{backend:?}: {events}");
            let lines: Vec<_> = (1..=100_000).map(|n| format!("{n}\n")).collect();
            let came = curl(&server, "/count/100000", &[version]);
            assert!(came == lines.concat() + "200", "{backend:?}: {} bytes", came.len());
        }
        server.interrupt();
        server.until("ending, with 0 connections");
        let (status, said) = server.end();
        assert!(status.success(), "{backend:?}: {said}");
    }
}
