//! An echo server by hand on `poll_oneoff`, with the listener that the host has opened as descriptor 3. The subscriptions are kept.

use std::collections::HashMap;

use wasip1::*;

const LISTENER: Fd = 3;

struct Conn {
    /// Where its subscription is.
    at: usize,
    left: Vec<u8>,
}

fn main() {
    // SAFETY: descriptors are the host's to check, and it writes into memory that is ours, of the size that it is told.
    unsafe { fd_fdstat_set_flags(LISTENER, FDFLAGS_NONBLOCK).expect("descriptor 3 is a listener") }
    println!("listening on descriptor {LISTENER}");
    let mut subs = vec![subscription(LISTENER, EVENTTYPE_FD_READ)];
    let mut events: Vec<Event> = Vec::new();
    let mut conns: HashMap<Fd, Conn> = HashMap::new();
    let mut buf = vec![0; 8 << 10];
    loop {
        events.reserve(subs.len());
        // SAFETY: as above; as many events are written as it returns.
        unsafe {
            let n = poll_oneoff(subs.as_ptr(), events.as_mut_ptr(), subs.len()).expect("can be waited for");
            events.set_len(n);
        }
        for event in events.drain(..) {
            let fd = event.userdata as Fd;
            if fd == LISTENER {
                // SAFETY: as above.
                while let Ok(fd) = unsafe { sock_accept(LISTENER, FDFLAGS_NONBLOCK) } {
                    conns.insert(fd, Conn { at: subs.len(), left: Vec::new() });
                    subs.push(subscription(fd, EVENTTYPE_FD_READ));
                }
            } else if let Some(conn) = conns.get_mut(&fd)
                && !goes_on(fd, conn, &mut subs, &mut buf)
            {
                let at = conn.at;
                subs.swap_remove(at);
                if let Some(moved) = subs.get(at).and_then(|moved| conns.get_mut(&(moved.userdata as Fd))) {
                    moved.at = at;
                }
                conns.remove(&fd);
                // SAFETY: as above.
                let _ = unsafe { fd_close(fd) };
            }
        }
    }
}

fn goes_on(fd: Fd, conn: &mut Conn, subs: &mut [Subscription], buf: &mut [u8]) -> bool {
    if !conn.left.is_empty() {
        match send(fd, &conn.left) {
            Ok(n) => drop(conn.left.drain(..n)),
            Err(error) => return error == ERRNO_AGAIN,
        }
        if conn.left.is_empty() {
            subs[conn.at] = subscription(fd, EVENTTYPE_FD_READ);
        }
        return true;
    }
    let to = [Iovec { buf: buf.as_mut_ptr(), buf_len: buf.len() }];
    // SAFETY: as above.
    let n = match unsafe { sock_recv(fd, &to, 0) } {
        Ok((0, _)) => return false,
        Ok((n, _)) => n,
        Err(error) => return error == ERRNO_AGAIN,
    };
    let written = match send(fd, &buf[..n]) {
        Ok(written) => written,
        Err(ERRNO_AGAIN) => 0,
        Err(_) => return false,
    };
    if written < n {
        conn.left.extend_from_slice(&buf[written..n]);
        subs[conn.at] = subscription(fd, EVENTTYPE_FD_WRITE);
    }
    true
}

fn send(fd: Fd, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: as above.
    unsafe { sock_send(fd, &[Ciovec { buf: bytes.as_ptr(), buf_len: bytes.len() }], 0) }
}

fn subscription(fd: Fd, side: Eventtype) -> Subscription {
    let of = SubscriptionFdReadwrite { file_descriptor: fd };
    let u = match side {
        EVENTTYPE_FD_READ => SubscriptionUU { fd_read: of },
        _ => SubscriptionUU { fd_write: of },
    };
    Subscription { userdata: u64::from(fd), u: SubscriptionU { tag: side.raw(), u } }
}
