//! An HTTP client with one connection, which several requests share.

use std::time::Duration;

use dormouse::hyper::{Executor, Timer};
use dormouse::net::TcpStream;
use dormouse::time::timeout;
use dormouse::{io, spawn};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, Uri};

/// A connection to a server. Closed when it and the bodies of its responses are dropped.
pub struct Client {
    sender: Sender,
    authority: String,
    limit: Duration,
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    /// Connects to the server of `http://HOST[:PORT]…`, to speak HTTP/2 with it if `two`, else HTTP/1.1. Connecting may take
    /// `limit`, and so may each response until its head is there.
    ///
    /// # Errors
    /// Those of [`TcpStream::connect`], `TimedOut`, `InvalidInput` if it is no such address.
    pub async fn connect(uri: &Uri, two: bool, limit: Duration) -> io::Result<Client> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{uri}: {what}"));
        if uri.scheme_str() != Some("http") {
            return Err(invalid("this client speaks http:// alone"));
        }
        let host = uri.host().ok_or_else(|| invalid("there is no host in it"))?.trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(80);
        let authority = uri.authority().ok_or_else(|| invalid("there is no host in it"))?.to_string();
        let what = format!("connect {authority}");
        let stream = within(limit, &what, TcpStream::connect((host, port))).await?;
        let failed = |error: hyper::Error| io::Error::other(format!("{authority}: {error}"));
        let sender = if two {
            let mut builder = http2::Builder::new(Executor);
            builder.timer(Timer).keep_alive_interval(limit).keep_alive_timeout(limit);
            let (sender, driver) = builder.handshake(stream).await.map_err(failed)?;
            // What the driver fails with, the requests fail with as well.
            spawn(driver);
            Sender::Two(sender)
        } else {
            let (sender, driver) = http1::handshake(stream).await.map_err(failed)?;
            spawn(driver);
            Sender::One(sender)
        };
        Ok(Client { sender, authority, limit })
    }

    /// Sends a request, `GET`, or `POST` if there is something to send, and waits for the head of the response.
    ///
    /// # Errors
    /// `TimedOut`; `InvalidData` if what comes is no HTTP; else why the connection has ended.
    pub async fn request(&mut self, path: &str, body: Option<String>) -> io::Result<Response<Incoming>> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, format!("{path}: {error}"));
        let what = format!("{} http://{}{path}", if body.is_some() { "POST" } else { "GET" }, self.authority);
        let request = match &body {
            Some(_) => Request::post(path),
            None => Request::get(path),
        };
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        let answer = match &mut self.sender {
            Sender::One(sender) => {
                let request = request.header("host", &self.authority).body(body).map_err(invalid)?;
                // The one before may not be over yet, or the connection.
                let answer = async {
                    sender.ready().await.map_err(told)?;
                    sender.send_request(request).await.map_err(told)
                };
                within(self.limit, &what, answer).await
            }
            Sender::Two(sender) => {
                // HTTP/2 has the authority in the address.
                let request = request.uri(format!("http://{}{path}", self.authority)).body(body).map_err(invalid)?;
                let answer = async {
                    sender.ready().await.map_err(told_of_two)?;
                    sender.send_request(request).await.map_err(told_of_two)
                };
                within(self.limit, &what, answer).await
            }
        };
        answer.map_err(|error| match error.to_string().starts_with(&what) {
            true => error,
            false => io::Error::new(error.kind(), format!("{what}: {error}")),
        })
    }
}

/// Waits for a future within a time, or returns an error that says what was late.
async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, future)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, format!("{what}: no answer within {limit:?}"))))
}

/// hyper's error as one that says what it means.
fn told(error: hyper::Error) -> io::Error {
    let causes = crate::with_causes(&error);
    if error.is_parse() {
        return io::Error::new(io::ErrorKind::InvalidData, format!("what came back is no HTTP/1.1 ({causes})"));
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return io::Error::new(io::ErrorKind::UnexpectedEof, format!("the server has hung up ({causes})"));
    }
    io::Error::other(causes)
}

/// The same of HTTP/2, where a server that speaks something else and one that hangs up look alike.
fn told_of_two(error: hyper::Error) -> io::Error {
    let error = crate::with_causes(&error);
    let what = format!("the server has hung up, or what came back is no HTTP/2 ({error})");
    io::Error::new(io::ErrorKind::UnexpectedEof, what)
}
