//! An HTTP server: `http-server [ADDR]`.

use std::convert::Infallible;

use dormouse::hyper::Timer;
use dormouse::{io, net::TcpListener};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

#[dormouse::main]
async fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:0".into());
    let listener = TcpListener::bind_or_preopened(addr).await?;
    println!("listening on {listener}");
    loop {
        let (conn, _) = listener.accept().await?;
        dormouse::spawn(http1::Builder::new().timer(Timer).serve_connection(conn, service_fn(answer)));
    }
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from("hello\n"))))
}
