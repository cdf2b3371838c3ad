//! `tokio/apps/grpc`: tonic's server and client on each other, and curl with the bytes of a call.

use std::fs;
use std::path::Path;
use std::process::Command;

use cookbook_tests::{Backend, client, output, serve};

/// tonic does not build for wasip1: its socket2 refuses it.
const GUESTS: [Backend; 2] = [Backend::P2, Backend::P3];

#[test]
fn calls_streams_and_deadlines() {
    for on in GUESTS {
        let server = serve("tokio-grpc", "tokio-grpc", on, &[]);
        for backend in GUESTS {
            let said = output(client("tokio-grpc", "tokio-grpc", backend).arg(server.addr.to_string()).arg("call"));
            let expected = [
                "7 nuts are 21 g",
                "InvalidArgument: no nuts",
                "stored 1501500 g",
                "taken 10000 times, 50005000 nuts",
                "traded 15150 g; more comes: false",
                "100 at once: 15150 g",
                "a nap: Timeout expired",
                "and then: 3 g",
            ];
            assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{backend:?} from {on:?}");
        }
    }
}

#[test]
fn curl_calls_with_a_deadline() {
    let request = Path::new(env!("CARGO_TARGET_TMPDIR")).join("grpc-request");
    for backend in GUESTS {
        let server = serve("tokio-grpc", "tokio-grpc", backend, &[]);
        let call = |method: &str, number: &[u8], headers: &[&str]| {
            // Not compressed, so many bytes: field 1 is the number, seven bits in a byte.
            let message = [&[0, 0, 0, 0, 1 + number.len() as u8, 8], number].concat();
            fs::write(&request, message).expect("the target directory can be written to");
            let mut curl = Command::new("curl");
            curl.args([
                "-sS",
                "-i",
                "--http2-prior-knowledge",
                "-H",
                "content-type: application/grpc",
                "-H",
                "te: trailers",
            ]);
            curl.args(headers).arg("--data-binary").arg(format!("@{}", request.display()));
            // It may answer before it has read the request, and reset the rest (RFC 9113, 8.1), which curl calls an error of the
            // stream after it has shown the answer.
            let curl =
                curl.arg(format!("http://{}/cookbook.Larder/{method}", server.addr)).output().expect("curl starts");
            assert!(matches!(curl.status.code(), Some(0 | 92)), "{}", String::from_utf8_lossy(&curl.stderr));
            String::from_utf8_lossy(&curl.stdout).into_owned()
        };
        let answer = call("Weigh", &[5], &[]);
        assert!(
            answer.contains("\0\0\0\0\x02\x08\x0f") && answer.contains("grpc-status: 0"),
            "{backend:?}: {answer:?}"
        );
        let answer = call("Weigh", &[0], &[]);
        assert!(answer.contains("grpc-status: 3") && answer.contains("no%20nuts"), "{backend:?}: {answer:?}");
        assert!(call("Wiegh", &[5], &[]).contains("grpc-status: 12"), "{backend:?}: there is no such method");
        // A nap of 16 s, within a millisecond.
        let answer = call("Sleep", &[0xff, 0x7f], &["-H", "grpc-timeout: 1m"]);
        assert!(answer.contains("grpc-status: 1\r\n") || answer.contains("grpc-status: 4"), "{backend:?}: {answer:?}");
    }
}
