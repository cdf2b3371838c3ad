//! Simulated time and network, to test servers and clients with: an hour passes at once, a connection breaks when you
//! say so, and a run that failed is repeated exactly. Behind the cargo feature `sim`.
//!
//! [`Sim::run`] is [`block_on`](crate::block_on) in a world of its own. Inside, [`time`](crate::time) is virtual and
//! passes only when no task can run, or when the program has not slept for long; the sockets of [`net`](crate::net) are connected with each other and with nothing
//! outside. Everything that could go one way or another is decided by one source of choices: a seed, a fuzzer's bytes,
//! the list of choices of another run, or, with [`explore`], all that there are.
//!
//! ```
//! use dormouse::net::{TcpListener, TcpStream};
//! use dormouse::sim::{Faults, Sim};
//! use dormouse::time::{Duration, Instant, sleep};
//!
//! for seed in 0..100 {
//!     Sim::seeded(seed)
//!         .faults(Faults::harmless())
//!         .run(async {
//!             let listener = TcpListener::bind("10.0.0.1:80").await?;
//!             let server = dormouse::spawn(async move {
//!                 let (conn, _) = listener.accept_with_backoff().await?;
//!                 sleep(Duration::from_secs(3600)).await; // passes at once
//!                 conn.write(b"!").await
//!             });
//!             let start = Instant::now();
//!             let stream = TcpStream::connect("10.0.0.1:80").await?;
//!             assert_eq!(stream.read(&mut [0; 8]).await?, 1);
//!             assert!(start.elapsed() >= Duration::from_secs(3600));
//!             server.await?
//!         })
//!         .unwrap()
//!         .unwrap();
//! }
//! ```
//!
//! # The network
//! All unicast addresses are this host's. A connection is TCP as Linux has it: a half close, a reset, a full buffer and
//! a full backlog do what they do there. `[::]` listens for IPv6 only, the port of an outgoing connection can be bound
//! again, and a socket cannot connect to itself. Standard output is the process's own.
//!
//! # What it is no test of
//! Other threads, and other ways of telling the time, are outside of the simulation, and so is a socket or a future that
//! was made outside: `run(sleep(..))` asks the real clock for its deadline, `run(async { sleep(..).await })` the simulated one.

mod event;
mod faults;
mod run;

pub use event::{Event, Fault, What};
pub use faults::Faults;
pub use run::{Leaks, Run, Sim, explore};

pub(crate) use event::Log;

use std::fmt;
use std::io;
use std::rc::Rc;

use crate::net::TcpStream;
use crate::sys::sim::World;

/// One of `n` alternatives, `0..n`, chosen as everything else in this run is; 0 is the quiet one.
///
/// ```
/// use dormouse::sim::{self, Faults};
/// let mut seen = Vec::new();
/// sim::explore(Faults::none(), |sim| seen.push(sim.run(async { sim::choose(3) }).unwrap()));
/// assert_eq!(seen, [0, 1, 2]);
/// ```
///
/// # Panics
/// Outside of a simulation, and if `n` is 0.
pub fn choose(n: usize) -> usize {
    assert!(n > 0, "a choice among nothing");
    world().with(|state| state.setup.choices.choose(n))
}

/// Adds a line to the log of the run, and so to its digest.
///
/// # Panics
/// Outside of a simulation.
pub fn note(what: impl fmt::Display) {
    let note = what.to_string();
    world().with(|state| state.log(What::Note(note)));
}

/// Breaks a connection off, as a router in between may: what is on its way is lost, and both ends are reset.
///
/// ```
/// use dormouse::net::{TcpListener, TcpStream};
/// use dormouse::sim::{self, Sim};
/// let run = Sim::seeded(1).run(async {
///     let listener = TcpListener::bind("10.0.0.1:80").await?;
///     let stream = TcpStream::connect("10.0.0.1:80").await?;
///     sim::reset(&stream)?;
///     stream.read(&mut [0; 8]).await
/// });
/// assert_eq!(run.unwrap().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
/// ```
///
/// # Errors
/// `NotConnected` if it is no longer a connection.
///
/// # Panics
/// Outside of a simulation.
pub fn reset(stream: &TcpStream) -> io::Result<()> {
    with_connection(stream, |state, id| state.break_off(id))
}

/// Holds back what arrives at this end of a connection, until [`resume`]: a network that is silent. Its peer can write
/// until the buffer is full.
///
/// ```
/// use dormouse::net::{TcpListener, TcpStream};
/// use dormouse::sim::{self, Sim};
/// use dormouse::time::{Duration, timeout};
/// let run = Sim::seeded(1).run(async {
///     let listener = TcpListener::bind("10.0.0.1:80").await?;
///     let client = TcpStream::connect("10.0.0.1:80").await?;
///     let (server, _) = listener.accept_with_backoff().await?;
///     sim::pause(&client)?;
///     server.write(b"hello").await?;
///     assert!(timeout(Duration::from_secs(60), client.read(&mut [0; 8])).await.is_err());
///     sim::resume(&client)?;
///     client.read(&mut [0; 8]).await
/// });
/// assert_eq!(run.unwrap().unwrap(), 5);
/// ```
///
/// # Errors
/// `NotConnected` if it is no longer a connection.
///
/// # Panics
/// Outside of a simulation.
pub fn pause(stream: &TcpStream) -> io::Result<()> {
    with_connection(stream, |state, id| state.pause(id))
}

/// Lets arrive at this end of a connection what [`pause`] held back.
///
/// # Errors
/// `NotConnected` if it is no longer a connection.
///
/// # Panics
/// Outside of a simulation.
pub fn resume(stream: &TcpStream) -> io::Result<()> {
    with_connection(stream, |state, id| state.resume(id))
}

fn with_connection(stream: &TcpStream, act: impl FnOnce(&mut crate::sys::sim::State, u32)) -> io::Result<()> {
    let world = world();
    let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
    world.with(|state| match state.connection(local, peer) {
        Some(id) => {
            act(state, id);
            Ok(())
        }
        None => Err(io::ErrorKind::NotConnected.into()),
    })
}

fn world() -> Rc<World> {
    World::current().expect("no simulation runs on this thread: call it inside Sim::run")
}
