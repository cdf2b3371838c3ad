//! A log on standard error that blocks no task.
//!
//! std's standard error waits until its reader has room, and with it waits the program. Here a line is put into a queue, from which
//! a task writes with [`dormouse::io::stderr`], which waits alone. A reader that falls behind loses lines, and is told how many.

use std::io;
use std::mem::take;
use std::sync::{Mutex, PoisonError};

use dormouse::task::JoinHandle;
use futures_lite::AsyncWriteExt;
use tokio::sync::Notify;
use tracing_subscriber::fmt::format::FmtSpan;

/// Bytes that may wait for the reader.
const FULL: usize = 256 * 1024;

static QUEUE: Mutex<Queue> = Mutex::new(Queue { lines: Vec::new(), lost: 0, ended: false });
static NEWS: Notify = Notify::const_new();

struct Queue {
    lines: Vec<u8>,
    lost: usize,
    ended: bool,
}

fn queue<T>(with: impl FnOnce(&mut Queue) -> T) -> T {
    with(&mut QUEUE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The task that writes the log.
#[must_use = "the lines that wait when the program ends are written by `end`"]
pub struct Log(JoinHandle<io::Result<()>>);

impl Log {
    /// Takes what `tracing` says from now on.
    pub fn start() -> Log {
        tracing_subscriber::fmt()
            .with_writer(|| Line)
            .with_ansi(false)
            .with_target(false)
            .with_span_events(FmtSpan::CLOSE)
            .without_time()
            .init();
        Log(dormouse::spawn(write()))
    }

    /// Waits until all is written.
    pub async fn end(self) -> io::Result<()> {
        queue(|queue| queue.ended = true);
        NEWS.notify_one();
        self.0.await?
    }
}

/// Where tracing writes an event to, as one line with one call.
struct Line;

impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        queue(|queue| match queue.lines.len() + line.len() <= FULL {
            true => queue.lines.extend_from_slice(line),
            false => queue.lost += 1,
        });
        NEWS.notify_one();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn write() -> io::Result<()> {
    let mut stderr = dormouse::io::stderr();
    loop {
        let (mut lines, lost, ended) = queue(|queue| (take(&mut queue.lines), take(&mut queue.lost), queue.ended));
        if lost > 0 {
            lines.extend_from_slice(format!("{lost} lines were lost\n").as_bytes());
        }
        stderr.write_all(&lines).await?;
        match (lines.is_empty(), ended) {
            (true, true) => return stderr.flush().await,
            (true, false) => NEWS.notified().await,
            (false, _) => {}
        }
    }
}
