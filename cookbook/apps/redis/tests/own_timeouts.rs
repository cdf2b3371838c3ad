//! What the README says of redis' own timeouts, and of what it spawns itself.

use dormouse::net::{TcpListener, TcpStream};
use dormouse::{io, io::OnThread, spawn, task::JoinError};
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, AsyncTypedCommands, RedisConnectionInfo};

const NO_RUNTIME: &str = "there is no reactor running, must be called from the context of a Tokio 1.x runtime";

/// Both ends of a connection. No server is needed for what comes to nothing.
async fn pair() -> io::Result<(OnThread<TcpStream>, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let near = TcpStream::connect(listener.local_addr()?).await?;
    Ok((OnThread::new(near), listener.accept().await?.0))
}

/// Without a name to tell, it has nothing to ask of the server at first.
fn info() -> RedisConnectionInfo {
    RedisConnectionInfo::default().set_skip_set_lib_name()
}

/// What a task panicked with.
fn sentence(error: JoinError) -> String {
    let payload = error.try_into_panic().expect("it panicked");
    payload.downcast_ref::<&str>().map(|text| text.to_string()).or(payload.downcast_ref().cloned()).expect("a text")
}

#[dormouse::test]
async fn the_default_timeout_panics() -> io::Result<()> {
    let (near, _far) = pair().await?;
    let asking = spawn(async {
        let (mut redis, driver) =
            MultiplexedConnection::new_with_config(&info(), near, AsyncConnectionConfig::default()).await?;
        spawn(driver);
        redis.get("sleeper").await
    });
    assert_eq!(sentence(asking.await.expect_err("it panics")), NO_RUNTIME);
    Ok(())
}

#[dormouse::test]
async fn what_redis_spawns_itself_panics() -> io::Result<()> {
    let (near, _far) = pair().await?;
    let subscribing = spawn(async { PubSub::new(&info(), near).await.map(|_| ()) });
    assert_eq!(sentence(subscribing.await.expect_err("it panics")), NO_RUNTIME);
    Ok(())
}
