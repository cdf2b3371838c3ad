//! How a program's failure is told: what it was, where in the program's own functions, what to do.

mod support;

use dormouse_host::{Error, Output, Program, Run, Source};
use support::{assemble, print};

/// What is said of a program that traps.
fn trap(text: &str) -> String {
    let program = Program::from_bytes("app.wasm", &assemble(text)).unwrap();
    match Run::new(&program).start() {
        Err(Error::Trap(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// A module whose functions have these names and call each other in that order; the last one has a body.
fn nested(names: &[&str], body: &str) -> String {
    let mut functions = String::new();
    for (n, name) in names.iter().enumerate() {
        let body = if n + 1 == names.len() { body.to_owned() } else { format!("(call {})", n + 1) };
        let start = if n == 0 { "(export \"_start\")" } else { "" };
        functions.push_str(&format!("(func (@name \"{name}\") {start} {body})"));
    }
    format!("(module (memory (export \"memory\") 1) {functions})")
}

#[test]
fn a_panic_shows_the_programs_own_functions() {
    let text = trap(&nested(
        &[
            "_start",
            "_ZN3std2rt10lang_start17h0123456789abcdefE",
            "_ZN3app4main17h0123456789abcdefE",
            "_ZN4core4iter6traits8iterator8Iterator4fold17h0123456789abcdefE",
            "_ZN4core4iter3map17h0123456789abcdefE",
            "_ZN3app5parse17h0123456789abcdefE",
            "_ZN4core9panicking9panic_fmt17h0123456789abcdefE",
            "rust_begin_unwind",
            "abort",
        ],
        "unreachable",
    ));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "the program panicked: what it says of that is above");
    assert_eq!(lines[1], "     … 3 frames of libc and std");
    assert!(lines[2].starts_with("    3: ") && lines[2].ends_with(" - app::parse"), "{text}");
    assert_eq!(lines[3], "     … 2 frames of std");
    assert!(lines[4].starts_with("    6: ") && lines[4].ends_with(" - app::main"), "{text}");
    assert_eq!(lines[5], "     … 2 frames of libc and std");
    assert_eq!(lines.len(), 6, "{text}");
}

#[test]
fn abort_is_called_so_and_what_has_no_names_may_be_either() {
    let text = trap(&nested(&["_start", "main", "abort"], "unreachable"));
    assert!(text.starts_with("the program called abort\n") && text.contains(" - main\n"), "{text}");
    assert!(!text.contains("hint"), "{text}");
    let text = trap("(module (memory (export \"memory\") 1) (func (export \"_start\") unreachable))");
    assert!(text.starts_with("the program trapped: wasm `unreachable` instruction executed\n"), "{text}");
    assert!(text.contains("<wasm function 0>") && text.contains("a Rust panic ends so, and abort() in C"), "{text}");
}

#[test]
fn a_stack_overflow_is_called_so_whichever_stack_it_is() {
    let text = trap(&nested(&["f"], "(call 0)"));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "stack overflow: the calls are nested deeper than a stack of 512 KiB");
    assert!(text.contains("times more\n     … and more, beyond 100 frames\nhint: look for a recursion"), "{text}");
    assert!(lines.len() < 8 && text.ends_with("or raise --max-stack"), "{text}");
    let source = Source::new("app.wasm", assemble(&nested(&["f"], "(call 0)"))).max_stack(16 << 10);
    let error = Run::new(&source.compile().unwrap()).start().unwrap_err().to_string();
    assert!(error.starts_with("stack overflow: the calls are nested deeper than a stack of 16 KiB"), "{error}");

    // The stack that a compiler lays at the beginning of memory, and that grows downwards.
    let own = r#"(module (memory (export "memory") 2) (global $sp (mut i32) (i32.const 1024))
      (func $deep (export "_start")
        (global.set $sp (i32.sub (global.get $sp) (i32.const 64)))
        (i32.store offset=8 (global.get $sp) (i32.const 1))
        (call $deep)))"#;
    let text = trap(own);
    assert!(text.starts_with("stack overflow: the stack that the program has in its memory"), "{text}");
    assert!(text.contains("-zstack-size="), "{text}");
    // A bad pointer is none, nor is one in a recursion.
    for address in ["-16", "200000"] {
        let text = trap(&nested(&["f"], &format!("(drop (i32.load (i32.const {address})))")));
        assert!(text.starts_with("the program trapped: out of bounds memory access"), "{text}");
    }
}

#[test]
fn an_exception_that_nothing_catches_is_called_so() {
    let text = trap(r#"(module (memory (export "memory") 1) (tag $t) (func $throws (export "_start") (throw $t)))"#);
    assert!(text.starts_with("the program threw an exception that nothing in it caught\n"), "{text}");
    assert!(text.ends_with(" - throws"), "{text}");
}

#[test]
fn fuel_and_functions_by_name_are_of_a_program_that_is_made_for_them() {
    let text = "(module (memory (export \"memory\") 1) (func (export \"f\") (result i32) i32.const 7))";
    let reactor = Source::new("lib.wasm", text).reactor().fuel().compile().unwrap();
    let error = Run::new(&reactor).start().unwrap_err();
    assert!(matches!(&error, Error::Invoke { why, .. } if why.contains("no main")), "{error}");
    assert_eq!(Run::new(&reactor).stdout(Output::Null).invoke("f").fuel(1000).start().unwrap().code, 0);
    let error = Run::new(&reactor).stdout(Output::Null).invoke("f").fuel(0).start().unwrap_err().to_string();
    assert!(error.contains("all fuel consumed"), "{error}");
    // Without a bound it has as much as there is.
    assert_eq!(Run::new(&reactor).stdout(Output::Null).invoke("f").start().unwrap().code, 0);
    let program = Program::from_bytes("app.wasm", &support::runs(&format!("{} i32.const 0", print(4096, 1)))).unwrap();
    let error = Run::new(&program).fuel(1).start().unwrap_err();
    assert!(matches!(error, Error::WithoutFuel { .. }), "{error}");
}
