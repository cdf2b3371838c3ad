//! A handle: a resource, its slot, and the one loop by which every operation waits: try, park, try again.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::{Key, Reactor};
use crate::sys::{Resource, Side};

/// Owns a resource that is registered with the reactor.
pub(crate) struct Handle<R: Resource> {
    /// Always there until the handle is dropped.
    resource: Option<R>,
    key: Key,
    reactor: Rc<Reactor>,
}

impl<R: Resource> Handle<R> {
    pub(crate) fn new(resource: R) -> io::Result<Self> {
        let reactor = Reactor::current()?;
        Ok(Self::new_on(reactor, resource))
    }

    /// A handle on the same reactor as another one.
    pub(crate) fn sibling<S: Resource>(&self, resource: S) -> Handle<S> {
        Handle::new_on(Rc::clone(&self.reactor), resource)
    }

    fn new_on(reactor: Rc<Reactor>, resource: R) -> Self {
        let key = reactor.add_slot();
        Handle { resource: Some(resource), key, reactor }
    }

    pub(crate) fn get(&self) -> &R {
        match &self.resource {
            Some(resource) => resource,
            None => unreachable!("a handle holds its resource until it is dropped"),
        }
    }

    /// Makes the resource another one, with a slot of its own.
    pub(crate) fn map<S: Resource>(mut self, into: impl FnOnce(R) -> S) -> Handle<S> {
        self.reactor.remove_slot(self.get().source(), self.key);
        match self.resource.take() {
            Some(resource) => self.sibling(into(resource)),
            None => unreachable!("a handle holds its resource until it is dropped"),
        }
    }

    /// Runs `op` until it says something else than `WouldBlock`, parked in between. Dropping the future takes it off the
    /// handle; nothing that was read or written is lost, because `op` runs only inside a poll that returns its result.
    pub(crate) async fn retry<T>(&self, side: Side, mut op: impl FnMut(&R) -> io::Result<T>) -> io::Result<T> {
        let mut parked = Parked { handle: self, side, id: 0 };
        poll_fn(|cx| {
            let result = ready!(self.attempt(cx, &mut op));
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if parked.id == 0 {
                        parked.id = self.reactor.next_id(self.key);
                    }
                    self.park(side, parked.id, cx)
                }
                result => Poll::Ready(result),
            }
        })
        .await
    }

    /// The same for the `poll_*` functions of traits. They have no future that could be dropped: the waker stays
    /// parked until the handle is ready or closed.
    pub(crate) fn poll<T>(
        &self,
        side: Side,
        cx: &mut Context<'_>,
        mut op: impl FnMut(&R) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        match ready!(self.attempt(cx, &mut op)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.park(side, 0, cx),
            result => Poll::Ready(result),
        }
    }

    fn attempt<T>(&self, cx: &mut Context<'_>, op: &mut impl FnMut(&R) -> io::Result<T>) -> Poll<io::Result<T>> {
        ready!(self.reactor.poll_budget(cx));
        loop {
            match op(self.get()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn park<T>(&self, side: Side, id: u32, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        match self.reactor.park(self.get().source(), self.key, side, id, cx.waker()) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl<R: Resource> Drop for Handle<R> {
    fn drop(&mut self) {
        let Some(resource) = self.resource.take() else { return };
        self.reactor.remove_slot(resource.source(), self.key);
        if let Some(chore) = resource.close() {
            self.reactor.adopt(chore);
        }
    }
}

/// An operation that may be parked; takes itself off when it ends or is dropped.
struct Parked<'a, R: Resource> {
    handle: &'a Handle<R>,
    side: Side,
    /// 0 until it first parks.
    id: u32,
}

impl<R: Resource> Drop for Parked<'_, R> {
    fn drop(&mut self) {
        if self.id != 0 {
            self.handle.reactor.unpark(self.handle.get().source(), self.handle.key, self.side, self.id);
        }
    }
}
