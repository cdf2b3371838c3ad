//! The bell: a wait for the last instant but one ends when a socket outside of the list has become ready (`crates/dormouse/FACTS.md`, `BELL`).

mod support;

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;

use dormouse_host::{Exit, Output, Policy, Program, Run};
use support::{assemble, print, text};

/// Runs it, and connects to the address of each index that it prints.
fn run(bytes: &[u8], with: impl FnOnce(Run<'_>) -> Run<'_>, addrs: &[std::net::SocketAddr]) {
    let program = Program::from_bytes("test", bytes).unwrap();
    let (sender, asked) = channel();
    let stdout = Output::Pipe(Box::new(move |chunk: &[u8]| sender.send(chunk.to_vec()).unwrap()));
    std::thread::scope(|scope| {
        let peer = scope.spawn(move || {
            let mut peers = Vec::new();
            while let Ok(chunk) = asked.recv() {
                peers.extend(chunk.iter().map(|&index| TcpStream::connect(addrs[index as usize]).unwrap()));
            }
            peers.len()
        });
        assert_eq!(with(Run::new(&program)).stdout(stdout).start().unwrap(), Exit { code: 0 });
        assert_eq!(peer.join().unwrap(), 2);
    });
}

/// Its listeners are 3 and 4. An event is checked by its number: 1 is the bell, and 2 and 3 are of the listeners 4 and 3.
const MODULE: &str = r#"
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "dormouse-host-facts") (param i32)
    (if (i32.eqz (i32.and (local.get 0) (i32.const 8))) (then unreachable)))
  (func $subscribe (param $at i32) (param $userdata i64) (param $kind i32) (param $of i32) (param $timeout i64) (param $flags i32)
    (i64.store (local.get $at) (local.get $userdata))
    (i32.store8 offset=8 (local.get $at) (local.get $kind))
    (i32.store offset=16 (local.get $at) (local.get $of))
    (i64.store offset=24 (local.get $at) (local.get $timeout))
    (i32.store16 offset=40 (local.get $at) (local.get $flags)))
  ;; Polls, and is told of this alone.
  (func $tells (param $from i32) (param $count i32) (param $userdata i64)
    (if (call $poll (local.get $from) (i32.const 1024) (local.get $count) (i32.const 2048)) (then unreachable))
    (if (i32.ne (i32.load (i32.const 2048)) (i32.const 1)) (then unreachable))
    (if (i64.ne (i64.load (i32.const 1024)) (local.get $userdata)) (then unreachable)))
  (func $connect (param $index i32)
    (i32.store8 (i32.const 3000) (local.get $index))
    (i32.store (i32.const 3008) (i32.const 3000))
    (i32.store (i32.const 3012) (i32.const 1))
    (if (call $write (i32.const 1) (i32.const 3008) (i32.const 1) (i32.const 3016)) (then unreachable)))
  (func (export "_start")
    (call $subscribe (i32.const 0) (i64.const 1) (i32.const 0) (i32.const 1) (i64.const -2) (i32.const 1))
    (call $subscribe (i32.const 48) (i64.const 2) (i32.const 1) (i32.const 4) (i64.const 0) (i32.const 0))
    (call $subscribe (i32.const 96) (i64.const 3) (i32.const 1) (i32.const 3) (i64.const 0) (i32.const 0))
    (call $subscribe (i32.const 144) (i64.const 4) (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 0))
    ;; The first time it rings at once. From then on the listeners are watched.
    (call $tells (i32.const 0) (i32.const 1) (i64.const 1))
    (call $tells (i32.const 48) (i32.const 3) (i64.const 4))
    ;; What is not in the list becomes ready: the bell.
    (call $connect (i32.const 0))
    (call $tells (i32.const 0) (i32.const 2) (i64.const 1))
    ;; What is in the list becomes ready: that, and the bell has told of the other.
    (call $connect (i32.const 1))
    (call $tells (i32.const 0) (i32.const 2) (i64.const 2))
    (call $tells (i32.const 96) (i32.const 1) (i64.const 3))))"#;

#[test]
fn a_module_is_told_of_a_socket_outside_of_its_list() {
    let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let addrs = [0, 1].map(|index: usize| listeners[index].local_addr().unwrap());
    let [first, second] = listeners;
    run(&assemble(MODULE), |run| run.listener("first", first).listener("second", second), &addrs);
}

/// The same, with listeners that it opens itself.
const COMPONENT: &str = r#"
    (func (export "dormouse-host-facts") (param i32)
      (if (i32.eqz (i32.and (local.get 0) (i32.const 8))) (then unreachable)))
    (func $tells (param $count i32) (param $index i32)
      (call $poll (i32.const 1024) (local.get $count) (i32.const 2048))
      (if (i32.ne (i32.load (i32.const 2052)) (i32.const 1)) (then unreachable))
      (if (i32.ne (i32.load (i32.load (i32.const 2048))) (local.get $index)) (then unreachable)))
    (func $listener (param $port i32) (result i32) (local $s i32)
      (call $create-tcp (i32.const 0) (i32.const 8))
      (local.set $s (i32.load (i32.const 12)))
      (call $start-bind (local.get $s) (call $network) (i32.const 0)
        (local.get $port) (i32.const 127) (i32.const 0) (i32.const 0) (i32.const 1)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 8))
      (if (i32.load8_u (i32.const 8)) (then unreachable))
      (call $finish-bind (local.get $s) (i32.const 8))
      (call $start-listen (local.get $s) (i32.const 12))
      (call $finish-listen (local.get $s) (i32.const 12))
      (if (i32.load8_u (i32.const 12)) (then unreachable))
      (call $subscribe-tcp (local.get $s)))
    (func (export "run") (result i32) (local $bell i32) (local $one i32) (local $other i32)
      (i32.store8 (i32.const 4096) (i32.const 0))
      (i32.store8 (i32.const 4097) (i32.const 1))
      (local.set $one (call $listener (i32.const PORT0)))
      (local.set $other (call $listener (i32.const PORT1)))
      (local.set $bell (call $subscribe-instant (i64.const -2)))
      ;; The first time it rings at once. From then on the listeners are watched.
      (i32.store (i32.const 1024) (local.get $bell))
      (call $tells (i32.const 1) (i32.const 0))
      (i32.store (i32.const 1024) (local.get $other))
      (i32.store (i32.const 1028) (local.get $one))
      (i32.store (i32.const 1032) (call $subscribe-duration (i64.const 0)))
      (call $tells (i32.const 3) (i32.const 2))
      ;; What is not in the list becomes ready: the bell.
      PRINT0
      (i32.store (i32.const 1028) (local.get $bell))
      (call $tells (i32.const 2) (i32.const 1))
      ;; What is in the list becomes ready: that, and the bell has told of the other.
      PRINT1
      (call $tells (i32.const 2) (i32.const 0))
      (i32.store (i32.const 1024) (local.get $one))
      (call $tells (i32.const 1) (i32.const 0))
      (call $drop-pollable (local.get $bell))
      i32.const 0)"#;

/// What the text of a component needs to have the clock's instants, and the export.
const MORE: [(&str, &str); 5] = [
    (
        r#"(export "subscribe-duration" (func (param "when" u64) (result (own $p))))"#,
        r#"(export "subscribe-instant" (func (param "when" u64) (result (own $p))))"#,
    ),
    (
        r#"(core func $subscribe-duration (canon lower (func $clock "subscribe-duration")))"#,
        r#"(core func $subscribe-instant (canon lower (func $clock "subscribe-instant")))"#,
    ),
    (
        r#"(import "h" "subscribe-duration" (func $subscribe-duration (param i64) (result i32)))"#,
        r#"(import "h" "subscribe-instant" (func $subscribe-instant (param i64) (result i32)))"#,
    ),
    (
        r#"(export "subscribe-duration" (func $subscribe-duration))"#,
        r#"(export "subscribe-instant" (func $subscribe-instant))"#,
    ),
    (
        "(func $run (result (result)) (canon lift (core func $i \"run\")))",
        r#"(func $facts (param "facts" u32) (canon lift (core func $i "dormouse-host-facts")))
           (export "dormouse-host-facts" (func $facts))"#,
    ),
];

#[test]
fn a_component_is_told_of_a_socket_outside_of_its_list() {
    // Ports that were free a moment ago.
    let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let addrs = [0, 1].map(|index: usize| listeners[index].local_addr().unwrap());
    drop(listeners);
    let fields = COMPONENT
        .replace("PORT0", &addrs[0].port().to_string())
        .replace("PORT1", &addrs[1].port().to_string())
        .replace("PRINT0", &print(4096, 1))
        .replace("PRINT1", &print(4097, 1));
    let whole = MORE.iter().fold(text(&fields), |text, (there, more)| text.replace(there, &format!("{there}\n{more}")));
    run(&assemble(&whole), |run| run.policy(Policy::allow_all()), &addrs);
}
