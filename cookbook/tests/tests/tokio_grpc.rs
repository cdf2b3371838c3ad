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
        let call = |method: &str, message: &[u8], headers: &[&str]| {
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
            output(curl.arg(format!("http://{}/cookbook.Larder/{method}", server.addr)))
        };
        // Not compressed, two bytes: field 1 is 5.
        let answer = call("Weigh", &[0, 0, 0, 0, 2, 8, 5], &[]);
        assert!(
            answer.contains("\0\0\0\0\x02\x08\x0f") && answer.contains("grpc-status: 0"),
            "{backend:?}: {answer:?}"
        );
        let answer = call("Weigh", &[0, 0, 0, 0, 2, 8, 0], &[]);
        assert!(answer.contains("grpc-status: 3") && answer.contains("no%20nuts"), "{backend:?}: {answer:?}");
        // Without a body: an answer that comes before the request was read resets what is left of it (RFC 9113, 8.1), and curl
        // shows no answer whose stream is reset by then.
        let answer = call("Wiegh", &[], &[]);
        assert!(answer.contains("grpc-status: 12"), "{backend:?}, there is no such method: {answer:?}");
        // A nap of 16 s, within half a second: by then it has read the request.
        let answer = call("Sleep", &[0, 0, 0, 0, 3, 8, 0xff, 0x7f], &["-H", "grpc-timeout: 500m"]);
        assert!(answer.contains("grpc-status: 1\r\n") || answer.contains("grpc-status: 4"), "{backend:?}: {answer:?}");
    }
}
