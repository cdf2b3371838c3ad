//! `apps/http`'s server on tokio, with one thread as there, and with the route that is measured.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (conn, _) = listener.accept().await?;
        conn.set_nodelay(true)?;
        tokio::spawn(async move {
            let limit = Duration::from_secs(30);
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new()).header_read_timeout(limit);
            builder.http2().timer(TokioTimer::new()).keep_alive_interval(limit).keep_alive_timeout(limit);
            if let Err(error) = builder.serve_connection(TokioIo::new(conn), service_fn(answer)).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_found = request.uri().path() == "/" && request.method() == Method::GET;
    let mut response = Response::new(Full::from(if is_found { "hello\n" } else { "there is /\n" }));
    if !is_found {
        *response.status_mut() = hyper::StatusCode::NOT_FOUND;
    }
    Ok(response)
}
