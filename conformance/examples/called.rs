//! A component that is called and not run: it has no `main`, and an async function that wit-bindgen exports. That it is
//! `wasi:cli/run` is for the runners' sake.

use std::time::Duration;

use dormouse::net::TcpListener;

wasip3::cli::command::export!(Called);

struct Called;

impl wasip3::exports::cli::run::Guest for Called {
    async fn run() -> Result<(), ()> {
        // Under another executor nothing would wake a task that waits here, and the error says so.
        let refused = TcpListener::bind("127.0.0.1:0").await.expect("binding does not wait").accept().await;
        println!("outside: {}", refused.unwrap_err());
        // A future of wit-bindgen's waits there, of course.
        wasip3::clocks::monotonic_clock::wait_for(1_000_000).await;

        let heard = dormouse::block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            println!("listening {}", listener.local_addr()?);
            let (conn, _) = listener.accept().await?;
            dormouse::time::timeout(Duration::from_secs(60), dormouse::io::copy(&conn, &conn)).await?
        });
        println!("inside: {} bytes", heard.map_err(|error| eprintln!("{error}"))?);
        // And so it does afterwards.
        wasip3::clocks::monotonic_clock::wait_for(1_000_000).await;
        println!("afterwards");
        Ok(())
    }
}
