//! `:ro` on WASI 0.2 and 0.3: each call that would change something is refused, and each one works where the directory is read-write.

mod support;

use std::path::{Path, PathBuf};
use std::{fs, io};

use dormouse_host::{Program, Run};
use support::assemble;

/// A call with its result at 8, and where in it the error's code is. `$d` is the directory.
/// At 64 is "f", at 72 "new", at 80 "empty".
const CALLS: &[(&str, u32, &str)] = &[
    (
        "open to write",
        4,
        "(call $open (local.get $d) (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 0) (i32.const 3) (i32.const 8))",
    ),
    (
        "create",
        4,
        "(call $open (local.get $d) (i32.const 0) (i32.const 72) (i32.const 3) (i32.const 1) (i32.const 3) (i32.const 8))",
    ),
    (
        "truncate",
        4,
        "(call $open (local.get $d) (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 8) (i32.const 3) (i32.const 8))",
    ),
    ("mkdir", 1, "(call $mkdir (local.get $d) (i32.const 72) (i32.const 3) (i32.const 8))"),
    ("rmdir", 1, "(call $rmdir (local.get $d) (i32.const 80) (i32.const 5) (i32.const 8))"),
    ("unlink", 1, "(call $unlink (local.get $d) (i32.const 64) (i32.const 1) (i32.const 8))"),
    (
        "rename",
        1,
        "(call $rename (local.get $d) (i32.const 64) (i32.const 1) (local.get $d) (i32.const 72) (i32.const 3) (i32.const 8))",
    ),
    (
        "link",
        1,
        "(call $link (local.get $d) (i32.const 0) (i32.const 64) (i32.const 1) (local.get $d) (i32.const 72) (i32.const 3) (i32.const 8))",
    ),
    (
        "symlink",
        1,
        "(call $symlink (local.get $d) (i32.const 64) (i32.const 1) (i32.const 72) (i32.const 3) (i32.const 8))",
    ),
    (
        "set times",
        1,
        "(call $times (local.get $d) (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 2) (i64.const 5) (i32.const 0) (i32.const 2) (i64.const 5) (i32.const 0) (i32.const 8))",
    ),
];

/// What differs between the two versions of the interfaces.
struct Wasi {
    version: &'static str,
    /// Of the functions that may wait.
    func: &'static str,
    /// Before and behind the names of errors.
    errors: [&'static str; 2],
    seconds: &'static str,
    /// The numbers of `not-permitted` and `read-only`.
    refused: [i32; 2],
}

const P2: Wasi = Wasi { version: "0.2.0", func: "func", errors: ["(enum", ")"], seconds: "u64", refused: [31, 33] };
/// Its errors have a last case with a text, so that they begin at a word.
const P3: Wasi = Wasi {
    version: "0.3.0",
    func: "func async",
    errors: ["(variant", "(case \"other\" (option string)))"],
    seconds: "s64",
    refused: [30, 32],
};

#[test]
fn a_read_only_directory_refuses_what_would_change_it() -> io::Result<()> {
    refuses(&P2)
}

#[test]
fn a_read_only_directory_of_0_3_refuses_what_would_change_it() -> io::Result<()> {
    refuses(&P3)
}

fn refuses(wasi: &Wasi) -> io::Result<()> {
    for (name, at, call) in CALLS {
        let at = if wasi.version == P3.version { 4 } else { *at };
        let program = Program::from_bytes("test", &guest(wasi, at, call)).unwrap();
        let dir = fresh(wasi)?;
        let before = contents(&dir)?;
        let code = Run::new(&program).dir_read_only(&dir, "/").start().unwrap().code;
        assert!(wasi.refused.contains(&(code - 1)), "{name}: {code}");
        assert_eq!(contents(&dir)?, before, "{name}");
        assert_eq!(Run::new(&program).dir(&dir, "/").start().unwrap().code, 0, "{name}, where it is allowed");
    }
    Ok(())
}

fn fresh(wasi: &Wasi) -> io::Result<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("read-only-{}", wasi.version));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("empty"))?;
    fs::write(dir.join("f"), "of the file")?;
    Ok(dir)
}

/// Names, text and times.
fn contents(dir: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(dir)?.map(|entry| {
        let entry = entry?;
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        Ok(format!("{:?} {text} {:?}", entry.file_name(), entry.metadata()?.modified()?))
    });
    let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// Ends with 0 if the call does what it says, and with the error's code and 1 if not.
fn guest(wasi: &Wasi, at: u32, call: &str) -> Vec<u8> {
    let Wasi { version, func, errors: [before, behind], seconds, .. } = wasi;
    let names = "access would-block already bad-descriptor busy deadlock quota exist file-too-large illegal-byte-sequence \
        in-progress interrupted invalid io is-directory loop too-many-links message-size name-too-long no-device no-entry \
        no-lock insufficient-memory insufficient-space not-directory not-empty not-recoverable unsupported no-tty \
        no-such-device overflow not-permitted pipe read-only invalid-seek text-file-busy cross-device";
    let is_p3 = *version == P3.version;
    let names = names.split_whitespace().filter(|name| !(is_p3 && *name == "would-block"));
    let names: String =
        names.map(|name| if is_p3 { format!("(case \"{name}\") ") } else { format!("\"{name}\" ") }).collect();
    let method = |name: &str, params: &str, result: &str| {
        format!(
            "(export \"[method]descriptor.{name}\" ({func} (param \"self\" (borrow $d)) {params} (result (result {result} (error $e)))))"
        )
    };
    let path = "(param \"path\" string)";
    let two = "(param \"old-path\" string) (param \"new-descriptor\" (borrow $d)) (param \"new-path\" string)";
    let methods = [
        method("open-at", &format!("(param \"path-flags\" $pf) {path} (param \"open-flags\" $of) (param \"flags\" $df)"), "(own $d)"),
        method("create-directory-at", path, ""),
        method("remove-directory-at", path, ""),
        method("unlink-file-at", path, ""),
        method("rename-at", two, ""),
        method("link-at", &format!("(param \"old-path-flags\" $pf) {two}"), ""),
        method("symlink-at", "(param \"old-path\" string) (param \"new-path\" string)", ""),
        method("set-times-at", &format!("(param \"path-flags\" $pf) {path} (param \"data-access-timestamp\" $nt) (param \"data-modification-timestamp\" $nt)"), ""),
    ]
    .concat();
    let funcs = [
        ("open", "open-at", "i32 i32 i32 i32 i32 i32 i32"),
        ("mkdir", "create-directory-at", "i32 i32 i32 i32"),
        ("rmdir", "remove-directory-at", "i32 i32 i32 i32"),
        ("unlink", "unlink-file-at", "i32 i32 i32 i32"),
        ("rename", "rename-at", "i32 i32 i32 i32 i32 i32 i32"),
        ("link", "link-at", "i32 i32 i32 i32 i32 i32 i32 i32"),
        ("symlink", "symlink-at", "i32 i32 i32 i32 i32 i32"),
        ("times", "set-times-at", "i32 i32 i32 i32 i32 i64 i32 i32 i64 i32 i32"),
    ];
    let each =
        |text: &dyn Fn(&str, &str, &str) -> String| funcs.map(|(name, of, params)| text(name, of, params)).concat();
    let lowered = each(&|name, of, _| {
        format!(
            "(core func ${name} (canon lower (func $types \"[method]descriptor.{of}\") (memory $mem) (realloc $realloc)))"
        )
    });
    let imported = each(&|name, _, params| format!("(import \"h\" \"{name}\" (func ${name} (param {params})))"));
    let given = each(&|name, _, _| format!("(export \"{name}\" (func ${name}))"));
    let run = if is_p3 { "async" } else { "" };
    assemble(&format!(
        r#"(component
  (import "wasi:cli/exit@{version}" (instance $exit (export "exit-with-code" (func (param "status-code" u8)))))
  (import "wasi:filesystem/types@{version}" (instance $types
    (export "descriptor" (type $d (sub resource)))
    (type $e' {before} {names}{behind}) (export "error-code" (type $e (eq $e')))
    (type $pf' (flags "symlink-follow")) (export "path-flags" (type $pf (eq $pf')))
    (type $of' (flags "create" "directory" "exclusive" "truncate")) (export "open-flags" (type $of (eq $of')))
    (type $df' (flags "read" "write" "file-integrity-sync" "data-integrity-sync" "requested-write-sync" "mutate-directory"))
    (export "descriptor-flags" (type $df (eq $df')))
    (type $dt' (record (field "seconds" {seconds}) (field "nanoseconds" u32))) (export "datetime" (type $dt (eq $dt')))
    (type $nt' (variant (case "no-change") (case "now") (case "timestamp" $dt)))
    (export "new-timestamp" (type $nt (eq $nt')))
    {methods}))
  (alias export $types "descriptor" (type $descriptor))
  (import "wasi:filesystem/preopens@{version}" (instance $preopens
    (alias outer 1 $descriptor (type $d))
    (export "get-directories" (func (result (list (tuple (own $d) string)))))))
  (core module $memory
    (memory (export "memory") 1)
    (data (i32.const 64) "f") (data (i32.const 72) "new") (data (i32.const 80) "empty")
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.set $next (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.get $next)
      (global.set $next (i32.add (global.get $next) (local.get 3)))))
  (core instance $m (instantiate $memory))
  (alias core export $m "memory" (core memory $mem))
  (alias core export $m "realloc" (core func $realloc))
  (core func $exit (canon lower (func $exit "exit-with-code")))
  (core func $dirs (canon lower (func $preopens "get-directories") (memory $mem) (realloc $realloc)))
  {lowered}
  (core module $main
    (import "m" "memory" (memory 1))
    (import "h" "exit" (func $exit (param i32)))
    (import "h" "dirs" (func $dirs (param i32)))
    {imported}
    (func (export "run") (result i32) (local $d i32)
      (call $dirs (i32.const 8))
      (local.set $d (i32.load (i32.load (i32.const 8))))
      (i64.store (i32.const 8) (i64.const 0))
      {call}
      (if (i32.load8_u (i32.const 8))
        (then (call $exit (i32.add (i32.const 1) (i32.load8_u (i32.add (i32.const 8) (i32.const {at})))))))
      i32.const 0))
  (core instance $i (instantiate $main (with "m" (instance $m)) (with "h" (instance
    (export "exit" (func $exit)) (export "dirs" (func $dirs)) {given}))))
  (func $run {run} (result (result)) (canon lift (core func $i "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@{version}" (instance $command)))"#
    ))
}
