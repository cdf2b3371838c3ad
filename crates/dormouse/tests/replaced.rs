//! Another file in the place of a standard stream. It has a process of its own, whose standard input it may change.
#![cfg(all(unix, not(miri)))]

use std::io::{PipeReader, Write, pipe};
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

use dormouse::io::stdin;
use dormouse::task::yield_now;
use dormouse::time::timeout;
use dormouse::{block_on, spawn};
use rustix::io::dup2;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads a byte that comes when the reader is parked.
async fn a_byte(mut from: impl Write, byte: u8) {
    let reader = spawn(async {
        let mut buf = [0; 8];
        let n = timeout(PATIENCE, stdin().read(&mut buf)).await.expect("it is reported")?;
        std::io::Result::Ok(buf[..n].to_vec())
    });
    for _ in 0..3 {
        yield_now().await;
    }
    from.write_all(&[byte]).unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), [byte]);
}

#[test]
fn standard_input_is_what_stands_in_its_place() {
    block_on(async {
        let (first, to_first) = pipe().unwrap();
        let (second, to_second) = pipe().unwrap();
        // SAFETY: it is never closed, and this process uses nothing that was there before.
        let mut standard = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(0) });
        let mut stand_in = |file: &PipeReader| dup2(file, &mut standard).unwrap();
        stand_in(&first);
        a_byte(&to_first, 1).await;
        a_byte(&to_first, 2).await;
        stand_in(&second);
        a_byte(&to_second, 3).await;
        a_byte(&to_second, 4).await;
        // The first one is still open, and the system's poller has not forgotten it.
        stand_in(&first);
        a_byte(&to_first, 5).await;
        // Now it is gone, and forgotten.
        drop((first, to_first));
        stand_in(&second);
        a_byte(&to_second, 6).await;
    });
}
