//! TCP_NODELAY of the sockets that a guest has, from outside of it: they are descriptors of this process.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::BorrowedFd;

use socket2::{SockAddr, SockRef};

use crate::drivers::{Backend, Subject, Wasi, load, p2};
use crate::hosts::stock;
use crate::{echo, pattern};

/// Of the other end of this connection, which is in this process.
#[track_caller]
fn other_end_has_nodelay(near: &TcpStream) -> bool {
    let ends: (SockAddr, SockAddr) = (near.peer_addr().unwrap().into(), near.local_addr().unwrap().into());
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name();
        name.to_str()?.parse().ok()
    });
    let mut found = descriptors.filter_map(|fd| {
        // SAFETY: a number from the system. Another thread may close it meanwhile, or open it anew: it is only asked which addresses
        // it has, and the one that has these two is the guest's, which keeps it open.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let socket = SockRef::from(&fd);
        let its = (socket.local_addr().ok()?, socket.peer_addr().ok()?);
        (its == ends).then(|| socket.tcp_nodelay().unwrap())
    });
    found.next().expect("the other end is a socket of this process")
}

#[test]
fn what_the_runner_accepts_for_a_guest_has_nodelay_and_on_another_host_has_not() {
    for (on, expected) in [
        (Backend::P1, true),
        (Backend::ContraryP1, true),
        (Backend::P2, true),
        (Backend::P3, true),
        (Backend::StingyP2, false),
    ] {
        let subject = on.start("echo");
        let mut stream = Subject::connect(subject.addr());
        echo(&mut stream, b"accepted");
        assert_eq!(other_end_has_nodelay(&stream), expected, "{on:?}");
    }
}

#[test]
fn what_a_component_connects_has_nodelay_and_on_another_host_has_not() {
    let [on_p2, on_p3] = [Wasi::P2, Wasi::P3].map(|wasi| load(&wasi.example("client")));
    let elsewhere = stock::Program::new(&std::fs::read(Wasi::P2.example("client")).unwrap(), false).unwrap();
    type Start<'a> = &'a dyn Fn(&[&str]) -> Subject;
    let starts: [(Start<'_>, bool); 3] = [
        (&|args| p2::run(&on_p2, args, p2::Net::Allowed), true),
        (&|args| p2::run(&on_p3, args, p2::Net::Allowed), true),
        (&|args| elsewhere.run(args), false),
    ];
    for (start, expected) in starts {
        for addr in ["127.0.0.1:0", "[::1]:0"] {
            let listener = match TcpListener::bind(addr) {
                Ok(listener) => listener,
                // A machine without IPv6.
                Err(error) => {
                    assert_eq!((error.kind(), addr), (ErrorKind::AddrNotAvailable, "[::1]:0"));
                    continue;
                }
            };
            let addr = listener.local_addr().unwrap().to_string();
            let mut client = start(&[&addr, "hello"]);
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            assert_eq!(other_end_has_nodelay(&stream), expected);
            stream.write_all(line.as_bytes()).unwrap();
            drop(stream);
            assert_eq!(client.ends_well(), ["hello"]);
        }
    }
}

/// What ends with less than a full segment would wait 40 ms for the client's acknowledgement. How long each takes is measured by
/// `cargo xtask proxy`.
#[test]
fn eight_clients_at_once_hear_64_kibibytes_on_sockets_that_have_nodelay() {
    for on in [Backend::P1, Backend::P2, Backend::P3] {
        let subject = on.start("echo");
        let addr = subject.addr();
        std::thread::scope(|scope| {
            for n in 0..8 {
                scope.spawn(move || {
                    let mut stream = Subject::connect(addr);
                    let bytes = pattern((64 << 10) + n);
                    for _ in 0..20 {
                        echo(&mut stream, &bytes[n..]);
                    }
                    assert!(other_end_has_nodelay(&stream));
                });
            }
        });
    }
}
