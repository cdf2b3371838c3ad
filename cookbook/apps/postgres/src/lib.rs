//! A session with PostgreSQL: tokio-postgres over Dormouse's sockets.
//!
//! `Config::connect` would want tokio's sockets and timers, so the feature `runtime` is off. `Config::connect_raw` takes any stream.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use dormouse::io::AsyncWrite;
use dormouse::net::TcpStream;
use dormouse::time::timeout;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::config::Host;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Notification};

/// What can go wrong: with the network, or with the server, which has its own type.
pub type Error = Box<dyn std::error::Error>;

/// How long connecting and logging in may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects. Gives a client, on which any number of tasks may have queries at once, and the notifications that it listens to.
pub async fn connect(config: &Config) -> Result<(Client, UnboundedReceiver<Notification>), Error> {
    let (client, mut connection) = timeout(PATIENCE, async {
        let stream = reach(config).await?;
        Ok::<_, Error>(config.connect_raw(stream, NoTls).await?)
    })
    .await
    .map_err(io::Error::from)??;
    let (sender, notifications) = unbounded_channel();
    // It ends when the client has been dropped, or with an error, which queries then tell as "connection closed".
    dormouse::spawn(async move {
        while let Some(message) = next(&mut connection).await {
            match message {
                Ok(AsyncMessage::Notification(notification)) => _ = sender.send(notification),
                Ok(AsyncMessage::Notice(notice)) => log(format_args!("{notice}")),
                Ok(_) => {}
                Err(error) => return log(sentence(&error)),
            }
        }
    });
    Ok((client, notifications))
}

async fn next<T>(connection: &mut Connection<TcpStream, T>) -> Option<Result<AsyncMessage, tokio_postgres::Error>>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    poll_fn(|cx| connection.poll_message(cx)).await
}

/// The first host of a configuration.
async fn reach(config: &Config) -> io::Result<TcpStream> {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match config.get_hosts().first() {
        Some(Host::Tcp(host)) => TcpStream::connect((host.as_str(), port)).await,
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "no host is given, or one that is no TCP host")),
    }
}

/// A query that may take so long. One that is only dropped is finished by the server all the same, and those after it wait for
/// that; so the server is asked, on a connection of its own, to give it up.
pub async fn within<T>(
    patience: Duration,
    config: &Config,
    client: &Client,
    query: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    let mut query = pin!(query);
    if let Ok(done) = timeout(patience, query.as_mut()).await {
        return Ok(done?);
    }
    client.cancel_token().cancel_query_raw(reach(config).await?, NoTls).await?;
    Ok(query.await?)
}

/// Tells standard error, unless its reader has fallen behind: `eprintln!` would wait for it, with the whole program.
fn log(line: impl std::fmt::Display) {
    let mut cx = Context::from_waker(Waker::noop());
    let _ = pin!(dormouse::io::stderr()).poll_write(&mut cx, format!("{line}\n").as_bytes());
}

/// An error and its causes: tokio-postgres' own sentence is only what kind it is of.
pub fn sentence(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
