//! One query and its rows: `postgres-query CONFIG SQL [SECONDS]`. After so many seconds it is cancelled.

use std::process::ExitCode;
use std::time::Duration;

use cookbook_postgres::{Error, connect, sentence, within};
use tokio_postgres::SimpleQueryMessage;

#[dormouse::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {}", sentence(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [config, sql, rest @ ..] = &args[..] else {
        return Err("usage: postgres-query CONFIG SQL [SECONDS]".into());
    };
    let patience = rest.first().map_or(Ok(u64::MAX), |seconds| seconds.parse())?;
    let config = config.parse()?;
    let (client, _) = connect(&config).await?;
    eprintln!("connected");
    let query = client.simple_query(sql);
    for message in within(Duration::from_secs(patience), &config, &client, query).await? {
        if let SimpleQueryMessage::Row(row) = message {
            let values: Vec<_> = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL")).collect();
            println!("{}", values.join("\t"));
        }
    }
    Ok(())
}
