//! What a thread has: its handles, the loop that it is in, and what is due. Borrowed for the length of a call and never
//! while the program's code is called, so that a callback may call anything.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use dormouse::foreign::{Loop, Side};
use dormouse::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use dormouse::time::Sleep;

use crate::dm_handle;
use crate::due::{Due, Last};
use crate::error::{Error, KIND, Result};
use crate::poll::dm_event;
use crate::table::Table;
use crate::wait::{Call, Waiting};

pub(crate) struct State {
    pub(crate) table: Table<Entry>,
    pub(crate) mode: Option<Mode>,
    /// To be called, in this order.
    pub(crate) calls: Due<DueCall>,
    /// To be reported.
    pub(crate) events: Due<dm_event>,
    /// How many calls would be made if something happened.
    pub(crate) pending: usize,
    /// How many operations the callback that runs may still do.
    pub(crate) budget: u32,
    /// How many more it has done: what an operation moves is known afterwards.
    pub(crate) overspent: u32,
    /// What [`dm_stop`](crate::run::dm_stop) was given.
    pub(crate) stopped: Option<i32>,
    /// How many `dm_poll` have not asked the host.
    pub(crate) polls: u32,
}

/// A budget that is never spent: a scheduler of the program's own sees to fairness itself.
pub(crate) const UNLIMITED: u32 = u32::MAX;

/// An operation counts as one more for each so many bytes.
const BYTES_PER_OPERATION: usize = 2 * 1024;

/// Which of the two loops runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `dm_run`'s.
    Run,
    /// The program's, between `dm_begin` and `dm_end`.
    Own,
    /// The same, and it is in `dm_poll`.
    Polling,
}

/// A call that is due; and of which handle.
pub(crate) struct DueCall {
    pub(crate) call: Call,
    pub(crate) of: dm_handle,
    /// 0 for a timer, which goes with its call.
    pub(crate) side: u32,
}

/// What a handle names, and its waiters.
pub(crate) struct Entry {
    pub(crate) object: Object,
    pub(crate) sides: [Queue; 2],
}

/// The waiters of one side. While there is one, a waker is parked there.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) list: Vec<Waiting>,
    waker: Option<Waker>,
    /// What is due of it. A timer has its call at the first side.
    pub(crate) calls: Last,
    pub(crate) events: Last,
}

/// ```text
///   Opening ──▶ Listener | Stream | Udp | Names
///      └──────▶ Failed
/// ```
pub(crate) enum Object {
    Opening(Pin<Box<dyn Future<Output = io::Result<Object>>>>),
    Failed(io::Error),
    Listener(TcpListener),
    Stream(TcpStream),
    Udp(UdpSocket),
    Names(std::vec::IntoIter<SocketAddr>),
    Timer(Sleep, Call),
}

thread_local! {
    static STATE: RefCell<State> = const { RefCell::new(State {
        table: Table::new(),
        mode: None,
        calls: Due::new(),
        events: Due::new(),
        pending: 0,
        budget: UNLIMITED,
        overspent: 0,
        stopped: None,
        polls: 0,
    }) };
    /// The loop of [`State::mode`]. By itself, since waiting in it calls wakers. Dropped by [`leave`] alone: a program in C may end by
    /// `exit`, inside a callback, and what a loop needs of its thread may be gone when that lets go of everything.
    static LOOP: RefCell<Option<ManuallyDrop<Loop>>> = const { RefCell::new(None) };
    /// What wakers have reported and the loop has not handled yet. A cell of its own, since a waker may be called at any time.
    static FIRED: RefCell<Vec<(dm_handle, What)>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn with<T>(body: impl FnOnce(&mut State) -> T) -> T {
    STATE.with(|state| body(&mut state.borrow_mut()))
}

/// Whether the thread has ended as far as we are concerned: C may go on, in what `atexit` was given, and has no handle any more.
pub(crate) fn is_gone() -> bool {
    STATE.try_with(|_| ()).is_err()
}

pub(crate) fn has_fired() -> bool {
    FIRED.with(|fired| !fired.borrow().is_empty())
}

/// Enters a loop.
pub(crate) fn enter(mode: Mode) -> Result<()> {
    if with(|state| state.mode.is_some()) {
        return Err(Error::Misuse(libc::EBUSY, "this thread is in dm_run, or between dm_begin and dm_end, already"));
    }
    let entered = Loop::enter()?;
    LOOP.with(|slot| slot.replace(Some(ManuallyDrop::new(entered))));
    with(|state| {
        state.mode = Some(mode);
        state.stopped = None;
    });
    Ok(())
}

/// Leaves the loop. Waiters are not told any more, and what has been written gets up to five seconds.
pub(crate) fn leave() {
    with(|state| {
        state.calls.clear();
        state.events.clear();
        state.budget = UNLIMITED;
        let timers: Vec<_> =
            state.table.iter_mut().filter(|(_, entry)| entry.is_timer()).map(|(timer, _)| timer).collect();
        for timer in timers {
            let _ = state.table.remove(timer);
        }
        for (_, entry) in state.table.iter_mut() {
            entry.sides = Default::default();
            entry.unpark(Side::Read);
            entry.unpark(Side::Write);
        }
        state.pending = 0;
        state.mode = None;
    });
    let left = LOOP.with(|slot| slot.take());
    drop(left.map(ManuallyDrop::into_inner));
}

/// Makes a wait of the loop that the thread is in.
pub(crate) fn turn(wait: impl FnOnce(&Loop) -> io::Result<()>) -> Result<()> {
    let turned = LOOP.with(|slot| slot.borrow().as_deref().map(wait));
    match turned.ok_or(crate::error::NO_LOOP)? {
        // What the host's end of it says is for programs in Rust.
        Err(error) if error.kind() == io::ErrorKind::Deadlock => Err(crate::error::STALLED),
        turned => Ok(turned?),
    }
}

/// What has happened to a handle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Ready(Side),
    /// A future of its own may go on.
    Future,
}

struct Mark(dm_handle, What);

impl Wake for Mark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // At the end of the thread there is no loop left to tell.
        let _ = FIRED.try_with(|fired| fired.borrow_mut().push((self.0, self.1)));
    }
}

fn waker(handle: dm_handle, what: What) -> Waker {
    Waker::from(Arc::new(Mark(handle, what)))
}

impl State {
    /// Adds what is open.
    pub(crate) fn insert(&mut self, object: Object) -> Result<dm_handle> {
        self.table.insert(Entry { object, sides: Default::default() })
    }

    /// Adds what is being opened. If that is done at once, so is what has gone wrong.
    pub(crate) fn open(&mut self, future: impl Future<Output = io::Result<Object>> + 'static) -> Result<dm_handle> {
        let handle = self.insert(Object::Opening(Box::pin(future)))?;
        if let Some(error) = self.go_on(handle) {
            let _ = self.table.remove(handle);
            return Err(error.into());
        }
        Ok(handle)
    }

    /// Goes on opening it, and tells what went wrong if that is over.
    fn go_on(&mut self, handle: dm_handle) -> Option<io::Error> {
        let entry = self.table.get(handle).ok()?;
        let Object::Opening(future) = &mut entry.object else { return None };
        match future.as_mut().poll(&mut Context::from_waker(&waker(handle, What::Future))) {
            Poll::Pending => None,
            Poll::Ready(Ok(object)) => {
                entry.object = object;
                None
            }
            Poll::Ready(Err(error)) => Some(error),
        }
    }

    /// A timer, which makes a call when it is over.
    pub(crate) fn sleep(&mut self, sleep: Sleep, call: Call) -> Result<dm_handle> {
        let timer = self.insert(Object::Timer(sleep, call))?;
        self.pending += 1;
        self.look_at_timer(timer);
        Ok(timer)
    }

    fn look_at_timer(&mut self, timer: dm_handle) {
        let Ok(Entry { object: Object::Timer(sleep, call), sides: [queue, _] }) = self.table.get(timer) else { return };
        if !sleep.is_elapsed() && Pin::new(sleep).poll(&mut Context::from_waker(&waker(timer, What::Future))).is_ready()
        {
            let call = *call;
            self.pending -= 1;
            self.calls.push(DueCall { call, of: timer, side: 0 }, &mut queue.calls);
        }
    }

    /// Sees to all that the wakers have said.
    pub(crate) fn see_to_fired(&mut self) {
        let mut fired = FIRED.with(|fired| fired.take());
        for (handle, what) in fired.drain(..) {
            match what {
                What::Ready(side) => self.fire(handle, side),
                What::Future => self.see_to_future(handle),
            }
        }
        FIRED.with(|slot| {
            let mut slot = slot.borrow_mut();
            // Dropping a future may have called a waker; usually the vector's memory is kept.
            if slot.is_empty() {
                *slot = fired;
            }
        });
    }

    fn see_to_future(&mut self, handle: dm_handle) {
        self.look_at_timer(handle);
        let failed = self.go_on(handle);
        let Ok(entry) = self.table.get(handle) else { return };
        if let Some(error) = failed {
            entry.object = Object::Failed(error);
        }
        if !matches!(entry.object, Object::Opening(_)) {
            self.fire(handle, Side::Read);
            self.fire(handle, Side::Write);
        }
    }

    /// Makes the waiters of this side due.
    pub(crate) fn fire(&mut self, handle: dm_handle, side: Side) {
        let State { table, calls, events, pending, .. } = self;
        let Ok(entry) = table.get(handle) else { return };
        entry.sides[side as usize].fire(handle, side, calls, events, pending);
    }

    /// One operation of the callback that runs. When it has done many, others come first.
    pub(crate) fn spend(&mut self) -> Result<()> {
        if self.budget != UNLIMITED {
            self.budget = self.budget.checked_sub(1).ok_or(Error::Again)?;
        }
        Ok(())
    }

    /// An operation has moved so many bytes: as much as so many operations.
    pub(crate) fn spend_bytes(&mut self, bytes: usize) {
        if self.budget != UNLIMITED {
            let units = u32::try_from(bytes / BYTES_PER_OPERATION).unwrap_or(u32::MAX);
            self.overspent = self.overspent.saturating_add(units.saturating_sub(self.budget));
            self.budget = self.budget.saturating_sub(units);
        }
    }

    /// An open socket, and one operation on it.
    pub(crate) fn operate<T>(
        &mut self,
        handle: dm_handle,
        operation: impl FnOnce(&Object) -> Option<io::Result<T>>,
    ) -> Result<T> {
        self.table.get(handle)?;
        self.spend()?;
        self.ask(handle, operation)
    }

    /// The same for what is no operation, but a question.
    pub(crate) fn ask<T>(
        &mut self,
        handle: dm_handle,
        question: impl FnOnce(&Object) -> Option<io::Result<T>>,
    ) -> Result<T> {
        match &self.table.get(handle)?.object {
            Object::Opening(_) => Err(Error::Again),
            Object::Failed(error) => Err(again(error).into()),
            object => Ok(question(object).ok_or(KIND)??),
        }
    }
}

impl Queue {
    pub(crate) fn fire(
        &mut self,
        handle: dm_handle,
        side: Side,
        calls: &mut Due<DueCall>,
        events: &mut Due<dm_event>,
        pending: &mut usize,
    ) {
        let bit = bit(side);
        for waiting in self.list.drain(..) {
            match waiting {
                Waiting::Call(call) => {
                    *pending -= 1;
                    calls.push(DueCall { call, of: handle, side: bit }, &mut self.calls);
                }
                Waiting::Token(token) => {
                    events.push(dm_event { token, handle, side: bit, _reserved: 0 }, &mut self.events);
                }
            }
        }
    }
}

/// The same error once more.
pub(crate) fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// As C knows it.
pub(crate) fn bit(side: Side) -> u32 {
    match side {
        Side::Read => crate::DM_READ,
        Side::Write => crate::DM_WRITE,
    }
}

impl Entry {
    pub(crate) fn is_timer(&self) -> bool {
        matches!(self.object, Object::Timer(..))
    }

    /// Parks a waker, unless one is parked there; an error if it is worth a try at once.
    pub(crate) fn park(&mut self, handle: dm_handle, side: Side) -> io::Result<()> {
        let queue = &mut self.sides[side as usize];
        let waker = queue.waker.get_or_insert_with(|| waker(handle, What::Ready(side)));
        match &self.object {
            _ if !queue.list.is_empty() => Ok(()),
            Object::Listener(listener) => listener.park(side, waker),
            Object::Stream(stream) => stream.park(side, waker),
            Object::Udp(socket) => socket.park(side, waker),
            // Its future tells.
            Object::Opening(_) => Ok(()),
            Object::Failed(_) | Object::Names(_) | Object::Timer(..) => Err(io::ErrorKind::Other.into()),
        }
    }

    pub(crate) fn unpark(&self, side: Side) {
        match &self.object {
            Object::Listener(listener) => listener.unpark(side),
            Object::Stream(stream) => stream.unpark(side),
            Object::Udp(socket) => socket.unpark(side),
            _ => {}
        }
    }
}
