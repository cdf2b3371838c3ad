//! What a task may do in one poll, whatever asks for it: 128 operations, of which one that moves much counts as more.
#![cfg(not(all(target_os = "wasi", target_env = "p1")))] // which has no call to bind

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use dormouse::net::UdpSocket;
use dormouse::{block_on, spawn};

dormouse::export_main!();

/// Polls all of them in order, with the task's own waker, until all have ended.
async fn join_all(futures: Vec<Pin<Box<dyn Future<Output = ()>>>>) {
    let mut futures: Vec<_> = futures.into_iter().map(Some).collect();
    poll_fn(|cx: &mut Context<'_>| {
        for future in &mut futures {
            if future.as_mut().is_some_and(|future| future.as_mut().poll(cx).is_ready()) {
                *future = None;
            }
        }
        if futures.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// How many operations a task of `futures` futures does between two polls of another task, at most.
fn most_in_a_turn(futures: usize, each: usize) -> usize {
    block_on(async {
        let socket = Rc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let to = socket.local_addr().unwrap();
        let (done, most, over) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
        let watcher = spawn({
            let (done, most, over) = (Rc::clone(&done), Rc::clone(&most), Rc::clone(&over));
            async move {
                while !over.get() {
                    most.set(most.get().max(done.take()));
                    dormouse::task::yield_now().await;
                }
            }
        });
        let futures = (0..futures).map(|_| {
            let (socket, done) = (Rc::clone(&socket), Rc::clone(&done));
            let sends = async move {
                for _ in 0..each {
                    // The network may lose them.
                    let _ = socket.send_to(b"x", to).await;
                    done.set(done.get() + 1);
                }
            };
            Box::pin(sends) as Pin<Box<dyn Future<Output = ()>>>
        });
        spawn(join_all(futures.collect())).await.unwrap();
        over.set(true);
        watcher.await.unwrap();
        most.get()
    })
}

#[test]
fn a_task_does_128_operations_in_a_turn_however_many_futures_it_joins() {
    for (futures, each) in [(1, 500), (2, 500), (10, 100), (1000, 3)] {
        let most = most_in_a_turn(futures, each);
        assert!((1..=128).contains(&most), "{futures} futures: {most} operations in a turn");
    }
}

/// A block_on of another crate, inside of a task, is given its operations all the same.
#[cfg(not(target_family = "wasm"))]
#[test]
fn an_executor_inside_of_a_task_goes_on() {
    block_on(async {
        spawn(async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let to = socket.local_addr().unwrap();
            futures_lite::future::block_on(async {
                for _ in 0..300 {
                    socket.send_to(b"x", to).await.unwrap();
                }
            });
        })
        .await
        .unwrap();
    });
}

/// Two directions that are always ready, of which the first is polled first: each gets on.
#[test]
fn the_future_that_is_polled_last_gets_its_part() {
    block_on(async {
        let socket = Rc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let to = socket.local_addr().unwrap();
        let counts = Rc::new(RefCell::new([0_usize; 3]));
        let futures = (0..3).map(|n| {
            let (socket, counts) = (Rc::clone(&socket), Rc::clone(&counts));
            let sends = async move {
                while counts.borrow().iter().any(|count| *count < 1000) {
                    let _ = socket.send_to(b"x", to).await;
                    counts.borrow_mut()[n] += 1;
                    // The first never leaves the others more than twice behind.
                    let counts = *counts.borrow();
                    assert!(counts[n] <= counts.iter().min().unwrap() + 4 * 128, "{counts:?}");
                }
            };
            Box::pin(sends) as Pin<Box<dyn Future<Output = ()>>>
        });
        join_all(futures.collect()).await;
    });
}

/// What parks has done nothing: a task that polls more such operations than it has units sleeps all the same.
#[test]
fn a_task_sleeps_however_many_operations_it_waits_for() {
    for futures in [1, 128, 129, 1000] {
        let polls = block_on(async {
            let socket = Rc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            let receives = (0..futures).map(|_| {
                let socket = Rc::clone(&socket);
                let receive = async move { drop(socket.recv(&mut [0; 9]).await) };
                Box::pin(receive) as Pin<Box<dyn Future<Output = ()>>>
            });
            let mut all = Box::pin(join_all(receives.collect()));
            let polls = Rc::new(Cell::new(0));
            let counted = Rc::clone(&polls);
            let waits = spawn(poll_fn(move |cx| {
                counted.set(counted.get() + 1);
                all.as_mut().poll(cx)
            }));
            for _ in 0..100 {
                dormouse::task::yield_now().await;
            }
            waits.abort();
            polls.get()
        });
        assert_eq!(polls, 1, "of a task that waits for {futures}");
    }
}

/// One that moves much is more than one.
#[cfg(not(target_family = "wasm"))] // where the host says how much one moves
#[test]
fn bytes_count() {
    use dormouse::net::{TcpListener, TcpStream};

    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        let drain = spawn(async move {
            let mut buf = vec![0; 1 << 20];
            while far.read(&mut buf).await.unwrap() > 0 {}
        });
        let (moved, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let writer = spawn({
            let moved = Rc::clone(&moved);
            async move {
                let block = vec![7; 64 << 10];
                for _ in 0..500 {
                    let n = near.write(&block).await.unwrap();
                    moved.set(moved.get() + n);
                }
            }
        });
        while !writer.is_finished() {
            most.set(most.get().max(moved.take()));
            dormouse::task::yield_now().await;
        }
        writer.await.unwrap();
        drain.await.unwrap();
        // 128 units of 2 KiB, and the operation with which they end.
        assert!(most.get() <= 128 * (2 << 10) + (64 << 10), "{} bytes in a turn", most.get());
    });
}
