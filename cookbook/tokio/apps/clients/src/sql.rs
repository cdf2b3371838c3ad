//! sqlx: a pool of connections to PostgreSQL, and a server that goes away and comes back.

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::task::JoinSet;

use crate::Result;

const LARGE: usize = 8 << 20;
const TASKS: i32 = 200;

pub async fn run(url: &str) -> Result<()> {
    let options: PgConnectOptions = url.parse()?;
    let pool = PgPoolOptions::new().max_connections(5).connect_with(options.clone()).await?;
    sqlx::raw_sql("drop table if exists mice; create table mice (id int primary key, name text)")
        .execute(&pool)
        .await?;

    transactions(&pool).await?;
    let Err(error) = insert(1, "twice").execute(&pool).await else { return Err("the key is there already".into()) };
    println!("a mistake is told: {error}");
    println!("{} tasks share {} connections", share(&pool).await?, pool.size());

    let mut sum = 0;
    let mut rows = sqlx::query_scalar::<_, i32>("select generate_series(0, 49999)").fetch(&pool);
    while let Some(n) = rows.try_next().await? {
        sum += i64::from(n);
    }
    println!("the sum of 50000 rows is {sum}");
    drop(rows);

    let large = vec![b'z'; LARGE];
    let back: Vec<u8> = sqlx::query_scalar("select $1::bytea").bind(&large).fetch_one(&pool).await?;
    println!("a value of {} bytes came back {}", back.len(), if back == large { "whole" } else { "changed" });

    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen("news").await?;
    sqlx::query("select pg_notify('news', 'winter')").execute(&pool).await?;
    println!("news: {}", listener.recv().await?.payload());
    drop(listener);

    let short = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(1));
    let one = short.connect_lazy_with(options);
    let held = one.acquire().await?;
    let Err(error) = one.acquire().await else { return Err("the pool has one connection".into()) };
    println!("a pool that is empty: {error}");
    drop(held);

    println!("the server may go now");
    let Err(error) = sqlx::query("select pg_sleep(3600)").execute(&pool).await else { return Err("an hour?".into()) };
    println!("the server is gone: {error}");
    // The pool tries until it can connect, or its time is over.
    let name: String = sqlx::query_scalar("select name from mice where id = 1").fetch_one(&pool).await?;
    println!("it is back: {name}");
    pool.close().await;
    Ok(())
}

type Insert<'a> = sqlx::query::Query<'a, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn insert(id: i32, name: &str) -> Insert<'_> {
    sqlx::query("insert into mice values ($1, $2)").bind(id).bind(name)
}

/// What is committed stays, and what is dropped does not.
async fn transactions(pool: &PgPool) -> Result<()> {
    let mut committed = pool.begin().await?;
    insert(1, "dormouse").execute(&mut *committed).await?;
    committed.commit().await?;
    let mut dropped = pool.begin().await?;
    insert(2, "cat").execute(&mut *dropped).await?;
    drop(dropped);
    let names: Vec<String> = sqlx::query_scalar("select name from mice").fetch_all(pool).await?;
    println!("committed: {names:?}");
    Ok(())
}

async fn share(pool: &PgPool) -> Result<usize> {
    let mut tasks = JoinSet::new();
    for id in 10..10 + TASKS {
        let pool = pool.clone();
        tasks.spawn(async move { insert(id, "mouse").execute(&pool).await });
    }
    while let Some(inserted) = tasks.join_next().await {
        inserted??;
    }
    let count: i64 = sqlx::query_scalar("select count(*) from mice where id >= 10").fetch_one(pool).await?;
    Ok(count.try_into()?)
}
