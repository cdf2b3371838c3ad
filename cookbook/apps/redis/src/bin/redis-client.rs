//! The usual uses of redis, one after the other: `redis-client REDIS_ADDR`.

use std::rc::Rc;

use cookbook_redis::{PATIENCE, connect, subscriber, within};
use redis::aio::MultiplexedConnection;
use redis::{AsyncTypedCommands, PushKind, RedisResult, Value};

const TASKS: usize = 1000;
const LARGE: usize = 8 << 20;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[dormouse::main]
async fn main() -> Result<()> {
    let addr = std::env::args().nth(1).ok_or("usage: redis-client REDIS_ADDR")?.parse()?;
    let mut redis = connect(addr).await?;

    redis.set("sleeper", "dormouse").await?;
    println!("the sleeper is a {}", redis.get("sleeper").await?.unwrap_or_default());
    println!("nobody is {:?}", redis.get("nobody").await?);

    let (a, b): (i64, i64) =
        redis::pipe().atomic().del("n").ignore().incr("n", 40).incr("n", 2).query_async(&mut redis).await?;
    println!("a transaction counts to {a} and {b}");

    let error = redis.incr("sleeper", 1).await.expect_err("a word has no successor");
    println!("a mistake is told: {error}");

    println!("{} tasks share the connection", share(&redis).await?);

    let large = Rc::new(vec![b'z'; LARGE]);
    redis.set("large", large.as_slice()).await?;
    let back: Vec<u8> = redis::cmd("GET").arg("large").query_async(&mut redis).await?;
    println!("a value of {} bytes came back {}", back.len(), if back == *large { "whole" } else { "changed" });
    redis.del("large").await?;

    // A blocking command holds up the connection that it is on, not the program.
    let mut other = connect(addr).await?;
    let popping = dormouse::spawn(async move { within(PATIENCE, other.blpop("queue", 0.0)).await });
    redis.rpush("queue", "acorn").await?;
    println!("popped {:?}", popping.await??);

    let (mut listener, mut pushes) = subscriber(addr).await?;
    listener.subscribe("news").await?;
    for n in 0..3 {
        redis.publish("news", format!("winter is {n} days away")).await?;
    }
    let mut heard = 0;
    while heard < 3 {
        let push = pushes.recv().await.ok_or("the connection ended")?;
        if let (PushKind::Message, [_, Value::BulkString(news)]) = (push.kind, &push.data[..]) {
            println!("news: {}", String::from_utf8_lossy(news));
            heard += 1;
        }
    }
    Ok(())
}

/// Each task counts one further, and all numbers are different.
async fn share(redis: &MultiplexedConnection) -> RedisResult<usize> {
    redis.clone().del("count").await?;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let mut redis = redis.clone();
            dormouse::spawn(async move { redis.incr("count", 1).await })
        })
        .collect();
    let mut numbers = std::collections::BTreeSet::new();
    for task in tasks {
        numbers.insert(task.await.expect("it does not panic")?);
    }
    Ok(numbers.len())
}
