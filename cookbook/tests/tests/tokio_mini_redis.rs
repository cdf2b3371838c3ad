//! `tokio/apps/mini-redis`: a server that others wrote, with redis' own clients and with its own.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use cookbook_tests::{Backend, Running, client, output, serve};

const GUESTS: [Backend; 3] = [Backend::P1, Backend::P2, Backend::P3];
/// Those that connect.
const CLIENTS: [Backend; 2] = [Backend::P2, Backend::P3];

fn redis(tool: &str, server: &Running, args: &[&str]) -> String {
    output(Command::new(tool).args(["-p", &server.addr.port().to_string()]).args(args))
}

fn mini_redis(backend: Backend) -> Running {
    serve("tokio-mini-redis", "tokio-mini-redis", backend, &[])
}

#[test]
fn with_redis_cli_and_redis_benchmark() {
    for backend in GUESTS {
        let server = mini_redis(backend);
        // Half a command, and never the rest.
        let mut stalled = TcpStream::connect(server.addr).expect("it listens");
        stalled.write_all(b"*3\r\n$3\r\nSET").expect("it reads");
        let cli = |args: &[&str]| redis("redis-cli", &server, args);
        assert_eq!(cli(&["set", "sleeper", "dormouse"]), "OK\n", "{backend:?}");
        assert_eq!(cli(&["get", "sleeper"]), "dormouse\n", "{backend:?}");
        assert_eq!(cli(&["get", "another"]), "\n", "{backend:?}");
        assert!(cli(&["lpush", "queue", "acorn"]).contains("unknown command 'lpush'"), "{backend:?}");
        let load = ["-t", "set,get", "-n", "2000", "-c", "50", "-P", "2", "--csv"];
        let told = redis("redis-benchmark", &server, &load);
        for test in ["SET", "GET"] {
            assert!(told.lines().any(|line| line.starts_with(&format!("\"{test}\","))), "{backend:?}: {told}");
        }
        assert!(cli(&["get", "key:__rand_int__"]).len() > 1, "{backend:?}");
    }
}

#[test]
fn with_its_own_client() {
    for on in GUESTS {
        let server = mini_redis(on);
        for backend in CLIENTS {
            let mut command = client("tokio-mini-redis", "tokio-mini-redis", backend);
            let said = output(command.arg(server.addr.to_string()).arg("talk"));
            let expected = [
                "the sleeper is Some(b\"dormouse\")",
                "another is None",
                "the nap is over",
                "news: b\"acorns\"",
                "news: b\"winter\"",
                "heard 2 times",
            ];
            assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{backend:?} from {on:?}");
        }
    }
}
