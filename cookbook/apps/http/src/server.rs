//! The loop that accepts, a task for each connection, and how all of it ends.

use std::error::Error;
use std::future::Future;
use std::pin::pin;

use dormouse::hyper::{Executor, Timer};
use dormouse::net::{TcpListener, TcpStream, is_transient};
use dormouse::time::{Instant, timeout};
use dormouse::{io, spawn};
use hyper::body::{Body, Incoming};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::server::conn::auto;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::patience::Written;
use crate::{Limits, Patient, log};

type Failure = Box<dyn Error + Send + Sync>;

/// Serves until `stop` is there. Then no connection is accepted any more, what has been begun is finished, and what is not after
/// [`Limits::drain`] is cut off.
///
/// # Errors
/// If the listener cannot be used any more. Errors of connections are logged, as far as the reader of the log keeps up.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    limits: Limits,
    stop: impl Future<Output = io::Result<()>>,
) -> io::Result<()>
where
    S: Service<Request<Patient<Incoming>>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<Failure>,
    B: Body + 'static,
    B::Error: Into<Failure>,
{
    let (token, tracker) = (CancellationToken::new(), TaskTracker::new());
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            asked = &mut stop => break asked?,
        };
        match accepted {
            Ok((conn, _)) => {
                let served = connection(conn, service.clone(), limits, token.clone());
                spawn(tracker.track_future(async {
                    if let Err(error) = served.await {
                        log(format_args!("a connection ended with an error: {}", with_causes(&*error)));
                    }
                }));
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // Such as: no more descriptors. The listener pauses by itself, so this comes no more than once a second for long.
            Err(error) if is_transient(&error) => log(format_args!("accept: {error}")),
            Err(error) => return Err(error),
        }
    }
    listener.close()?;
    token.cancel();
    tracker.close();
    log(format_args!("ending, with {} connections", tracker.len()));
    if timeout(limits.drain, tracker.wait()).await.is_err() {
        log(format_args!("{} connections are cut off", tracker.len()));
    }
    Ok(())
}

async fn connection<S, B>(conn: TcpStream, service: S, limits: Limits, token: CancellationToken) -> Result<(), Failure>
where
    S: Service<Request<Patient<Incoming>>, Response = Response<B>> + 'static,
    S::Error: Into<Failure>,
    B: Body + 'static,
    B::Error: Into<Failure>,
{
    // HTTP/2 writes small frames one after another. Under `dormouse run` it is on already; other hosts of WASI have no call for it.
    let _ = conn.set_nodelay(true);
    // Until the first request is there the socket has a deadline: hyper has none for the first bytes, of which it tells HTTP/1.1
    // from HTTP/2, and none for the beginning of HTTP/2.
    conn.set_read_deadline(Some(Instant::now() + limits.head))?;
    let first = conn.try_clone()?;
    let service = service_fn(move |request: Request<Incoming>| {
        // It fails if the connection is closed, and then nothing waits on it.
        let _ = first.set_read_deadline(None);
        service.call(request.map(|body| Patient::new(body, limits.body)))
    });
    let mut builder = auto::Builder::new(Executor);
    builder.http1().timer(Timer).header_read_timeout(limits.head);
    builder.http2().timer(Timer).keep_alive_interval(limits.head).keep_alive_timeout(limits.head);
    let conn = Written { conn, limit: limits.write, waits: false };
    let mut served = pin!(builder.serve_connection(conn, service));
    tokio::select! {
        served = served.as_mut() => return served,
        () = token.cancelled() => served.as_mut().graceful_shutdown(),
    }
    served.await
}

/// What went wrong, with its causes. hyper tells what it was doing, and its cause why it could not.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
