//! `tokio/apps/clients` and `tokio/apps/redis`: crates that know tokio and not Dormouse, with Debian's servers.

use std::net::{TcpListener, UdpSocket};
use std::thread;

use cookbook_tests::servers::{Postgres, mosquitto, redis};
use cookbook_tests::{Backend, PATIENCE, Running, client, free_addr, output, serve};
use tungstenite::Message;

/// Those that WASI has and that connect.
const BACKENDS: [Backend; 2] = [Backend::P2, Backend::P3];

/// A client that goes on while its server goes and comes.
fn start(package: &str, backend: Backend, args: &[&str]) -> Running {
    let mut command = client(package, package, backend);
    command.args(args);
    Running::start(command, false)
}

/// It ends, and well, and this is among the last that it says.
fn ends_with(running: Running, backend: Backend, last: &str) {
    let (status, said) = running.end();
    assert!(status.success() && said.contains(last), "{backend:?}: {status}\n{said}");
}

fn lines(backend: Backend, args: &[&str]) -> Vec<String> {
    output(client("tokio-clients", "tokio-clients", backend).args(args)).lines().map(str::to_owned).collect()
}

#[test]
fn redis_by_its_connection_manager() {
    for backend in BACKENDS {
        let addr = free_addr();
        let server = redis(addr);
        let mut client = start("tokio-redis", backend, &[&format!("redis://localhost:{}", addr.port())]);
        for expected in [
            "the sleeper is a dormouse",
            "a transaction counts to 40 and 42",
            "1000 tasks share the connection",
            "a value of 8388608 bytes came back whole",
            "an answer that takes too long: timeout is true",
            "news: winter is 2 days away",
            "the server may go now",
        ] {
            client.until(expected);
        }
        drop(server);
        client.until("the server is gone");
        let _server = redis(addr);
        ends_with(client, backend, "it is back: mouse");
    }
}

#[test]
fn postgres_by_a_pool_of_sqlx() {
    for backend in BACKENDS {
        let mut server = Postgres::start();
        let mut client = start("tokio-clients", backend, &["sql", &server.url()]);
        for expected in [
            "committed: [\"dormouse\"]",
            "duplicate key value violates unique constraint \"mice_pkey\"",
            "200 tasks share 5 connections",
            "the sum of 50000 rows is 1249975000",
            "a value of 8388608 bytes came back whole",
            "news: winter",
            "a pool that is empty: pool timed out while waiting for an open connection",
            "the server may go now",
        ] {
            client.until(expected);
        }
        server.until_sessions("select pg_sleep%", 1);
        server.kill();
        client.until("the server is gone");
        server.run();
        ends_with(client, backend, "it is back: dormouse");
        server.until_sessions("%", 0);
    }
}

#[test]
fn postgres_by_tokio_postgres() {
    let server = Postgres::start();
    for backend in BACKENDS {
        let expected =
            ["it sleeps in winter", "cancelled: canceling statement due to user request", "the connection has ended"];
        assert_eq!(lines(backend, &["postgres", &server.config()]), expected, "{backend:?}");
        server.until_sessions("%", 0);
    }
}

#[test]
fn mqtt_by_rumqttc() {
    for backend in BACKENDS {
        let addr = free_addr();
        let mut broker = mosquitto(addr);
        let mut client = start("tokio-clients", backend, &["mqtt", &format!("localhost:{}", addr.port())]);
        client.until("30 messages came back over connection 1");
        broker.until("Received PINGREQ from dormouse");
        client.until("the broker answers pings, and may go now");
        drop(broker);
        client.until("the broker is gone");
        let mut broker = mosquitto(addr);
        ends_with(client, backend, "30 messages came back over connection 2");
        broker.until("Received DISCONNECT from dormouse");
    }
}

#[test]
fn websockets_by_tokio_tungstenite() {
    for backend in BACKENDS {
        let server = serve("tokio-clients", "tokio-clients", backend, &["websocket"]);
        // A client that knows nothing of tokio.
        let url = format!("ws://{}/", server.addr);
        let (mut socket, _) = tungstenite::client(&url, std::net::TcpStream::connect(server.addr).expect("it listens"))
            .expect("it agrees");
        for message in [Message::text("squeak"), Message::binary(vec![7; 1 << 20])] {
            socket.send(message.clone()).expect("it reads");
            assert!(socket.read().expect("it answers") == message, "{backend:?}");
        }

        let other = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let elsewhere = format!("ws://localhost:{}/", other.local_addr().expect("it is bound").port());
        // A server that knows nothing of tokio.
        let echo = thread::spawn(move || {
            let (stream, _) = other.accept().expect("it is connected to");
            let mut socket = tungstenite::accept(stream).expect("it agrees");
            while let Ok(message) = socket.read() {
                if message.is_text() || message.is_binary() {
                    socket.send(message).expect("it reads");
                }
            }
        });
        for url in [url, elsewhere] {
            let expected = [
                "the server says 101 Switching Protocols",
                "6 bytes came back whole",
                "4194304 bytes came back whole",
                "a ping is answered: true",
                "the end: close is true",
            ];
            assert_eq!(lines(backend, &["websocket", &url]), expected, "{backend:?}: {url}");
        }
        echo.join().expect("the server has no complaint");
    }
}

#[test]
fn names_by_hickory() {
    for backend in BACKENDS {
        let server = serve("tokio-clients", "tokio-clients", backend, &["dns"]);
        let expected = [
            "acorn.mice.test is 192.0.2.7",
            "large.mice.test has 40 texts",
            "cat.mice.test is not there: true",
            "100 names were looked up at once",
        ];
        let said = lines(backend, &["dns", &server.addr.to_string()]);
        assert_eq!(said[..4], expected, "{backend:?}");
        assert!(said[4].starts_with("a server that says nothing: ") && said[4].contains("timed out"), "{said:?}");

        // By hand: acorn.mice.test, A, IN. The last four bytes of the answer are its address.
        let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05acorn\x04mice\x04test\x00\x00\x01\x00\x01";
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        socket.send_to(query, server.addr).expect("a datagram is sent");
        let mut answer = [0; 512];
        let n = socket.recv(&mut answer).expect("it answers");
        assert!(answer[..2] == query[..2] && answer[..n].ends_with(&[192, 0, 2, 7]), "{backend:?}: {:?}", &answer[..n]);
    }
}
