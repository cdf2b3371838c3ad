//! What of tokio works in our tasks: its I/O traits on our types, its `sync`, its macros, what needs no runtime of its `task` and of
//! tokio-util. And what does not: its timers and its `spawn`, which are of a runtime that is not there. `cookbook/TOKIO.md` lists it
//! all, and names these tests.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use dormouse::time::sleep;
use dormouse::{spawn, task::yield_now};
use tokio::sync::{Barrier, Mutex, Notify, OnceCell, RwLock, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// wasip1 has no call to bind or to connect.
#[cfg(not(all(target_os = "wasi", target_env = "p1")))]
mod streams {
    use std::net::Shutdown;

    use dormouse::net::{TcpListener, TcpStream};
    use dormouse::{io, spawn};
    use futures_util::{SinkExt, TryStreamExt};
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy, copy_bidirectional, split};
    use tokio_util::codec::{Framed, LinesCodec};

    async fn pair() -> io::Result<(TcpStream, TcpStream)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let near = TcpStream::connect(listener.local_addr()?).await?;
        Ok((near, listener.accept().await?.0))
    }

    #[dormouse::test]
    async fn extension_methods() -> io::Result<()> {
        let (mut near, far) = pair().await?;
        let echo = spawn(async move {
            let (mut read, mut write) = far.into_split();
            let copied = copy(&mut read, &mut write).await?;
            write.shutdown().await?;
            io::Result::Ok(copied)
        });
        let sent: Vec<u8> = (0..300_000).map(|n| (n % 251) as u8).collect();
        let (mut read, mut write) = near.split();
        let mut heard = Vec::new();
        let send = async {
            write.write_all(&sent).await?;
            write.shutdown().await
        };
        let (send, receive) = tokio::join!(send, read.read_to_end(&mut heard));
        send?;
        assert_eq!((receive?, heard == sent), (sent.len(), true));
        assert_eq!(echo.await.unwrap()?, sent.len() as u64);
        Ok(())
    }

    #[dormouse::test]
    async fn lines_of_a_stream_that_tokio_has_split() -> io::Result<()> {
        let (near, far) = pair().await?;
        let (read, mut write) = split(near);
        spawn(async move {
            let mut lines = BufReader::new(&far).lines();
            while let Some(line) = lines.next_line().await? {
                let mut far = &far;
                far.write_all(format!("{}\n", line.to_uppercase()).as_bytes()).await?;
            }
            io::Result::Ok(())
        });
        write.write_all(b"one\ntwo\n").await?;
        let mut lines = BufReader::new(read).lines();
        assert_eq!(lines.next_line().await?.as_deref(), Some("ONE"));
        assert_eq!(lines.next_line().await?.as_deref(), Some("TWO"));
        write.shutdown().await?;
        assert_eq!(lines.next_line().await?, None);
        Ok(())
    }

    #[dormouse::test]
    async fn frames_of_a_codec() -> io::Result<()> {
        let (near, far) = pair().await?;
        let echo = spawn(async move {
            let mut frames = Framed::new(far, LinesCodec::new());
            while let Some(line) = frames.try_next().await.map_err(io::Error::other)? {
                frames.send(line.to_uppercase()).await.map_err(io::Error::other)?;
            }
            io::Result::Ok(())
        });
        (&near).write_all(b"one\ntwo\n").await?;
        near.shutdown(Shutdown::Write)?;
        let mut heard = String::new();
        (&near).read_to_string(&mut heard).await?;
        assert_eq!(heard, "ONE\nTWO\n");
        echo.await?
    }

    #[dormouse::test]
    async fn both_ways_at_once() -> io::Result<()> {
        let ((mut client, mut a), (mut b, mut server)) = (pair().await?, pair().await?);
        let proxy = spawn(async move { copy_bidirectional(&mut a, &mut b).await });
        client.write_all(b"there").await?;
        let mut buf = [0; 5];
        server.read_exact(&mut buf).await?;
        assert_eq!(&buf, b"there");
        server.write_all(b"back!").await?;
        client.read_exact(&mut buf).await?;
        assert_eq!(&buf, b"back!");
        client.shutdown(Shutdown::Write)?;
        server.shutdown(Shutdown::Write)?;
        assert_eq!(proxy.await.unwrap()?, (5, 5));
        Ok(())
    }
}

#[dormouse::test]
async fn channels() {
    let (send, mut receive) = mpsc::channel(2);
    let sender = spawn(async move {
        for n in 0..10 {
            send.send(n).await.unwrap();
        }
    });
    let mut heard = Vec::new();
    while let Some(n) = receive.recv().await {
        heard.push(n);
    }
    sender.await.unwrap();
    assert_eq!(heard, (0..10).collect::<Vec<_>>());

    let (send, receive) = oneshot::channel();
    spawn(async move { send.send(7) });
    assert_eq!(receive.await, Ok(7));

    let (send, mut receive) = broadcast::channel(4);
    let mut other = send.subscribe();
    send.send('x').unwrap();
    assert_eq!((receive.recv().await, other.recv().await), (Ok('x'), Ok('x')));

    let (send, mut receive) = watch::channel(0);
    spawn(async move {
        sleep(Duration::from_millis(1)).await;
        send.send(1).unwrap();
    });
    receive.changed().await.unwrap();
    assert_eq!(*receive.borrow(), 1);
}

/// In tokio's runtime the 129th would wait for another poll.
#[dormouse::test]
async fn channels_do_not_yield() {
    let (send, mut receive) = mpsc::unbounded_channel();
    (0..1000).for_each(|n| send.send(n).unwrap());
    let taken = poll_fn(|cx| Poll::Ready((0..1000).take_while(|_| receive.poll_recv(cx).is_ready()).count()));
    assert_eq!(taken.await, 1000);
}

#[dormouse::test]
async fn locks_and_permits() {
    let (lock, free, told) = (Rc::new(Mutex::new(0)), Rc::new(Semaphore::new(2)), Rc::new(Notify::new()));
    let mut tasks = Vec::new();
    for _ in 0..10 {
        let (lock, free, told) = (Rc::clone(&lock), Rc::clone(&free), Rc::clone(&told));
        tasks.push(spawn(async move {
            let _permit = free.acquire().await.unwrap();
            let mut count = lock.lock().await;
            yield_now().await;
            *count += 1;
            if *count == 10 {
                told.notify_one();
            }
        }));
    }
    told.notified().await;
    assert_eq!(*lock.lock().await, 10);
    for task in tasks {
        task.await.unwrap();
    }
}

#[dormouse::test]
async fn select_takes_what_comes_first() {
    let slow = async {
        sleep(Duration::from_secs(3600)).await;
        "slow"
    };
    let fast = async {
        sleep(Duration::from_millis(1)).await;
        "fast"
    };
    let first = tokio::select! {
        name = slow => name,
        name = fast => name,
    };
    assert_eq!(first, "fast");
    let (a, b) = tokio::join!(async { 1 }, async { 2 });
    assert_eq!(a + b, 3);
}

#[dormouse::test]
async fn other_ways_to_wait_for_each_other() {
    let (once, shared, all) = (Rc::new(OnceCell::new()), Rc::new(RwLock::new(0)), Rc::new(Barrier::new(3)));
    let tasks: Vec<_> = (0..3)
        .map(|n| {
            let (once, shared, all) = (Rc::clone(&once), Rc::clone(&shared), Rc::clone(&all));
            spawn(async move {
                let first = *once
                    .get_or_init(|| async {
                        yield_now().await;
                        n
                    })
                    .await;
                *shared.write().await += 1;
                all.wait().await;
                (first, *shared.read().await)
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), (0, 3));
    }
}

tokio::task_local! {
    static NAME: &'static str;
}

#[dormouse::test]
async fn task_locals() {
    let task = |name| {
        spawn(NAME.scope(name, async {
            tokio::task::yield_now().await;
            NAME.get()
        }))
    };
    let (a, b) = (task("a"), task("b"));
    assert_eq!((a.await.unwrap(), b.await.unwrap()), ("a", "b"));
}

/// A graceful shutdown: the token asks for it, the tracker waits until the last has done what it had begun.
#[dormouse::test]
async fn a_token_cancels_and_a_tracker_drains() {
    let (token, tracker, done) = (CancellationToken::new(), TaskTracker::new(), Rc::new(Cell::new(0)));
    for _ in 0..10 {
        let (token, done) = (token.child_token(), Rc::clone(&done));
        spawn(tracker.track_future(async move {
            token.cancelled().await;
            sleep(Duration::from_millis(2)).await;
            done.set(done.get() + 1);
        }));
    }
    let endless = spawn(tracker.track_future(token.clone().run_until_cancelled_owned(std::future::pending::<()>())));
    yield_now().await;
    assert_eq!((tracker.len(), done.get()), (11, 0));
    let guard = token.drop_guard();
    spawn(async move { drop(guard) });
    tracker.close();
    tracker.wait().await;
    assert_eq!((tracker.len(), done.get(), endless.await.unwrap()), (0, 10, None));
}

/// tokio's own executor for futures that are not `Send` is a future, and runs in ours.
#[dormouse::test]
async fn a_local_set_and_a_join_set() {
    let set = LocalSet::new();
    let finished = Rc::new(RefCell::new(Vec::new()));
    set.run_until(async {
        let mut tasks = JoinSet::new();
        for n in [3, 1, 2] {
            let finished = Rc::clone(&finished);
            tasks.spawn_local(async move {
                sleep(Duration::from_millis(5 * n)).await;
                finished.borrow_mut().push(n);
            });
        }
        assert_eq!(spawn_local(async { 7 }).await.unwrap(), 7);
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
    })
    .await;
    assert_eq!(*finished.borrow(), [1, 2, 3]);
}

#[dormouse::test]
async fn there_is_no_runtime_of_tokios() {
    let error = tokio::runtime::Handle::try_current().unwrap_err();
    assert!(error.is_missing_context());
    assert_eq!(error.to_string(), NO_RUNTIME);
}

const NO_RUNTIME: &str = "there is no reactor running, must be called from the context of a Tokio 1.x runtime";

/// On WASI a panic ends the program, with the same sentence.
#[cfg(panic = "unwind")]
mod what_does_not_work {
    use std::future::Future;
    use std::time::Duration;

    use dormouse::{spawn, task::JoinError};

    use super::NO_RUNTIME;

    /// The task ends with a panic, the program does not. What it says is in the error.
    async fn panics<F: Future<Output: 'static> + 'static>(future: impl FnOnce() -> F + 'static) -> String {
        let error: JoinError = match spawn(async move { drop(future().await) }).await {
            Ok(()) => panic!("it works"),
            Err(error) => error,
        };
        let payload = error.try_into_panic().expect("it panicked");
        let text = payload.downcast_ref::<&str>().map(|text| text.to_string());
        text.or_else(|| payload.downcast_ref().cloned()).expect("it says something")
    }

    #[dormouse::test]
    async fn tokios_timers() {
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(panics(move || tokio::time::sleep(day)).await, NO_RUNTIME);
        assert_eq!(panics(move || tokio::time::timeout(day, async {})).await, NO_RUNTIME);
        assert_eq!(panics(move || async move { tokio::time::interval(day).tick().await }).await, NO_RUNTIME);
        assert_eq!(
            panics(move || async move { tokio_util::time::DelayQueue::new().insert((), day) }).await,
            NO_RUNTIME
        );
    }

    #[dormouse::test]
    async fn tokios_spawn() {
        assert_eq!(panics(|| async { drop(tokio::spawn(async {})) }).await, NO_RUNTIME);
        assert_eq!(panics(|| async { drop(tokio::task::spawn_blocking(|| {})) }).await, NO_RUNTIME);
        assert_eq!(panics(|| async { drop(tokio_util::task::TaskTracker::new().spawn(async {})) }).await, NO_RUNTIME);
        let said = panics(|| async { drop(tokio::task::spawn_local(async {})) }).await;
        assert!(said.starts_with("`spawn_local` called from outside of a `task::LocalSet`"), "{said}");
    }
}
