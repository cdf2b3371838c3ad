//! Sockets for a program that can open none, and the service that connects them: the outside of `cases/place/preopened.rs`,
//! where the protocol is.
//!
//! A socket that the program will have as a connection is made here and not connected. We keep a duplicate of it until the
//! program asks for the connection. Then we connect it and let go of it, and so does everything that is the program's end.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::{io, thread};

use socket2::{Domain, Socket, Type};

/// What one program gets.
pub struct Inside {
    pub listeners: Vec<TcpListener>,
    /// Streams: the one on which the program asks, and sockets that are not connected.
    pub streams: Vec<TcpStream>,
    /// Which descriptors they have to be.
    pub env: Vec<(&'static str, String)>,
}

/// How many sockets a case connects; most do with few.
fn sockets_for(case: &str) -> usize {
    match case {
        "many_accept" => 100,
        "many_connections_at_once" => 50,
        _ => 12,
    }
}

/// Opens what a case needs, and serves it until it has ended. The program has the listeners as descriptors from `first` on,
/// and then the streams.
pub fn open(case: &str, first: usize) -> Inside {
    let listeners: Vec<_> = (0..12).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen")).collect();
    let addrs = listeners.iter().map(|listener| listener.local_addr().expect("it has an address")).collect();
    let (asked, asking) = connected();
    let sockets: Vec<_> = (0..sockets_for(case)).map(|_| unconnected()).collect();
    let ours = sockets.iter().map(|socket| Some(socket.try_clone().expect("duplicate"))).collect();
    let control = first + listeners.len();
    let rest = control + 1..control + 1 + sockets.len();
    let env = vec![
        ("BATTERY_LISTENERS", format!("{first}..{control}")),
        ("BATTERY_CONTROL", control.to_string()),
        ("BATTERY_SOCKETS", format!("{rest:?}")),
    ];
    let mut service = Service { first, addrs, first_socket: rest.start, sockets: ours };
    thread::spawn(move || service.serve(&asked));
    Inside { listeners, streams: [asking].into_iter().chain(sockets.into_iter().map(TcpStream::from)).collect(), env }
}

fn unconnected() -> Socket {
    Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket")
}

/// Both ends of a connection.
fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    let near = TcpStream::connect(listener.local_addr().expect("it has an address")).expect("connect");
    let (far, _) = listener.accept().expect("accept");
    (near, far)
}

/// Connects what the program has.
struct Service {
    /// The descriptor of the first listener.
    first: usize,
    addrs: Vec<SocketAddr>,
    first_socket: usize,
    /// Each until it has been connected.
    sockets: Vec<Option<Socket>>,
}

impl Service {
    /// Until the program has ended.
    fn serve(&mut self, asked: &TcpStream) {
        for line in BufReader::new(asked).lines().map_while(Result::ok) {
            let answer = match self.connect(&line) {
                Ok(()) => "ok".into(),
                Err(error) => format!("{:?}", error.kind()),
            };
            if writeln!(&*asked, "{answer}").is_err() {
                return;
            }
        }
    }

    /// `connect SOCKET LISTENER`
    fn connect(&mut self, line: &str) -> io::Result<()> {
        let words: Vec<&str> = line.split(' ').collect();
        let ["connect", socket, listener] = words[..] else { panic!("{line:?} is no question") };
        let number = |word: &str| word.parse::<usize>().unwrap_or_else(|_| panic!("{line:?} is no question"));
        let socket = self.sockets[number(socket) - self.first_socket].take().expect("it is connected once");
        let addr = self.addrs[number(listener) - self.first].into();
        // It may be non-blocking already, which the program's host wants it to be in the end.
        socket.set_nonblocking(false)?;
        let connected = socket.connect(&addr);
        socket.set_nonblocking(true)?;
        connected
    }
}
