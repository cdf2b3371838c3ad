//! A server over TLS: `tls-server ADDR DIR [SECONDS]`.
//!
//! It has the certificates in DIR, and speaks what is agreed on in the handshake: HTTP/1.1 with a client that asks for it (browsers
//! and curl do), and an echo with all others. A handshake may take ten seconds, or SECONDS.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use cookbook_tls::{accept, acceptor};
use dormouse::hyper::Timer;
use dormouse::{
    io::{self, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const HTTP: &str = "http/1.1";

#[dormouse::main]
async fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let usage = || io::Error::new(io::ErrorKind::InvalidInput, "usage: tls-server ADDR DIR [SECONDS]");
    let [addr, dir, rest @ ..] = args.as_slice() else { return Err(usage()) };
    let patience = match rest.first() {
        Some(seconds) => {
            let seconds = seconds.parse().map_err(|_| usage())?;
            Duration::try_from_secs_f64(seconds).map_err(|_| usage())?
        }
        None => Duration::from_secs(10),
    };
    let acceptor = acceptor(Path::new(dir), &[HTTP])?;
    let listener = TcpListener::bind_or_preopened(addr.as_str()).await?;
    println!("listening on {listener}");
    loop {
        let (conn, peer) = listener.accept_with_backoff().await?;
        let acceptor = acceptor.clone();
        dormouse::spawn(async move {
            if let Err(error) = serve(conn, acceptor, patience).await {
                complain(peer, error);
            }
        });
    }
}

/// Tells standard error, unless its reader has fallen behind: a line that had to wait is left out, or there would be more and more.
fn complain(peer: SocketAddr, error: io::Error) {
    let mut cx = Context::from_waker(Waker::noop());
    let _ = AsyncWrite::poll_write(pin!(io::stderr()), &mut cx, format!("{peer}: {error}\n").as_bytes());
}

async fn serve(conn: TcpStream, acceptor: TlsAcceptor, patience: Duration) -> io::Result<()> {
    let stream = accept(&acceptor, conn, patience).await?;
    match stream.get_ref().1.alpn_protocol() {
        Some(protocol) if protocol == HTTP.as_bytes() => http(stream).await,
        _ => echo(stream).await,
    }
}

async fn echo(stream: TlsStream<TcpStream>) -> io::Result<()> {
    let (mut from, mut to) = tokio::io::split(stream);
    tokio::io::copy(&mut from, &mut to).await?;
    // What it has sent is all here, and it still listens: this says that ours is all there.
    to.shutdown().await
}

async fn http(stream: TlsStream<TcpStream>) -> io::Result<()> {
    let tls = stream.get_ref().1;
    let name = tls.server_name().unwrap_or("nobody in particular");
    let version = tls.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
    let hello = format!("you have asked for {name}, over {version}\n");
    let service = service_fn(move |request: Request<Incoming>| {
        let body = match *request.method() {
            Method::POST => Either::Left(request.into_body()),
            _ => Either::Right(Full::new(Bytes::from(hello.clone()))),
        };
        async { io::Result::Ok(Response::new(body)) }
    });
    http1::Builder::new().timer(Timer).serve_connection(TokioIo::new(stream), service).await.map_err(io::Error::other)
}
