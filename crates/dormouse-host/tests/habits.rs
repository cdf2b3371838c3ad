//! What one who knows other hosts tries first: a program without `run`, from standard input, as text, a function of it, names, a policy file.

mod support;

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use support::{assemble, p3, print, runs};

/// An empty directory of that name.
fn empty_dir(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("habits-{name}"));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// The command in that directory.
fn dormouse(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dormouse"));
    command.current_dir(dir).env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The exit code, standard output and standard error.
fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn run(dir: &Path, args: &[&str]) -> (i32, String, String) {
    ended(dormouse(dir).args(args).output().unwrap())
}

/// A wasip1 module that ends with what its body leaves.
fn ends_with(body: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (import "wasi_snapshot_preview1" "args_sizes_get" (func $args-sizes (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "environ_sizes_get" (func $env-sizes (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (type $pair (struct (field (mut i32))))
          (tag $thrown (param i32))
          (func (export "_start") {body}
            call $exit))"#
    )
}

/// Prints the arguments, each with a NUL behind it, and ends with their number.
const PRINTS_ARGS: &str = "
    (drop (call $args-sizes (i32.const 0) (i32.const 12)))
    (drop (call $args (i32.const 1024) (i32.const 4096)))
    (i32.store (i32.const 8) (i32.const 4096))
    (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))
    (i32.load (i32.const 0))";

// ---- how a program is named ----

#[test]
fn a_program_runs_without_the_word_run_and_gets_what_follows() {
    let dir = empty_dir("bare");
    fs::write(dir.join("args.wasm"), assemble(&ends_with(PRINTS_ARGS))).unwrap();
    let said = |args: &[&str]| run(&dir, args);
    assert_eq!(said(&["args.wasm", "--env", "x"]), (3, "args.wasm\0--env\0x\0".into(), String::new()));
    assert_eq!(said(&["--env", "A=b", "args.wasm", "--", "-"]), (3, "args.wasm\0--\0-\0".into(), String::new()));
    assert_eq!(said(&["run", "args.wasm"]), said(&["args.wasm"]));
    assert_eq!(said(&["--argv0", "other", "args.wasm"]), (1, "other\0".into(), String::new()));
    // A file without an ending, and one that is called as a command.
    for name in ["args", "compile"] {
        fs::copy(dir.join("args.wasm"), dir.join(name)).unwrap();
    }
    assert_eq!(said(&["args"]).1, "args\0");
    assert_eq!(said(&["./compile"]).1, "compile\0");
    let (code, _, said) = said(&["compile"]);
    assert!(code == 2 && said.contains("<APP.wasm>"), "{said}");
}

#[test]
fn a_program_may_come_from_standard_input_once() {
    let dir = empty_dir("stdin");
    let given = |bytes: &[u8], args: &[&str]| {
        let mut child = dormouse(&dir).args(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        ended(child.wait_with_output().unwrap())
    };
    assert_eq!(given(&assemble(&ends_with(PRINTS_ARGS)), &["-", "a"]), (2, "-\0a\0".into(), String::new()));
    assert_eq!(given(ends_with(PRINTS_ARGS).as_bytes(), &["run", "-"]), (1, "-\0".into(), String::new()));
    let (code, _, said) = given(b"", &["-"]);
    assert!(
        code == 1 && said.starts_with("dormouse: standard input is not a WebAssembly program: it is empty"),
        "{said}"
    );
}

#[test]
fn what_is_no_command_and_no_file_is_a_sentence() {
    let dir = empty_dir("mistakes");
    fs::write(dir.join("app.wasm"), runs("i32.const 0")).unwrap();
    for (args, code, part) in [
        (&["walk"][..], 2, "there is no command walk, and no file of that name"),
        (&["missing.wasm"], 1, "cannot read missing.wasm: no such file or directory"),
        (&["./missing"], 1, "cannot read ./missing"),
        (&["."], 1, "cannot read .: is a directory"),
        (&["--allow-lisen", "x", "app.wasm"], 2, "unexpected argument '--allow-lisen'"),
        (&["--allow-net"], 2, "<APP.wasm>"),
        (&["--dir", "data:/data", "app.wasm"], 2, "HOST::GUEST has two colons"),
        (&["--allow-connect", "https://example.com", "app.wasm"], 2, "like example.com:443"),
        (&["--max-stack", "1", "app.wasm"], 2, "from 4KiB to 1GiB"),
        (&["--fuel", "lots", "app.wasm"], 2, "not a number"),
        (&["-W", "max-memory-size=1", "app.wasm"], 2, "max-wasm-stack=SIZE"),
        (&["-S", "http", "app.wasm"], 2, "inherit-env"),
        (&["--policy", "missing.toml", "app.wasm"], 2, "cannot read the policy missing.toml"),
    ] {
        let (ended, out, said) = run(&dir, args);
        assert!(ended == code && said.contains(part), "{args:?}: {ended} {said}");
        assert!(said.starts_with("dormouse: ") && said.lines().count() == 1 && out.is_empty(), "{said}");
    }
    for args in [&["--help"][..], &["-h"], &["help"]] {
        let (code, help, _) = run(&dir, args);
        assert!(code == 0 && help.contains("Examples:") && help.contains("--allow-connect db.internal:5432"), "{help}");
    }
}

// ---- what wasmtime calls so ----

#[test]
fn variables_are_inherited_if_asked_for() {
    let dir = empty_dir("env");
    // The number of variables.
    let counts = ends_with("(drop (call $env-sizes (i32.const 0) (i32.const 4))) (i32.load (i32.const 0))");
    fs::write(dir.join("env.wat"), counts).unwrap();
    let count = |args: &[&str]| {
        let mut command = dormouse(&dir);
        command.env_clear().envs([("ONE", "1"), ("TWO", "2"), ("HOME", "/nowhere")]);
        ended(command.arg("--no-cache").args(args).arg("env.wat").output().unwrap()).0
    };
    assert_eq!(count(&[]), 0);
    assert_eq!(count(&["--env", "ONE"]), 1);
    assert_eq!(count(&["--inherit-env"]), 3);
    assert_eq!(count(&["-S", "inherit-env"]), 3);
    // One that is set has that value, and is no fourth.
    assert_eq!(count(&["--inherit-env", "--env", "ONE=x"]), 3);
    assert_eq!(count(&["--inherit-env", "--env", "FOUR=x"]), 4);
}

#[test]
fn fuel_and_a_stack_have_bounds() {
    let dir = empty_dir("bounds");
    fs::write(
        dir.join("spins.wat"),
        "(module (memory (export \"memory\") 1) (func (export \"_start\") (loop $l (br $l))))",
    )
    .unwrap();
    // So many calls within each other.
    let nests = "(module (func $f (export \"f\") (param i32) (result i32) (if (result i32) (local.get 0)
        (then (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1))))) (else (i32.const 0)))))";
    fs::write(dir.join("nests.wat"), nests).unwrap();
    for option in [&["--fuel", "100000"][..], &["-W", "fuel=100000"], &["-Wfuel=100000,timeout=1h"]] {
        let (code, _, said) = run(&dir, &[option, &["spins.wat"]].concat());
        assert!(code == 134 && said.contains("all fuel consumed") && said.contains("--fuel"), "{said}");
    }
    let nested = |options: &[&str], deep: &str| run(&dir, &[options, &["--invoke", "f", "nests.wat", deep]].concat());
    assert_eq!(nested(&[], "1000"), (0, "1000\n".into(), String::new()));
    let (code, _, said) = nested(&[], "1000000");
    assert!(
        code == 134
            && said.starts_with("dormouse: stack overflow: the calls are nested deeper than a stack of 512 KiB"),
        "{said}"
    );
    assert!(said.ends_with("or raise --max-stack\n"), "{said}");
    assert_eq!(nested(&["--max-stack", "512MiB"], "1000000").1, "1000000\n");
    let (code, _, said) = nested(&["-W", "max-wasm-stack=8192"], "1000");
    assert!(code == 134 && said.contains("a stack of 8 KiB"), "{said}");
    assert_eq!(run(&dir, &["compile", "nests.wat"]).0, 0);
    let (code, _, said) = run(&dir, &["--allow-precompiled", "--fuel", "9", "--invoke", "f", "nests.cwasm", "1"]);
    assert!(code == 1 && said.contains("nests.cwasm is compiled as a program that uses up no fuel"), "{said}");
    // With enough of it, fuel changes nothing.
    assert_eq!(nested(&["--fuel", "1000000"], "1000").1, "1000\n");
}

#[test]
fn a_function_is_called_by_its_name() {
    let dir = empty_dir("invoke");
    let module = r#"(module (global $begun (mut i32) (i32.const 0))
      (func (export "_initialize") (global.set $begun (i32.const 40)))
      (func (export "begun") (result i32) (global.get $begun))
      (func (export "add") (param i32 f64) (result i64 f64) (i64.extend_i32_s (local.get 0)) (local.get 1))
      (func (export "traps") unreachable)
      (func (export "takes") (param externref)))"#;
    fs::write(dir.join("lib.wat"), module).unwrap();
    let call = |name: &str, args: &[&str]| run(&dir, &[&["--invoke", name, "lib.wat"], args].concat());
    assert_eq!(call("begun", &[]), (0, "40\n".into(), String::new()));
    assert_eq!(call("add", &["-3", "1.5"]), (0, "-3\n1.5\n".into(), String::new()));
    assert_eq!(call("traps", &[]).0, 134);
    for (name, args, part) in [
        ("none", &[][..], "there is no function none; exported are _initialize, begun, add, traps, takes"),
        ("add", &["1"], "takes 2 arguments, and 1 are given"),
        ("add", &["1", "x"], "`x` is not a number of the type f64"),
        ("takes", &["x"], "no value of a command line"),
    ] {
        let (code, out, said) = call(name, args);
        assert!(code == 1 && out.is_empty() && said.contains(part), "{said}");
        assert!(said.starts_with("dormouse: cannot do what --invoke says with lib.wat: "), "{said}");
    }
    let (code, _, said) = run(&dir, &["lib.wat"]);
    assert!(code == 1 && said.contains("lib.wat is a reactor") && said.contains("--invoke NAME"), "{said}");
    // Compiled, it is the same.
    assert_eq!(run(&dir, &["compile", "lib.wat"]).0, 0);
    assert_eq!(run(&dir, &["--allow-precompiled", "--invoke", "begun", "lib.cwasm"]).1, "40\n");
    assert!(run(&dir, &["--allow-precompiled", "lib.cwasm"]).2.contains("is a reactor"));
}

#[test]
fn a_function_of_a_component_is_called_by_its_name() {
    let dir = empty_dir("invoke-component");
    let component = r#"(component
      (core module $m
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "double") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
        (func (export "echo") (param i32 i32) (result i32)
          (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1)) (i32.const 0)))
      (core instance $i (instantiate $m))
      (func $double (param "n" u8) (result u32) (canon lift (core func $i "double")))
      (func $echo (param "text" string) (result string) (canon lift (core func $i "echo")
        (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
      (instance $api (export "echo" (func $echo)))
      (export "double" (func $double))
      (export "test:lib/api" (instance $api)))"#;
    fs::write(dir.join("lib.wat"), component).unwrap();
    let call = |name: &str, args: &[&str]| run(&dir, &[&["--invoke", name, "lib.wat"], args].concat());
    assert_eq!(call("double", &["21"]), (0, "42\n".into(), String::new()));
    assert_eq!(call("test:lib/api#echo", &["pläne"]), (0, "pläne\n".into(), String::new()));
    assert!(call("double", &["256"]).2.contains("`256` is not a number of the type u8"));
    assert!(call("run", &[]).2.contains("exported are double, test:lib/api#echo"));
    let (code, _, said) = run(&dir, &["lib.wat"]);
    assert!(code == 1 && said.contains("without a wasi:cli/run") && said.contains("--invoke NAME"), "{said}");
}

// ---- every valid module ----

#[test]
fn finished_proposals_run() {
    let dir = empty_dir("proposals");
    for (name, body) in [
        (
            "exceptions",
            "(block $caught (result i32) (try_table (catch $thrown $caught) (throw $thrown (i32.const 42))) (i32.const 1))",
        ),
        ("gc", "(struct.get $pair 0 (struct.new $pair (i32.const 42)))"),
    ] {
        fs::write(dir.join(name), ends_with(body)).unwrap();
        assert_eq!(run(&dir, &[name]), (42, String::new(), String::new()), "{name}");
    }
    let tails = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1) (memory $long i64 1)
      (func $f (param i32) (result i32) (if (result i32) (local.get 0)
        (then (return_call $f (i32.sub (local.get 0) (i32.const 1)))) (else (i32.load $long (i64.const 8)))))
      (func (export "_start") (i32.store $long (i64.const 8) (i32.const 42)) (call $exit (call $f (i32.const 1000000)))))"#;
    fs::write(dir.join("tails"), tails).unwrap();
    assert_eq!(run(&dir, &["tails"]), (42, String::new(), String::new()));
}

#[test]
fn garbage_is_within_max_memory() {
    let dir = empty_dir("garbage");
    // What is let go is collected, and what is kept is bounded.
    let drops = ends_with(
        "(local $n i32) (loop $l (drop (struct.new $pair (i32.const 1)))
          (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 3000000)))) (i32.const 42)",
    );
    fs::write(dir.join("drops"), drops).unwrap();
    let keeps = r#"(module (memory (export "memory") 1) (type $list (struct (field (ref null $list))))
      (func (export "_start") (local $all (ref null $list))
        (loop $l (local.set $all (struct.new $list (local.get $all))) (br $l))))"#;
    fs::write(dir.join("keeps"), keeps).unwrap();
    assert_eq!(run(&dir, &["--max-memory", "16MiB", "drops"]), (42, String::new(), String::new()));
    let (code, _, said) = run(&dir, &["--max-memory", "16MiB", "keeps"]);
    assert!(code == 134 && said.contains("memory beyond --max-memory (16777216 bytes) was refused"), "{said}");
}

#[test]
fn programs_of_wasi_unstable_run() {
    let dir = empty_dir("unstable");
    let module = r#"(module
      (import "wasi_unstable" "proc_exit" (func $exit (param i32)))
      (import "wasi_unstable" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\10\00\00\00\06\00\00\00") (data (i32.const 16) "hello\n")
      (func (export "_start")
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (call $exit (i32.const 200))))"#;
    fs::write(dir.join("old.wat"), module).unwrap();
    assert_eq!(run(&dir, &["old.wat"]), (200, "hello\n".into(), String::new()));
    let (code, _, said) = run(&dir, &["--listen", "127.0.0.1:0", "old.wat"]);
    assert!(code == 1 && said.contains("wasi_unstable") && said.contains("--listen"), "{said}");
}

// ---- names ----

#[test]
fn a_listener_may_have_a_name_of_this_machine() {
    let dir = empty_dir("names");
    fs::write(dir.join("app.wat"), ends_with("(i32.const 0)")).unwrap();
    let (code, _, said) = run(&dir, &["--listen", "localhost:0", "app.wat"]);
    let addr = said.strip_prefix("dormouse: FD 3 listens on ").and_then(|addr| addr.trim_end().parse().ok());
    let addr: std::net::SocketAddr = addr.unwrap_or_else(|| panic!("{code} {said}"));
    assert!(code == 0 && addr.ip().is_loopback(), "{said}");
    let (code, _, said) = run(&dir, &["--listen", "no.such.name.invalid:0", "app.wat"]);
    assert!(code == 1 && said.starts_with("dormouse: cannot listen on no.such.name.invalid:0: "), "{said}");
    let (code, _, said) = run(&dir, &["--allow-listen", "no.such.name.invalid:0", "app.wat"]);
    assert!(code == 1 && said.starts_with("dormouse: cannot listen on no.such.name.invalid:0: "), "{said}");
    // A name whose every address is taken.
    let taken = TcpListener::bind(addr).unwrap();
    let (code, _, said) =
        run(&dir, &["--listen", &format!("localhost:{}", taken.local_addr().unwrap().port()), "app.wat"]);
    assert!(code == 0 || said.contains("address already in use"), "{said}");
}

// ---- the policy file ----

#[test]
fn a_policy_file_says_what_the_options_say() {
    let dir = empty_dir("policy");
    fs::create_dir(dir.join("data")).unwrap();
    fs::write(
        dir.join("args.wat"),
        ends_with("(drop (call $env-sizes (i32.const 0) (i32.const 4))) (i32.load (i32.const 0))"),
    )
    .unwrap();
    let options = [
        "--listen",
        "127.0.0.1:0=web",
        "--allow-listen",
        "localhost:8080",
        "--allow-listen",
        "[::1]:*",
        "--allow-connect",
        "db.internal:5432",
        "--allow-connect",
        "*.example.com:443",
        "--allow-connect",
        "10.0.0.0/8:*",
        "--allow-udp",
        "*:53",
        "--allow-dns",
        "--dir",
        "data::/data:ro",
        "--dir",
        "data",
        "--env",
        "MODE=a=b",
        "--env",
        "PATH",
        "--inherit-env",
        "--max-memory",
        "64MiB",
        "--max-resources",
        "20000",
        "--max-sockets",
        "100",
        "--max-stack",
        "1MiB",
        "--fuel",
        "123456789",
        "--timeout",
        "90s",
    ];
    let (code, printed, said) = run(&dir, &[&options[..], &["--print-policy"]].concat());
    assert_eq!((code, said.as_str()), (0, ""));
    for line in [
        r#"allow-connect = ["db.internal:5432", "*.example.com:443", "10.0.0.0/8:*"]"#,
        r#"dir = ["data::/data:ro", "data::data:rw"]"#,
        r#"env = ["MODE=a=b", "PATH"]"#,
        "max-memory = 67108864",
        r#"timeout = "90000ms""#,
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{printed}");
    }
    fs::write(dir.join("all.toml"), &printed).unwrap();
    assert_eq!(run(&dir, &["--policy", "all.toml", "--print-policy"]), (0, printed, String::new()));

    // It is what the program is given, and options add to it: one value takes the place of the file's.
    fs::write(dir.join("few.toml"), "env = [\"A=1\", \"B=2\"]\ntimeout = 60\nallow-net = true\n").unwrap();
    assert_eq!(run(&dir, &["--policy", "few.toml", "args.wat"]).0, 2);
    assert_eq!(run(&dir, &["--policy", "few.toml", "--env", "C=3", "args.wat"]).0, 3);
    let (_, printed, _) = run(&dir, &["--policy", "few.toml", "--env", "C=3", "--timeout", "5s", "--print-policy"]);
    assert_eq!(printed, "allow-net = true\nenv = [\"A=1\", \"B=2\", \"C=3\"]\ntimeout = \"5000ms\"\n");
    assert_eq!(run(&dir, &["--print-policy"]), (0, String::new(), String::new()));
}

#[test]
fn a_mistake_in_a_policy_file_is_a_sentence_with_its_place() {
    let dir = empty_dir("policy-mistakes");
    fs::write(dir.join("app.wat"), ends_with("(i32.const 0)")).unwrap();
    for (text, part) in [
        ("allow-net = true\nallow-nett = true\n", "p.toml, line 2: unknown field `allow-nett`"),
        ("allow-net = \"yes\"\n", "p.toml, line 1: invalid type"),
        ("allow-connect = [\"a b:1\"]\n", "p.toml: allow-connect: `a b:1` is not an address"),
        ("timeout = true\n", "a number, or text like"),
        ("timeout = \"soon\"\n", "p.toml: timeout: `soon` is not a duration"),
        ("dir = [\"missing\"]\n", "p.toml: dir: there is no directory missing"),
        ("[env]\nA = 1\n", "p.toml, line 1: invalid type"),
        ("= 1", "p.toml, line 1: "),
    ] {
        fs::write(dir.join("p.toml"), text).unwrap();
        let (code, _, said) = run(&dir, &["--policy", "p.toml", "app.wat"]);
        assert!(code == 2 && said.contains(part), "{said}");
        assert!(said.starts_with("dormouse: the policy p.toml") && said.lines().count() == 1, "{said}");
    }
}

// ---- exit codes ----

#[test]
fn every_exit_code_comes_through_on_each_wasi() {
    let dir = empty_dir("codes");
    for code in [0, 1, 2, 124, 125, 126, 127, 128, 134, 143, 200, 255] {
        let exits = format!("(call $exit-with-code (i32.const {code})) unreachable");
        fs::write(dir.join("p1.wasm"), assemble(&ends_with(&format!("(i32.const {code})")))).unwrap();
        fs::write(dir.join("p2.wasm"), runs(&format!("{}{exits}", print(4096, 1)))).unwrap();
        fs::write(dir.join("p3.wasm"), p3::runs(&exits)).unwrap();
        for name in ["p1.wasm", "p2.wasm", "p3.wasm"] {
            let (ended, _, said) = run(&dir, &["--no-cache", name]);
            assert_eq!((ended, said.as_str()), (code, ""), "{name}");
        }
    }
}
