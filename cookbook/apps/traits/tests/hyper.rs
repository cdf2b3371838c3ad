//! hyper on our sockets, timers and tasks: HTTP/1.1 and HTTP/2, a server and its client in one program.
// wasip1 has no call to bind or to connect.
#![cfg(not(all(target_os = "wasi", target_env = "p1")))]

use std::convert::Infallible;
use std::time::Duration;

use dormouse::hyper::{Executor, Timer};
use dormouse::net::{TcpListener, TcpStream};
use dormouse::{io, spawn};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::rt::Timer as _;
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};

/// Says a body back, in upper case.
async fn shout(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Ok(Response::new(Full::new(body.to_ascii_uppercase().into())))
}

fn say(text: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post("/").header("host", "here").body(Full::new(text.into())).unwrap()
}

async fn heard(response: hyper::Result<Response<Incoming>>) -> Bytes {
    response.unwrap().into_body().collect().await.unwrap().to_bytes()
}

#[dormouse::test]
async fn http_1_with_one_connection() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let served = spawn(async move {
        let (conn, _) = listener.accept().await.unwrap();
        server::conn::http1::Builder::new().timer(Timer).serve_connection(conn, service_fn(shout)).await
    });
    let (mut sender, connection) = client::conn::http1::handshake(TcpStream::connect(addr).await?).await.unwrap();
    spawn(connection);
    for text in ["hello", "again", ""] {
        assert_eq!(heard(sender.send_request(say(text)).await).await, text.to_uppercase());
    }
    drop(sender);
    served.await.unwrap().unwrap();
    Ok(())
}

#[dormouse::test]
async fn http_2_with_many_requests_at_once() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    spawn(async move {
        let (conn, _) = listener.accept().await.unwrap();
        server::conn::http2::Builder::new(Executor).timer(Timer).serve_connection(conn, service_fn(shout)).await
    });
    let stream = TcpStream::connect(addr).await?;
    let (sender, connection) = client::conn::http2::handshake(Executor, stream).await.unwrap();
    spawn(connection);
    let requests: Vec<_> = (0..20)
        .map(|n| {
            let mut sender = sender.clone();
            // Larger than a window, so that they wait for each other.
            spawn(async move { heard(sender.send_request(say(vec![b'a' + n; 100_000])).await).await })
        })
        .collect();
    for (n, request) in requests.into_iter().enumerate() {
        assert_eq!(request.await.unwrap(), vec![b'A' + n as u8; 100_000]);
    }
    Ok(())
}

#[dormouse::test]
async fn a_client_that_says_nothing_is_hung_up_on() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let _silent = TcpStream::connect(listener.local_addr()?).await?;
    let (conn, _) = listener.accept().await?;
    let mut server = server::conn::http1::Builder::new();
    server.timer(Timer).header_read_timeout(Duration::from_millis(20));
    let error = server.serve_connection(conn, service_fn(shout)).await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    Ok(())
}

#[dormouse::test]
async fn timers() {
    let start = Timer.now();
    Timer.sleep(Duration::from_millis(5)).await;
    Timer.sleep_until(start + Duration::from_millis(10)).await;
    assert!(Timer.now() - start >= Duration::from_millis(10));
}
