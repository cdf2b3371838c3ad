//! A connection's two directions, and what a listener accepts, as streams of the component model.
//!
//! wasmtime calls a producer for each read and a consumer for each write, and keeps what it needs to call again; so a side of a
//! socket is its `Arc` and the sender of how it has ended. That ends by three ways: the peer, an error, or the program drops its
//! end, which drops ours.

use std::future::Future;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;
use wasmtime::component::{Destination, Resource, Source, StreamConsumer, StreamProducer, StreamResult};
use wasmtime::{AsContextMut as _, StoreContextMut};
use wasmtime_wasi::p3::bindings::sockets::types::{ErrorCode, TcpSocket};

use super::error::code;
use super::socket::{Counted, Side, Socket};
use super::tcp::{Tcp, skips};
use crate::net::Net;
use crate::p2::State;

/// How much is read at a time for a stream that another part of the host takes, in bytes.
const TO_HOST: usize = 8 << 10;

type End = Result<(), ErrorCode>;
/// How a direction has ended, to be told once.
pub(super) type Ended = oneshot::Receiver<End>;

struct Half {
    socket: Arc<Socket>,
    end: Option<oneshot::Sender<End>>,
}

impl Half {
    fn new(socket: Arc<Socket>) -> (Half, Ended) {
        let (end, ended) = oneshot::channel();
        (Half { socket, end: Some(end) }, ended)
    }

    fn has_ended(&self) -> bool {
        self.end.is_none()
    }

    fn finish(&mut self, how: End) -> Poll<wasmtime::Result<StreamResult>> {
        if let Some(end) = self.end.take() {
            // A program that does not want to know has dropped the future.
            let _ = end.send(how);
        }
        Poll::Ready(Ok(StreamResult::Dropped))
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
}

impl Drop for Receive {
    fn drop(&mut self) {
        let _ = self.0.finish(Ok(()));
        self.0.socket.shutdown(Shutdown::Read);
    }
}

impl StreamProducer<State> for Receive {
    type Item = u8;
    type Buffer = Option<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, State>,
        to: Destination<'a, u8, Option<u8>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let half = &mut self.0;
        if half.has_ended() {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        // A read of nothing waits until there is something.
        if to.remaining(store.as_context_mut()) == Some(0) {
            return match half.socket.poll_ready(Side::Read, cx) {
                Poll::Ready(_) => Poll::Ready(Ok(StreamResult::Completed)),
                Poll::Pending => unless_cancelled(finish),
            };
        }
        let mut to = to.as_direct(store, TO_HOST);
        match half.socket.poll_receive(cx, to.remaining()) {
            Poll::Ready(Ok(0)) => half.finish(Ok(())),
            Poll::Ready(Ok(n)) => {
                to.mark_written(n);
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(Err(error)) => half.finish(Err(code(&error))),
            Poll::Pending => unless_cancelled(finish),
        }
    }
}

/// What a connection sends.
pub(super) struct Send(Half);

impl Send {
    pub(super) fn new(socket: Arc<Socket>) -> (Send, Ended) {
        let (half, ended) = Half::new(socket);
        (Send(half), ended)
    }
}

impl Drop for Send {
    fn drop(&mut self) {
        let _ = self.0.finish(Ok(()));
        self.0.socket.shutdown(Shutdown::Write);
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
        if half.has_ended() {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        let mut from = from.as_direct(store);
        let buf = from.remaining();
        // A write of nothing waits until there is room.
        if buf.is_empty() {
            return match half.socket.poll_ready(Side::Write, cx) {
                Poll::Ready(_) => Poll::Ready(Ok(StreamResult::Completed)),
                Poll::Pending => unless_cancelled(finish),
            };
        }
        match half.socket.poll_send(cx, buf) {
            Poll::Ready(Ok(n)) => {
                from.mark_read(n);
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(Err(error)) => half.finish(Err(code(&error))),
            Poll::Pending => unless_cancelled(finish),
        }
    }
}

/// What a listener accepts.
pub(super) struct Incoming {
    listener: Arc<Socket>,
    v6: bool,
    net: Arc<Net>,
    /// Waits for room among the sockets that the program may have.
    room: Option<Pin<Box<dyn Future<Output = ()> + std::marker::Send>>>,
}

impl Incoming {
    pub(super) fn new(listener: Arc<Socket>, v6: bool, net: Arc<Net>) -> Incoming {
        Incoming { listener, v6, net, room: None }
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
            let _ = ready!(self.listener.poll_ready(Side::Read, cx));
            let counted = ready!(self.poll_room(cx));
            let accepted = match ready!(self.listener.poll_accept(cx)) {
                Ok(fd) => Socket::accepted(fd, counted),
                // That connection has failed; the next one may not have.
                Err(error) if skips(&error) => continue,
                Err(error) => Err(error),
            };
            return Poll::Ready(match accepted {
                Ok(socket) => Tcp::connected(Arc::new(socket), self.v6),
                // A stream of sockets has no errors: the socket has it.
                Err(error) => Tcp::failed(code(&error), self.v6),
            });
        }
    }
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
            return match self.listener.poll_ready(Side::Read, cx) {
                Poll::Ready(_) => Poll::Ready(Ok(StreamResult::Completed)),
                Poll::Pending => unless_cancelled(finish),
            };
        }
        match self.poll_accept(cx) {
            Poll::Ready(socket) => {
                to.set_buffer(Some(super::tcp::push(store.data_mut(), socket)?));
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Pending => unless_cancelled(finish),
        }
    }
}
