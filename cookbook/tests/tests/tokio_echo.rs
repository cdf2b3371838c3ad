//! An echo server written for tokio, on every backend.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use cookbook_tests::{Backend, serve};

/// A client that says nothing, and reads nothing, does not hold up the others.
#[test]
fn echoes_beside_a_client_that_stalls() {
    for backend in Backend::ALL {
        let server = serve("tokio-echo", "tokio-echo", backend, &[]);
        let mut stalled = TcpStream::connect(server.addr).expect("it listens");
        stalled.write_all(b"and then nothing").expect("it reads");
        for _ in 0..3 {
            let mut client = TcpStream::connect(server.addr).expect("it listens");
            client.write_all(b"hello").expect("it reads");
            client.shutdown(Shutdown::Write).expect("it is open");
            let mut echo = String::new();
            client.read_to_string(&mut echo).expect("it writes");
            assert_eq!(echo, "hello", "{backend:?}");
        }
    }
}
