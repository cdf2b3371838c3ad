//! A descriptor, closed when the last who has it lets it go, and those that the host opened for the program.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};

use super::abi::{self, Errno, RawFd};
use super::{Kind, Source};
use crate::base::error;
use crate::sys::Side;

/// Where descriptors begin that are no standard streams; what systemd calls SD_LISTEN_FDS_START.
const FIRST: RawFd = 3;

thread_local! {
    /// Descriptors that were named by their number, of which others may ask for the same.
    static NAMED: RefCell<Vec<(RawFd, Weak<Descriptor>)>> = const { RefCell::new(Vec::new()) };
    /// Numbers of connections that were accepted and are open, in order. A host may give the number of one that is closed to the next, so none
    /// of them is to be had by its number.
    static ACCEPTED: RefCell<Vec<RawFd>> = const { RefCell::new(Vec::new()) };
    /// What the host said of descriptors while it was waiting for them.
    static FAILED: RefCell<Vec<(RawFd, Side, Errno)>> = const { RefCell::new(Vec::new()) };
    static SOME_FAILED: Cell<bool> = const { Cell::new(false) };
}

pub(super) struct Descriptor {
    pub(super) fd: RawFd,
    owner: Owner,
    /// Of a listener: what it accepts is non-blocking from the start, as it was asked to be.
    pub(super) accepts_nonblocking: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// A connection that was accepted here.
    Accepted,
    /// The host opened it, and its number is known to all.
    Named,
    /// It is closed elsewhere: a standard stream, or what belongs to std.
    Other,
}

impl Descriptor {
    fn new(fd: RawFd, owner: Owner) -> Rc<Descriptor> {
        Rc::new(Descriptor { fd, owner, accepts_nonblocking: Cell::new(false) })
    }

    /// One that the host has just given for a connection.
    pub(super) fn accepted(fd: RawFd) -> Rc<Descriptor> {
        ACCEPTED.with_borrow_mut(|accepted| {
            if let Err(place) = accepted.binary_search(&fd) {
                accepted.insert(place, fd);
            }
        });
        Self::new(fd, Owner::Accepted)
    }

    /// One that is closed elsewhere.
    pub(super) fn borrowed(fd: RawFd) -> Rc<Descriptor> {
        Self::new(fd, Owner::Other)
    }

    /// The one that has this number. All who name it share it, and it is closed once, when the last of them lets go,
    /// whoever that is.
    fn named(fd: RawFd) -> Rc<Descriptor> {
        NAMED.with_borrow_mut(|named| {
            named.retain(|(_, descriptor)| descriptor.strong_count() > 0);
            if let Some(descriptor) = named.iter().find(|(of, _)| *of == fd).and_then(|(_, it)| it.upgrade()) {
                return descriptor;
            }
            let descriptor = Descriptor::new(fd, if fd < FIRST { Owner::Other } else { Owner::Named });
            named.push((fd, Rc::downgrade(&descriptor)));
            descriptor
        })
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if SOME_FAILED.get() {
            FAILED.with_borrow_mut(|failed| failed.retain(|(fd, ..)| *fd != self.fd));
        }
        if self.owner == Owner::Accepted {
            ACCEPTED
                .with_borrow_mut(|accepted| accepted.binary_search(&self.fd).map(|place| accepted.remove(place)).ok());
        }
        if self.owner != Owner::Other {
            abi::close(self.fd);
        }
    }
}

/// The host has refused to wait for this side. It is reported as ready, and whoever tries and would wait again gets this
/// instead.
pub(super) fn refused(fd: RawFd, side: Side, errno: Errno) {
    SOME_FAILED.set(true);
    FAILED.with_borrow_mut(|failed| failed.push((fd, side, errno)));
}

/// The error of a side that the host has refused to wait for, if it did.
pub(super) fn refusal(fd: RawFd, side: Side) -> Option<Errno> {
    if !SOME_FAILED.get() {
        return None;
    }
    FAILED.with_borrow_mut(|failed| {
        let at = failed.iter().position(|(of, on, _)| (*of, *on) == (fd, side))?;
        let (.., errno) = failed.swap_remove(at);
        SOME_FAILED.set(!failed.is_empty());
        Some(errno)
    })
}

// ---- what the host opened ----

impl Source {
    /// The stream socket that has this number, whether it listens or is connected.
    pub(crate) fn from_fd(fd: u32) -> io::Result<Self> {
        let explain = |error: io::Error| match error.raw_os_error() {
            Some(errno) if errno == i32::from(wasip1::ERRNO_BADF.raw()) => crate::base::error(
                io::ErrorKind::NotFound,
                format!(
                    "FD {fd}: the host has opened no such descriptor; `dormouse run --listen ADDR` opens FD {FIRST}"
                ),
            ),
            _ => crate::base::error(error.kind(), format!("FD {fd}: {error}")),
        };
        if ACCEPTED.with_borrow(|accepted| accepted.binary_search(&fd).is_ok()) {
            let sentence = format!(
                "FD {fd} is a connection that this program has accepted: use the stream that accept gave, or a clone of it"
            );
            return Err(error(io::ErrorKind::InvalidInput, sentence));
        }
        let (kind, flags) = abi::stat(fd).map_err(explain)?;
        if kind != wasip1::FILETYPE_SOCKET_STREAM.raw() {
            let sentence = format!("FD {fd} is {}, not a stream socket", kind_name(kind));
            return Err(error(io::ErrorKind::InvalidInput, sentence));
        }
        set_nonblocking(fd, flags).map_err(explain)?;
        Ok(Source::new(Descriptor::named(fd), Kind::Socket))
    }

    /// A listener that the host opened before the start: the first that nobody has, or the one of this name. `None`: there
    /// is none.
    pub(crate) fn preopened(name: Option<&str>) -> io::Result<Option<Self>> {
        for (fd, of) in (FIRST..).zip(names()) {
            let wanted = match name {
                Some(name) => of == name,
                None => !NAMED.with_borrow(|named| named.iter().any(|(of, it)| *of == fd && it.strong_count() > 0)),
            };
            let is_socket = || abi::stat(fd).is_ok_and(|(kind, _)| kind == wasip1::FILETYPE_SOCKET_STREAM.raw());
            if wanted && is_socket() {
                return Source::from_fd(fd).map(Some);
            }
        }
        Ok(None)
    }

    /// The number of the descriptor.
    pub(crate) fn fd(&self) -> Option<u32> {
        self.descriptor.as_ref().map(|descriptor| descriptor.fd)
    }
}

/// A name for each descriptor that may be a listener, from [`FIRST`] on. As systemd has it, `LISTEN_FDS` is how many there
/// are and `LISTEN_FDNAMES` what they are called, with colons between. A host that says nothing may have opened some
/// nevertheless: then all are looked at until the first that is not open.
fn names() -> impl Iterator<Item = String> {
    let said = std::env::var("LISTEN_FDS").ok().and_then(|count| count.parse::<usize>().ok());
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<String> = names.split(':').map(str::to_owned).collect();
    let open = move |index: &usize| said.is_some() || abi::stat(FIRST + *index as RawFd).is_ok();
    let count = said.unwrap_or(usize::MAX).min(u16::MAX.into());
    (0..count).take_while(open).map(move |index| names.get(index).cloned().unwrap_or_default())
}

/// Makes calls on the descriptor return at once. A host may ignore what it is asked, so it is asked what came of it.
pub(super) fn set_nonblocking(fd: RawFd, flags: wasip1::Fdflags) -> io::Result<()> {
    if flags & wasip1::FDFLAGS_NONBLOCK != 0 {
        return Ok(());
    }
    abi::set_flags(fd, flags | wasip1::FDFLAGS_NONBLOCK)?;
    match abi::stat(fd)? {
        (_, flags) if flags & wasip1::FDFLAGS_NONBLOCK != 0 => Ok(()),
        _ => Err(error(io::ErrorKind::Unsupported, "the host does not make it non-blocking")),
    }
}

fn kind_name(kind: u8) -> &'static str {
    match kind {
        1 => "a block device",
        2 => "a character device",
        3 => "a directory",
        4 => "a regular file",
        5 => "a datagram socket",
        7 => "a symbolic link",
        _ => "something that the host does not name",
    }
}
