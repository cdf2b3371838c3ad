//! `apps/postgres`, with Debian's postgresql. Not on wasip1: see the last test.

use cookbook_tests::servers::Postgres;
use cookbook_tests::{Backend, Running, client, dormouse_run, output, program};

fn query(backend: Backend, config: &str, rest: &[&str]) -> Running {
    let mut command = client("postgres", "postgres-query", backend);
    command.arg(config).args(rest);
    Running::start(command, false)
}

#[test]
fn everything_one_does_with_postgres() {
    let server = Postgres::start();
    for backend in Backend::CONNECT {
        let said = output(client("postgres", "postgres-client", backend).arg(server.config()));
        let expected = [
            "committed: dormouse; dropped: rolled back",
            "a mistake is told: true, db error: ERROR: duplicate key value violates unique constraint \"animals_pkey\"",
            "DETAIL: Key (id)=(-1) already exists.",
            "200 tasks share the connection",
            "copied in 50000 rows",
            "their sum is 1249975000",
            "copied out 288890 bytes",
            "a value of 8388608 bytes came back whole",
            "winter: 0 days to go",
            "winter: 1 days to go",
            "winter: 2 days to go",
            "cancelled: db error: ERROR: canceling statement due to user request",
            "dropped, and done all the same: 1",
            "50 connections came and went",
        ];
        assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{backend:?}");
        // The clients have gone, and said so.
        server.until_sessions("%", 0);
    }
}

#[test]
fn nothing_leaks() {
    let server = Postgres::start();
    for backend in [Backend::P2, Backend::P3] {
        let mut command = dormouse_run();
        command.args(["--allow-net", "--count-calls"]);
        command.arg(program("postgres", "postgres-client", backend)).arg(server.config());
        let mut client = Running::start(command, false);
        client.until("50 connections came and went");
        let line = client.until("entries in the resource table");
        let held: usize = line.split_whitespace().next().and_then(|count| count.parse().ok()).expect("a number");
        // Those of the connection that is left, and of standard output.
        assert!(held < 15, "{backend:?}: {line}");
    }
}

#[test]
fn a_wrong_password_is_refused() {
    let server = Postgres::start();
    for backend in Backend::CONNECT {
        let (status, said) = query(backend, &server.config().replace("winter", "summer"), &["select 1"]).end();
        assert!(!status.success(), "{backend:?}: {said}");
        assert!(said.contains("password authentication failed for user \"mouse\""), "{backend:?}: {said}");
    }
}

#[test]
fn a_query_that_takes_too_long_is_cancelled() {
    let server = Postgres::start();
    for backend in Backend::CONNECT {
        let (status, said) = query(backend, &server.config(), &["select pg_sleep(3600)", "1"]).end();
        assert!(!status.success(), "{backend:?}: {said}");
        assert!(said.contains("canceling statement due to user request"), "{backend:?}: {said}");
        server.until_sessions("select pg_sleep%", 0);
    }
}

#[test]
fn a_server_that_goes_away_is_an_error() {
    let mut server = Postgres::start();
    for backend in Backend::CONNECT {
        let mut client = query(backend, &server.config(), &["select pg_sleep(3600)"]);
        client.until("connected");
        server.until_sessions("select pg_sleep%", 1);
        server.kill();
        let (status, said) = client.end();
        assert!(!status.success(), "{backend:?}: {said}");
        assert!(said.contains("terminating connection due to immediate shutdown"), "{backend:?}: {said}");
        assert!(said.contains("Error: connection closed"), "{backend:?}: {said}");
        let (status, said) = query(backend, &server.config(), &["select 1"]).end();
        assert!(!status.success(), "{backend:?}: {said}");
        let refused = format!("connect {}: ", server.addr);
        assert!(said.contains(&refused) && said.to_lowercase().contains("connection refused"), "{backend:?}: {said}");
        server.run();
    }
}

/// Not ours to mend: the crate that tokio-postgres asks for the user's name calls WASI 0.2 on every WASI target.
#[test]
fn a_wasip1_module_is_not_loaded() {
    let (status, said) = query(Backend::P1, "host=127.0.0.1 user=mouse", &["select 1"]).end();
    assert!(!status.success() && said.contains("imports wasi:cli/environment@0.2"), "{said}");
}
