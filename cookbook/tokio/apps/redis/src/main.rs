//! What one does with redis, and a server that goes away and comes back: `tokio-redis URL`.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncConnectionConfig, AsyncTypedCommands, Client};
use tokio::task::JoinSet;
use tokio::time::sleep;

const TASKS: usize = 1000;
const LARGE: usize = 8 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let url = std::env::args().nth(1).ok_or("usage: tokio-redis URL")?;
    let client = Client::open(url)?;
    let config =
        ConnectionManagerConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
    let mut redis = client.get_connection_manager_with_config(config).await?;

    redis.set("sleeper", "dormouse").await?;
    println!("the sleeper is a {}", redis.get("sleeper").await?.unwrap_or_default());
    let (a, b): (i64, i64) =
        redis::pipe().atomic().del("n").ignore().incr("n", 40).incr("n", 2).query_async(&mut redis).await?;
    println!("a transaction counts to {a} and {b}");
    println!("{} tasks share the connection", share(&redis).await?);
    let large = vec![b'z'; LARGE];
    redis.set("large", large.as_slice()).await?;
    let back: Vec<u8> = redis::cmd("GET").arg("large").query_async(&mut redis).await?;
    println!("a value of {} bytes came back {}", back.len(), if back == large { "whole" } else { "changed" });
    redis.del("large").await?;

    let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_millis(200)));
    let mut impatient = client.get_multiplexed_async_connection_with_config(&config).await?;
    let Err(error) = impatient.blpop("nothing", 0.0).await else { return Err("something was there".into()) };
    println!("an answer that takes too long: timeout is {}", error.is_timeout());

    let mut listener = client.get_async_pubsub().await?;
    listener.subscribe("news").await?;
    for n in 0..3 {
        redis.publish("news", format!("winter is {n} days away")).await?;
    }
    let mut news = listener.on_message();
    for _ in 0..3 {
        let message = news.next().await.ok_or("the connection ended")?;
        println!("news: {}", message.get_payload::<String>()?);
    }
    outlive(redis).await
}

/// Each task counts one further, and all numbers are different.
async fn share(redis: &ConnectionManager) -> Result<usize> {
    redis.clone().del("count").await?;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let mut redis = redis.clone();
        tasks.spawn(async move { redis.incr("count", 1).await });
    }
    let mut numbers = BTreeSet::new();
    while let Some(number) = tasks.join_next().await {
        numbers.insert(number??);
    }
    Ok(numbers.len())
}

/// Asks until the server has gone, and then until it is back.
async fn outlive(mut redis: ConnectionManager) -> Result<()> {
    println!("the server may go now");
    while redis.get("sleeper").await.is_ok() {
        sleep(Duration::from_millis(20)).await;
    }
    println!("the server is gone");
    while redis.set("sleeper", "mouse").await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
    println!("it is back: {}", redis.get("sleeper").await?.unwrap_or_default());
    Ok(())
}
