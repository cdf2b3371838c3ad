//! `apps/http`, with curl.

use std::process::Command;

use cookbook_tests::{Backend, output, serve};

#[test]
fn curl_gets_an_answer() {
    for backend in Backend::ALL {
        let server = serve("http", "http-server", backend, &[]);
        let url = format!("http://{}/", server.addr);
        assert_eq!(output(Command::new("curl").args(["-sS", &url, &url])), "hello\nhello\n", "{backend:?}");
    }
}
