//! A handle: a resource, its slot, and the one loop by which every operation waits: try, park, try again.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::slot::{UNPARKED, Who};
use super::{Key, Reactor};
use crate::sys::{Resource, Side};

/// Owns a resource that is registered with the reactor.
pub(crate) struct Handle<R: Resource> {
    resource: R,
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
        Handle { resource, key, reactor }
    }

    pub(crate) fn get(&self) -> &R {
        &self.resource
    }

    /// Makes the resource another one, with a slot of its own.
    pub(crate) fn map<S: Resource>(mut self, into: impl FnOnce(&mut R) -> S) -> Handle<S> {
        self.reactor.remove_slot(self.resource.source(), self.key);
        let resource = into(&mut self.resource);
        self.sibling(resource)
    }

    /// Runs `op` until it says something else than `WouldBlock`, parked in between. Dropping the future takes it off the
    /// handle; nothing that was read or written is lost, because `op` runs only inside a poll that returns its result.
    pub(crate) async fn retry<T>(&self, side: Side, mut op: impl FnMut(&R) -> io::Result<T>) -> io::Result<T> {
        let mut parked = Parked { handle: self, side, id: UNPARKED };
        poll_fn(|cx| self.attempt(side, &mut parked.id, cx, &mut op)).await
    }

    /// The same for the `poll_*` functions of traits. They have no future that could be dropped: the waker stays
    /// parked until the handle is ready or closed. Of an owner's wakers the latest does; those of shared references are
    /// all kept.
    pub(crate) fn poll<T>(
        &self,
        side: Side,
        who: Who,
        cx: &mut Context<'_>,
        mut op: impl FnMut(&R) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.attempt(side, &mut (who as u32), cx, &mut op)
    }

    /// Tries, and parks under `id` if it has to wait.
    fn attempt<T>(
        &self,
        side: Side,
        id: &mut u32,
        cx: &mut Context<'_>,
        op: &mut impl FnMut(&R) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        ready!(self.reactor.poll_budget(cx));
        loop {
            let error = match op(&self.resource) {
                Ok(value) => return Poll::Ready(Ok(value)),
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => {
                    return self.park(side, id, cx).map(Err);
                }
                _ => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Ready only with an error.
    fn park(&self, side: Side, id: &mut u32, cx: &mut Context<'_>) -> Poll<io::Error> {
        if *id == UNPARKED {
            *id = self.reactor.next_id(self.key);
        }
        match self.reactor.park(self.resource.source(), self.key, side, *id, cx.waker()) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(error),
        }
    }
}

impl<R: Resource> Drop for Handle<R> {
    fn drop(&mut self) {
        self.reactor.remove_slot(self.resource.source(), self.key);
        if let Some(chore) = self.resource.close() {
            self.reactor.adopt(chore);
        }
    }
}

/// An operation that may be parked; takes itself off when it ends or is dropped.
struct Parked<'a, R: Resource> {
    handle: &'a Handle<R>,
    side: Side,
    id: u32,
}

impl<R: Resource> Drop for Parked<'_, R> {
    fn drop(&mut self) {
        if self.id != UNPARKED {
            self.handle.reactor.unpark(self.handle.resource.source(), self.handle.key, self.side, self.id);
        }
    }
}
