//! An HTTP server with a few routes: `http-server [ADDR] [head=MS] [body=MS] [write=MS] [drain=MS]`.

use std::pin::Pin;
use std::time::Duration;

use cookbook_http::{Limits, Patient, serve};
use dormouse::{io, net::TcpListener, time::sleep};
use futures_lite::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::ALLOW;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};

/// A body of any kind. It need not be `Send`.
type AnyBody = Pin<Box<dyn Body<Data = Bytes, Error = io::Error>>>;

/// What `/large` sends at a time.
const PIECE: usize = 64 * 1024;

#[dormouse::main]
async fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let addr = args.next().unwrap_or("127.0.0.1:0".into());
    let limits = Limits::from_args(args)?;
    let listener = TcpListener::bind_or_preopened(addr).await?;
    println!("listening on {listener}");
    serve(listener, service_fn(answer), limits, dormouse::signal::stop_requested()).await
}

async fn answer(request: Request<Patient<Incoming>>) -> io::Result<Response<AnyBody>> {
    // Of `CONNECT host:80` it is empty, and of `OPTIONS *` it is a star.
    let path = request.uri().path().to_owned();
    let path = path.strip_prefix('/').unwrap_or("?");
    let (route, number) = path.split_once('/').unwrap_or((path, ""));
    let number = number.parse::<u64>().ok();
    Ok(match (route, number, request.method()) {
        ("", None, &Method::GET) => text(StatusCode::OK, "hello\n"),
        ("echo", None, &Method::POST) => echo(request.into_body()).await?,
        ("echo", None, _) => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "POST something\n");
            response.headers_mut().insert(ALLOW, Method::POST.as_str().parse().map_err(io::Error::other)?);
            response
        }
        ("large", Some(bytes), &Method::GET) => streamed(pieces(bytes)),
        ("ticks", Some(ticks), &Method::GET) => streamed(ticking(ticks)),
        _ => text(StatusCode::NOT_FOUND, "there is /, /echo, /large/BYTES and /ticks/NUMBER\n"),
    })
}

/// What comes is sent back while it comes. The head waits for the first of it: to a client that asks whether it is to go on
/// (`Expect: 100-continue`), hyper says so when the body is asked for, and no more when the response has begun.
async fn echo(mut body: Patient<Incoming>) -> io::Result<Response<AnyBody>> {
    let first = body.frame().await.transpose()?;
    Ok(Response::new(Box::pin(StreamBody::new(stream::iter(first.map(Ok)).chain(BodyStream::new(body))))))
}

fn text(status: StatusCode, text: &'static str) -> Response<AnyBody> {
    let body: AnyBody = Box::pin(Full::from(text).map_err(|never| match never {}));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn streamed(pieces: impl Stream<Item = Bytes> + 'static) -> Response<AnyBody> {
    Response::new(Box::pin(StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece))))))
}

/// So many bytes. They are made when there is room for them: `a`s of which each thousandth is a line feed.
fn pieces(bytes: u64) -> impl Stream<Item = Bytes> {
    let full: Bytes = (1..=PIECE).map(|n| if n % 1024 == 0 { b'\n' } else { b'a' }).collect::<Vec<_>>().into();
    stream::unfold(bytes, move |left| {
        let len = left.min(PIECE as u64);
        let piece = full.slice(..len as usize);
        async move { (len > 0).then_some((piece, left - len)) }
    })
}

/// A line every ten milliseconds.
fn ticking(ticks: u64) -> impl Stream<Item = Bytes> {
    stream::unfold(0, move |tick| async move {
        if tick == ticks {
            return None;
        }
        sleep(Duration::from_millis(10)).await;
        Some((format!("tick {tick}\n").into(), tick + 1))
    })
}
