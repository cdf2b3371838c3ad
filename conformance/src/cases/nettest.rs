//! The eleven subtests of `golang.org/x/net/nettest.TestConn` (BSD-3-Clause), written from what they check. Each runs on
//! a fresh connection inside of this program, and has a minute.

use std::cell::Cell;
use std::io::{Error, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use dormouse::net::{TcpStream, is_closed};
use dormouse::time::{Instant, sleep, timeout};
use dormouse::{JoinHandle, io, spawn};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::place::{self, pair};

type Conn = Rc<TcpStream>;

/// Runs a subtest on both ends of a connection, and closes it.
async fn test(subtest: impl AsyncFnOnce(&Conn, &Conn)) {
    let (c1, c2) = pair().await;
    let (c1, c2) = (Rc::new(c1), Rc::new(c2));
    timeout(Duration::from_secs(60), subtest(&c1, &c2)).await.expect("the subtest ends within a minute");
    // Ends the tasks that serve, too.
    for conn in [c1, c2] {
        let _ = conn.close();
    }
}

fn check_for_timeout(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(!is_closed(error));
}

/// Bytes that look random, without end.
struct Random(u64);

impl Random {
    fn fill(&mut self, buf: &mut [u8]) {
        for byte in buf {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

/// Copies in pieces of 1024 bytes until the end, or an error.
async fn chunked_copy(mut writer: &TcpStream, reader: &TcpStream) -> io::Result<()> {
    let mut buf = [0; 1024];
    loop {
        match reader.read(&mut buf).await? {
            0 => return Ok(()),
            n => writer.write_all(&buf[..n]).await?,
        }
    }
}

fn echoes(conn: &Conn) {
    let conn = Rc::clone(conn);
    spawn(async move { chunked_copy(&conn, &conn).await });
}

fn discards(conn: &Conn) {
    let conn = Rc::clone(conn);
    spawn(async move { io::copy(&*conn, futures_lite::io::sink()).await });
}

fn writes_for_ever(conn: &Conn) {
    let conn = Rc::clone(conn);
    spawn(async move {
        let (mut random, mut buf) = (Random(0), [0; 1024]);
        loop {
            random.fill(&mut buf);
            if (&*conn).write_all(&buf).await.is_err() {
                return;
            }
        }
    });
}

/// The connection works: what is sent comes back, by way of [`echoes`] at the other end.
async fn roundtrip(conn: &Conn) {
    conn.set_deadline(None).unwrap();
    let said = b"Hello, world!";
    (&**conn).write_all(said).await.unwrap();
    let mut heard = [0; 13];
    (&**conn).read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, said);
}

/// Reads away what is still on its way, up to a mark.
async fn resync(conn: &Conn) {
    conn.set_deadline(None).unwrap();
    let marking = spawn({
        let conn = Rc::clone(conn);
        async move { (&*conn).write_all(&[0xff]).await }
    });
    let mut buf = [0; 1024];
    loop {
        let n = conn.read(&mut buf).await.unwrap();
        assert!(n > 0, "the end came before the mark");
        if buf[n - 1] == 0xff {
            break;
        }
    }
    marking.await.unwrap().unwrap();
}

/// One mebibyte goes through in order, and the end comes after it.
pub async fn basic_io() {
    test(async |c1, c2| {
        let mut want = vec![0; 1 << 20];
        Random(0).fill(&mut want);
        let want = Rc::new(want);
        let writing = spawn({
            let (c1, want) = (Rc::clone(c1), Rc::clone(&want));
            async move {
                for chunk in want.chunks(1024) {
                    (&*c1).write_all(chunk).await.unwrap();
                }
                c1.close().unwrap();
            }
        });
        let mut got = Vec::new();
        let mut buf = [0; 1024];
        loop {
            match c2.read(&mut buf).await.unwrap() {
                0 => break,
                n => got.extend_from_slice(&buf[..n]),
            }
        }
        c2.close().unwrap();
        writing.await.unwrap();
        assert!(got == *want, "other bytes came than were sent");
    })
    .await;
}

/// A number goes to and fro, and grows by one each time.
pub async fn ping_pong() {
    async fn play(conn: Conn) {
        let (mut buf, mut previous) = ([0; 8], 0);
        loop {
            match (&*conn).read_exact(&mut buf).await {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                read => read.unwrap(),
            }
            let v = u64::from_le_bytes(buf);
            assert!(previous == 0 || previous + 2 == v, "{v} came after {previous}");
            previous = v;
            if v == 1000 {
                break;
            }
            (&*conn).write_all(&(v + 1).to_le_bytes()).await.unwrap();
        }
        conn.close().unwrap();
        assert!(previous >= 999, "the game ended at {previous}");
    }
    test(async |c1, c2| {
        let players = [spawn(play(Rc::clone(c1))), spawn(play(Rc::clone(c2)))];
        (&**c1).write_all(&[0; 8]).await.unwrap();
        for player in players {
            player.await.unwrap();
        }
    })
    .await;
}

async fn all(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        task.await.unwrap();
    }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(1))
}

/// Ten readers with a deadline that passes again and again. Nothing is written into a buffer after its read has returned.
pub async fn racy_read() {
    test(async |c1, c2| {
        writes_for_ever(c2);
        c1.set_read_deadline(soon()).unwrap();
        let reader = async |c1: Conn| {
            let (mut buf, mut kept) = ([0; 1024], [0; 1024]);
            for _ in 0..100 {
                let result = c1.read(&mut buf).await;
                kept.copy_from_slice(&buf);
                if let Err(error) = result {
                    check_for_timeout(&error);
                    c1.set_read_deadline(soon()).unwrap();
                }
                assert_eq!(buf, kept);
                buf.fill(0xaa);
            }
        };
        all((0..10).map(|_| spawn(reader(Rc::clone(c1)))).collect()).await;
    })
    .await;
}

/// The same with writers, whose buffers change as soon as their writes have returned.
pub async fn racy_write() {
    test(async |c1, c2| {
        discards(c2);
        c1.set_write_deadline(soon()).unwrap();
        let writer = async |c1: Conn| {
            let (mut random, mut buf) = (Random(0), [0; 1024]);
            for _ in 0..100 {
                random.fill(&mut buf);
                if let Err(error) = c1.write(&buf).await {
                    check_for_timeout(&error);
                    c1.set_write_deadline(soon()).unwrap();
                }
            }
        };
        all((0..10).map(|_| spawn(writer(Rc::clone(c1)))).collect()).await;
    })
    .await;
}

/// Before the program began, or as early as the clock can tell.
fn a_long_time_ago() -> Option<Instant> {
    Some(Instant::now() - Duration::from_secs(365 * 86_400))
}

/// A read deadline in the past fails reads, and not writes.
pub async fn read_timeout() {
    test(async |c1, c2| {
        discards(c2);
        c1.set_read_deadline(a_long_time_ago()).unwrap();
        check_for_timeout(&c1.read(&mut [0; 1024]).await.unwrap_err());
        assert!(c1.write(&[0; 1024]).await.unwrap() > 0);
    })
    .await;
}

/// A write deadline in the past fails writes, and not reads.
pub async fn write_timeout() {
    test(async |c1, c2| {
        writes_for_ever(c2);
        c1.set_write_deadline(a_long_time_ago()).unwrap();
        check_for_timeout(&c1.write(&[0; 1024]).await.unwrap_err());
        assert!(c1.read(&mut [0; 1024]).await.unwrap() > 0);
    })
    .await;
}

/// A deadline in the past fails both at once, and clearing it makes the connection as good as before.
pub async fn past_timeout() {
    test(async |c1, c2| {
        echoes(c2);
        roundtrip(c1).await;
        c1.set_deadline(a_long_time_ago()).unwrap();
        check_for_timeout(&c1.write(&[0; 1024]).await.unwrap_err());
        check_for_timeout(&c1.read(&mut [0; 1024]).await.unwrap_err());
        roundtrip(c1).await;
    })
    .await;
}

/// Writes until there is an error.
async fn write_until_it_fails(conn: &Conn) -> Error {
    loop {
        if let Err(error) = conn.write(&[0; 1024]).await {
            return error;
        }
    }
}

/// A deadline in the past ends operations that are parked, and none of them before it was set.
pub async fn present_timeout() {
    test(async |c1, _| {
        let set = Rc::new(Cell::new(false));
        let reading = spawn({
            let (c1, set) = (Rc::clone(c1), Rc::clone(&set));
            async move {
                check_for_timeout(&c1.read(&mut [0; 1024]).await.unwrap_err());
                assert!(set.get());
            }
        });
        let writing = spawn({
            let (c1, set) = (Rc::clone(c1), Rc::clone(&set));
            async move {
                check_for_timeout(&write_until_it_fails(&c1).await);
                assert!(set.get());
            }
        });
        sleep(Duration::from_millis(100)).await;
        set.set(true);
        c1.set_read_deadline(a_long_time_ago()).unwrap();
        c1.set_write_deadline(a_long_time_ago()).unwrap();
        all(vec![reading, writing]).await;
    })
    .await;
}

/// A deadline to come ends operations that are parked when it comes, and harms nothing that comes later.
pub async fn future_timeout() {
    test(async |c1, c2| {
        let deadline = Instant::now() + Duration::from_millis(100);
        c1.set_deadline(Some(deadline)).unwrap();
        let reading = spawn({
            let c1 = Rc::clone(c1);
            async move {
                check_for_timeout(&c1.read(&mut [0; 1024]).await.unwrap_err());
                assert!(Instant::now() >= deadline);
            }
        });
        let writing = spawn({
            let c1 = Rc::clone(c1);
            async move {
                check_for_timeout(&write_until_it_fails(&c1).await);
                assert!(Instant::now() >= deadline);
            }
        });
        all(vec![reading, writing]).await;
        echoes(c2);
        resync(c1).await;
        roundtrip(c1).await;
    })
    .await;
}

/// Closing ends operations that are parked.
pub async fn close_timeout() {
    test(async |c1, _| {
        c1.set_deadline(None).unwrap();
        let reading = spawn({
            let c1 = Rc::clone(c1);
            async move { assert!(is_closed(&c1.read(&mut [0; 1024]).await.unwrap_err())) }
        });
        let writing = spawn({
            let c1 = Rc::clone(c1);
            async move { assert!(is_closed(&write_until_it_fails(&c1).await)) }
        });
        sleep(Duration::from_millis(100)).await;
        c1.close().unwrap();
        all(vec![reading, writing]).await;
    })
    .await;
}

/// All methods at once, a hundred times over, and the connection still works.
pub async fn concurrent_methods() {
    test(async |c1, c2| {
        echoes(c2);
        let mut tasks = Vec::new();
        let mut run = |method: fn(Conn) -> std::pin::Pin<Box<dyn Future<Output = ()>>>| {
            tasks.push(spawn(method(Rc::clone(c1))));
        };
        for _ in 0..100 {
            run(|c| Box::pin(async move { drop(c.read(&mut [0; 1024]).await) }));
            run(|c| Box::pin(async move { drop(c.write(&[0; 1024]).await) }));
            run(|c| Box::pin(async move { c.set_deadline(Some(Instant::now() + Duration::from_millis(10))).unwrap() }));
            run(|c| Box::pin(async move { c.set_read_deadline(Some(Instant::now())).unwrap() }));
            run(|c| Box::pin(async move { c.set_write_deadline(Some(Instant::now())).unwrap() }));
            run(|c| Box::pin(async move { assert_eq!(c.local_addr().is_ok(), place::ADDRESSES) }));
            run(|c| Box::pin(async move { assert_eq!(c.peer_addr().is_ok(), place::ADDRESSES) }));
        }
        all(tasks).await;
        resync(c1).await;
        roundtrip(c1).await;
    })
    .await;
}
