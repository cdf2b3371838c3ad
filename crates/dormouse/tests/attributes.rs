//! `#[dormouse::test]` and `#[dormouse::main]`.

use std::io;
use std::time::Duration;

use dormouse::time::{Instant, sleep};

#[dormouse::test]
async fn a_test_runs_inside_the_runtime() {
    let start = Instant::now();
    dormouse::spawn(sleep(Duration::from_millis(1))).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(1));
}

#[dormouse::test]
async fn a_test_may_return_a_result() -> io::Result<()> {
    let listener = dormouse::net::TcpListener::bind("127.0.0.1:0").await?;
    listener.local_addr()?;
    Ok(())
}

#[cfg(not(target_family = "wasm"))] // where a panic ends the program
#[dormouse::test]
#[should_panic(expected = "nothing can wake this program any more")]
async fn a_test_that_nothing_can_wake_fails() {
    std::future::pending::<()>().await;
}

#[test]
fn main_may_return_early_and_use_the_question_mark() {
    #[dormouse::main]
    async fn main() -> Result<u8, std::num::ParseIntError> {
        if "1".parse::<u8>()? == 1 {
            return Ok(7);
        }
        Ok(8)
    }
    assert_eq!(main(), Ok(7));
}
