//! A loop that is not ours: what it gets of the runtime, and when it is refused.

use std::cell::Cell;
use std::future::{Future, pending};
use std::io::ErrorKind;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use dormouse::foreign::Loop;
use dormouse::time::{Instant, sleep};
use dormouse::{block_on, spawn};

dormouse::export_main!();

/// How often it was called.
#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn it_waits_for_a_timer_and_no_longer_than_it_is_told() {
    let host = Loop::enter().unwrap();
    let count = Arc::<Count>::default();
    let mut slept = pin!(sleep(Duration::from_millis(2)));
    let waker = Waker::from(Arc::clone(&count));
    assert!(slept.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    host.look().unwrap();
    host.wait(Some(Instant::now())).unwrap();
    while count.get() == 0 {
        host.wait(None).unwrap();
    }
    assert!(slept.poll(&mut Context::from_waker(&waker)).is_ready());
}

#[test]
fn a_wait_that_nothing_can_end_is_a_deadlock_and_not_a_hang() {
    let host = Loop::enter().unwrap();
    host.look().unwrap();
    assert_eq!(host.wait(None).unwrap_err().kind(), ErrorKind::Deadlock);
}

#[test]
fn a_thread_is_in_one_loop_at_a_time() {
    let host = Loop::enter().unwrap();
    assert_eq!(Loop::enter().unwrap_err().kind(), ErrorKind::ResourceBusy);
    drop(host);
    block_on(async { assert_eq!(Loop::enter().unwrap_err().kind(), ErrorKind::ResourceBusy) });
    drop(Loop::enter().unwrap());
}

#[test]
fn tasks_have_a_turn_in_each_wait_and_end_with_the_loop() {
    let host = Loop::enter().unwrap();
    let done = Rc::new(Cell::new(0));
    let task = spawn({
        let done = Rc::clone(&done);
        async move {
            for _ in 0..3 {
                dormouse::task::yield_now().await;
                done.set(done.get() + 1);
            }
            pending::<()>().await;
        }
    });
    while done.get() < 3 {
        host.wait(None).unwrap();
    }
    assert!(!task.is_finished());
    drop(host);
    assert!(block_on(task).unwrap_err().is_cancelled());
}

/// wasip1 has no sockets of its own.
#[cfg(not(all(target_os = "wasi", target_env = "p1")))]
mod sockets {
    use dormouse::foreign::Side;
    use dormouse::net::{TcpListener, TcpStream, is_closed};

    use super::*;

    fn pair() -> (TcpListener, TcpStream, TcpStream) {
        block_on(async {
            let listener = TcpListener::bind(([127, 0, 0, 1], 0)).await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            (listener, client, server)
        })
    }

    #[test]
    fn try_park_wait_and_try_again() {
        let (listener, client, server) = pair();
        let host = Loop::enter().unwrap();
        let count = Arc::<Count>::default();
        let waker = Waker::from(Arc::clone(&count));
        let mut buf = [0; 8];
        assert_eq!(listener.try_accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(client.try_write(b"hello").unwrap(), 5);
        let n = loop {
            match server.try_read(&mut buf) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    server.park(Side::Read, &waker).unwrap();
                    let before = count.get();
                    while count.get() == before {
                        host.wait(None).unwrap();
                    }
                }
                result => break result.unwrap(),
            }
        };
        assert_eq!(&buf[..n], b"hello");
    }

    /// A loop of others may park before it has read all there is, or before it has tried at all.
    #[test]
    fn what_a_read_has_left_behind_calls_at_the_next_wait() {
        let (_listener, client, server) = pair();
        let host = Loop::enter().unwrap();
        let count = Arc::<Count>::default();
        let waker = Waker::from(Arc::clone(&count));
        let called_again = || {
            let before = count.get();
            server.park(Side::Read, &waker).unwrap();
            while count.get() == before {
                host.wait(None).unwrap();
            }
        };
        for _ in 0..3 {
            assert_eq!(client.try_write(b"12345").unwrap(), 5);
            let mut got = 0;
            while got < 5 {
                called_again();
                called_again();
                got += server.try_read(&mut [0; 2]).unwrap();
            }
            // The next one is to be waited for.
            assert_eq!(server.try_read(&mut [0; 2]).unwrap_err().kind(), ErrorKind::WouldBlock);
            server.park(Side::Read, &waker).unwrap();
            let before = count.get();
            host.look().unwrap();
            assert_eq!(count.get(), before);
            server.unpark(Side::Read);
        }
        drop(client);
        called_again();
        called_again();
        // Readiness is a hint: on WASI 0.3 the end may come after the call.
        let end = loop {
            match server.try_read(&mut [0; 2]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => called_again(),
                read => break read.unwrap(),
            }
        };
        assert_eq!(end, 0);
    }

    #[test]
    fn who_is_taken_off_is_not_called_and_keeps_nobody_waiting() {
        let (_listener, _client, server) = pair();
        let host = Loop::enter().unwrap();
        let count = Arc::<Count>::default();
        server.park(Side::Read, &Waker::from(Arc::clone(&count))).unwrap();
        server.unpark(Side::Read);
        assert_eq!(host.wait(None).unwrap_err().kind(), ErrorKind::Deadlock);
        assert_eq!(count.get(), 0);
    }

    #[test]
    fn closed_wins_over_timed_out_and_that_over_readiness() {
        let (_listener, client, server) = pair();
        let host = Loop::enter().unwrap();
        let count = Arc::<Count>::default();
        let waker = Waker::from(Arc::clone(&count));
        server.park(Side::Read, &waker).unwrap();
        client.try_write(b"hello").unwrap();
        server.set_read_deadline(Some(Instant::now())).unwrap();
        assert_eq!(count.get(), 1, "the deadline calls who is parked");
        assert_eq!(server.try_read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(server.park(Side::Read, &waker).unwrap_err().kind(), ErrorKind::TimedOut);
        server.park(Side::Write, &waker).unwrap();
        server.close().unwrap();
        assert_eq!(count.get(), 2, "and so does closing");
        assert!(is_closed(&server.try_read(&mut [0; 8]).unwrap_err()));
        assert!(is_closed(&server.park(Side::Read, &waker).unwrap_err()));
        host.look().unwrap();
    }

    #[test]
    fn outside_of_any_runtime_nobody_can_be_parked() {
        let (_listener, _client, server) = pair();
        assert_eq!(server.park(Side::Read, Waker::noop()).unwrap_err().kind(), ErrorKind::Other);
    }
}
