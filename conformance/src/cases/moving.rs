//! Deadlines that move while others wait: on a listener, on a side that is full, on one side of two, through clones, and
//! again and again. Most of what is left of the list of Go's `net/timeout_test.go` (BSD-3-Clause; written from the names
//! and from the semantics of `internal/poll`).

use std::cell::Cell;
use std::io::Error;
use std::rc::Rc;
use std::time::Duration;

use dormouse::net::{TcpListener, TcpStream, is_closed};
use dormouse::task::yield_now;
use dormouse::time::{Instant, sleep, sleep_until, timeout};
use dormouse::{JoinHandle, spawn};
use futures_lite::StreamExt;

use super::deadlines::{SHORT, fill, in_a_while, past, timed_out};
use super::place::{listen_inside, pair};

/// A time so long that a case which waits for it fails.
pub(super) fn in_an_hour() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(3600))
}

/// How an operation that waited has ended, and when: a task that awaits its task learns of it later.
struct Ended {
    error: Error,
    at: Instant,
}

impl Ended {
    fn with(error: Error) -> Ended {
        Ended { error, at: Instant::now() }
    }

    /// Because of this deadline, and not before it.
    #[track_caller]
    fn timed_out_at(self, deadline: Instant) {
        timed_out(self.error);
        assert!(self.at >= deadline, "early");
    }
}

/// Waits for sockets, and so with the host's clock set to the earliest deadline of the parked operations.
async fn wait_for_sockets() {
    pair().await;
}

type Waiting = Vec<JoinHandle<Ended>>;

/// Asserts that no operation has ended.
#[track_caller]
fn all_wait(tasks: &Waiting) {
    assert!(tasks.iter().all(|task| !task.is_finished()), "who should wait has ended");
}

/// Three tasks that are parked in an accept, each in its own way.
async fn acceptors(listener: &Rc<TcpListener>) -> Waiting {
    let (shared, streaming, clone) = (Rc::clone(listener), Rc::clone(listener), listener.try_clone().unwrap());
    let tasks = vec![
        spawn(async move { Ended::with(shared.accept().await.unwrap_err()) }),
        spawn(async move { Ended::with(streaming.incoming().next().await.unwrap().unwrap_err()) }),
        spawn(async move { Ended::with(clone.accept().await.unwrap_err()) }),
    ];
    yield_now().await;
    tasks
}

/// A listener's deadline takes effect on all tasks that are parked in an accept: brought forward, moved to now, moved
/// away and cleared.
pub async fn of_parked_accepts() {
    let listener = Rc::new(listen_inside().await.0);
    listener.set_deadline(in_an_hour()).unwrap();
    let accepting = acceptors(&listener).await;
    wait_for_sockets().await;
    let deadline = in_a_while();
    listener.set_deadline(Some(deadline)).unwrap();
    for task in accepting {
        task.await.unwrap().timed_out_at(deadline);
    }
    listener.set_deadline(in_an_hour()).unwrap();
    let accepting = acceptors(&listener).await;
    all_wait(&accepting);
    listener.set_deadline(past()).unwrap();
    for task in accepting {
        timed_out(task.await.unwrap().error);
    }
    listener.set_deadline(None).unwrap();
    let accepting = acceptors(&listener).await;
    for later in [in_an_hour(), None] {
        let soon = Instant::now() + Duration::from_millis(500);
        listener.set_deadline(Some(soon)).unwrap();
        wait_for_sockets().await;
        listener.set_deadline(later).unwrap();
        sleep_until(soon + SHORT).await;
        all_wait(&accepting);
    }
    listener.close().unwrap();
    for task in accepting {
        assert!(is_closed(&task.await.unwrap().error));
    }
}

/// The deadline of a listener is its own: a connection that it has accepted has none.
pub async fn of_a_listener_alone() {
    let (listener, place) = listen_inside().await;
    listener.set_deadline(in_an_hour()).unwrap();
    let near = place.connect().await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    listener.set_deadline(past()).unwrap();
    assert!(timeout(SHORT, far.read(&mut [0])).await.is_err(), "it waits");
    near.write(b"x").await.unwrap();
    assert_eq!(far.read(&mut [0]).await.unwrap(), 1);
    // Nor has the listener that of a connection.
    listener.set_deadline(None).unwrap();
    far.set_deadline(past()).unwrap();
    assert!(timeout(SHORT, listener.accept()).await.is_err(), "it waits");
}

/// Three tasks that write until there is an error.
async fn writers(stream: &Rc<TcpStream>) -> Waiting {
    let write = |_| {
        let stream = Rc::clone(stream);
        spawn(async move {
            loop {
                if let Err(error) = stream.write(&[7; 16 * 1024]).await {
                    return Ended::with(error);
                }
            }
        })
    };
    let tasks = (0..3).map(write).collect();
    yield_now().await;
    tasks
}

/// A write deadline takes effect on all tasks that are parked in a write: brought forward, moved to now, moved away and
/// cleared, and then they go on.
pub async fn of_parked_writes() {
    let (near, far) = pair().await;
    fill(&near, in_a_while()).await;
    let near = Rc::new(near);
    near.set_write_deadline(in_an_hour()).unwrap();
    let writing = writers(&near).await;
    wait_for_sockets().await;
    let deadline = in_a_while();
    near.set_write_deadline(Some(deadline)).unwrap();
    for task in writing {
        task.await.unwrap().timed_out_at(deadline);
    }
    near.set_write_deadline(in_an_hour()).unwrap();
    let writing = writers(&near).await;
    all_wait(&writing);
    near.set_write_deadline(past()).unwrap();
    for task in writing {
        timed_out(task.await.unwrap().error);
    }
    near.set_write_deadline(None).unwrap();
    let writing = writers(&near).await;
    for later in [in_an_hour(), None] {
        let soon = Instant::now() + Duration::from_millis(500);
        near.set_write_deadline(Some(soon)).unwrap();
        wait_for_sockets().await;
        near.set_write_deadline(later).unwrap();
        sleep_until(soon + SHORT).await;
        all_wait(&writing);
    }
    // There is room again, and more comes than was ever on its way.
    let (mut buf, mut got) = (vec![0; 64 * 1024], 0);
    while got < 16 << 20 {
        got += far.read(&mut buf).await.unwrap();
    }
    all_wait(&writing);
    near.close().unwrap();
    for task in writing {
        assert!(is_closed(&task.await.unwrap().error));
    }
}

/// A task that is parked in a read, and three in a write.
async fn both_sides(stream: &Rc<TcpStream>) -> (JoinHandle<Ended>, Waiting) {
    let reader = Rc::clone(stream);
    let reading = spawn(async move { Ended::with(reader.read(&mut [0]).await.unwrap_err()) });
    (reading, writers(stream).await)
}

/// Of two deadlines on one stream each ends its own side, whichever is first, also if they are set to the same.
pub async fn of_each_side() {
    let (near, _far) = pair().await;
    fill(&near, in_a_while()).await;
    let near = Rc::new(near);
    near.set_write_deadline(in_an_hour()).unwrap();
    let (reading, mut writing) = both_sides(&near).await;
    let deadline = in_a_while();
    near.set_read_deadline(Some(deadline)).unwrap();
    reading.await.unwrap().timed_out_at(deadline);
    all_wait(&writing);
    near.set_read_deadline(in_an_hour()).unwrap();
    let (reading, more) = both_sides(&near).await;
    writing.extend(more);
    let deadline = in_a_while();
    near.set_write_deadline(Some(deadline)).unwrap();
    for task in writing {
        task.await.unwrap().timed_out_at(deadline);
    }
    assert!(!reading.is_finished(), "the deadline of the other side has ended it");
    reading.abort();
    // Both are set beforehand, so the one that passes first must leave the other's alone.
    for (read_after, write_after) in [(1, 2), (2, 1), (1, 1)] {
        near.set_deadline(None).unwrap();
        let (reading, writing) = both_sides(&near).await;
        let now = Instant::now();
        let (read_by, write_by) = (now + read_after * SHORT, now + write_after * SHORT);
        near.set_read_deadline(Some(read_by)).unwrap();
        near.set_write_deadline(Some(write_by)).unwrap();
        reading.await.unwrap().timed_out_at(read_by);
        for task in writing {
            task.await.unwrap().timed_out_at(write_by);
        }
    }
}

/// A deadline is the connection's: it is set through any clone, holds for all, and outlives the clone that set it.
pub async fn through_clones() {
    let (near, far) = pair().await;
    let near = Rc::new(near);
    let reading = spawn({
        let near = Rc::clone(&near);
        async move { Ended::with(near.read(&mut [0]).await.unwrap_err()) }
    });
    yield_now().await;
    let clone = near.try_clone().unwrap();
    let deadline = in_a_while();
    clone.set_read_deadline(Some(deadline)).unwrap();
    drop(clone);
    reading.await.unwrap().timed_out_at(deadline);
    // One that is made later is held to it as well, and can clear it.
    far.write(b"x").await.unwrap();
    let clone = near.try_clone().unwrap();
    timed_out(clone.read(&mut [0]).await.unwrap_err());
    let (mut reader, writer) = clone.into_split();
    timed_out(futures_lite::AsyncReadExt::read(&mut reader, &mut [0]).await.unwrap_err());
    writer.as_ref().set_read_deadline(None).unwrap();
    assert_eq!(near.read(&mut [0]).await.unwrap(), 1);
    writer.forget();
}

/// Deadlines long and short by turns: what waits ends when its own passes, be it a read, a write or an accept.
pub async fn long_and_short() {
    let (near, _far) = pair().await;
    let (listener, _) = listen_inside().await;
    fill(&near, in_a_while()).await;
    for micros in [0, 30_000, 1, 10_000, 100, 3000, 300, 1000, 0] {
        let length = Duration::from_micros(micros);
        let deadline = Instant::now() + length;
        near.set_read_deadline(Some(deadline)).unwrap();
        Ended::with(near.read(&mut [0]).await.unwrap_err()).timed_out_at(deadline);
        fill(&near, Instant::now() + length).await;
        let deadline = Instant::now() + length;
        listener.set_deadline(Some(deadline)).unwrap();
        Ended::with(listener.accept().await.unwrap_err()).timed_out_at(deadline);
    }
}

/// A deadline that is moved on before it passes never passes, neither for parked operations nor from message to message.
/// If this machine stands still for longer than the deadline, it passes, and rightly so.
pub async fn prolonged() {
    const LENGTH: Duration = Duration::from_millis(100);
    let (near, far) = pair().await;
    fill(&near, in_a_while()).await;
    let near = Rc::new(near);
    let latest = Rc::new(Cell::new(Instant::now() + LENGTH));
    let (beside, quiet) = pair().await;
    let move_on = {
        let (near, latest) = (Rc::clone(&near), Rc::clone(&latest));
        move || {
            latest.set(Instant::now() + LENGTH);
            near.set_deadline(Some(latest.get())).unwrap();
        }
    };
    move_on();
    let (reading, mut waiting) = both_sides(&near).await;
    waiting.push(reading);
    let serving = spawn(async move {
        let mut served = 0;
        loop {
            let deadline = Instant::now() + LENGTH;
            beside.set_deadline(Some(deadline)).unwrap();
            match beside.read(&mut [0; 8]).await {
                Ok(0) => return served,
                Ok(n) => served += n,
                Err(error) => Ended::with(error).timed_out_at(deadline),
            }
        }
    });
    let mut sent = 0;
    let start = Instant::now();
    while start.elapsed() < 4 * LENGTH {
        sent += quiet.write(b"x").await.unwrap();
        sleep(LENGTH / 10).await;
        // Told before it is moved on, so that it is the one that has passed.
        for task in waiting.extract_if(.., |task| task.is_finished()) {
            task.await.unwrap().timed_out_at(latest.get());
        }
        move_on();
    }
    drop(quiet);
    assert_eq!(serving.await.unwrap(), sent);
    near.close().unwrap();
    for task in waiting {
        assert!(is_closed(&task.await.unwrap().error));
    }
    drop(far);
}
