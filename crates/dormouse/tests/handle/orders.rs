//! Every order of start, cancel, deadline, close, ready and the passing of time, for two tasks on one handle, against a
//! model that fits on a page: an operation ends as soon as it can, closed before timed out before what the peer did.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;

use dormouse::JoinHandle;
use dormouse::net::{TcpListener, TcpStream, is_closed};
use dormouse::sim::{Faults, Leaks, choose, explore};
use dormouse::time::{Duration, Instant, sleep};
use futures_lite::AsyncRead;
use futures_lite::future::poll_once;

use super::pair;

/// Far more than settling takes, so that time passes only where the script says so.
const SOON: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Read,
    Write,
}

/// How an operation has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    TimedOut,
    Closed,
}

impl End {
    fn of<T>(result: io::Result<T>) -> End {
        match result {
            Ok(_) => End::Done,
            Err(error) if is_closed(&error) => End::Closed,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => End::TimedOut,
            Err(error) => panic!("{error}"),
        }
    }
}

/// An operation that a task does; the model says how it has to end.
struct Operation {
    side: Side,
    task: JoinHandle<()>,
    end: Rc<Cell<Option<End>>>,
}

/// What is known of one side of the handle.
#[derive(Clone, Copy, Default)]
struct Model {
    deadline: Option<Instant>,
    /// Bytes that may be read, or written.
    ready: usize,
}

struct Script {
    near: Rc<TcpStream>,
    far: TcpStream,
    closed: bool,
    sides: [Model; 2],
    /// The two tasks.
    operations: [Option<Operation>; 2],
}

/// The model: how operations that wait on one side must have ended, once all tasks have run. It leaves open which of two gets the one
/// thing that is ready.
fn check(ends: &[Option<End>], closed: bool, expired: bool, ready: &mut usize) {
    let refused = if closed {
        Some(End::Closed)
    } else if expired {
        Some(End::TimedOut)
    } else {
        None
    };
    if refused.is_some() {
        assert!(ends.iter().all(|&end| end == refused), "{ends:?}, and not all {refused:?}");
        return;
    }
    let done = ends.iter().filter(|&&end| end == Some(End::Done)).count();
    assert_eq!(done, ends.len().min(*ready), "{ends:?}, with {ready} ready");
    assert!(ends.iter().all(|end| matches!(end, None | Some(End::Done))), "{ends:?}, and nothing refuses them");
    *ready -= done;
}

/// Lets all tasks run until none can.
async fn sleep_a_little() {
    for _ in 0..4 {
        sleep(Duration::from_nanos(1)).await;
    }
}

impl Script {
    async fn new() -> Script {
        let (near, far) = pair().await;
        let sides = [Model::default(), Model { ready: 1, ..Model::default() }];
        let near = Rc::new(near);
        Script { near, far, closed: false, sides, operations: [None, None] }
    }

    fn start(&mut self, task: usize, side: Side, operate: impl AsyncFnOnce() -> End + 'static) {
        let end = Rc::new(Cell::new(None));
        let told = Rc::clone(&end);
        let run = dormouse::spawn(async move { told.set(Some(operate().await)) });
        self.operations[task] = Some(Operation { side, task: run, end });
    }

    /// One byte at a time, so that each byte serves one read.
    fn read(&mut self, task: usize) {
        let near = Rc::clone(&self.near);
        self.start(task, Side::Read, async move || End::of(near.read(&mut [0]).await));
    }

    /// Through the trait of a shared reference, which leaves a waker behind when it is dropped.
    fn poll_read(&mut self, task: usize) {
        let near = Rc::clone(&self.near);
        let read = async move || {
            let mut near = &*near;
            End::of(poll_fn(|cx| Pin::new(&mut near).poll_read(cx, &mut [0])).await)
        };
        self.start(task, Side::Read, read);
    }

    fn write(&mut self, task: usize) {
        let near = Rc::clone(&self.near);
        self.start(task, Side::Write, async move || End::of(near.write(b"x").await));
    }

    fn cancel(&mut self, task: usize) {
        if let Some(operation) = self.operations[task].take() {
            operation.task.abort();
        }
    }

    fn set_deadline(&mut self, side: Option<Side>, deadline: Option<Instant>) {
        let set = match side {
            None => self.near.set_deadline(deadline),
            Some(Side::Read) => self.near.set_read_deadline(deadline),
            Some(Side::Write) => self.near.set_write_deadline(deadline),
        };
        assert_eq!(set.is_err_and(|error| is_closed(&error)), self.closed);
        for (model, its) in self.sides.iter_mut().zip([Side::Read, Side::Write]) {
            if side.is_none_or(|side| side == its) {
                model.deadline = deadline;
            }
        }
    }

    fn close(&mut self) {
        assert_eq!(self.near.close().is_err_and(|error| is_closed(&error)), self.closed);
        self.closed = true;
    }

    /// The peer sends one byte, if there is room for it.
    async fn peer_sends(&mut self) {
        if poll_once(self.far.write(b"x")).await.is_some_and(|sent| sent.is_ok()) {
            self.sides[Side::Read as usize].ready += 1;
        }
    }

    /// The peer reads one byte, if one has come: room for another.
    async fn peer_reads(&mut self) {
        if poll_once(self.far.read(&mut [0])).await.is_some_and(|read| read.is_ok_and(|n| n > 0)) {
            self.sides[Side::Write as usize].ready += 1;
        }
    }

    /// Lets all tasks run until none can; then all is as the model says.
    async fn settle(&mut self) {
        sleep_a_little().await;
        let now = Instant::now();
        for side in [Side::Read, Side::Write] {
            let model = &mut self.sides[side as usize];
            let expired = model.deadline.is_some_and(|deadline| deadline <= now);
            let mut ends = Vec::new();
            for place in &mut self.operations {
                if let Some(operation) = place.take_if(|operation| operation.side == side) {
                    ends.push(operation.end.get());
                    if operation.end.get().is_none() {
                        *place = Some(operation);
                    }
                }
            }
            if !ends.is_empty() {
                check(&ends, self.closed, expired, &mut model.ready);
            }
        }
    }

    /// Whatever has happened, what waits is woken: first by readiness, then by closing. And nothing is left.
    async fn end(mut self) {
        self.settle().await;
        if !self.closed {
            self.set_deadline(None, None);
            for _ in 0..2 {
                self.peer_sends().await;
                self.peer_reads().await;
                self.settle().await;
            }
        }
        if !self.closed {
            self.close();
        }
        self.settle().await;
        assert!(self.operations.iter().all(Option::is_none));
    }
}

/// One event of the script. With `both`, operations of both sides.
async fn step(script: &mut Script, both: bool) {
    let task = |script: &Script| usize::from(script.operations[0].is_some());
    match choose(if both { 12 } else { 9 }) {
        0 => script.settle().await,
        1 if task(script) == 0 || script.operations[1].is_none() => script.read(task(script)),
        2 => script.cancel(0),
        3 => script.cancel(1),
        4 => script.set_deadline(None, Some(Instant::now())),
        5 => script.set_deadline(None, Some(Instant::now() + SOON)),
        6 => script.set_deadline(None, None),
        7 => script.close(),
        8 => script.peer_sends().await,
        9 if script.operations[1].is_none() => script.write(task(script)),
        10 => script.set_deadline(Some(Side::Read), Some(Instant::now() + SOON)),
        11 => {
            script.settle().await;
            sleep(SOON).await;
            script.settle().await;
        }
        _ => {}
    }
}

/// Runs a script for every sequence of choices, and tells how many there were.
fn every_order(faults: Faults, script: impl AsyncFn()) -> u64 {
    explore(faults, |sim| {
        let run = sim.buffer(1).run(async {
            script().await;
        });
        assert_eq!(run.leaks, Leaks::default(), "after {:?}", run.choices);
        run.unwrap();
    })
}

#[test]
fn every_order_of_six_events_with_two_readers_ends_as_the_model_says() {
    let runs = every_order(Faults::none(), async || {
        let mut script = Script::new().await;
        script.read(0);
        for _ in 0..5 {
            step(&mut script, false).await;
        }
        script.end().await;
    });
    assert_eq!(runs, 9_u64.pow(5));
}

#[test]
fn every_order_of_four_events_with_a_reader_and_a_writer_ends_as_the_model_says() {
    let runs = every_order(Faults::none(), async || {
        let mut script = Script::new().await;
        // The one byte that there is room for.
        script.write(0);
        script.settle().await;
        script.read(0);
        script.write(1);
        for _ in 0..4 {
            step(&mut script, true).await;
        }
        script.end().await;
    });
    assert_eq!(runs, 12_u64.pow(4));
}

#[test]
fn every_order_of_three_events_after_two_tasks_have_parked_through_a_shared_reference() {
    let runs = every_order(Faults::none(), async || {
        let mut script = Script::new().await;
        script.poll_read(0);
        script.poll_read(1);
        script.settle().await;
        for _ in 0..3 {
            step(&mut script, true).await;
        }
        script.end().await;
    });
    assert_eq!(runs, 12_u64.pow(3));
}

/// A wake for nothing, a "would block" on what is ready, or an interruption, wherever it can be; and tasks and reports in
/// any order.
#[test]
fn every_order_of_three_events_with_one_fault_ends_as_the_model_says() {
    let faults = Faults { spurious_wakes: 1, would_block: 1, interrupts: 1, reorder: true, most: 1, ..Faults::none() };
    let runs = every_order(faults, async || {
        let mut script = Script::new().await;
        script.read(0);
        script.read(1);
        for _ in 0..2 {
            step(&mut script, false).await;
        }
        script.end().await;
    });
    assert!(runs > 9_000, "{runs}");
}

type Accepts = Vec<(JoinHandle<()>, Rc<Cell<Option<End>>>)>;

async fn settle(accepts: &mut Accepts, closed: bool, deadline: Option<Instant>, ready: &mut usize) {
    sleep_a_little().await;
    let ends: Vec<_> = accepts.iter().map(|(_, end)| end.get()).collect();
    check(&ends, closed, deadline.is_some_and(|deadline| deadline <= Instant::now()), ready);
    accepts.retain(|(_, end)| end.get().is_none());
}

/// The same for a listener: two tasks accept.
#[test]
fn every_order_of_four_events_on_a_listener_ends_as_the_model_says() {
    let runs = every_order(Faults::none(), async || {
        let listener = Rc::new(TcpListener::bind("10.0.0.1:80").await.unwrap());
        let (mut closed, mut deadline, mut ready) = (false, None::<Instant>, 0);
        let (mut clients, mut accepts) = (Vec::new(), Accepts::new());
        let accept = || {
            let end = Rc::new(Cell::new(None));
            let (listener, told) = (Rc::clone(&listener), Rc::clone(&end));
            let task = dormouse::spawn(async move { told.set(Some(End::of(listener.accept().await))) });
            (task, end)
        };
        accepts.push(accept());
        for _ in 0..4 {
            match choose(8) {
                0 => settle(&mut accepts, closed, deadline, &mut ready).await,
                1 if accepts.len() < 2 => accepts.push(accept()),
                2 if !accepts.is_empty() => accepts.remove(0).0.abort(),
                3 => {
                    deadline = if deadline.is_some() { None } else { Some(Instant::now()) };
                    assert_eq!(listener.set_deadline(deadline).is_err(), closed);
                }
                4 => {
                    deadline = Some(Instant::now() + SOON);
                    assert_eq!(listener.set_deadline(deadline).is_err(), closed);
                }
                5 => {
                    assert_eq!(listener.close().is_err_and(|error| is_closed(&error)), closed);
                    closed = true;
                }
                6 if !closed => {
                    clients.push(TcpStream::connect("10.0.0.1:80").await.unwrap());
                    ready += 1;
                }
                7 => {
                    settle(&mut accepts, closed, deadline, &mut ready).await;
                    sleep(SOON).await;
                    settle(&mut accepts, closed, deadline, &mut ready).await;
                }
                _ => {}
            }
        }
        settle(&mut accepts, closed, deadline, &mut ready).await;
        let _ = listener.close();
        settle(&mut accepts, true, deadline, &mut ready).await;
        assert!(accepts.is_empty());
    });
    assert_eq!(runs, 8_u64.pow(4));
}
