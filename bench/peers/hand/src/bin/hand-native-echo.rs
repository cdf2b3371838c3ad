//! An echo server by hand on epoll: level-triggered, a read and a write for each event.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

struct Conn {
    stream: TcpStream,
    /// Read, and not yet written.
    left: Vec<u8>,
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);
    // SAFETY: epoll is told of descriptors that are open, and writes into memory that is ours.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    control(epoll, libc::EPOLL_CTL_ADD, listener.as_raw_fd(), libc::EPOLLIN);
    let mut conns = HashMap::new();
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; 1024];
    let mut buf = vec![0; 8 << 10];
    loop {
        // SAFETY: as above.
        let n = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), events.len() as i32, -1) };
        for event in &events[..n.max(0) as usize] {
            let fd = event.u64 as RawFd;
            if fd == listener.as_raw_fd() {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    control(epoll, libc::EPOLL_CTL_ADD, stream.as_raw_fd(), libc::EPOLLIN);
                    conns.insert(stream.as_raw_fd(), Conn { stream, left: Vec::new() });
                }
            } else if !conns.get_mut(&fd).is_some_and(|conn| conn.goes_on(epoll, &mut buf)) {
                conns.remove(&fd);
            }
        }
    }
}

impl Conn {
    fn goes_on(&mut self, epoll: RawFd, buf: &mut [u8]) -> bool {
        if !self.left.is_empty() {
            match self.stream.write(&self.left) {
                Ok(n) => drop(self.left.drain(..n)),
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
            if self.left.is_empty() {
                control(epoll, libc::EPOLL_CTL_MOD, self.stream.as_raw_fd(), libc::EPOLLIN);
            }
            return true;
        }
        let n = match self.stream.read(buf) {
            Ok(0) => return false,
            Ok(n) => n,
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        };
        let written = match self.stream.write(&buf[..n]) {
            Ok(written) => written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return false,
        };
        if written < n {
            self.left.extend_from_slice(&buf[written..n]);
            control(epoll, libc::EPOLL_CTL_MOD, self.stream.as_raw_fd(), libc::EPOLLOUT);
        }
        true
    }
}

fn control(epoll: RawFd, what: i32, fd: RawFd, events: i32) {
    let mut event = libc::epoll_event { events: events as u32, u64: fd as u64 };
    // SAFETY: as in `main`.
    unsafe { libc::epoll_ctl(epoll, what, fd, &raw mut event) };
}
