//! Connecting to the first of several addresses that answers: Happy Eyeballs (RFC 8305).

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use super::TcpSocket;
use super::addr::none;
use super::socket::CONNECT;
use crate::time::sleep;

/// How long an attempt may go on before the next one begins beside it; RFC 8305, section 5.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpSocket>>>>;

/// Tries the addresses in turn, each a little after the one before it, or as soon as that has failed. The first that
/// connects wins, and the others are dropped, which gives them up.
pub(super) async fn race(addrs: Vec<SocketAddr>) -> io::Result<TcpSocket> {
    let mut rest = alternate(addrs).into_iter();
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut failed = None;
    loop {
        match rest.next() {
            Some(addr) => attempts.push(Box::pin(TcpSocket::open(vec![addr], &[CONNECT]))),
            None if attempts.is_empty() => {
                return Err(failed.unwrap_or_else(none));
            }
            None => {}
        }
        let mut delay = pin!((rest.len() > 0).then(|| sleep(ATTEMPT_DELAY)));
        let ended = poll_fn(|cx| match first(&mut attempts, cx) {
            Some(ended) => Poll::Ready(Some(ended)),
            None => match delay.as_mut().as_pin_mut() {
                Some(delay) => delay.poll(cx).map(|()| None),
                None => Poll::Pending,
            },
        });
        match ended.await {
            Some(Ok(socket)) => return Ok(socket),
            // The first error is that of the address that is liked best.
            Some(Err(error)) => failed = failed.or(Some(error)),
            None => {}
        }
    }
}

/// Takes out the first attempt that has ended.
fn first(attempts: &mut Vec<Attempt>, cx: &mut Context<'_>) -> Option<io::Result<TcpSocket>> {
    for n in 0..attempts.len() {
        if let Poll::Ready(ended) = attempts[n].as_mut().poll(cx) {
            drop(attempts.remove(n));
            return Some(ended);
        }
    }
    None
}

/// The families by turns, beginning with that of the first, each in its own order; RFC 8305, section 4.
fn alternate(addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let liked = addrs.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<_>, Vec<_>) = addrs.into_iter().partition(|addr| addr.is_ipv6() == liked);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut alternated = Vec::new();
    loop {
        let (a, b) = (one.next(), other.next());
        if a.is_none() && b.is_none() {
            return alternated;
        }
        alternated.extend(a);
        alternated.extend(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_keep_their_order() {
        let addrs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let given = addrs(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        assert_eq!(alternate(given), addrs(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]));
        assert_eq!(alternate(addrs(&["1.1.1.1:1", "[::1]:1"])), addrs(&["1.1.1.1:1", "[::1]:1"]));
        assert!(alternate(Vec::new()).is_empty());
    }

    /// wasip1 has no addresses, and Miri no poller.
    #[cfg(not(any(all(target_os = "wasi", target_env = "p1"), miri)))]
    mod connecting {
        use super::super::*;
        use crate::block_on;
        use crate::net::{TcpListener, TcpStream};
        use crate::time::timeout;

        async fn listener(backlog: u32) -> (TcpListener, SocketAddr) {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let addr = socket.local_addr().unwrap();
            (socket.listen(backlog).await.unwrap(), addr)
        }

        /// An address at which nothing listens any more.
        async fn nobody() -> SocketAddr {
            listener(1).await.1
        }

        #[test]
        fn when_one_fails_the_next_is_tried() {
            block_on(async {
                let (_listener, good) = listener(16).await;
                let socket = race(vec![nobody().await, nobody().await, good]).await.unwrap();
                assert_eq!(socket.into_stream().peer_addr().unwrap(), good);
            });
        }

        #[test]
        fn when_all_fail_the_first_error_is_told() {
            block_on(async {
                let (first, second) = (nobody().await, nobody().await);
                let error = race(vec![first, second]).await.map(drop).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
                assert!(error.to_string().starts_with(&format!("connect {first}: ")), "{error}");
                assert_eq!(race(Vec::new()).await.map(drop).unwrap_err().kind(), io::ErrorKind::InvalidInput);
            });
        }

        #[test]
        fn one_that_takes_long_gets_company() {
            block_on(async {
                // Its connections are not accepted: when its backlog is full, an attempt goes on and on.
                let (_full, full) = listener(1).await;
                let mut waiting = Vec::new();
                while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(full)).await {
                    waiting.push(stream.unwrap());
                    assert!(waiting.len() < 1000, "the backlog has no end");
                }
                let (_listener, good) = listener(16).await;
                let raced = timeout(Duration::from_secs(60), race(vec![full, good])).await;
                let socket = raced.expect("the second does not wait for the first").unwrap();
                assert_eq!(socket.into_stream().peer_addr().unwrap(), good);
            });
        }
    }
}
