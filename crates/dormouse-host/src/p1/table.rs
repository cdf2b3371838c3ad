//! Which descriptor is whose.
//!
//! ```text
//!   0 1 2 │ 3 … 2+n              │ 3+n …                │ 1048576 …
//!   stdio │ pre-opened sockets   │ wasmtime-wasi's 3 …  │ accepted sockets
//! ```
//!
//! wasmtime-wasi numbers its own from 0 and knows nothing of ours, so those from 3 on are shifted by the number of
//! pre-opened sockets. WASI promises no order of numbers; accepted ones begin where wasmtime-wasi will never come.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use super::errno::Errno;
use super::hub::Hub;
use super::socket::Socket;

/// The first that is no standard stream; systemd's SD_LISTEN_FDS_START.
pub(super) const FIRST: u32 = 3;
const ACCEPTED: u32 = 1 << 20;

/// Who has a descriptor.
pub(super) enum Owner<'a> {
    Socket(&'a mut Socket),
    /// wasmtime-wasi, under this number.
    Wasi(u32),
    /// It was a socket's.
    Closed,
}

pub(super) struct Table {
    pub(super) hub: Arc<Hub>,
    preopened: Vec<Option<Socket>>,
    accepted: Vec<Option<Socket>>,
    /// Places in `accepted`.
    free: Vec<u32>,
    open: usize,
    most: usize,
}

impl Table {
    pub(super) fn new() -> Table {
        Table {
            hub: Arc::default(),
            preopened: Vec::new(),
            accepted: Vec::new(),
            free: Vec::new(),
            open: 0,
            most: usize::MAX,
        }
    }

    pub(super) fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn preopen_listener(&mut self, listener: TcpListener) -> io::Result<u32> {
        let socket = Socket::listener(listener, &self.hub)?;
        Ok(self.preopen(socket))
    }

    pub(super) fn preopen_stream(&mut self, stream: TcpStream) -> io::Result<u32> {
        let socket = Socket::stream(stream, &self.hub, true)?;
        Ok(self.preopen(socket))
    }

    fn preopen(&mut self, socket: Socket) -> u32 {
        self.preopened.push(Some(socket));
        self.open += 1;
        FIRST + self.preopened.len() as u32 - 1
    }

    /// By how much wasmtime-wasi's descriptors are shifted.
    pub(super) fn shift(&self) -> u32 {
        self.preopened.len() as u32
    }

    /// Whether this is the number of a socket that was opened before the start; it may be closed by now.
    pub(super) fn is_preopened(&self, fd: u32) -> bool {
        (FIRST..FIRST + self.shift()).contains(&fd)
    }

    pub(super) fn owner(&mut self, fd: u32) -> Owner<'_> {
        let shift = self.shift();
        let socket = match fd {
            0..FIRST => return Owner::Wasi(fd),
            ACCEPTED.. => self.accepted.get_mut((fd - ACCEPTED) as usize).and_then(Option::as_mut),
            fd if fd < FIRST + shift => self.preopened.get_mut((fd - FIRST) as usize).and_then(Option::as_mut),
            fd => return Owner::Wasi(fd - shift),
        };
        socket.map_or(Owner::Closed, Owner::Socket)
    }

    /// The socket that has this number; an error if it is somebody else's.
    pub(super) fn socket(&mut self, fd: u32) -> Result<&mut Socket, Errno> {
        match self.owner(fd) {
            Owner::Socket(socket) => Ok(socket),
            Owner::Wasi(_) => Err(Errno::NOTSOCK),
            Owner::Closed => Err(Errno::BADF),
        }
    }

    /// Whether there is room for one more.
    pub(super) fn check_room(&self) -> Result<(), Errno> {
        if self.open < self.most { Ok(()) } else { Err(Errno::NFILE) }
    }

    /// A number for a connection that was accepted.
    pub(super) fn accept(&mut self, stream: TcpStream, nonblocking: bool) -> Result<u32, Errno> {
        self.check_room()?;
        // A program has no call for it, and with Nagle's algorithm an answer that is sent in parts may wait for a client that
        // delays its acknowledgements, 40 ms. Should it fail, that is all.
        let _ = stream.set_nodelay(true);
        let socket = Socket::stream(stream, &self.hub, nonblocking)?;
        self.open += 1;
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.accepted.push(None);
                self.accepted.len() as u32 - 1
            }
        };
        self.accepted[place as usize] = Some(socket);
        Ok(ACCEPTED + place)
    }

    /// Closes a socket.
    pub(super) fn close(&mut self, fd: u32) -> Result<(), Errno> {
        let place = match fd {
            ACCEPTED.. => self.accepted.get_mut((fd - ACCEPTED) as usize),
            fd => self.preopened.get_mut(fd.wrapping_sub(FIRST) as usize),
        };
        match place.and_then(Option::take) {
            None => Err(Errno::BADF),
            Some(_) => {
                self.open -= 1;
                if fd >= ACCEPTED {
                    self.free.push(fd - ACCEPTED);
                }
                Ok(())
            }
        }
    }
}
