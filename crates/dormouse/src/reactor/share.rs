//! A share of a handle: what each clone of a listener or stream has. The source goes with the last of them, or when one
//! closes it for all.

use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::slot::{Id, OWNERS};
use super::{Handle, Moved};
use crate::sys::{Side, Source};

/// One owner of a handle. Its `poll_*` functions leave one waker a side behind, which goes with the share.
pub(crate) struct Share {
    handle: Rc<Handle>,
    id: Id,
}

impl Share {
    pub(crate) fn new(handle: Handle) -> Self {
        Share { handle: Rc::new(handle), id: OWNERS }
    }

    /// Another owner of the same.
    pub(crate) fn another(&self) -> Self {
        Share { id: self.handle.next_id(), handle: Rc::clone(&self.handle) }
    }

    /// The same, but an error if the handle is closed.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        self.handle.with(|_| Ok(self.another()))
    }

    /// Whether both are shares of one handle.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.handle, &other.handle)
    }

    /// As [`Handle::poll_shared`], for the owner alone: the latest waker is kept.
    pub(crate) fn poll_owned<T: Moved>(
        &self,
        side: Side,
        cx: &mut Context<'_>,
        op: impl FnMut(&Source) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.handle.poll(side, &mut { self.id }, cx, op)
    }

    /// Parks the owner's waker, the latest of which is kept, without a try. [`unpark`](Self::unpark) takes it off.
    pub(crate) fn park(&self, side: Side, waker: &Waker) -> io::Result<()> {
        self.handle.park_untried(side, self.id, &mut Context::from_waker(waker))
    }

    pub(crate) fn unpark(&self, side: Side) {
        self.handle.unpark(side, self.id);
    }
}

impl Deref for Share {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // The last one closes it, and that takes all waiters off.
        if Rc::strong_count(&self.handle) > 1 {
            self.unpark(Side::Read);
            self.unpark(Side::Write);
        }
    }
}
