//! Connections of the `redis` crate over Dormouse's sockets.
//!
//! What the crate does by itself wants tokio's runtime: `Client::get_multiplexed_async_connection`, `PubSub`, its timeouts. What
//! it does over a stream that it is given does not, and that is all of [`MultiplexedConnection`]: commands, pipelines,
//! transactions, and pub/sub by the pushes of RESP3.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use dormouse::time::timeout;
use dormouse::{io::OnThread, net::TcpStream};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError, RedisResult};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Opens a connection, which any number of tasks may use at once, each through a clone.
///
/// When the server goes away, what waits gets an error, and so does what comes later: to go on, connect anew.
pub async fn connect(addr: SocketAddr) -> RedisResult<MultiplexedConnection> {
    open(addr, RedisConnectionInfo::default(), config()).await
}

/// Opens a connection, and gives what the server pushes to it: messages of the channels that it subscribes to, and `Disconnection`
/// when the server has gone.
pub async fn subscriber(addr: SocketAddr) -> RedisResult<(MultiplexedConnection, UnboundedReceiver<PushInfo>)> {
    let (sender, pushes) = unbounded_channel();
    let info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
    Ok((open(addr, info, config().set_push_sender(sender)).await?, pushes))
}

/// Its own timeouts are off: they are tokio's, and panic where tokio's runtime is not.
fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None)
}

async fn open(
    addr: SocketAddr,
    info: RedisConnectionInfo,
    config: AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    let stream = TcpStream::connect(addr).await?;
    // It asks for Send, and stays here.
    let opening = MultiplexedConnection::new_with_config(&info, OnThread::new(stream), config);
    let (conn, driver) = within(PATIENCE, opening).await?;
    // It ends when the last clone has gone and all is answered.
    dormouse::spawn(driver);
    Ok(conn)
}

/// The timeout that redis' own would be.
pub async fn within<T>(patience: Duration, answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    timeout(patience, answer).await.unwrap_or_else(|late| Err(RedisError::from(std::io::Error::from(late))))
}
