//! Counts visitors: `redis-counter ADDR REDIS_ADDR`. A line is a name, the answer its number of visits. All of its clients share
//! one connection to redis; when that breaks they are told, and the next line opens another one.

use std::net::SocketAddr;
use std::rc::Rc;

use cookbook_redis::{PATIENCE, connect, within};
use dormouse::io;
use dormouse::net::{TcpListener, TcpStream};
use futures_lite::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use redis::aio::MultiplexedConnection;
use redis::{AsyncTypedCommands, RedisResult};
use tokio::sync::Mutex;

#[dormouse::main]
async fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let addr = args.next().unwrap_or("127.0.0.1:0".into());
    let redis = args.next().unwrap_or("127.0.0.1:6379".into());
    let redis = redis.parse().map_err(|error| io::Error::other(format!("{redis:?} is no address: {error}")))?;
    let counter = Rc::new(Counter { redis, connection: Mutex::new(None) });
    let listener = TcpListener::bind_or_preopened(addr).await?;
    println!("listening on {listener}");
    loop {
        let (conn, _) = listener.accept_with_backoff().await?;
        dormouse::spawn(serve(conn, Rc::clone(&counter)));
    }
}

async fn serve(conn: TcpStream, counter: Rc<Counter>) -> io::Result<()> {
    let mut line = String::new();
    let mut lines = BufReader::new(&conn);
    while lines.read_line(&mut line).await? > 0 {
        let name = line.trim_end();
        let answer = match counter.visit(name).await {
            Ok(visits) => format!("{name} {visits}\n"),
            Err(error) => format!("error: {error}\n"),
        };
        (&conn).write_all(answer.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

struct Counter {
    redis: SocketAddr,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Counter {
    async fn visit(&self, name: &str) -> RedisResult<isize> {
        let mut redis = self.connection().await?;
        let visits = within(PATIENCE, redis.incr(format!("visits:{name}"), 1)).await;
        if visits.as_ref().is_err_and(|error| error.is_connection_dropped()) {
            self.connection.lock().await.take();
        }
        visits
    }

    /// The connection that there is, or a new one, which the first task makes while the others wait for it.
    async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        let mut connection = self.connection.lock().await;
        match &*connection {
            Some(connection) => Ok(connection.clone()),
            None => Ok(connection.insert(connect(self.redis).await?).clone()),
        }
    }
}
