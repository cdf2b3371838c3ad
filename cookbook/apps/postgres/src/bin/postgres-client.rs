//! The usual uses of PostgreSQL, one after the other: `postgres-client CONFIG`, where CONFIG is as for psql,
//! `host=127.0.0.1 user=mouse password=…`.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use cookbook_postgres::{Error, connect, sentence, within};
use dormouse::time::timeout;
use futures_util::{SinkExt, TryStreamExt};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};

const CONNECTIONS: i32 = 50;
const TASKS: i32 = 200;
const ROWS: i32 = 50_000;
const LARGE: usize = 8 << 20;

#[dormouse::main]
async fn main() -> Result<(), Error> {
    let config = std::env::args().nth(1).ok_or("usage: postgres-client CONFIG")?.parse()?;
    let (mut client, _) = connect(&config).await?;
    client.batch_execute("create temp table animals (id int primary key, name text)").await?;

    transactions(&mut client).await?;
    let client = Rc::new(client);
    tasks(&client).await?;
    copying(&client).await?;
    large_value(&client).await?;
    notifications(&config).await?;
    giving_up(&config, &client).await?;

    for _ in 0..CONNECTIONS {
        let (another, _) = connect(&config).await?;
        another.batch_execute("select").await?;
    }
    println!("{CONNECTIONS} connections came and went");
    Ok(())
}

async fn transactions(client: &mut Client) -> Result<(), Error> {
    let insert = client.prepare("insert into animals values ($1, $2)").await?;
    let transaction = client.transaction().await?;
    transaction.execute(&insert, &[&-1, &"dormouse"]).await?;
    transaction.commit().await?;

    let transaction = client.transaction().await?;
    transaction.execute(&insert, &[&-2, &"cat"]).await?;
    drop(transaction);
    let names = client.query("select name from animals", &[]).await?;
    println!(
        "committed: {}; dropped: rolled back",
        names.iter().map(|row| row.get(0)).collect::<Vec<&str>>().join(", ")
    );

    let error = client.execute(&insert, &[&-1, &"twin"]).await.expect_err("the key is taken");
    println!("a mistake is told: {}, {}", error.code() == Some(&SqlState::UNIQUE_VIOLATION), sentence(&error));
    Ok(())
}

/// Their queries are sent one after the other, without waiting for answers.
async fn tasks(client: &Rc<Client>) -> Result<(), Error> {
    let insert = client.prepare("insert into animals values ($1, 'mouse') returning id").await?;
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| {
            let (client, insert) = (Rc::clone(client), insert.clone());
            dormouse::spawn(async move { client.query_one(&insert, &[&n]).await.map(|row| row.get::<_, i32>(0) == n) })
        })
        .collect();
    let mut right = 0;
    for task in tasks {
        right += i32::from(task.await??);
    }
    println!("{right} tasks share the connection");
    Ok(())
}

/// Rows in and out, none of them kept.
async fn copying(client: &Client) -> Result<(), Error> {
    client.batch_execute("create temp table nuts (n int)").await?;
    let mut sink = pin!(client.copy_in("copy nuts from stdin").await?);
    for n in 0..ROWS {
        sink.feed(Bytes::from(format!("{n}\n"))).await?;
    }
    println!("copied in {} rows", sink.as_mut().finish().await?);

    let none: [&str; 0] = [];
    let (mut sum, mut rows) = (0, pin!(client.query_raw("select n from nuts", none).await?));
    while let Some(row) = rows.try_next().await? {
        sum += i64::from(row.get::<_, i32>(0));
    }
    println!("their sum is {sum}");

    let (mut bytes, mut chunks) = (0, pin!(client.copy_out("copy nuts to stdout").await?));
    while let Some(chunk) = chunks.try_next().await? {
        bytes += chunk.len();
    }
    println!("copied out {bytes} bytes");
    Ok(())
}

async fn large_value(client: &Client) -> Result<(), Error> {
    let large = vec![7u8; LARGE];
    let row = client.query_one("select $1::bytea", &[&large]).await?;
    let back: &[u8] = row.get(0);
    println!("a value of {} bytes came back {}", back.len(), if back == large { "whole" } else { "changed" });
    Ok(())
}

async fn notifications(config: &Config) -> Result<(), Error> {
    let (listener, mut heard) = connect(config).await?;
    let (speaker, _) = connect(config).await?;
    listener.batch_execute("listen winter").await?;
    for n in 0..3 {
        speaker.execute("select pg_notify('winter', $1)", &[&format!("{n} days to go")]).await?;
    }
    for _ in 0..3 {
        let notification = heard.recv().await.ok_or("the connection ended")?;
        println!("{}: {}", notification.channel(), notification.payload());
    }
    Ok(())
}

async fn giving_up(config: &Config, client: &Client) -> Result<(), Error> {
    let patience = Duration::from_millis(50);
    let late = within(patience, config, client, client.batch_execute("select pg_sleep(3600)")).await;
    println!("cancelled: {}", sentence(&*late.expect_err("an hour is too long")));

    // Dropped, not cancelled: it is done all the same, and the next one waits for it. Meanwhile it waits for the lock of another client.
    let (other, _) = connect(config).await?;
    other.batch_execute("select pg_advisory_lock(7)").await?;
    let slow = client.batch_execute("insert into animals select 1000, 'sloth' from pg_advisory_lock(7)");
    assert!(timeout(patience, slow).await.is_err(), "the lock is another's");
    other.batch_execute("select pg_advisory_unlock(7)").await?;
    let sloths = client.query("select from animals where name = 'sloth'", &[]).await?;
    println!("dropped, and done all the same: {}", sloths.len());
    Ok(())
}
