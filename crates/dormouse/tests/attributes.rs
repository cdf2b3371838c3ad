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
    futures_lite::AsyncWriteExt::flush(&mut dormouse::io::stdout()).await
}

#[cfg(not(target_family = "wasm"))] // where a panic ends the program
#[dormouse::test]
#[should_panic(expected = "nothing can wake this program any more")]
async fn a_test_that_nothing_can_wake_fails() {
    std::future::pending::<()>().await;
}

/// Each is a `main` of its own.
mod mains {
    use std::io;
    use std::process::ExitCode;

    pub mod nothing {
        #[dormouse::main]
        pub async fn main() {}
    }
    pub mod early {
        #[dormouse::main]
        pub async fn main() -> Result<(), std::num::ParseIntError> {
            if "1".parse::<u8>()? == 1 {
                return Ok(());
            }
            "x".parse::<u8>()?;
            Ok(())
        }
    }
    pub mod code {
        #[dormouse::main]
        pub async fn main() -> super::ExitCode {
            super::ExitCode::from(7)
        }
    }
    pub mod failure {
        #[dormouse::main]
        pub async fn main() -> super::io::Result<super::ExitCode> {
            Err(super::io::Error::other("a sentence for standard error"))
        }
    }
    pub mod only_debug {
        #[derive(Debug)]
        pub struct Opaque;

        #[dormouse::main]
        pub async fn main() -> Result<(), Opaque> {
            Err(Opaque)
        }
    }
}

#[test]
fn main_may_return_what_any_main_may_return() {
    use std::process::ExitCode;
    mains::nothing::main();
    let is = |code: ExitCode, expected: ExitCode| assert_eq!(format!("{code:?}"), format!("{expected:?}"));
    is(mains::early::main(), ExitCode::SUCCESS);
    is(mains::code::main(), ExitCode::from(7));
    is(mains::failure::main(), ExitCode::FAILURE);
    is(mains::only_debug::main(), ExitCode::FAILURE);
}

/// The attributes bring no name into the function that could hide one of the user's.
mod names {
    fn body() -> i32 {
        7
    }

    #[dormouse::test]
    async fn a_function_called_body_is_the_users() {
        assert_eq!(body(), 7);
    }
}
