//! An HTTP client: `http-client [--http2] [--timeout MS] [--post TEXT] http://HOST:PORT/PATH [PATH]…`, all on one connection.
//!
//! Bodies go to standard output as they come, and what each response was to standard error.

use std::time::Duration;

use cookbook_http::client::Client;
use cookbook_http::{Patient, with_causes};
use dormouse::io;
use futures_lite::AsyncWriteExt;
use http_body_util::BodyExt;
use hyper::Uri;

const USAGE: &str = "usage: http-client [--http2] [--timeout MS] [--post TEXT] http://HOST:PORT/PATH [PATH]…";

fn usage(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{why}; {USAGE}"))
}

#[dormouse::main]
async fn main() -> io::Result<()> {
    let (mut two, mut limit, mut body, mut paths) = (false, Duration::from_secs(30), None, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| usage(&format!("{arg} needs a value")));
        match arg.as_str() {
            "--http2" => two = true,
            "--post" => body = Some(value()?),
            "--timeout" => {
                let value = value()?;
                limit = Duration::from_millis(value.parse().map_err(|_| usage(&format!("{value} is no number")))?);
            }
            _ => paths.push(arg),
        }
    }
    let first = paths.first().ok_or_else(|| usage("there is no address"))?;
    let uri: Uri = first.parse().map_err(|error| usage(&format!("{first}: {error}")))?;
    paths[0] = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let mut client = Client::connect(&uri, two, limit).await?;
    let mut stdout = io::stdout();
    for path in paths {
        let response = client.request(&path, body.clone()).await?;
        eprintln!("{:?} {}", response.version(), response.status());
        let mut body = Patient::new(response.into_body(), limit);
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| io::Error::new(error.kind(), format!("{path}: {}", with_causes(&error))))?;
            if let Ok(data) = frame.into_data() {
                stdout.write_all(&data).await?;
            }
        }
    }
    stdout.flush().await
}
