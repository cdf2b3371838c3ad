//! An echo server by hand on the built-ins of the component model: one set, in which waitables stay; one read under way for each
//! connection, into memory that is its own; writes are done at once, or are an event.
#![no_main]

use std::collections::HashMap;

use wasip3::exports::cli::run::Guest;
use wasip3::sockets::types::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket};

const BLOCKED: u32 = u32::MAX;
const SIZE: usize = 8 << 10;

#[link(wasm_import_module = "$root")]
unsafe extern "C" {
    #[link_name = "[waitable-set-new]"]
    fn set_new() -> u32;
    #[link_name = "[waitable-set-wait]"]
    fn set_wait(set: u32, payload: *mut [u32; 2]) -> u32;
    #[link_name = "[waitable-join]"]
    fn join(waitable: u32, set: u32);
}

#[link(wasm_import_module = "wasi:sockets/types@0.3.2")]
unsafe extern "C" {
    #[link_name = "[method]tcp-socket.listen"]
    fn listen(socket: u32, result: *mut [u32; 6]);
    #[link_name = "[method]tcp-socket.receive"]
    fn receive(socket: u32, ends: *mut [u32; 2]);
    #[link_name = "[method]tcp-socket.send"]
    fn send(socket: u32, data: u32) -> u32;
    #[link_name = "[async-lower][stream-read-0][method]tcp-socket.listen"]
    fn accept(listener: u32, socket: *mut u32, len: usize) -> u32;
    #[link_name = "[stream-new-0][method]tcp-socket.send"]
    fn stream() -> u64;
    #[link_name = "[async-lower][stream-write-0][method]tcp-socket.send"]
    fn write(stream: u32, from: *const u8, len: usize) -> u32;
    #[link_name = "[stream-drop-writable-0][method]tcp-socket.send"]
    fn drop_writable(stream: u32);
    #[link_name = "[async-lower][stream-read-0][method]tcp-socket.receive"]
    fn read(stream: u32, to: *mut u8, len: usize) -> u32;
    #[link_name = "[stream-drop-readable-0][method]tcp-socket.receive"]
    fn drop_readable(stream: u32);
    #[link_name = "[future-drop-readable-1][method]tcp-socket.receive"]
    fn drop_end(end: u32);
}

struct Conn {
    input: u32,
    output: u32,
    ends: [u32; 2],
    buf: Box<[u8; SIZE]>,
    /// What is to be written of the buffer; a read is under way if it is empty.
    from: usize,
    to: usize,
    _socket: TcpSocket,
}

struct Echo;

wasip3::cli::command::export!(Echo);

impl Guest for Echo {
    async fn run() -> Result<(), ()> {
        serve()
    }
}

fn serve() -> Result<(), ()> {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4).map_err(drop)?;
    let addr = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address: (127, 0, 0, 1) });
    socket.bind(addr).map_err(drop)?;
    let mut result = [0; 6];
    // SAFETY: here and below: handles are the host's to check, and what it writes to or reads from while a call is under way is in a
    // box, or in this function, which does not end.
    let (set, listener) = unsafe {
        listen(socket.handle(), &raw mut result);
        (set_new(), result[1])
    };
    let Ok(IpSocketAddress::Ipv4(addr)) = socket.get_local_address() else { return Err(()) };
    println!("listening on 127.0.0.1:{}", addr.port);
    // By both of its streams.
    let mut conns: HashMap<u32, Box<Conn>> = HashMap::new();
    let mut of: HashMap<u32, u32> = HashMap::new();
    let mut next = Box::new(0);
    // SAFETY: no memory is involved, and both handles are ours.
    unsafe { join(listener, set) };
    // SAFETY: the box of one handle stays until the program ends.
    let mut code = unsafe { accept(listener, &raw mut *next, 1) };
    let mut payload = [0; 2];
    loop {
        while code != BLOCKED {
            // SAFETY: the accept that is through has put a handle there, and it is taken once.
            let mut conn = Conn::new(unsafe { TcpSocket::from_handle(*next) });
            // SAFETY: no memory is involved, and the handles are ours.
            unsafe {
                join(conn.input, set);
                join(conn.output, set);
            }
            if conn.goes_on(None) {
                of.insert(conn.output, conn.input);
                conns.insert(conn.input, conn);
            }
            // SAFETY: as above.
            code = unsafe { accept(listener, &raw mut *next, 1) };
        }
        // SAFETY: the host writes two numbers there and keeps no pointer.
        unsafe { set_wait(set, &raw mut payload) };
        let [waitable, event] = payload;
        if waitable == listener {
            code = event;
            continue;
        }
        let input = of.get(&waitable).copied().unwrap_or(waitable);
        if let Some(conn) = conns.get_mut(&input)
            && !conn.goes_on(Some(event))
        {
            of.remove(&conn.output);
            conns.remove(&input);
        }
    }
}

impl Conn {
    fn new(socket: TcpSocket) -> Box<Conn> {
        let mut received = [0; 2];
        // SAFETY: the host writes two handles, which are ours; the readable end of the new stream is given away.
        unsafe {
            receive(socket.handle(), &raw mut received);
            let ends = stream();
            let sent = send(socket.handle(), ends as u32);
            let (input, output) = (received[0], (ends >> 32) as u32);
            Box::new(Conn {
                input,
                output,
                ends: [received[1], sent],
                buf: Box::new([0; SIZE]),
                from: 0,
                to: 0,
                _socket: socket,
            })
        }
    }

    /// After the call that was under way has ended with `code`.
    fn goes_on(&mut self, mut code: Option<u32>) -> bool {
        loop {
            if let Some(code) = code {
                let (count, ended) = ((code >> 4) as usize, code & 0xf != 0);
                if self.from < self.to {
                    self.from += count;
                } else {
                    (self.from, self.to) = (0, count);
                }
                if ended && count == 0 {
                    return false;
                }
            }
            let next = if self.from < self.to {
                // SAFETY: the bytes are in a box of the connection's, which is not dropped while a call is under way.
                unsafe { write(self.output, self.buf.as_ptr().add(self.from), self.to - self.from) }
            } else {
                (self.from, self.to) = (0, 0);
                // SAFETY: as above.
                unsafe { read(self.input, self.buf.as_mut_ptr(), SIZE) }
            };
            if next == BLOCKED {
                return true;
            }
            code = Some(next);
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        // SAFETY: nothing is under way, since the last call has said that the stream has ended, and the handles are not used again.
        unsafe {
            drop_writable(self.output);
            drop_readable(self.input);
            drop_end(self.ends[0]);
            drop_end(self.ends[1]);
        }
    }
}
