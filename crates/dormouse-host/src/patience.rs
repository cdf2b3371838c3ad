//! Patience. What takes long is said while it does, and what does not is not mentioned.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Does `work`, and calls `say` once if it takes longer than `after`. Without a thread to be had nothing is said.
pub(crate) fn saying<T>(after: Duration, say: impl FnOnce() + Send + 'static, work: impl FnOnce() -> T) -> T {
    let (working, waits) = channel::<()>();
    let waiting = thread::Builder::new().name("patience".to_owned()).spawn(move || {
        if waits.recv_timeout(after) == Err(RecvTimeoutError::Timeout) {
            say();
        }
    });
    let done = work();
    drop(working);
    // Nothing is said after what it is about.
    if let Ok(waiting) = waiting {
        let _ = waiting.join();
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_said_while_it_takes_long() {
        let (said, hears) = channel();
        saying(Duration::from_millis(1), move || said.send(()).unwrap(), || hears.recv().unwrap());
    }

    #[test]
    fn what_is_done_in_time_is_not_mentioned() {
        saying(Duration::MAX, || panic!("it was done"), || ());
    }
}
