//! A handle: a source, its slot, and the one loop by which every operation waits: try, park, try again.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::slot::{Id, OWNERS, SHARED, Slot, UNPARKED};
use super::{Key, Next, Reactor};
use crate::contain::SafeWaker;
use crate::io::closed;
use crate::sys::{Poller, Side, Source, Wait};
use crate::time::Instant;

/// What an operation has done: how many bytes it has moved counts.
pub(crate) trait Moved {
    fn bytes(&self) -> usize {
        0
    }
}

impl Moved for usize {
    fn bytes(&self) -> usize {
        *self
    }
}

impl Moved for (usize, SocketAddr) {
    fn bytes(&self) -> usize {
        self.0
    }
}

/// A place in a file.
impl Moved for u64 {}
impl Moved for () {}
impl Moved for Option<SocketAddr> {}
impl Moved for (Source, SocketAddr) {}

/// Owns a source that is registered with the reactor, until it is closed.
pub(crate) struct Handle {
    /// Gone once the handle is closed. Borrowed for as long as an operation is with the host and no longer, so nothing
    /// is in flight when it goes.
    source: RefCell<Option<Source>>,
    key: Key,
    reactor: Rc<Reactor>,
    /// How long the last pause was, in milliseconds; 0 after something has been accepted.
    pause: Cell<u16>,
}

/// The first pause, and the longest, in milliseconds; those of Go's `net/http`.
const FIRST_PAUSE: u16 = 5;
const LONGEST_PAUSE: u16 = 1000;

impl Handle {
    pub(crate) fn new(source: Source) -> io::Result<Self> {
        let reactor = Reactor::current()?;
        Ok(Self::new_on(reactor, source))
    }

    /// A handle on the same reactor as another one.
    pub(crate) fn sibling(&self, source: Source) -> Handle {
        Handle::new_on(Rc::clone(&self.reactor), source)
    }

    fn new_on(reactor: Rc<Reactor>, source: Source) -> Self {
        let key = reactor.add_slot();
        Handle { source: RefCell::new(Some(source)), key, reactor, pause: Cell::new(0) }
    }

    /// Whether it is registered with this thread's reactor: in a simulation that is another than outside.
    pub(crate) fn is_of_this_reactor(&self) -> bool {
        Reactor::current().is_ok_and(|reactor| Rc::ptr_eq(&reactor, &self.reactor))
    }

    /// Makes the source another one, which the poller does not know yet.
    pub(crate) fn change(&mut self, into: fn(Source) -> Source) {
        self.reactor.disarm(self.key);
        let source = self.source.get_mut();
        *source = source.take().map(into);
    }

    /// Changes the source in a way that the poller must not see. Parked tasks are woken, to park on what it is then.
    pub(crate) fn replace<T>(&self, change: impl FnOnce(&mut Source) -> io::Result<T>) -> io::Result<T> {
        let (result, woken) = match self.source.try_borrow_mut().as_deref_mut() {
            Ok(Some(source)) => {
                let woken = self.reactor.reset(self.key);
                (change(source), woken)
            }
            _ => return Err(closed()),
        };
        woken.into_iter().for_each(SafeWaker::wake);
        result
    }

    /// Wakes all that is parked on a side, to try again.
    pub(crate) fn wake(&self, side: Side) {
        self.reactor.take_parked(self.key, side).into_iter().for_each(SafeWaker::wake);
    }

    /// Calls what does not wait.
    pub(crate) fn with<T>(&self, call: impl FnOnce(&Source) -> io::Result<T>) -> io::Result<T> {
        match self.source.try_borrow().as_deref() {
            Ok(Some(source)) => call(source),
            _ => Err(closed()),
        }
    }

    /// Releases the source, and wakes the parked tasks: operations that are in progress, and all that come later, are
    /// refused.
    pub(crate) fn close(&self) -> io::Result<()> {
        let source = self.source.try_borrow_mut().ok().and_then(|mut source| source.take()).ok_or_else(closed)?;
        let slot = self.release(source);
        slot.into_iter().flat_map(Slot::into_wakers).for_each(SafeWaker::wake);
        Ok(())
    }

    /// Takes the source, which no operation uses now, from the reactor, and then drops it.
    fn release(&self, source: Source) -> Option<Slot> {
        let slot = self.reactor.remove_slot(self.key);
        self.reactor.let_go(source);
        slot
    }

    /// Sets the deadline of operations on these sides, also of those that are parked; `None` is none.
    pub(crate) fn set_deadline(&self, sides: &[Side], deadline: Option<Instant>) -> io::Result<()> {
        self.reactor.set_deadline(self.key, sides, deadline)
    }

    /// Runs `op` until it says something else than `WouldBlock`, parked in between. Dropping the future takes it off the
    /// handle; nothing that was read or written is lost, because `op` runs only inside a poll that returns its result.
    pub(crate) async fn retry<T: Moved>(
        &self,
        side: Side,
        mut op: impl FnMut(&Source) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut parked = Parked { handle: self, side, id: UNPARKED };
        poll_fn(|cx| self.poll(side, &mut parked.id, cx, &mut op)).await
    }

    /// Runs `op` once, and parks no task.
    pub(crate) fn try_once<T>(&self, side: Side, mut op: impl FnMut(&Source) -> io::Result<T>) -> io::Result<T> {
        match self.reactor.next(self.key, side, SHARED) {
            Next::Try => {}
            Next::Park => return Err(io::ErrorKind::WouldBlock.into()),
            Next::Expired => return Err(io::ErrorKind::TimedOut.into()),
        }
        loop {
            match self.with(&mut op) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if Poller::EDGES && error.kind() == io::ErrorKind::WouldBlock => {
                    self.reactor.tried(self.key, side);
                    return Err(error);
                }
                result => return result,
            }
        }
    }

    /// Whether the host is asked about a side, and has not answered yet.
    pub(crate) fn is_armed(&self, side: Side) -> bool {
        self.reactor.is_armed(self.key, side)
    }

    /// Parks under `id` without a try; [`try_once`](Self::try_once) may have been one.
    pub(super) fn park_untried(&self, side: Side, mut id: Id, cx: &mut Context<'_>) -> io::Result<()> {
        if let Next::Expired = self.reactor.next(self.key, side, SHARED) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match self.park(side, &mut id, false, cx) {
            Poll::Ready(refused) => refused,
            Poll::Pending => Ok(()),
        }
    }

    /// [`retry`](Self::retry) for `poll_*` functions through shared references. They have no future that could be dropped: the waker
    /// stays parked until the handle is ready, refused or closed, or until stale wakers are purged (`Waiters::is_crowd`).
    pub(crate) fn poll_shared<T: Moved>(
        &self,
        side: Side,
        cx: &mut Context<'_>,
        op: impl FnMut(&Source) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.poll(side, &mut { SHARED }, cx, op)
    }

    pub(super) fn poll<T: Moved>(
        &self,
        side: Side,
        id: &mut Id,
        cx: &mut Context<'_>,
        mut op: impl FnMut(&Source) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let mut polled = Poll::Pending;
        let mut op = |source: &Source| {
            let done = op(source)?;
            let bytes = done.bytes();
            polled = Poll::Ready(Ok(done));
            Ok(bytes)
        };
        match self.attempt(side, id, cx, &mut op) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => polled,
        }
    }

    /// Tries, and parks under `id` if it has to wait. Closed comes before expired, and expired before what the host says.
    ///
    /// Not generic: there is one of it, however many operations a program has.
    fn attempt(
        &self,
        side: Side,
        id: &mut Id,
        cx: &mut Context<'_>,
        op: &mut dyn FnMut(&Source) -> io::Result<usize>,
    ) -> Poll<io::Result<()>> {
        ready!(self.reactor.poll_budget(cx));
        loop {
            match self.reactor.next(self.key, side, *id) {
                Next::Try => {}
                Next::Park => break,
                Next::Expired => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            }
            let error = match self.with(&mut *op) {
                Ok(bytes) => {
                    self.reactor.spend(bytes);
                    return Poll::Ready(Ok(()));
                }
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => break,
                _ => return Poll::Ready(Err(error)),
            }
        }
        self.reactor.give_back();
        self.park(side, id, true, cx)
    }

    /// Ready only with an error.
    fn park(&self, side: Side, id: &mut Id, is_tried: bool, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if *id == UNPARKED {
            *id = self.reactor.next_id();
        }
        // Cloned first and dropped last: both are foreign code, and may do anything with this handle.
        let mut waker = Some(SafeWaker::new(cx.waker()));
        let mut crowd = Vec::new();
        let parked =
            self.with(|source| self.reactor.park(source, (self.key, side, *id), is_tried, &mut waker, &mut crowd));
        crowd.into_iter().for_each(SafeWaker::wake);
        match parked {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Reads nothing for a while: 5 ms, and twice as long each time until [`end_pauses`](Self::end_pauses), up to a second. All that is
    /// tried meanwhile waits.
    #[cold]
    pub(crate) fn pause(&self) {
        let pause = (2 * self.pause.get()).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.pause.set(pause);
        self.reactor.pause(self.key, Duration::from_millis(pause.into()));
    }

    /// The next pause is a short one.
    pub(crate) fn end_pauses(&self) {
        self.pause.set(0);
    }

    /// What an operation has moved that does not tell it by what it returns.
    pub(crate) fn spend(&self, bytes: usize) {
        self.reactor.spend(bytes);
    }

    /// A number for another owner.
    pub(super) fn next_id(&self) -> Id {
        OWNERS | self.reactor.next_id()
    }

    /// Takes a parked operation off.
    pub(super) fn unpark(&self, side: Side, id: Id) {
        self.reactor.unpark(self.key, side, id);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // The wakers that are left are stale: an operation that waits holds the handle.
        if let Some(source) = self.source.get_mut().take() {
            self.release(source);
        }
    }
}

/// An operation that may be parked; takes itself off when it ends or is dropped.
struct Parked<'a> {
    handle: &'a Handle,
    side: Side,
    id: Id,
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        if self.id != UNPARKED {
            self.handle.unpark(self.side, self.id);
        }
    }
}
