//! mini-redis: `tokio-mini-redis ADDR` is its server, and `tokio-mini-redis ADDR talk` a client of it.

use std::env;
use std::time::Duration;

use mini_redis::{Result, client, server};
use tokio::net::TcpListener;
use tokio::signal;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = env::args().skip(1);
    let addr = args.next().unwrap_or_else(|| "127.0.0.1:6379".into());
    if args.next().is_some() {
        return talk(&addr).await;
    }
    let listener = TcpListener::bind(addr).await?;
    if let Ok(addr) = listener.local_addr() {
        println!("listening on {addr}");
    }
    server::run(listener, signal::ctrl_c()).await
}

/// Values, one that expires, and news for a subscriber.
async fn talk(addr: &str) -> Result<()> {
    let mut client = client::connect(addr).await?;
    client.set("sleeper", "dormouse".into()).await?;
    println!("the sleeper is {:?}", client.get("sleeper").await?);
    println!("another is {:?}", client.get("another").await?);
    client.set_expires("nap", "short".into(), Duration::from_millis(20)).await?;
    while client.get("nap").await?.is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("the nap is over");

    let mut subscriber = client::connect(addr).await?.subscribe(vec!["news".into()]).await?;
    let publisher = tokio::spawn(async move {
        let mut heard = 0;
        for news in ["acorns", "winter"] {
            heard += client.publish("news", news.into()).await?;
        }
        Ok::<_, mini_redis::Error>(heard)
    });
    for _ in 0..2 {
        if let Some(message) = subscriber.next_message().await? {
            println!("{}: {:?}", message.channel, message.content);
        }
    }
    println!("heard {} times", publisher.await??);
    Ok(())
}
