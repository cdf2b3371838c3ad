//! tokio-postgres, over tokio's stream.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::{Config, NoTls};

use crate::Result;

pub async fn run(config: &str) -> Result<()> {
    let config: Config = config.parse()?;
    let (client, connection) = config.connect_raw(connect(&config).await?, NoTls).await?;
    let connection = tokio::spawn(connection);

    let row = client.query_one("select $1::text || ' winter'", &[&"it sleeps in"]).await?;
    println!("{}", row.get::<_, String>(0));
    let mut sleep = Box::pin(client.query("select pg_sleep(3600)", &[]));
    if timeout(Duration::from_millis(200), &mut sleep).await.is_ok() {
        return Err("an hour?".into());
    }
    // The query may have begun or not: it is cancelled until it is.
    let error = loop {
        client.cancel_token().cancel_query_raw(connect(&config).await?, NoTls).await?;
        match timeout(Duration::from_millis(200), &mut sleep).await {
            Ok(Ok(_)) => return Err("an hour?".into()),
            Ok(Err(error)) => break error,
            Err(_) => {}
        }
    };
    println!("cancelled: {}", error.as_db_error().map_or("by no database", |error| error.message()));

    drop((sleep, client));
    connection.await??;
    println!("the connection has ended");
    Ok(())
}

async fn connect(config: &Config) -> Result<TcpStream> {
    let Some(Host::Tcp(host)) = config.get_hosts().first() else { return Err("no host is named".into()) };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    Ok(TcpStream::connect((host.as_str(), port)).await?)
}
