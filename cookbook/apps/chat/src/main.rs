//! A chat, with a page to try it: `chat-server ADDR [SECONDS]`.
//!
//! `GET /` is the page, `GET /chat?name=NAME` a WebSocket. A member that says nothing for SECONDS (30) is pinged, and dropped
//! after as long again. SIGINT or SIGTERM ends it, also under `dormouse run`: all members are told, and have five seconds to close.

mod member;
mod room;

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use dormouse::hyper::Timer;
use dormouse::io::OnThread;
use dormouse::net::{TcpListener, TcpStream};
use dormouse::{io, signal, time::timeout};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use room::Room;

const PAGE: &str = include_str!("page.html");

/// How long good byes may take at the end.
const GOOD_BYE: Duration = Duration::from_secs(5);

/// What all connections share.
struct Chat {
    room: Rc<Room>,
    /// How long nothing may come from a member before it is pinged.
    silence: Duration,
    /// Cancelled when the server ends.
    end: CancellationToken,
    tasks: TaskTracker,
}

#[dormouse::main]
async fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let addr = args.next().unwrap_or("127.0.0.1:0".into());
    let seconds = args.next().map_or(Ok(30.0), |seconds| seconds.parse());
    let silence = seconds.ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let Some(silence) = silence.filter(|silence| !silence.is_zero()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: chat-server ADDR [SECONDS]"));
    };
    let listener = TcpListener::bind_or_preopened(addr).await?;
    println!("listening on {listener}");
    let chat = Rc::new(Chat { room: Rc::default(), silence, end: CancellationToken::new(), tasks: TaskTracker::new() });
    let mut asked = pin!(signal::stop_requested());
    loop {
        tokio::select! {
            conn = listener.accept_with_backoff() => {
                let chat = chat.clone();
                dormouse::spawn(chat.clone().tasks.track_future(serve(conn?.0, chat)));
            }
            asked = &mut asked => break asked?,
        }
    }
    drop(listener);
    chat.end.cancel();
    chat.tasks.close();
    let _ = timeout(GOOD_BYE, chat.tasks.wait()).await;
    Ok(())
}

/// A connection, until it ends or becomes a WebSocket.
async fn serve(conn: TcpStream, chat: Rc<Chat>) {
    let service = service_fn(|request| std::future::ready(answer(request, &chat)));
    // hyper asks of a connection that is upgraded to be Send.
    let serving = http1::Builder::new().timer(Timer).serve_connection(OnThread::new(conn), service).with_upgrades();
    let mut serving = pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        () = chat.end.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    // What a client has done wrong, hyper has told it.
    let _ = served;
}

fn answer(request: Request<Incoming>, chat: &Rc<Chat>) -> io::Result<Response<Full<Bytes>>> {
    match request.uri().path() {
        "/" => {
            let mut response = text(StatusCode::OK, PAGE);
            response.headers_mut().insert(CONTENT_TYPE, "text/html; charset=utf-8".parse().map_err(io::Error::other)?);
            Ok(response)
        }
        "/chat" => Ok(upgrade(request, chat)),
        _ => Ok(text(StatusCode::NOT_FOUND, "there is / and /chat\n")),
    }
}

fn upgrade(mut request: Request<Incoming>, chat: &Rc<Chat>) -> Response<Full<Bytes>> {
    let query = request.uri().query().unwrap_or_default();
    let name = query.split('&').find_map(|pair| pair.strip_prefix("name=")).unwrap_or_default().to_owned();
    if !room::is_name(&name) {
        return text(StatusCode::BAD_REQUEST, "a name has 1 to 20 letters, digits, - and _: /chat?name=mouse\n");
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    let response = match create_response(&Request::from_parts(parts, ())) {
        Ok(response) => response,
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("this is for WebSockets: {error}\n")),
    };
    let joining = {
        let chat = chat.clone();
        async move {
            // It fails if the client goes before it has our answer.
            let Ok(upgraded) = upgrade.await else { return };
            if let Ok(parts) = upgraded.downcast::<OnThread<TcpStream>>() {
                member::join(parts.io, parts.read_buf, &name, &chat).await;
            }
        }
    };
    dormouse::spawn(chat.tasks.track_future(joining));
    response.map(|()| Full::default())
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}
