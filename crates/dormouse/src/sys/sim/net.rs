//! What can be done with a source, simulated or the host's.

use std::io;
use std::net::{Shutdown, SocketAddr};

use super::{Descriptor, Source, World, host};
use crate::sys::{Side, more};

macro_rules! either {
    ($(fn $call:ident(&self $(, $arg:ident: $kind:ty)*) -> $out:ty;)*) => {
        impl Source {
            $(
                pub(crate) fn $call(&self $(, $arg: $kind)*) -> io::Result<$out> {
                    match self {
                        Source::Host(source) => source.$call($($arg),*),
                        Source::Sim(socket) => socket.$call($($arg),*),
                    }
                }
            )*
        }
    };
}

either! {
    fn start_bind(&self, addr: SocketAddr) -> ();
    fn try_finish_bind(&self) -> ();
    fn start_listen(&self, backlog: u32) -> ();
    fn try_finish_listen(&self) -> ();
    fn start_connect(&self, addr: SocketAddr) -> ();
    fn try_finish_connect(&self) -> ();
    fn try_read(&self, buf: &mut [u8]) -> usize;
    fn try_read_vectored(&self, bufs: &mut [io::IoSliceMut<'_>]) -> usize;
    fn try_peek(&self, buf: &mut [u8]) -> usize;
    fn try_write_vectored(&self, bufs: &[io::IoSlice<'_>]) -> usize;
    fn try_drain(&self) -> ();
    fn shutdown(&self, how: Shutdown) -> ();
    fn local_addr(&self) -> SocketAddr;
    fn peer_addr(&self) -> SocketAddr;
}

impl Source {
    pub(crate) fn tcp(v6: bool) -> io::Result<Self> {
        match World::current() {
            Some(world) => Ok(Source::Sim(Descriptor::new(world, v6))),
            None => host::Source::tcp(v6).map(Source::Host),
        }
    }

    /// A simulation has none.
    pub(crate) fn from_fd(fd: u32) -> io::Result<Self> {
        match World::current() {
            Some(_) => Err(crate::base::error(io::ErrorKind::Unsupported, format!("FD {fd}: a simulation has none"))),
            None => host::Source::from_fd(fd).map(Source::Host),
        }
    }

    /// A simulation has none.
    pub(crate) fn preopened(name: Option<&str>) -> io::Result<Option<Self>> {
        match World::current() {
            Some(_) => Ok(None),
            None => Ok(host::Source::preopened(name)?.map(Source::Host)),
        }
    }

    pub(crate) fn fd(&self) -> Option<u32> {
        match self {
            Source::Host(source) => source.fd(),
            Source::Sim(_) => None,
        }
    }

    pub(crate) fn into_listener(self) -> Source {
        match self {
            Source::Host(source) => Source::Host(source.into_listener()),
            sim => sim,
        }
    }

    pub(crate) fn into_stream(self) -> Source {
        match self {
            Source::Host(source) => Source::Host(source.into_stream()),
            sim => sim,
        }
    }

    pub(crate) fn try_accept(&self) -> io::Result<(Source, SocketAddr)> {
        match self {
            Source::Host(source) => source.try_accept().map(|(stream, peer)| (Source::Host(stream), peer)),
            Source::Sim(socket) => socket.try_accept().map(|(stream, peer)| (Source::Sim(stream), peer)),
        }
    }

    /// A simulated network has all that was written, as a kernel has: closing waits for nothing.
    pub(crate) fn is_pending(&self) -> bool {
        match self {
            Source::Host(source) => source.is_pending(),
            Source::Sim(_) => false,
        }
    }
}

pub(crate) fn begin(of: &Source, side: Side) {
    if let Source::Host(of) = of {
        more::begin(of, side);
    }
}

/// A simulated host moves no bytes by itself.
pub(crate) fn hand_over(from: &Source, to: &Source) -> bool {
    match (from, to) {
        (Source::Host(from), Source::Host(to)) => more::hand_over(from, to),
        _ => false,
    }
}

pub(crate) fn try_handed_over(of: &Source, side: Side) -> io::Result<()> {
    match of {
        Source::Host(of) => more::try_handed_over(of, side),
        Source::Sim(_) => Ok(()),
    }
}

pub(crate) fn take_back(of: &Source, side: Side) {
    if let Source::Host(of) = of {
        more::take_back(of, side);
    }
}
