//! What WASI has not.

use std::future::Future;
use std::io;
use std::task::{Context, Waker};

use tokio::io::unix::AsyncFd;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

pub async fn what_wasi_has_not_says_so() -> io::Result<()> {
    let unsupported = |error: io::Error| assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{error}");
    unsupported(AsyncFd::new(tokio::io::stdin()).unwrap_err());
    let (stdin, error) = AsyncFd::try_new(tokio::io::stdin()).unwrap_err().into_parts();
    unsupported(error);
    drop(stdin);
    unsupported(Command::new("true").arg("x").stdin(std::process::Stdio::null()).kill_on_drop(true).spawn().unwrap_err());
    unsupported(Command::new("true").output().await.unwrap_err());
    Ok(())
}

pub async fn signals_stay_pending() -> io::Result<()> {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(std::pin::pin!(tokio::signal::ctrl_c()).poll(&mut cx).is_pending());
    let mut terminate = signal(SignalKind::terminate())?;
    assert!(std::pin::pin!(terminate.recv()).poll(&mut cx).is_pending());
    assert!(terminate.poll_recv(&mut cx).is_pending());
    Ok(())
}
