//! What cannot be run is refused with a sentence that says what it is and what to do.

mod support;

use dormouse_host::{Error, Program};
use support::{assemble, runs};

fn refused(bytes: &[u8]) -> Error {
    Program::from_bytes("app.wasm", bytes).unwrap_err()
}

/// The sentence, which has one line and names the program.
fn sentence(bytes: &[u8]) -> String {
    let sentence = refused(bytes).to_string();
    assert!(!sentence.contains('\n') && sentence.starts_with("app.wasm "), "{sentence}");
    sentence
}

#[test]
fn a_file_that_does_not_exist_is_named() {
    let error = Program::load("no/such.wasm".as_ref()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read no/such.wasm: no such file or directory; give the path of a .wasm file");
    let error = Program::load(env!("CARGO_MANIFEST_DIR").as_ref()).unwrap_err();
    assert!(error.to_string().contains("is a directory"), "{error}");
}

#[test]
fn bytes_that_are_not_webassembly_are_refused() {
    for (bytes, why) in [
        (&b""[..], "it is empty"),
        (b"#!/bin/sh\n", "it does not start like WebAssembly"),
        (b"\0asm\x07\0\0\0", "unknown version"),
        (b"(module (func (i32.foo)))", "its text is wrong in line 1: unknown operator"),
    ] {
        let sentence = sentence(bytes);
        assert!(
            sentence.contains(why) && sentence.contains("build it for wasm32-wasip2 or wasm32-wasip1"),
            "{sentence}"
        );
    }
    for bytes in [&b"\0asm\x01\0\0\0\x01"[..], b"\0asm\x0d\0\x01\0\x07"] {
        assert!(matches!(refused(bytes), Error::Invalid { .. }));
        assert!(sentence(bytes).ends_with("; a part of the file is missing"), "{}", sentence(bytes));
    }
}

#[test]
fn what_is_valid_and_not_offered_has_its_true_reason() {
    for (text, what, advice) in [
        (r#"(memory 1 1 shared)"#, "shared memories", "a program has one thread here"),
        (
            r#"(func (i64.add128 (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1)) drop drop)"#,
            "wide arithmetic",
            "",
        ),
    ] {
        let sentence = sentence(&assemble(&format!("(module {text} (func (export \"_start\")))")));
        assert!(sentence.starts_with("app.wasm is WebAssembly that cannot be run here: "), "{sentence}");
        assert!(sentence.contains(what) && sentence.contains(advice), "{sentence}");
        assert!(!sentence.contains("build it for wasm32-wasip2"), "{sentence}");
    }
    // The bytes of `try` and `catch_all`: the exceptions of an older proposal, which assemblers no longer write.
    let legacy = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0\x0a\x08\x01\x06\0\x06\x40\x19\x0b\x0b";
    assert!(sentence(legacy).contains("wasm-opt --translate-to-exnref"), "{}", sentence(legacy));
}

#[test]
fn a_module_without_start_is_refused_and_told_from_one_without_wasi() {
    let core = assemble("(module (func (export \"run\")))");
    assert!(matches!(refused(&core), Error::NoStart { wasip1: false, .. }));
    assert!(sentence(&core).contains("does not use WASI"));

    let p1 = assemble("(module (import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32))))");
    assert!(matches!(refused(&p1), Error::NoStart { wasip1: true, .. }));
    assert!(sentence(&p1).contains("without a _start export"));
}

#[test]
fn a_module_that_imports_something_unknown_is_refused_by_name() {
    let unknown = "(module (import \"env\" \"f\" (func)) (func (export \"_start\")))";
    assert!(matches!(refused(&assemble(unknown)), Error::UnknownImport { import, .. } if import == "env.f"));
    for (module, hint) in
        [("gojs", "set GOOS=wasip1"), ("wbg", "build it for wasm32-wasip2"), ("env", "a library was not linked")]
    {
        let sentence = sentence(&assemble(&unknown.replace("env", module)));
        assert!(
            sentence.starts_with(&format!("app.wasm imports {module}.f, ")) && sentence.ends_with(hint),
            "{sentence}"
        );
    }
}

#[test]
fn a_component_without_run_is_refused() {
    assert!(matches!(refused(&assemble("(component)")), Error::NoRunExport { .. }));
    assert!(sentence(&assemble("(component)")).contains("wasi:cli/run@0.2"));
}

/// A command that imports one more thing.
fn command(import: &str) -> Vec<u8> {
    assemble(&format!(
        r#"(component {import}
          (core module $main (func (export "run") (result i32) i32.const 0))
          (core instance $i (instantiate $main))
          (func $run (result (result)) (canon lift (core func $i "run")))
          (instance $command (export "run" (func $run)))
          (export "wasi:cli/run@0.2.0" (instance $command)))"#
    ))
}

#[test]
fn an_unknown_import_is_named() {
    assert!(Program::from_bytes("ok", &command("")).is_ok());
    for (import, name) in [
        (r#"(import "wasi:https/types@0.2.0" (instance (export "f" (func))))"#, "wasi:https/types@0.2.0"),
        (r#"(import "wasi:io/poll@0.2.0" (instance (export "snooze" (func))))"#, "wasi:io/poll@0.2.0"),
        (r#"(import "log" (func))"#, "log"),
    ] {
        let bytes = command(import);
        assert!(matches!(refused(&bytes), Error::UnknownImport { import, .. } if import == name));
        let sentence = sentence(&bytes);
        assert!(sentence.starts_with(&format!("app.wasm imports {name}, ")), "{sentence}");
        assert!(!name.contains("poll") || sentence.contains("`snooze`"), "{sentence}");
    }
}

#[test]
fn a_program_that_wants_http_is_told_what_serves_it() {
    let imports = sentence(&command(r#"(import "wasi:http/types@0.2.0" (instance (export "f" (func))))"#));
    assert!(imports.starts_with("app.wasm imports wasi:http/types@0.2.0: HTTP by the host's means"), "{imports}");
    assert!(imports.contains("`wasmtime run -S http app.wasm`"), "{imports}");
    let proxy = assemble(
        r#"(component
          (core module $main (func (export "handle")))
          (core instance $i (instantiate $main))
          (func $handle (canon lift (core func $i "handle")))
          (instance $handler (export "handle" (func $handle)))
          (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#,
    );
    assert!(matches!(refused(&proxy), Error::Proxy { .. }));
    assert!(sentence(&proxy).contains("`wasmtime serve app.wasm`"), "{}", sentence(&proxy));
}

#[test]
fn a_component_of_a_draft_of_wasi_0_3_is_refused_by_name() {
    let draft =
        r#"(import "wasi:clocks/monotonic-clock@0.3.0-rc-2025-09-16" (instance (export "now" (func (result u64)))))"#;
    let sentence = sentence(&command(draft));
    assert!(sentence.starts_with("app.wasm imports wasi:clocks/monotonic-clock@0.3.0-rc-2025-09-16, "), "{sentence}");
    let run = assemble(
        r#"(component
          (core module $main (func (export "run") (result i32) i32.const 0))
          (core instance $i (instantiate $main))
          (func $run async (result (result)) (canon lift (core func $i "run")))
          (instance $command (export "run" (func $run)))
          (export "wasi:cli/run@0.3.0-rc-2025-09-16" (instance $command)))"#,
    );
    assert!(matches!(refused(&run), Error::NoRunExport { .. }), "{:?}", refused(&run));
}

#[test]
fn a_program_keeps_its_file_name() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("named.wasm");
    std::fs::write(&path, runs("i32.const 0")).unwrap();
    assert_eq!(Program::load(&path).unwrap().name(), "named.wasm");
}
