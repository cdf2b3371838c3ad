//! A connection's two directions, and what a listener accepts, as streams of the component model.
//!
//! wasmtime calls a producer for each read and a consumer for each write, and keeps what it needs to call again; so a side of a
//! socket is its `Arc` and the sender of how it has ended. That ends by three ways: the peer, an error, or the program drops its
//! end, which drops ours.

use std::any::{Any, TypeId};
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::time::Sleep;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, Resource, Source, StreamConsumer, StreamProducer, StreamResult};
use wasmtime_wasi::p3::bindings::sockets::types::TcpSocket;

use super::end::{End, Ended, How, Interest};
use super::error;
use super::socket::Socket;
use super::tcp::Tcp;
use crate::net::Net;
use crate::net::limits::Counted;
use crate::net::returned::Taker;
use crate::net::socket::Side;
use crate::net::tcp::{self, Family};
use crate::p2::State;

/// How much is read at a time for a stream that another part of the host takes, in bytes.
const TO_HOST: usize = 8 << 10;

struct Half {
    socket: Arc<Socket>,
    end: Option<End>,
}

impl Half {
    fn new(socket: Arc<Socket>) -> (Half, Ended) {
        let (end, ended) = End::new();
        (Half { socket, end: Some(end) }, ended)
    }

    fn finish(&mut self, how: How) -> Poll<wasmtime::Result<StreamResult>> {
        if let Some(end) = self.end.take() {
            end.tell(how);
        }
        Poll::Ready(Ok(StreamResult::Dropped))
    }

    fn interest(&self, cx: &Context<'_>) -> Interest {
        self.end.as_ref().map_or(Interest::Unread, |end| end.interest(cx))
    }
}

/// `Pending`, unless the program takes its read or write back.
fn unless_cancelled(finish: bool) -> Poll<wasmtime::Result<StreamResult>> {
    if finish { Poll::Ready(Ok(StreamResult::Cancelled)) } else { Poll::Pending }
}

/// What a connection receives.
pub(super) struct Receive(Half);

impl Receive {
    pub(super) fn new(socket: Arc<Socket>) -> (Receive, Ended) {
        let (half, ended) = Half::new(socket);
        (Receive(half), ended)
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.0.socket
    }

    pub(super) fn finish(&mut self, how: How) {
        let _ = self.0.finish(how);
    }

    pub(super) fn interest(&self, cx: &Context<'_>) -> Interest {
        self.0.interest(cx)
    }
}

impl Drop for Receive {
    fn drop(&mut self) {
        self.finish(Ok(()));
        let _ = tcp::shutdown(&self.0.socket, Shutdown::Read);
    }
}

impl StreamProducer<State> for Receive {
    type Item = u8;
    type Buffer = Option<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, State>,
        to: Destination<'a, u8, Option<u8>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let half = &mut self.0;
        if half.end.is_none() {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        let mut to = to.as_direct(store, TO_HOST);
        let buf = to.remaining();
        // A read of nothing waits until there is something.
        if buf.is_empty() {
            return match half.socket.poll_wait(Side::Read, cx) {
                Poll::Ready(_) => Poll::Ready(Ok(StreamResult::Completed)),
                Poll::Pending => unless_cancelled(finish),
            };
        }
        match half.socket.poll_receive(cx, buf) {
            Poll::Ready(Ok(0)) => half.finish(Ok(())),
            Poll::Ready(Ok(n)) => {
                to.mark_written(n);
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(Err(error)) => half.finish(Err(error::of(error))),
            Poll::Pending => unless_cancelled(finish),
        }
    }

    /// Gives itself to another part of the host, if asked for by its type.
    fn try_into(me: Pin<Box<Self>>, ty: TypeId) -> Result<Box<dyn Any>, Pin<Box<Self>>> {
        if ty != TypeId::of::<Receive>() {
            return Err(me);
        }
        let me: Box<Receive> = Pin::into_inner(me);
        Ok(me)
    }
}

/// What a connection sends.
pub(super) struct Send(Half);

impl Send {
    pub(super) fn new(socket: Arc<Socket>) -> (Send, Ended) {
        let (half, ended) = Half::new(socket);
        (Send(half), ended)
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.0.socket
    }

    pub(super) fn finish(&mut self, how: How) {
        let _ = self.0.finish(how);
    }

    pub(super) fn interest(&self, cx: &Context<'_>) -> Interest {
        self.0.interest(cx)
    }
}

impl Drop for Send {
    fn drop(&mut self) {
        self.finish(Ok(()));
        let _ = tcp::shutdown(&self.0.socket, Shutdown::Write);
    }
}

impl StreamConsumer<State> for Send {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, State>,
        from: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let half = &mut self.0;
        if half.end.is_none() {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        let mut from = from.as_direct(store);
        let buf = from.remaining();
        // A write of nothing waits until there is room.
        if buf.is_empty() {
            return match half.socket.poll_wait(Side::Write, cx) {
                Poll::Ready(_) => Poll::Ready(Ok(StreamResult::Completed)),
                Poll::Pending => unless_cancelled(finish),
            };
        }
        match half.socket.poll_send(cx, buf) {
            Poll::Ready(Ok(n)) => {
                from.mark_read(n);
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(Err(error)) => half.finish(Err(error::of(error))),
            Poll::Pending => unless_cancelled(finish),
        }
    }
}

/// What a listener accepts.
pub(super) struct Incoming {
    listener: Arc<Socket>,
    family: Family,
    net: Arc<Net>,
    /// Takes what other runs of the listener have not looked at.
    returned: Option<Taker>,
    /// Waits for room among the sockets that the program may have.
    room: Option<Pin<Box<dyn Future<Output = ()> + std::marker::Send>>>,
    /// Waits until other runs have had the time to accept.
    moment: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    pub(super) fn new(listener: Arc<Socket>, family: Family, net: Arc<Net>) -> Incoming {
        Incoming { returned: listener.taker(), listener, family, net, room: None, moment: None }
    }

    /// Room for a connection. While there is none, those that have come stay in the backlog.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Counted> {
        let sockets = &self.net.sockets;
        if self.room.is_none() && sockets.take() {
            return Poll::Ready(Counted::new(sockets));
        }
        let room = self.room.get_or_insert_with(|| {
            self.net.say_full();
            Box::pin(Arc::clone(sockets).take_later())
        });
        ready!(room.as_mut().poll(cx));
        self.room = None;
        Poll::Ready(Counted::new(sockets))
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Tcp> {
        loop {
            // A listener that cannot be waited for is told as an accept that has failed.
            let is_returned = self.returned.as_ref().is_some_and(|returned| returned.has_some(cx));
            if !is_returned && let Err(error) = ready!(self.listener.poll_unless_drained(Side::Read, cx)) {
                return Poll::Ready(Tcp::failed(error::of(error), self.family));
            }
            ready!(self.listener.poll_turn(&mut self.moment, cx));
            let counted = ready!(self.poll_room(cx));
            let (accepted, unseen) = match self.returned.as_ref().and_then(Taker::take) {
                Some((fd, unseen)) => {
                    self.listener.has_taken();
                    (Ok(fd), Some(unseen))
                }
                None => (tcp::accept(&self.listener), self.returned.as_ref().map(Taker::unseen)),
            };
            return Poll::Ready(match accepted {
                Ok(fd) => Tcp::accepted(Arc::new(Socket::new(fd, &self.net, counted)), self.family, unseen),
                Err(error) if passes(&error) => continue,
                // A stream of sockets has no errors: the socket has it.
                Err(error) => Tcp::failed(error::of(error), self.family),
            });
        }
    }
}

/// Whether it is no error of the listener: nothing has come, or a connection that has failed since.
fn passes(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | Interrupted | ConnectionAborted | ConnectionReset)
}

impl StreamProducer<State> for Incoming {
    type Item = Resource<TcpSocket>;
    type Buffer = Option<Self::Item>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, State>,
        mut to: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if to.remaining(&mut store) == Some(0) {
            return match self.listener.poll_wait(Side::Read, cx) {
                Poll::Ready(_) => Poll::Ready(Ok(StreamResult::Completed)),
                Poll::Pending => unless_cancelled(finish),
            };
        }
        // A program that takes its read back gives up the listener, perhaps: a connection that it does not want stays in the backlog, which
        // other instances have, too.
        if finish {
            return Poll::Ready(Ok(StreamResult::Cancelled));
        }
        match self.poll_accept(cx) {
            Poll::Ready(socket) => {
                to.set_buffer(Some(super::tcp::push(store.data_mut(), socket)?));
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};

    use super::*;
    use crate::net::meter::Meter;
    use crate::net::policy::Policy;
    use crate::net::share::{Listeners, Share};
    use crate::stdio::{Output, Sink};

    /// A run that listens; the first one chooses the port.
    fn listens(run: Share) -> (Incoming, SocketAddr) {
        let stderr = Sink::new(Output::Null, io::stderr()).unwrap();
        let net = Net::new(Policy::allow_all(), 8, Meter::new(), stderr, Some(run));
        assert!(net.sockets.take());
        let fd = tcp::create(Family::V4).unwrap();
        let socket = Arc::new(Socket::new(fd, &net, Counted::new(&net.sockets)));
        net.bind_tcp(&socket, "127.0.0.1:0".parse().unwrap()).unwrap();
        net.listen(&socket, 8).unwrap();
        let addr = tcp::local_addr(&socket).unwrap();
        (Incoming::new(socket, Family::V4, net), addr)
    }

    async fn accept(incoming: &mut Incoming) -> Tcp {
        poll_fn(|cx| incoming.poll_accept(cx)).await
    }

    fn in_tokio<T>(main: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(main)
    }

    #[test]
    fn what_a_run_has_not_looked_at_is_accepted_by_another() {
        let listeners = Listeners::default();
        let [old, new] = [(); 2].map(|()| listens(listeners.of_a_run(None, || {})));
        let ((mut old, addr), (mut new, same)) = (old, new);
        assert_eq!(addr, same);
        in_tokio(async {
            let mut client = TcpStream::connect(addr).unwrap();
            let unseen = accept(&mut old).await;
            // The other one waits already: it is woken.
            let waits = poll_fn(|cx| Poll::Ready(new.poll_accept(cx).is_pending())).await;
            assert!(waits, "nothing is in the backlog");
            // As a program closes its listener: first what has come, then the listener.
            tokio::spawn(async move { drop((unseen, old)) });
            let taken = accept(&mut new).await;
            taken.seen();
            client.write_all(b"x").unwrap();
            let mut buf = [0; 8];
            assert_eq!(poll_fn(|cx| taken.connection().poll_receive(cx, &mut buf)).await.unwrap(), 1);
            // What it has looked at is its own, and closed when it drops it.
            drop(taken);
            assert!(poll_fn(|cx| Poll::Ready(new.poll_accept(cx).is_pending())).await);
            assert_eq!(client.read(&mut buf).unwrap(), 0);
        });
    }

    #[test]
    fn what_no_run_takes_is_closed() {
        let listeners = Listeners::default();
        let (mut only, addr) = listens(listeners.of_a_run(None, || {}));
        in_tokio(async {
            let mut client = TcpStream::connect(addr).unwrap();
            drop(accept(&mut only).await);
            drop(only);
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        });
    }

    #[test]
    fn what_every_run_drops_does_not_go_round_for_ever() {
        let listeners = Listeners::default();
        let (mut only, addr) = listens(listeners.of_a_run(None, || {}));
        in_tokio(async {
            let mut client = TcpStream::connect(addr).unwrap();
            let (mut times, mut accepted) = (0, Poll::Ready(accept(&mut only).await));
            while accepted.is_ready() {
                times += 1;
                drop(accepted);
                accepted = poll_fn(|cx| Poll::Ready(only.poll_accept(cx))).await;
            }
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
            assert!((2..20).contains(&times), "{times}");
        });
    }

    #[test]
    fn what_a_run_that_fails_has_not_looked_at_waits_for_the_next() {
        let listeners = Listeners::default();
        listeners.keep(true);
        let run = listeners.of_a_run(None, || {});
        let state = run.state();
        let (mut failing, addr) = listens(run);
        in_tokio(async {
            let mut client = TcpStream::connect(addr).unwrap();
            let unseen = accept(&mut failing).await;
            state.fails();
            drop((failing, unseen));
            let (mut next, _) = listens(listeners.of_a_run(None, || {}));
            let taken = accept(&mut next).await;
            client.write_all(b"x").unwrap();
            assert_eq!(poll_fn(|cx| taken.connection().poll_receive(cx, &mut [0])).await.unwrap(), 1);
        });
    }
}
