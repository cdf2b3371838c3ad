//! What of tokio works in our tasks: its I/O traits on our types, its `sync`, its macros. And what does not: its timers and its
//! `spawn`, which are of a runtime that is not there.

use std::rc::Rc;
use std::time::Duration;

use dormouse::time::sleep;
use dormouse::{spawn, task::yield_now};
use tokio::sync::{Mutex, Notify, Semaphore, broadcast, mpsc, oneshot, watch};

/// wasip1 has no call to bind or to connect.
#[cfg(not(all(target_os = "wasi", target_env = "p1")))]
mod streams {
    use std::net::Shutdown;

    use dormouse::net::{TcpListener, TcpStream};
    use dormouse::{io, spawn};
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy, copy_bidirectional, split};

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
