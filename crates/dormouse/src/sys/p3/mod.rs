//! WASI 0.3: one waitable set, and calls that go on by themselves.
//!
//! 0.3 tells that something is *done*, where the others tell that it *can be* done. A read is begun before a task asks,
//! into a small box of ours, and "readable" is that it is through. A write goes straight from the caller's memory;
//! if there is no room, an empty one is begun, which is through when there is.
//!
//! ```text
//!   read:   start ── BLOCKED ──▶ under way ── event ──▶ through ── taken ──▶ start …
//!              └── there was something ────────────────────▲
//! ```
//!
//! `set.rs` knows what is under way, and which sides wait for it. Calls that return once (connecting, names, datagrams) are
//! futures of the `wasip3` crate: `call.rs`.

mod abi;
mod call;
pub(crate) mod clock;
mod convert;
mod file;
mod lookup;
mod net;
mod options;
mod poller;
mod set;
mod stdio;
mod stop;
mod stream;
mod udp;

use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use wasip3::sockets::types::TcpSocket;

pub(crate) use super::wasi::{Notifier, THREADS, file_error, spawn_local};
pub(crate) use abi::Entered;
#[cfg(feature = "p3-spawn")]
pub(crate) use abi::set_spawn;
#[cfg(target_env = "p2")]
pub use abi::{WORLD, run_main};
pub(crate) use net::{begin, hand_over, take_back, try_handed_over};
pub(crate) use poller::Poller;

use abi::{Connections, Mailbox, SocketEnd, StdioEnd, Waitable};
use call::Call;
use stream::{Reader, Writer};

use crate::sys::Side;

/// A socket or a standard stream. The fields are dropped in the order in which they stand: what is under way goes before
/// what it is under way on.
pub(crate) struct Source {
    state: RefCell<State>,
}

/// What it is.
enum State {
    /// A socket that may be bound, and is neither of the following.
    Unconnected(Rc<TcpSocket>),
    Connecting(Call<io::Result<()>>, Rc<TcpSocket>),
    Listener(Mailbox<Connections>, Rc<TcpSocket>),
    Stream {
        reader: Half<Reader<SocketEnd>>,
        writer: Half<Writer<SocketEnd>>,
        socket: Rc<TcpSocket>,
    },
    Stdin(Reader<StdioEnd>),
    Stdio(Writer<StdioEnd>),
    Other(Box<dyn Other>),
}

/// A direction of a connection.
enum Half<T> {
    /// It begins when it is first used: there is one stream each for a socket.
    Unused,
    Used(T),
    /// The host moves what comes, and tells here how that has ended; and there, for the other end.
    HandedOver(Mailbox<SocketEnd>, Waitable),
    Ended,
}

impl<T> Half<T> {
    fn in_use(&mut self, begin: impl FnOnce() -> T) -> Option<&mut T> {
        if let Half::Unused = self {
            *self = Half::Used(begin());
        }
        match self {
            Half::Used(half) => Some(half),
            _ => None,
        }
    }
}

/// Something to wait for that is no stream of bytes.
trait Other: Any {
    /// What is under way on that side, if anything is.
    fn under_way(&mut self, side: Side) -> Option<Waitable>;
    /// See [`Source::is_pending`].
    fn is_pending(&mut self) -> bool;
}

/// The program begins to run: futures of the `wasip3` crate wait in our set from now on.
pub(crate) fn enter() -> io::Result<Entered> {
    let entered = Entered::new();
    #[cfg(target_env = "p2")]
    if !abi::was_called() && !entered.is_inside_another() {
        return Err(crate::base::error(
            io::ErrorKind::Unsupported,
            "this program waits as WASI 0.3 does, and its host has called it through wasi:cli/run@0.2, which cannot wait so; \
             run it with `dormouse run` or `wasmtime run` (48 or later); if its `fn main` has no #[dormouse::main], add a \
             line `dormouse::export_main!();`",
        ));
    }
    Ok(entered)
}

/// Tells a future of others what the last wait has brought for it.
pub(crate) fn tell() {
    set::tell();
}

/// Ends the program. std's goes through WASI 0.2, where the code can be 0 or 1.
pub(crate) fn exit(code: i32) -> ! {
    wasip3::cli::exit::exit_with_code(code as u8);
    std::process::abort()
}

impl Source {
    fn new(state: State) -> Source {
        Source { state: RefCell::new(state) }
    }

    /// WASI 0.3 has no descriptors.
    pub(crate) fn from_fd(fd: u32) -> io::Result<Self> {
        let sentence = format!("FD {fd}: WASI 0.3 has no descriptors; use TcpListener::bind, TcpStream::connect");
        Err(crate::base::error(io::ErrorKind::Unsupported, sentence))
    }

    pub(crate) fn preopened(_name: Option<&str>) -> io::Result<Option<Self>> {
        Ok(None)
    }

    pub(crate) fn fd(&self) -> Option<u32> {
        None
    }

    /// What is under way on that side. `None`: nothing, and it is to be tried again.
    fn under_way(&self, side: Side) -> Option<Waitable> {
        match (&mut *self.state.borrow_mut(), side) {
            (State::Connecting(call, _), _) => call.under_way(),
            (State::Listener(connections, _), _) => connections.is_under_way().then(|| connections.waitable()),
            (State::Stream { reader: Half::Used(reader), .. }, Side::Read) => reader.under_way(),
            (State::Stream { writer: Half::Used(writer), .. }, Side::Write) => writer.under_way(),
            (State::Stream { reader: Half::HandedOver(end, _), .. }, Side::Read)
            | (State::Stream { writer: Half::HandedOver(end, _), .. }, Side::Write) => {
                end.is_under_way().then(|| end.waitable())
            }
            (State::Stdin(reader), _) => reader.under_way(),
            (State::Stdio(writer), _) => writer.under_way(),
            (State::Other(other), side) => other.under_way(side),
            (State::Unconnected(_) | State::Stream { .. }, _) => None,
        }
    }
}
