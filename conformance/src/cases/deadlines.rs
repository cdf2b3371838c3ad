//! Deadlines: what Go's `net/timeout_test.go` promises (BSD-3-Clause; written from the names and from the semantics of
//! `internal/poll`), and what parked operations make of a deadline that is set, moved or cleared.

use std::io::{Error, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use dormouse::net::{TcpSocket, TcpStream};
use dormouse::task::yield_now;
use dormouse::time::{Instant, sleep, sleep_until, timeout};
use dormouse::{JoinHandle, io, spawn};
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};

use super::place::{ADDRESSES, listen, listen_inside, pair, peer, unsupported};

pub(super) const SHORT: Duration = Duration::from_millis(20);

pub(super) fn past() -> Option<Instant> {
    Some(Instant::now())
}

pub(super) fn in_a_while() -> Instant {
    Instant::now() + SHORT
}

#[track_caller]
pub(super) fn timed_out(error: Error) {
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
}

/// Fills the connection until a write times out; how much went in.
pub(super) async fn fill(stream: &TcpStream, deadline: Instant) -> usize {
    stream.set_write_deadline(Some(deadline)).unwrap();
    let block = [7; 16 * 1024];
    let mut written = 0;
    loop {
        match stream.write(&block).await {
            Ok(n) => written += n,
            Err(error) => {
                timed_out(error);
                assert!(Instant::now() >= deadline, "early");
                return written;
            }
        }
    }
}

/// An accept ends when its deadline passes, not before and not if there is none; the connection stays for later.
pub async fn accepts() {
    let (listener, place) = listen_inside().await;
    let deadline = in_a_while();
    listener.set_deadline(Some(deadline)).unwrap();
    timed_out(listener.accept().await.unwrap_err());
    assert!(Instant::now() >= deadline, "early");
    let client = place.connect().await.unwrap();
    for _ in 0..2 {
        timed_out(listener.accept().await.unwrap_err());
    }
    listener.set_deadline(None).unwrap();
    let (_, from) = listener.accept().await.unwrap();
    assert_eq!(from, peer(&client));
    assert!(timeout(SHORT, listener.accept()).await.is_err(), "without a deadline it waits on");
}

/// A read ends when its deadline passes, each time it is set, and not if there is none.
pub async fn reads() {
    let (near, far) = pair().await;
    let mut buf = [0; 8];
    for _ in 0..3 {
        let deadline = in_a_while();
        near.set_read_deadline(Some(deadline)).unwrap();
        for _ in 0..2 {
            timed_out(near.read(&mut buf).await.unwrap_err());
            assert!(Instant::now() >= deadline, "early");
        }
    }
    near.set_read_deadline(None).unwrap();
    assert!(timeout(SHORT, near.read(&mut buf)).await.is_err(), "without a deadline it waits on");
    far.write(b"x").await.unwrap();
    assert_eq!(near.read(&mut buf).await.unwrap(), 1);
}

/// A write ends when its deadline passes, and has then written nothing; what other writes have written arrives.
pub async fn writes() {
    let (near, far) = pair().await;
    let mut written = fill(&near, in_a_while()).await;
    near.set_write_deadline(past()).unwrap();
    timed_out(near.write(b"x").await.unwrap_err());
    near.set_write_deadline(None).unwrap();
    let reading = spawn(async move { io::copy(&far, futures_lite::io::sink()).await });
    for _ in 0..10 {
        written += near.write(&[7; 1000]).await.unwrap();
    }
    near.close().unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), written as u64);
}

/// An expired deadline wins over what is ready, which is there when it is cleared.
pub async fn beat_readiness() {
    let (near, far) = pair().await;
    let mut buf = [0; 8];
    far.write(b"ready").await.unwrap();
    // It has arrived.
    assert_eq!(near.read(&mut buf[..1]).await.unwrap(), 1);
    near.set_read_deadline(past()).unwrap();
    timed_out(near.read(&mut buf).await.unwrap_err());
    timed_out(near.read_vectored(&mut [std::io::IoSliceMut::new(&mut buf)]).await.unwrap_err());
    timed_out(near.peek(&mut buf).await.unwrap_err());
    near.set_write_deadline(past()).unwrap();
    timed_out(near.write(b"x").await.unwrap_err());
    timed_out(near.write_vectored(&[std::io::IoSlice::new(b"x")]).await.unwrap_err());
    // One that passes while the program is busy has passed as well.
    let deadline = Instant::now() + Duration::from_millis(1);
    near.set_read_deadline(Some(deadline)).unwrap();
    while Instant::now() < deadline {
        yield_now().await;
    }
    timed_out(near.read(&mut buf).await.unwrap_err());
    near.set_deadline(None).unwrap();
    assert_eq!(near.read(&mut buf).await.unwrap(), 4);
    assert_eq!(&buf[..4], b"eady");
    // Nothing of what timed out was written.
    near.write(b"y").await.unwrap();
    assert_eq!(far.read(&mut buf).await.unwrap(), 1);
    assert_eq!(&buf[..1], b"y");
}

type Reads = Vec<JoinHandle<io::Result<usize>>>;

/// Three tasks that are parked in a read.
async fn parked(stream: &Rc<TcpStream>) -> Reads {
    let read = |_| {
        let stream = Rc::clone(stream);
        spawn(async move { stream.read(&mut [0]).await })
    };
    let reads = (0..3).map(read).collect();
    yield_now().await;
    reads
}

/// A deadline takes effect on all operations that are parked: set, moved to now, moved away and cleared.
pub async fn move_while_parked() {
    let (near, far) = pair().await;
    let near = Rc::new(near);
    // Set while they wait.
    let reads = parked(&near).await;
    let deadline = in_a_while();
    near.set_read_deadline(Some(deadline)).unwrap();
    for read in reads {
        timed_out(read.await.unwrap().unwrap_err());
        assert!(Instant::now() >= deadline, "early");
    }
    // Moved to now.
    near.set_read_deadline(Some(Instant::now() + Duration::from_secs(3600))).unwrap();
    let reads = parked(&near).await;
    near.set_read_deadline(past()).unwrap();
    for read in reads {
        timed_out(read.await.unwrap().unwrap_err());
    }
    // Moved away, and cleared, before it passes: the old one ends nothing.
    for later in [Some(Instant::now() + Duration::from_secs(3600)), None] {
        let soon = Instant::now() + Duration::from_millis(500);
        near.set_read_deadline(Some(soon)).unwrap();
        let reads = parked(&near).await;
        near.set_read_deadline(later).unwrap();
        sleep_until(soon + SHORT).await;
        assert!(reads.iter().all(|read| !read.is_finished()));
        far.write(b"abc").await.unwrap();
        for read in reads {
            assert_eq!(read.await.unwrap().unwrap(), 1);
        }
    }
}

/// One deadline for both sides ends reads and writes; then each side has its own again.
pub async fn of_both_sides() {
    let (near, far) = pair().await;
    // Until nothing more goes in: on a slow machine a deadline passes before it is full, or before the first write.
    let mut in_vain = 0;
    while in_vain < 3 {
        in_vain = if fill(&near, in_a_while()).await == 0 { in_vain + 1 } else { 0 };
    }
    let near = Rc::new(near);
    let deadline = in_a_while();
    near.set_deadline(Some(deadline)).unwrap();
    let reads = parked(&near).await;
    timed_out(near.write(b"x").await.unwrap_err());
    assert!(Instant::now() >= deadline, "early");
    for read in reads {
        timed_out(read.await.unwrap().unwrap_err());
    }
    near.set_read_deadline(None).unwrap();
    timed_out(near.write(b"x").await.unwrap_err());
    far.write(b"y").await.unwrap();
    assert_eq!(near.read(&mut [0]).await.unwrap(), 1);
}

/// A deadline also bounds the traits, the halves and the stream of connections.
pub async fn of_every_way_to_wait() {
    let (near, _far) = pair().await;
    near.set_read_deadline(Some(in_a_while())).unwrap();
    timed_out((&near).read_exact(&mut [0]).await.unwrap_err());
    let mut near = near;
    timed_out(AsyncReadExt::read(&mut near, &mut [0]).await.unwrap_err());
    let (mut reader, mut writer) = near.split();
    timed_out(reader.read(&mut [0]).await.unwrap_err());
    writer.as_ref().set_write_deadline(past()).unwrap();
    timed_out(writer.write(b"x").await.unwrap_err());
    timed_out(writer.close().await.unwrap_err());
    let (mut reader, mut writer) = near.into_split();
    timed_out(reader.read(&mut [0]).await.unwrap_err());
    timed_out(writer.write(b"x").await.unwrap_err());
    reader.as_ref().set_deadline(None).unwrap();
    writer.write_all(b"x").await.unwrap();

    let (listener, _) = listen_inside().await;
    let mut incoming = listener.incoming();
    listener.set_deadline(Some(in_a_while())).unwrap();
    timed_out(incoming.next().await.unwrap().unwrap_err());
}

/// A connection attempt is bounded by a timeout around it. Nothing answers: the backlog is full.
pub async fn of_connections() {
    let socket = TcpSocket::new_v4().unwrap();
    if !ADDRESSES {
        return unsupported(socket.bind("127.0.0.1:0".parse().unwrap()).await);
    }
    socket.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let listener = socket.listen(1).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut answered = Vec::new();
    let start = Instant::now();
    while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(addr)).await {
        answered.push(stream.unwrap());
        assert!(answered.len() < 10_000, "a backlog of 1 never fills");
    }
    assert!(start.elapsed() >= Duration::from_millis(200), "early");
    // A connection that was in the backlog has lost nothing.
    listener.accept().await.unwrap();
}

/// Deadlines of all lengths, with a peer that never stops: each connection ends when its own passes.
pub async fn fluctuate() {
    let (listener, place) = listen_inside().await;
    spawn(async move {
        while let Ok((conn, _)) = listener.accept().await {
            spawn(async move { while conn.write(&[1; 4096]).await.is_ok() {} });
        }
    });
    let clients: Vec<_> = [0, 100, 500, 1000, 5000, 10_000]
        .map(|micros| {
            spawn(async move {
                let conn = place.connect().await.unwrap();
                let deadline = Instant::now() + Duration::from_micros(micros);
                conn.set_deadline(Some(deadline)).unwrap();
                timed_out(io::copy(&conn, futures_lite::io::sink()).await.unwrap_err());
                assert!(Instant::now() >= deadline, "early");
            })
        })
        .into();
    for client in clients {
        client.await.unwrap();
    }
}

/// Reads and writes beside tasks that set deadlines all the time; whatever comes of them, each ends and the stream lives.
pub async fn race() {
    let (near, far) = pair().await;
    let (near, far) = (Rc::new(near), Rc::new(far));
    let mut tasks = Vec::new();
    for conn in [&near, &far] {
        for n in 0..4 {
            let conn = Rc::clone(conn);
            tasks.push(spawn(async move {
                for i in 0..100_u64 {
                    let set = Some(Instant::now() + Duration::from_micros(i * 97 % 1000));
                    match n {
                        0 => conn.set_deadline(set).unwrap(),
                        1 => conn.set_read_deadline(set).unwrap(),
                        2 => drop(conn.read(&mut [0; 64]).await),
                        _ => drop(conn.write(&[0; 64]).await),
                    }
                    if i % 8 == n {
                        sleep(Duration::from_micros(100)).await;
                    }
                }
                if n < 2 {
                    // The last deadline that was set ends all of them.
                    sleep(SHORT).await;
                    conn.set_deadline(past()).unwrap();
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    for conn in [&near, &far] {
        conn.set_deadline(None).unwrap();
        conn.write(b"x").await.unwrap();
    }
}

/// The echo server of `net::echo`, with a deadline that moves on with each message. It reads the clock once.
pub async fn echo_with_a_deadline() {
    let listener = listen().await;
    let (conn, _) = listener.accept().await.unwrap();
    let mut deadline = Instant::now() + Duration::from_secs(3600);
    serve(&conn, || {
        deadline += Duration::from_millis(1);
        deadline
    })
    .await;
}

/// The same as users write it: a minute from now, for each message.
pub async fn echo_with_an_idle_timeout() {
    let listener = listen().await;
    let (conn, _) = listener.accept().await.unwrap();
    serve(&conn, || Instant::now() + Duration::from_secs(60)).await;
}

async fn serve(mut conn: &TcpStream, mut deadline: impl FnMut() -> Instant) {
    let mut buf = [0; 4096];
    loop {
        conn.set_read_deadline(Some(deadline())).unwrap();
        match conn.read(&mut buf).await.unwrap() {
            0 => return,
            n => conn.write_all(&buf[..n]).await.unwrap(),
        }
    }
}
