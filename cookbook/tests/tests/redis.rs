//! `apps/redis`, with Debian's redis-server. A wasip1 program cannot connect.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;

use cookbook_tests::servers::redis;
use cookbook_tests::{Backend, PATIENCE, client, free_addr, output, serve, serve_counted};

/// One of the counter's clients.
struct Visitor(BufReader<TcpStream>);

impl Visitor {
    fn new(addr: SocketAddr) -> Visitor {
        let stream = TcpStream::connect(addr).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        Visitor(BufReader::new(stream))
    }

    fn ask(&mut self, name: &str) -> String {
        let mut answer = String::new();
        writeln!(self.0.get_mut(), "{name}").expect("it reads");
        self.0.read_line(&mut answer).expect("it answers");
        answer.trim_end().to_owned()
    }
}

#[test]
fn everything_one_does_with_redis() {
    let addr = free_addr();
    let _redis = redis(addr);
    for backend in Backend::CONNECT {
        let said = output(client("redis", "redis-client", backend).arg(addr.to_string()));
        let expected = [
            "the sleeper is a dormouse",
            "nobody is None",
            "a transaction counts to 40 and 42",
            "a mistake is told: ResponseError: value is not an integer or out of range",
            "1000 tasks share the connection",
            "a value of 8388608 bytes came back whole",
            "popped Some([\"queue\", \"acorn\"])",
            "news: winter is 0 days away",
            "news: winter is 1 days away",
            "news: winter is 2 days away",
        ];
        assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{backend:?}");
    }
}

#[test]
fn many_clients_share_one_connection() {
    for backend in Backend::CONNECT {
        let addr = free_addr();
        let _redis = redis(addr);
        let counter = serve("redis", "redis-counter", backend, &[&addr.to_string()]);
        let name = format!("{backend:?}");
        thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    let mut visitor = Visitor::new(counter.addr);
                    (0..32).for_each(|_| assert!(visitor.ask(&name).starts_with(&name)));
                });
            }
        });
        assert_eq!(Visitor::new(counter.addr).ask(&name), format!("{name} 1025"));
        // The counter's connection, and that of redis-cli.
        let stats = output(Command::new("redis-cli").args(["-p", &addr.port().to_string(), "info", "stats"]));
        assert!(stats.contains("total_connections_received:2\r"), "{backend:?}: {stats}");
    }
}

#[test]
fn a_server_that_goes_away_is_an_error_and_its_return_is_noticed() {
    for backend in Backend::CONNECT {
        let addr = free_addr();
        let server = redis(addr);
        let counter = serve("redis", "redis-counter", backend, &[&addr.to_string()]);
        let mut visitor = Visitor::new(counter.addr);
        assert_eq!(visitor.ask("mouse"), "mouse 1", "{backend:?}");
        drop(server);
        // The first may still find the broken connection, the second tries a new one.
        let told = [visitor.ask("mouse"), visitor.ask("mouse")];
        assert!(told.iter().all(|told| told.starts_with("error: ")), "{backend:?}: {told:?}");
        assert!(told[1].contains(&format!("connect {addr}")), "{backend:?}: {told:?}");
        let _server = redis(addr);
        assert_eq!(visitor.ask("mouse"), "mouse 1", "{backend:?}: what was in memory only is gone");
    }
}

#[test]
fn nothing_leaks() {
    let addr = free_addr();
    let _redis = redis(addr);
    for backend in Backend::CONNECT {
        let mut counter = serve_counted("redis", "redis-counter", backend, &[&addr.to_string()]);
        assert!(Visitor::new(counter.addr).ask("first").starts_with("first"), "{backend:?}");
        let held = counter.held(backend);
        for _ in 0..3 {
            let mut visitors: Vec<_> = (0..50).map(|_| Visitor::new(counter.addr)).collect();
            visitors.iter_mut().for_each(|visitor| assert!(visitor.ask("guest").starts_with("guest")));
        }
        counter.until_held(backend, held);
    }
}
