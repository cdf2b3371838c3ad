//! How a program starts: found compiled in the cache, taken from a compiled file, with listeners that are open before it is compiled.

mod support;

use std::fs;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dormouse_host::{Cache, Error, Program, Run, Source};
use support::{assemble, p3, print, runs};
use wasmtime::{Config, Engine, WasmBacktraceDetails};

/// An empty directory of that name.
fn empty_dir(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("start-{name}"));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Ends with 42 after it has printed a byte.
fn says_and_ends() -> Vec<u8> {
    runs(&format!("{}(call $exit-with-code (i32.const 42)) unreachable", print(4096, 1)))
}

/// As [`says_and_ends`], of each WASI.
fn of_each_wasi() -> [(&'static str, Vec<u8>); 3] {
    let p1 = assemble(
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\10\00\00\00\01\00\00\00")
          (func (export "_start")
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
            (call $exit (i32.const 42))))"#,
    );
    let p3 = p3::runs(&format!(
        "{} (drop (call $stream-write (local.get $task) (i32.const 4096) (i32.const 1)))
         (call $exit-with-code (i32.const 42)) unreachable",
        p3::OPEN_STDOUT
    ));
    [("1", p1), ("2", says_and_ends()), ("3", p3)]
}

/// The command, with the cache and the configuration of a user whose home is `home`.
fn dormouse(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dormouse"));
    command.env("HOME", home).env_remove("XDG_CACHE_HOME").env_remove("XDG_CONFIG_HOME").current_dir(home);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The exit code, and what it said on standard error.
fn ended(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stderr.clone()).unwrap())
}

/// How many compiled programs are below `dir`.
fn entries(dir: &Path) -> usize {
    let Ok(list) = fs::read_dir(dir) else { return 0 };
    list.map(|entry| entry.unwrap())
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => entries(&entry.path()),
            // Beside an entry are its statistics; hidden are locks.
            false => usize::from(!entry.file_name().to_str().unwrap().contains('.')),
        })
        .sum()
}

// ---- the cache ----

#[test]
fn what_is_in_the_cache_is_not_compiled_again_and_runs_the_same() {
    for (wasi, bytes) in of_each_wasi() {
        let dir = empty_dir(&format!("hit-{wasi}"));
        for (hits, misses) in [(0, 1), (1, 0)] {
            let cache = Cache::in_dir(&dir).unwrap();
            let program = Source::new("test", &bytes[..]).cache(cache.clone()).compile().unwrap();
            assert_eq!((cache.hits(), cache.misses()), (hits, misses), "{wasi}");
            cache.check().unwrap();
            assert_eq!(Run::new(&program).start().unwrap().code, 42);
        }
    }
}

#[test]
fn a_program_that_changes_a_byte_is_another() {
    let dir = empty_dir("another");
    for code in [42, 43] {
        let cache = Cache::in_dir(&dir).unwrap();
        let bytes = runs(&format!("(call $exit-with-code (i32.const {code})) unreachable"));
        let program = Source::new("test", bytes).cache(cache.clone()).compile().unwrap();
        assert_eq!((cache.misses(), Run::new(&program).start().unwrap().code), (1, code));
    }
}

#[test]
fn an_entry_that_is_damaged_is_compiled_again() {
    let dir = empty_dir("damaged");
    let compile = || {
        let cache = Cache::in_dir(&dir).unwrap();
        let program = Source::new("test", says_and_ends()).cache(cache.clone()).compile().unwrap();
        assert_eq!(Run::new(&program).start().unwrap().code, 42);
        cache.misses()
    };
    assert_eq!(compile(), 1);
    let of_version = fs::read_dir(dir.join("modules")).unwrap().next().unwrap().unwrap().path();
    let mut files = fs::read_dir(of_version).unwrap().map(|entry| entry.unwrap().path());
    let entry = files.find(|path| path.extension().is_none()).unwrap();
    let half = fs::metadata(&entry).unwrap().len() / 2;
    File::options().write(true).open(&entry).unwrap().set_len(half).unwrap();
    assert_eq!((compile(), compile()), (1, 0));
}

#[test]
fn the_command_keeps_programs_where_wasmtime_does_unless_it_is_told_not_to() {
    let home = empty_dir("home");
    let app = home.join("app.wasm");
    fs::write(&app, says_and_ends()).unwrap();
    let run = |options: &[&str]| ended(&dormouse(&home).arg("run").args(options).arg(&app).output().unwrap());
    assert_eq!(run(&["--no-cache"]), (Some(42), String::new()));
    assert_eq!(entries(&home.join(".cache")), 0);
    for _ in 0..2 {
        assert_eq!(run(&[]), (Some(42), String::new()));
        assert_eq!(entries(&home.join(".cache/wasmtime/modules")), 1);
    }
    // The file of wasmtime's settings.
    let config = home.join(".config/wasmtime");
    fs::create_dir_all(&config).unwrap();
    let other = home.join("other");
    fs::write(config.join("config.toml"), format!("[cache]\ndirectory = {:?}\n", other.display().to_string())).unwrap();
    assert_eq!(run(&[]), (Some(42), String::new()));
    assert_eq!((entries(&other), entries(&home.join(".cache"))), (1, 1));
}

#[test]
fn a_cached_program_is_counted_and_ended_as_one_that_is_compiled() {
    let home = empty_dir("counted");
    let (app, spins) = (home.join("app.wasm"), home.join("spins.wasm"));
    fs::write(&app, says_and_ends()).unwrap();
    fs::write(&spins, runs("(loop $again (br $again)) unreachable")).unwrap();
    let run =
        |options: &[&str], app: &Path| ended(&dormouse(&home).arg("run").args(options).arg(app).output().unwrap());
    let first = run(&["--count-calls"], &app);
    assert!(first.1.contains("1  wasi:cli/stdout.get-stdout\n"), "{first:?}");
    // As it is, and rewritten.
    assert_eq!(entries(&home), 2);
    assert_eq!(run(&["--count-calls"], &app), first);
    assert_eq!(run(&[], &app), (Some(42), String::new()));
    for _ in 0..2 {
        assert_eq!(run(&["--timeout", "1ms"], &spins).0, Some(124));
    }
}

#[test]
fn runners_at_the_same_time_share_a_cache() {
    let home = empty_dir("together");
    let app = home.join("app.wasm");
    fs::write(&app, says_and_ends()).unwrap();
    let all: Vec<_> = (0..8).map(|_| dormouse(&home).arg("run").arg(&app).spawn().unwrap()).collect();
    for child in all {
        assert_eq!(ended(&child.wait_with_output().unwrap()), (Some(42), String::new()));
    }
    let cache = Cache::in_dir(&home.join(".cache/wasmtime")).unwrap();
    Source::new("test", says_and_ends()).cache(cache.clone()).compile().unwrap();
    assert_eq!(cache.hits(), 1);
}

#[test]
fn without_a_cache_that_works_a_sentence_is_said_and_the_program_runs() {
    let home = empty_dir("none");
    let app = home.join("app.wasm");
    fs::write(&app, says_and_ends()).unwrap();
    let config = home.join(".config/wasmtime");
    fs::create_dir_all(&config).unwrap();
    let sentence = |command: &mut Command| {
        let (code, said) = ended(&command.arg("run").arg(&app).output().unwrap());
        assert_eq!(code, Some(42), "{said}");
        assert!(said.starts_with("dormouse: no compiled program is kept (") && said.lines().count() == 1, "{said}");
        assert!(said.contains("--no-cache"), "{said}");
        said
    };
    // A home that is no directory.
    sentence(dormouse(&home).env("HOME", "/dev/null"));
    // A file of settings with a mistake in it.
    fs::write(config.join("config.toml"), "[cache]\ndirektory = \"/x\"\n").unwrap();
    let said = sentence(&mut dormouse(&home));
    assert!(said.contains("config.toml") && said.contains("direktory"), "{said}");
    // A directory that takes no files, from whoever it may be.
    fs::write(config.join("config.toml"), "[cache]\ndirectory = \"/proc\"\n").unwrap();
    let said = sentence(&mut dormouse(&home));
    assert!(said.contains("/proc"), "{said}");
}

#[test]
fn a_cache_that_is_full_keeps_nothing_and_harms_nothing() {
    let home = empty_dir("full");
    let app = home.join("app.wasm");
    fs::write(&app, says_and_ends()).unwrap();
    let mut limited = Command::new("sh");
    limited.env("HOME", &home).env_remove("XDG_CACHE_HOME").env_remove("XDG_CONFIG_HOME").stderr(Stdio::piped());
    // No file can grow, which is an error and no signal.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_dormouse"), "run"]);
    assert_eq!(ended(&limited.arg(&app).output().unwrap()), (Some(42), String::new()));
    assert_eq!(entries(&home.join(".cache")), 0);
    assert_eq!(ended(&dormouse(&home).arg("run").arg(&app).output().unwrap()), (Some(42), String::new()));
}

// ---- compiled files ----

/// Compiles a program to a file beside it.
fn compile(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let (app, compiled) = (dir.join(name).with_extension("wasm"), dir.join(name).with_extension("cwasm"));
    fs::write(&app, bytes).unwrap();
    let output = dormouse(dir).arg("compile").arg(&app).arg("-o").arg(&compiled).output().unwrap();
    assert_eq!(ended(&output), (Some(0), String::new()));
    compiled
}

#[test]
fn a_compiled_file_runs_as_its_program_does_if_it_is_allowed() {
    let home = empty_dir("compiled");
    for (wasi, bytes) in of_each_wasi() {
        let compiled = compile(&home, wasi, &bytes);
        // It is not even looked for in the cache.
        let run = |options: &[&str]| dormouse(&home).arg("run").args(options).arg(&compiled).output().unwrap();
        let output = run(&["--allow-precompiled"]);
        assert_eq!((ended(&output), output.stdout.len()), ((Some(42), String::new()), 1), "{wasi}");
        assert_eq!(entries(&home.join(".cache")), 0);
        let (code, said) = ended(&run(&[]));
        assert_eq!(code, Some(1));
        assert!(said.contains("is compiled already") && said.contains("--allow-precompiled"), "{said}");
        let (code, said) = ended(&run(&["--allow-precompiled", "--count-calls"]));
        assert_eq!(code, Some(1));
        assert!(said.contains("run the .wasm that it was made of"), "{said}");
    }
    // What is not compiled runs with the flag, too.
    let output = dormouse(&home).args(["run", "--allow-precompiled", "--no-cache", "2.wasm"]).output().unwrap();
    assert_eq!(ended(&output), (Some(42), String::new()));
}

#[test]
fn a_compiled_file_is_called_as_its_program_if_it_gets_no_other_name() {
    let home = empty_dir("named");
    fs::create_dir(home.join("in")).unwrap();
    fs::write(home.join("in/app.wasm"), says_and_ends()).unwrap();
    assert_eq!(ended(&dormouse(&home).args(["compile", "in/app.wasm"]).output().unwrap()), (Some(0), String::new()));
    let output = dormouse(&home).args(["run", "--allow-precompiled", "app.cwasm"]).output().unwrap();
    assert_eq!(ended(&output), (Some(42), String::new()));
}

#[test]
fn what_cannot_be_compiled_or_written_is_a_sentence() {
    let home = empty_dir("uncompiled");
    fs::write(home.join("text.wasm"), "no program").unwrap();
    fs::write(home.join("app.wasm"), says_and_ends()).unwrap();
    for (args, what) in [
        (&["compile", "text.wasm"][..], "text.wasm is not a WebAssembly program"),
        (&["compile", "missing.wasm"], "cannot read missing.wasm"),
        (&["compile", "app.wasm", "-o", "no/such/dir.cwasm"], "cannot write no/such/dir.cwasm"),
    ] {
        let (code, said) = ended(&dormouse(&home).args(args).output().unwrap());
        assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.starts_with(&format!("dormouse: {what}")), "{said}");
    }
}

/// Loads a file's bytes, which are from [`Program::serialize`] or have been refused before any code of them is run.
fn deserialize(bytes: &[u8]) -> Result<Program, Error> {
    // SAFETY: the bytes are those of `serialize` of this wasmtime, or do not pass the check, which comes before all else.
    unsafe { Source::new("app.cwasm", bytes).deserialize() }
}

/// Debug information by which all of a module is line 42 of `app.wat`: a unit, the form of units, a table of lines.
const LINE_42: &str = r#"
    (@custom ".debug_abbrev" "\01\11\00\10\17\11\01\12\06\00\00\00")
    (@custom ".debug_info" "\14\00\00\00\04\00\00\00\00\00\04\01\00\00\00\00\00\00\00\00\00\10\00\00")
    (@custom ".debug_line"
        "\35\00\00\00\04\00\1f\00\00\00\01\01\01\fb\0e\0d\00\01\01\01\01\00\00\00\01\00\00\01\00app.wat\00\00\00\00\00"
        "\00\05\02\00\00\00\00\03\29\01\02\80\20\00\01\01")"#;

#[test]
fn a_backtrace_has_lines_whether_the_program_is_from_the_cache_or_a_file_or_was_compiled_just_now() {
    let module = assemble(&format!(r#"(module {LINE_42} (func (export "_start") unreachable))"#));
    // With a module before it that has other lines.
    let component = assemble(&format!(
        r#"(component
          (core module {} (func unreachable))
          (core module $app {LINE_42} (func (export "run") (result i32) unreachable))
          (core instance $app (instantiate $app))
          (func $run (result (result)) (canon lift (core func $app "run")))
          (instance $run (export "run" (func $run)))
          (export "wasi:cli/run@0.2.12" (instance $run)))"#,
        LINE_42.replace("app.wat", "not.wat"),
    ));
    let said = |program: &Program| Run::new(program).start().unwrap_err().to_string();
    for (kind, bytes) in [("module", module), ("component", component)] {
        let compiled = Program::from_bytes("app", &bytes).unwrap();
        let text = said(&compiled);
        assert_eq!(text.matches("\n         at app.wat:42:0\n").count(), 1, "{kind}: {text}");
        assert!(!text.contains("not.wat"), "{kind}: {text}");
        assert_eq!(said(&deserialize(&compiled.serialize().unwrap()).unwrap()), text, "{kind}");

        let cache = Cache::in_dir(&empty_dir(&format!("lines-{kind}"))).unwrap();
        let cached = || Source::new("app", &bytes[..]).cache(cache.clone()).compile().unwrap();
        assert_eq!(said(&cached()), text, "{kind}");
        assert_eq!(said(&cached()), text, "{kind}");
        assert_eq!((cache.hits(), cache.misses()), (1, 1), "{kind}");
        // It has no debug information, but runs.
        assert!(said(&deserialize(&cached().serialize().unwrap()).unwrap()).contains("unreachable"), "{kind}");
    }
}

#[test]
fn a_compiled_file_of_another_version_or_of_other_settings_is_refused_with_what_to_do() {
    let bytes = says_and_ends();
    let serialized = Program::from_bytes("test", &bytes).unwrap().serialize().unwrap();
    let program = deserialize(&serialized).unwrap();
    assert_eq!(Run::new(&program).start().unwrap().code, 42);
    // Once more, of what was deserialized.
    assert_eq!(program.serialize().unwrap(), serialized);

    let refused = |bytes: &[u8], why: &str| {
        let error = deserialize(bytes).unwrap_err();
        assert!(matches!(error, Error::CompiledForAnother { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(why) && said.contains("dormouse compile APP.wasm -o app.cwasm"), "{said}");
    };
    // What another version of wasmtime would have written: before its major version are a 0 and the length.
    let at = serialized.windows(4).position(|bytes| bytes == b"\x00\x0248").unwrap();
    let mut other = serialized.clone();
    other[at + 2..at + 4].copy_from_slice(b"47");
    refused(&other, "incompatible version '47'");
    // Other hosts have other settings, and nothing at the end.
    let footer = &serialized[serialized.len() - 18..];
    let mut config = Config::new();
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    let theirs = Engine::new(&config).unwrap().precompile_component(&bytes).unwrap();
    refused(&theirs, "another end");
    refused(&[&theirs[..], footer].concat(), "without epoch interruption but it is enabled for the host");
    config.epoch_interruption(true).consume_fuel(true);
    let theirs = Engine::new(&config).unwrap().precompile_component(&bytes).unwrap();
    refused(&[&theirs[..], footer].concat(), "with fuel support but it is not enabled for the host");
    // Half a file, and one that lacks a byte.
    let half = Source::new("app.cwasm", &serialized[..serialized.len() / 2]).compile().unwrap_err();
    assert!(half.to_string().contains("no compiled program, or not all of it"), "{half}");
    refused(&serialized[..serialized.len() - 1], "another end");

    // SAFETY: it is no compiled program, and is refused as such.
    let error = unsafe { Source::new("app.wasm", &bytes[..]).deserialize() }.unwrap_err();
    assert!(error.to_string().contains("it is not a compiled program"), "{error}");
}

// ---- what is there before it is compiled ----

#[test]
fn listeners_are_open_before_the_program_is_compiled() {
    let home = empty_dir("listens");
    // A module by its first bytes, whose compilation ends at once.
    fs::write(home.join("broken.wasm"), b"\0asm\x01\0\0\0\x01").unwrap();
    let output = dormouse(&home).args(["run", "--listen", "127.0.0.1:0", "broken.wasm"]).output().unwrap();
    let (code, said) = ended(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((code, lines.len()), (Some(1), 2), "{said}");
    assert!(lines[0].starts_with("dormouse: FD 3 listens on 127.0.0.1:"), "{said}");
    assert!(lines[1].contains("broken.wasm is WebAssembly that cannot be run here"), "{said}");
}

#[test]
fn a_terminal_is_told_what_takes_long() {
    let home = empty_dir("terminal");
    let fifo = home.join("app.wasm");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let (mut ours, mut theirs) = (-1, -1);
    let none = std::ptr::null_mut();
    // SAFETY: the two numbers are written to, and the pointers that are null ask for nothing.
    assert_eq!(unsafe { libc::openpty(&raw mut ours, &raw mut theirs, none, none.cast(), none.cast()) }, 0);
    // SAFETY: openpty has just opened them, and nothing else has them.
    let (ours, theirs) = unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
    let mut child = dormouse(&home).args(["run", "app.wasm"]).stderr(theirs).spawn().unwrap();
    // It takes as long as it takes until this is said: what is to be compiled is not there yet.
    let mut line = String::new();
    BufReader::new(File::from(ours)).read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), "dormouse: app.wasm is still being compiled, which takes long the first time");
    File::options().write(true).open(&fifo).unwrap().write_all(&says_and_ends()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(42));
}
