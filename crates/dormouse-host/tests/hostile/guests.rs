//! The programs. Each does its worst a bounded number of times, so that it ends on a host that does not mind.

use crate::support::{assemble, guest, p3, runs};

pub struct Guest {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    /// Exit codes: 0 if it has got to its end, [`REFUSED`] if the host has refused it by an error, 134 if by a trap.
    pub ends: &'static [i32],
}

/// The exit code of a module that was refused something.
const REFUSED: i32 = 7;
/// The host answers, or refuses by an error that the program gets.
const ANSWERED: &[i32] = &[0, REFUSED];
/// The host may also end it.
const ENDED: &[i32] = &[0, REFUSED, 134];
const TRAPPED: &[i32] = &[134];

pub fn all() -> Vec<Guest> {
    let mut all = modules();
    all.extend(components());
    all.extend(components_of_wasi03());
    all
}

/// A module of WASI 0.1. `fields` have more than the body, which returns whether it was refused.
fn module(name: &'static str, ends: &'static [i32], fields: &str, body: &str) -> Guest {
    let bytes = assemble(&format!(
        r#"(module
          (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_readdir" (func $readdir (param i32 i32 i32 i64 i32) (result i32)))
          (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          {fields}
          (func $main (result i32) (local $n i32) (local $at i32) {body})
          (func (export "_start") (call $exit (i32.mul (call $main) (i32.const {REFUSED})))))"#
    ));
    Guest { name, bytes, ends }
}

/// Text: as often as that, in a function with a local `$n`.
fn times(count: u32, body: &str) -> String {
    format!(
        "(local.set $n (i32.const 0))
         (loop $again
           {body}
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $n) (i32.const {count}))))"
    )
}

/// Text: grows the memory to nearly all that the guest may have, 15 MiB.
const GROW: &str = "(drop (memory.grow (i32.const 239)))";
/// Where that ends.
const END: u32 = 15 << 20;

/// `poll_oneoff` over as many subscriptions as the memory has room for, each with this tag and this first word; the first is a clock
/// that is due.
fn long_poll(name: &'static str, tag: u8, word: u32) -> Guest {
    const COUNT: u32 = (END - 65536) / 80;
    let fill = times(
        COUNT,
        &format!(
            "(local.set $at (i32.add (i32.const 65536) (i32.mul (local.get $n) (i32.const 48))))
             (i32.store8 offset=8 (local.get $at) (select (i32.const {tag}) (i32.const 0) (local.get $n)))
             (i32.store offset=16 (local.get $at) (select (i32.const {word}) (i32.const 1) (local.get $n)))"
        ),
    );
    let events = 65536 + COUNT * 48;
    let poll = format!(
        "(i32.ne (call $poll (i32.const 65536) (i32.const {events}) (i32.const {COUNT}) (i32.const 8)) (i32.const 0))"
    );
    module(name, ANSWERED, "", &format!("{GROW} {fill} {poll}"))
}

fn modules() -> Vec<Guest> {
    let many_memories: String = (0..99).map(|n| format!("(memory $m{n} 0)")).collect();
    let grow_each: String = (0..99)
        .map(|n| format!("(drop (memory.grow $m{n} (i32.const 200))) (memory.fill $m{n} (i32.const 0) (i32.const 1) (memory.size $m{n}))"))
        .collect();
    let file = r#"(data (i32.const 1024) "app.wasm")"#;
    // The name is in the directory 3; the result goes to 8.
    let open = "(call $open (i32.const 3) (i32.const 0) (i32.const 1024) (i32.const 8) (i32.const 0) (i64.const 2) (i64.const 2)
        (i32.const 0) (i32.const 8))";
    // A thousand buffers, each of which is nearly all of the memory.
    let buffers = times(
        1000,
        &format!(
            "(local.set $at (i32.add (i32.const 65536) (i32.mul (local.get $n) (i32.const 8))))
             (i32.store offset=4 (local.get $at) (i32.const {END}))"
        ),
    );
    vec![
        module("1 nothing", &[0], "", "(i32.const 0)"),
        module(
            "1 table.grow",
            ANSWERED,
            "(table $t 0 funcref)",
            &format!(
                "{} (i32.eq (table.size $t) (i32.const 0))",
                times(256, "(drop (table.grow $t (ref.null func) (i32.const 1048576)))")
            ),
        ),
        module(
            "1 memory.grow",
            ANSWERED,
            "",
            &format!(
                "{} (memory.fill (i32.const 0) (i32.const 1) (i32.mul (memory.size) (i32.const 65536))) (i32.const 0)",
                times(65536, "(drop (memory.grow (i32.const 1)))")
            ),
        ),
        module("1 many memories", ANSWERED, &many_memories, &format!("{grow_each} (i32.const 0)")),
        module(
            "1 recursion",
            TRAPPED,
            "(func $f (param i64 i64) (result i64) (i64.add (i64.const 1) (call $f (local.get 1) (local.get 0))))",
            "(i32.wrap_i64 (call $f (i64.const 0) (i64.const 0)))",
        ),
        module(
            "1 random_get of 4 GiB",
            &[REFUSED],
            "",
            "(i32.ne (call $random (i32.const 0) (i32.const -1)) (i32.const 0))",
        ),
        module(
            "1 random_get of all, 100 times",
            &[0],
            "",
            &format!(
                "{GROW} {} (i32.const 0)",
                times(100, &format!("(drop (call $random (i32.const 0) (i32.const {END})))"))
            ),
        ),
        long_poll("1 poll of clocks", 0, 1),
        long_poll("1 poll of standard input", 1, 0),
        long_poll("1 poll of standard output", 2, 1),
        long_poll("1 poll of what is not open", 1, 77),
        long_poll("1 poll of nonsense", 9, 0),
        module(
            "1 files never closed",
            ANSWERED,
            file,
            &format!("{} (i32.const 0)", times(100_000, &format!("(drop {open})"))),
        ),
        module(
            "1 reads into a thousand buffers",
            ENDED,
            "",
            &format!(
                "{GROW} {buffers} {} (i32.const 0)",
                times(20, "(drop (call $read (i32.const 0) (i32.const 65536) (i32.const 1000) (i32.const 8)))")
            ),
        ),
        module(
            "1 writes of a thousand buffers",
            ENDED,
            "",
            &format!(
                "{GROW} {buffers} {} (i32.const 0)",
                times(20, "(drop (call $write (i32.const 1) (i32.const 65536) (i32.const 1000) (i32.const 8)))")
            ),
        ),
        module(
            "1 a directory into all memory",
            ANSWERED,
            "",
            &format!(
                "{GROW} {} (i32.const 0)",
                times(
                    100,
                    &format!(
                        "(drop (call $readdir (i32.const 3) (i32.const 65536) (i32.const {}) (i64.const 0) (i32.const 8)))",
                        END - 65536
                    )
                )
            ),
        ),
    ]
}

/// A component of WASI 0.2 whose "run" has this body, and a local `$n` and `$s`.
fn component(name: &'static str, ends: &'static [i32], body: &str) -> Guest {
    let bytes = guest(&format!(
        "(func (export \"run\") (result i32) (local $n i32) (local $s i32) (local $net i32) {body} i32.const 0)"
    ));
    Guest { name, bytes, ends }
}

/// Text: a list of that many of the handle `$s` at 65536.
fn list(count: u32) -> String {
    times(count, "(i32.store (i32.add (i32.const 65536) (i32.mul (local.get $n) (i32.const 4))) (local.get $s))")
}

fn components() -> Vec<Guest> {
    let address = "(i32.const 0) (local.get $n) (i32.const 127) (i32.const 0) (i32.const 0) (i32.const 1)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)";
    let open = "(call $create-tcp (i32.const 0) (i32.const 8)) (local.set $s (i32.load (i32.const 12)))";
    // Half of the memory: the list, and half for what `poll` gives.
    let (half, count) = (END / 2 - 65536, (END / 2 - 65536) / 4);
    vec![
        Guest { name: "2 nothing", bytes: runs("i32.const 0"), ends: &[0] },
        component(
            "2 pollables never dropped",
            ENDED,
            &times(4_000_000, "(drop (call $subscribe-duration (i64.const 1000000)))"),
        ),
        component("2 streams never dropped", ENDED, &times(4_000_000, "(drop (call $get-stdout))")),
        component("2 input streams never dropped", ENDED, &times(1_000_000, "(drop (call $get-stdin))")),
        component("2 networks never dropped", ENDED, &times(4_000_000, "(drop (call $network))")),
        component("2 sockets never closed", ENDED, &times(100_000, open)),
        component(
            "2 a long list to poll",
            ENDED,
            &format!(
                "{GROW} (local.set $s (call $subscribe-duration (i64.const 0))) {}
                 (call $poll (i32.const 65536) (i32.const {count}) (i32.const 8))",
                list(count)
            ),
        ),
        component(
            "2 a list that is not there",
            TRAPPED,
            "(call $poll (i32.const 65536) (i32.const 0x3fffffff) (i32.const 8))",
        ),
        component(
            "2 a read of all there can be",
            ENDED,
            "(call $blocking-read (call $get-stdin) (i64.const -1) (i32.const 8))",
        ),
        component(
            "2 a write of all memory",
            ENDED,
            &format!(
                "{GROW} (local.set $s (call $get-stdout)) {}",
                times(
                    20,
                    &format!("(call $write (local.get $s) (i32.const 0) (i32.const {}) (i32.const 8))", half * 2)
                )
            ),
        ),
        component(
            "2 refusals, one for each port",
            ENDED,
            &format!(
                "{open} (local.set $net (call $network)) {}",
                times(65535, &format!("(call $start-bind (local.get $s) (local.get $net) {address} (i32.const 8))"))
            ),
        ),
        Guest { name: "2 many instances", bytes: many_instances(), ends: ENDED },
    ]
}

/// A component that instantiates a module with a page of memory and a table, again and again.
fn many_instances() -> Vec<u8> {
    let instances = "(core instance (instantiate $m))".repeat(900);
    assemble(&format!(
        r#"(component
          (core module $m (memory 1) (table 1000 funcref))
          {instances}
          (core module $main (func (export "run") (result i32) (i32.const 0)))
          (core instance $i (instantiate $main))
          (func $run (result (result)) (canon lift (core func $i "run")))
          (instance $command (export "run" (func $run)))
          (export "wasi:cli/run@0.2.0" (instance $command)))"#
    ))
}

/// A component of WASI 0.3.
fn component_of_wasi03(name: &'static str, ends: &'static [i32], body: &str) -> Guest {
    let fields = format!("(func (export \"run\") (result i32) (local $n i32) (local $s i32) {body} i32.const 0)");
    Guest { name, bytes: p3::guest(&fields), ends }
}

fn components_of_wasi03() -> Vec<Guest> {
    vec![
        component_of_wasi03("3 nothing", &[0], ""),
        component_of_wasi03(
            "3 timers never dropped",
            ENDED,
            &times(1_000_000, "(drop (call $wait-for (i64.const 1000000000000)))"),
        ),
        component_of_wasi03("3 streams never dropped", ENDED, &times(1_000_000, "(drop (call $stream-new))")),
        component_of_wasi03("3 sets never dropped", ENDED, &times(1_000_000, "(drop (call $set-new))")),
        component_of_wasi03("3 input never read", ENDED, &times(200_000, "(call $stdin (i32.const 8))")),
        component_of_wasi03(
            "3 sockets never closed",
            ENDED,
            &times(100_000, "(call $create-tcp (i32.const 0) (i32.const 8))"),
        ),
    ]
}
