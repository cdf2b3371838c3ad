//! Being asked to end, wherever the program runs.

use dormouse::io;

use crate::log;

/// Waits until the program is to end: natively for Ctrl-C, under WASI, which has no signals, for the end of standard input.
/// `dormouse run` ends that at Ctrl-C.
pub async fn asked_to_end() {
    if let Err(error) = asked().await {
        // To end because nobody can ask for it would be worse.
        log(format_args!("nobody can ask this server to end: {error}"));
        std::future::pending().await
    }
}

#[cfg(not(target_os = "wasi"))]
async fn asked() -> io::Result<()> {
    dormouse::signal::ctrl_c().await
}

#[cfg(target_os = "wasi")]
async fn asked() -> io::Result<()> {
    let stdin = io::stdin();
    while stdin.read(&mut [0; 256]).await? > 0 {}
    Ok(())
}
