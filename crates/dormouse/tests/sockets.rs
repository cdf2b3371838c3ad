//! Sockets and the runtime around them. Not on wasip1, where a program has no socket of its own.
#![cfg(not(all(target_os = "wasi", target_env = "p1")))]

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use dormouse::block_on;
use dormouse::io::AsyncRead;
use dormouse::net::{TcpListener, TcpStream};

dormouse::export_main!();

#[test]
fn handles_outlive_the_block_on_that_made_them() {
    let listener = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let addr = listener.local_addr().unwrap();
    let near = block_on(TcpStream::connect(addr)).unwrap();
    let (far, _) = block_on(listener.accept()).unwrap();
    drop(listener);
    block_on(near.write(b"x")).unwrap();
    assert_eq!(block_on(far.read(&mut [0; 8])).unwrap(), 1);
}

#[test]
fn an_operation_that_must_wait_says_that_no_runtime_is_running() {
    let listener = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let accepted = pin!(listener.accept()).poll(&mut cx);
    let Poll::Ready(Err(error)) = accepted else { panic!("it should not park") };
    assert!(error.to_string().contains("no Dormouse runtime is running"), "{error}");
}

/// Counts the wakers that are kept.
struct Counted;
impl Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn an_owner_leaves_one_waker_on_a_quiet_connection() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let counted: Vec<_> = (0..100).map(|_| Arc::new(Counted)).collect();
        for one in &counted {
            let waker = Waker::from(Arc::clone(one));
            let read = Pin::new(&mut near).poll_read(&mut Context::from_waker(&waker), &mut [0; 1]);
            assert!(read.is_pending());
        }
        assert_eq!(counted.iter().filter(|one| Arc::strong_count(one) > 1).count(), 1);
    });
}
