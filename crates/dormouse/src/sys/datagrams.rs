//! UDP, as far as all backends do the same: which peer a socket hears, and an error that is kept for the next call.

use std::cell::Cell;
use std::io::{self, ErrorKind};
#[cfg(target_os = "wasi")]
use std::net::IpAddr;
use std::net::SocketAddr;

/// Datagrams that one call sends or receives, at the most: a task's budget. A peer that sends for ever, or a list of a million, must
/// not keep the task from its end.
const MOST_AT_ONCE: usize = 128;

/// What a backend keeps of a UDP socket beside the host's own socket.
#[derive(Default)]
pub(super) struct Datagrams {
    peer: Cell<Option<SocketAddr>>,
    /// An error that the host has reported once, to a batch that had done something already.
    failed: Cell<Option<io::Error>>,
}

impl Datagrams {
    /// The peer that the socket is connected to.
    pub(super) fn peer(&self) -> io::Result<SocketAddr> {
        self.peer.get().ok_or_else(|| ErrorKind::NotConnected.into())
    }

    pub(super) fn set_peer(&self, peer: SocketAddr) {
        self.peer.set(Some(peer));
    }

    /// True if a datagram from this address is for the program. A host filters what arrives after a connect; what is in
    /// its queue by then, or in one of ours, is filtered here.
    pub(super) fn hears(&self, from: SocketAddr) -> bool {
        let Some(peer) = self.peer.get() else { return true };
        let scope = |addr| match addr {
            SocketAddr::V6(addr) => addr.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        // Not of each address is it known which interface it belongs to.
        let scopes = [scope(peer), scope(from)];
        (peer.ip(), peer.port()) == (from.ip(), from.port()) && (scopes.contains(&0) || scopes[0] == scopes[1])
    }

    pub(super) fn keep(&self, error: io::Error) {
        self.failed.set(Some(error));
    }

    /// Returns the error that was kept, once. Each operation begins with this.
    pub(super) fn failed(&self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Receives up to `limit` datagrams, or [`MOST_AT_ONCE`], and returns how many. An error after the first one is kept.
    pub(super) fn receive_many(&self, limit: usize, mut receive: impl FnMut() -> io::Result<()>) -> io::Result<usize> {
        let limit = limit.min(MOST_AT_ONCE);
        for count in 0..limit {
            if let Err(error) = receive() {
                if count == 0 {
                    return Err(error);
                }
                if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) {
                    self.keep(error);
                }
                return Ok(count);
            }
        }
        Ok(limit)
    }

    /// Sends datagrams in order, and returns how many. An error after the first one is kept, if it tells of an earlier
    /// datagram; one about the datagram itself is met again by the next call.
    pub(super) fn send_many<D>(
        &self,
        datagrams: impl Iterator<Item = D>,
        mut send: impl FnMut(D) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut sent = 0;
        for datagram in datagrams.take(MOST_AT_ONCE) {
            if let Err(error) = send(datagram) {
                if sent == 0 {
                    return Err(error);
                }
                if tells_of_an_earlier_one(error.kind()) {
                    self.keep(error);
                }
                break;
            }
            sent += 1;
        }
        Ok(sent)
    }
}

/// True if the network sent the error back: the host reports it once, by whichever call comes next.
fn tells_of_an_earlier_one(kind: ErrorKind) -> bool {
    use ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable};
    matches!(kind, ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable | NetworkDown)
}

/// True if a socket with this address can surely be connected to that address: no route has to be found.
#[cfg(target_os = "wasi")]
pub(super) fn cannot_fail(local: IpAddr, peer: IpAddr) -> bool {
    peer.is_loopback() && (local.is_loopback() || local.is_unspecified()) && local.is_ipv4() == peer.is_ipv4()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_the_middle_of_a_batch_is_told_by_the_next_call_and_once() {
        let datagrams = Datagrams::default();
        let refused = || io::Error::from(ErrorKind::ConnectionRefused);
        let mut host = [Ok(1), Ok(1), Err(refused()), Ok(1)].into_iter();
        assert_eq!(datagrams.send_many(0..4, |_| host.next().unwrap()).unwrap(), 2);
        assert_eq!(datagrams.failed().unwrap_err().kind(), ErrorKind::ConnectionRefused);
        datagrams.failed().unwrap();

        let mut host = [Ok(()), Err(refused())].into_iter();
        assert_eq!(datagrams.receive_many(9, || host.next().unwrap()).unwrap(), 1);
        assert_eq!(datagrams.failed().unwrap_err().kind(), ErrorKind::ConnectionRefused);
        datagrams.failed().unwrap();
    }

    #[test]
    fn a_batch_ends_though_there_is_always_more() {
        let datagrams = Datagrams::default();
        assert_eq!(datagrams.receive_many(usize::MAX, || Ok(())).unwrap(), MOST_AT_ONCE);
        assert_eq!(datagrams.send_many(0.., |_| Ok(1)).unwrap(), MOST_AT_ONCE);
    }

    #[test]
    fn an_error_that_comes_again_or_is_none_is_not_kept() {
        let datagrams = Datagrams::default();
        for kind in [ErrorKind::WouldBlock, ErrorKind::PermissionDenied, ErrorKind::InvalidInput] {
            let mut host = [Ok(1), Err(kind.into())].into_iter();
            assert_eq!(datagrams.send_many(0..4, |_| host.next().unwrap()).unwrap(), 1);
            datagrams.failed().unwrap();
            let first = datagrams.send_many(0..4, |_| Err(kind.into())).unwrap_err();
            assert_eq!(first.kind(), kind);
        }
        let mut host = [Ok(()), Err(ErrorKind::WouldBlock.into())].into_iter();
        assert_eq!(datagrams.receive_many(9, || host.next().unwrap()).unwrap(), 1);
        datagrams.failed().unwrap();
    }

    #[test]
    fn a_peer_is_heard_with_its_scope_or_without() {
        let datagrams = Datagrams::default();
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(datagrams.hears(addr("127.0.0.1:1")) && datagrams.peer().is_err());
        datagrams.set_peer(addr("127.0.0.1:1"));
        assert!(datagrams.hears(addr("127.0.0.1:1")));
        assert!(!datagrams.hears(addr("127.0.0.1:2")) && !datagrams.hears(addr("127.0.0.2:1")));
        datagrams.set_peer(addr("[fe80::1%2]:1"));
        assert!(datagrams.hears(addr("[fe80::1%2]:1")) && datagrams.hears(addr("[fe80::1]:1")));
        assert!(!datagrams.hears(addr("[fe80::1%3]:1")));
    }
}
