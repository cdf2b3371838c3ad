//! Programs in C, built by `cargo xtask capi` with real compilers: driven by real clients on every backend, and natively under
//! valgrind.

mod budget;
mod program;
mod valgrind;

use std::process::Command;

use program::{BACKENDS, Backend, Client, Program};

#[test]
fn the_library_does_what_its_header_says() {
    for on in BACKENDS {
        let mut program = Program::start(on, "talk", &[]);
        let (code, lines, stderr) = program.end();
        assert_eq!(code, Some(0), "{on:?}: {lines:?} {stderr}");
        assert_eq!(lines.last().map(String::as_str), Some("everything is as it should be"), "{on:?}");
    }
}

/// As many as the manual has rows, and what the program does before and after.
#[test]
fn misuse_returns_what_the_manual_says() {
    let manual = include_str!("../../README.md");
    let rows = manual.lines().filter(|line| line.starts_with("| `dm_")).count();
    assert!(rows > 60, "{rows}");
    for on in BACKENDS {
        let (code, lines, stderr) = misuse(&mut Program::start(on, "misuse", &[]));
        assert_eq!(code, Some(0), "{on:?}: {lines:?} {stderr}");
        let checked =
            |line: &&String| line.starts_with("ok dm_") && line.contains('(') && !line.ends_with("(listener)");
        let left_out = lines.iter().filter(|line| line.starts_with("left out")).count();
        assert_eq!(lines.iter().filter(checked).count() + left_out, rows, "{on:?}: {lines:?}");
        // Where there are no datagrams and no names, there are none to misuse.
        assert_eq!(left_out > 0, on == Backend::P1, "{on:?}: {lines:?}");
    }
}

fn misuse(program: &mut Program) -> (Option<i32>, Vec<String>, String) {
    let addr = program.addr();
    let clients = [Client::nc(&addr), Client::nc(&addr)];
    let ended = program.end();
    drop(clients);
    ended
}

#[test]
fn two_clients_are_served_while_the_ticker_ticks() {
    for on in BACKENDS {
        for example in ["echo_ticker", "own_scheduler"] {
            let mut program = Program::start(on, example, &["127.0.0.1:0", "2"]);
            serve_two(&mut program);
            let (code, _, stderr) = program.end();
            assert_eq!(code, Some(0), "{example} on {on:?}: {stderr}");
        }
    }
}

/// Two clients at once, and two ticks while both are there.
fn serve_two(program: &mut Program) {
    let addr = program.addr();
    let (mut one, mut other) = (Client::nc(&addr), Client::nc(&addr));
    for n in 1..=2 {
        one.echo(&format!("hello {n} from one"));
        other.echo(&format!("hello {n} from the other"));
        assert_eq!(program.line(), format!("tick {n}"));
    }
    one.echo(&"much ".repeat(20_000));
    one.hang_up();
    other.echo("and still there");
    other.hang_up();
}

#[test]
fn a_client_that_does_not_read_does_not_stop_the_others() {
    for on in BACKENDS {
        for example in ["echo_ticker", "own_scheduler"] {
            let mut program = Program::start(on, example, &["127.0.0.1:0", "2"]);
            let addr = program.addr();
            let mut deaf = Client::connect(&addr);
            deaf.flood();
            let mut other = Client::nc(&addr);
            other.echo("hello");
            // It has gone, and what was written to it is still on its way: that stops no other client, and neither does the end.
            drop(deaf);
            other.echo("hello again");
            other.hang_up();
            let (code, _, stderr) = program.end();
            assert_eq!(code, Some(0), "{example} on {on:?}: {stderr}");
        }
    }
}

#[test]
fn a_program_may_end_in_a_callback() {
    for on in BACKENDS.into_iter().chain([Backend::Valgrind]) {
        let (code, lines, stderr) = Program::start(on, "exit", &[]).end();
        // What a component's exit says is yes or no.
        let wanted = if matches!(on, Backend::P2 | Backend::P3) { 1 } else { 3 };
        assert_eq!((code, &lines[..]), (Some(wanted), &["bye".to_owned()][..]), "{on:?}: {stderr}");
        assert!(on != Backend::Valgrind || !stderr.contains("Invalid"), "{stderr}");
    }
}

/// In a directory with the program as `echo.c`, beside what `cargo xtask capi build` has made.
#[test]
fn the_commands_of_the_manual_build_that_program() {
    let manual = include_str!("../../README.md");
    let block = |of: &str, n: usize| manual.split(of).nth(n).unwrap().split_once("```").unwrap().0;
    let built = program::var("DORMOUSE_C");
    let dir = built.join("manual");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    std::os::unix::fs::symlink(built.parent().unwrap(), dir.join("target")).unwrap();
    std::fs::write(dir.join("echo.c"), block("```c\n", 1)).unwrap();
    for n in [1, 2] {
        let status = Command::new("sh").args(["-euc", block("```sh\n", n)]).current_dir(&dir).status().unwrap();
        assert!(status.success(), "block {n}: {status}");
    }
    for (on, name) in
        [(Backend::Native, "echo"), (Backend::P1, "echo-p1"), (Backend::P2, "echo-p2"), (Backend::P3, "echo-p3")]
    {
        let mut program = Program::start_at(on, &dir.join(name));
        let mut client = Client::nc(&program.addr());
        client.echo("hello");
        client.hang_up();
    }
}

#[test]
fn what_the_policy_refuses_is_a_negative_errno_and_a_sentence() {
    for on in [Backend::P2, Backend::P3] {
        let mut program = Program::start_denied(on, "echo_ticker", &["127.0.0.1:0"]);
        let (code, lines, stderr) = program.end();
        assert_eq!((code, lines.len()), (Some(1), 0), "{on:?}: {stderr}");
        // EACCES of wasi-libc.
        assert!(stderr.contains("127.0.0.1:0") && stderr.contains("(-2)"), "{on:?}: {stderr}");
    }
}
