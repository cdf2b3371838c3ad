//! Guests of WASI 0.3. "run" is lifted as what Rust programs have: of an asynchronous type, called synchronously.

use super::assemble;

/// A command component. `fields` are the fields of its core module, with a function "run" that returns 0 or 1. It may use
/// the functions that are imported in [`HEAD`], and memory from 4096 on; below is room for results.
pub fn guest(fields: &str) -> Vec<u8> {
    assemble(&text(fields))
}

/// The text of a guest, for those that differ.
pub fn text(fields: &str) -> String {
    format!("{HEAD}{fields}{TAIL}")
}

/// A guest whose "run" has this body.
pub fn runs(body: &str) -> Vec<u8> {
    guest(&format!(
        "(func (export \"run\") (result i32) (local $s i32) (local $set i32) (local $task i32) (local $ends i64) {body})"
    ))
}

/// Text to put in a body: waits until that many nanoseconds have passed, in a set. The wait ends at the event.
pub fn sleep(nanoseconds: u64) -> String {
    format!(
        "(local.set $set (call $set-new))
         (local.set $task (i32.shr_u (call $wait-for (i64.const {nanoseconds})) (i32.const 4)))
         (call $join (local.get $task) (local.get $set))
         (drop (call $set-wait (local.get $set) (i32.const 8)))
         (call $subtask-drop (local.get $task))
         (call $set-drop (local.get $set))"
    )
}

/// Text to put in a body: `$task` becomes the end by which one writes to standard output.
pub const OPEN_STDOUT: &str = "
    (local.set $ends (call $stream-new))
    (local.set $task (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))
    (call $future-drop (call $stdout (i32.wrap_i64 (local.get $ends))))";

/// Text to put in a body: `$s` becomes a socket.
pub const OPEN_SOCKET: &str = "
    (call $create-tcp (i32.const 0) (i32.const 8))
    (local.set $s (i32.load (i32.const 12)))";

/// Text to put in a body: binds socket `$s` to 127.0.0.1:`port` and gives 1 if access was denied.
pub fn bind_is_denied(port: u16) -> String {
    format!(
        "(call $bind (local.get $s) (i32.const 0)
           (i32.const {port}) (i32.const 127) (i32.const 0) (i32.const 0) (i32.const 1)
           (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 8))
         (i32.and (i32.load8_u (i32.const 8)) (i32.eqz (i32.load8_u (i32.const 12))))"
    )
}

const HEAD: &str = r#"
(component
  (import "wasi:cli/types@0.3.0" (instance $types
    (type $ec (enum "io" "illegal-byte-sequence" "pipe"))
    (export "error-code" (type (eq $ec)))
  ))
  (alias export $types "error-code" (type $stdio-error))
  (type $bytes (stream u8))
  (type $end (future (result (error $stdio-error))))
  (import "wasi:cli/stdin@0.3.0" (instance $stdin
    (alias outer 1 $stdio-error (type $ec))
    (export "error-code" (type $e (eq $ec)))
    (export "read-via-stream" (func (result (tuple (stream u8) (future (result (error $e)))))))
  ))
  (import "wasi:cli/stdout@0.3.0" (instance $stdout
    (alias outer 1 $stdio-error (type $ec))
    (export "error-code" (type $e (eq $ec)))
    (export "write-via-stream" (func (param "data" (stream u8)) (result (future (result (error $e))))))
  ))
  (import "wasi:cli/exit@0.3.0" (instance $exit
    (export "exit" (func (param "status" (result))))
    (export "exit-with-code" (func (param "status-code" u8)))
  ))
  (import "wasi:cli/environment@0.3.0" (instance $environment
    (export "get-environment" (func (result (list (tuple string string)))))
  ))
  (import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock
    (export "wait-for" (func async (param "how-long" u64)))
  ))
  (import "wasi:sockets/types@0.3.0" (instance $sockets
    (type $ec (variant (case "access-denied") (case "not-supported") (case "invalid-argument") (case "out-of-memory")
      (case "timeout") (case "invalid-state") (case "address-not-bindable") (case "address-in-use")
      (case "remote-unreachable") (case "connection-refused") (case "connection-broken") (case "connection-reset")
      (case "connection-aborted") (case "datagram-too-large") (case "other" (option string))))
    (export "error-code" (type $e (eq $ec)))
    (type $fam (enum "ipv4" "ipv6"))
    (export "ip-address-family" (type $family (eq $fam)))
    (type $ip4' (tuple u8 u8 u8 u8))
    (export "ipv4-address" (type $ip4 (eq $ip4')))
    (type $ip6' (tuple u16 u16 u16 u16 u16 u16 u16 u16))
    (export "ipv6-address" (type $ip6 (eq $ip6')))
    (type $sa4' (record (field "port" u16) (field "address" $ip4)))
    (export "ipv4-socket-address" (type $sa4 (eq $sa4')))
    (type $sa6' (record (field "port" u16) (field "flow-info" u32) (field "address" $ip6) (field "scope-id" u32)))
    (export "ipv6-socket-address" (type $sa6 (eq $sa6')))
    (type $sa' (variant (case "ipv4" $sa4) (case "ipv6" $sa6)))
    (export "ip-socket-address" (type $address (eq $sa')))
    (export "tcp-socket" (type $tcp (sub resource)))
    (export "[static]tcp-socket.create"
      (func (param "address-family" $family) (result (result (own $tcp) (error $e)))))
    (export "[method]tcp-socket.bind"
      (func (param "self" (borrow $tcp)) (param "local-address" $address) (result (result (error $e)))))
  ))
  (alias export $sockets "tcp-socket" (type $tcp-socket))

  (core module $memory
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.set $next (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.get $next)
      (global.set $next (i32.add (global.get $next) (local.get 3)))))
  (core instance $mem (instantiate $memory))
  (alias core export $mem "memory" (core memory $memory))
  (alias core export $mem "realloc" (core func $realloc))

  (core func $stdin (canon lower (func $stdin "read-via-stream") (memory $memory)))
  (core func $stdout (canon lower (func $stdout "write-via-stream")))
  (core func $exit (canon lower (func $exit "exit")))
  (core func $exit-with-code (canon lower (func $exit "exit-with-code")))
  (core func $get-environment
    (canon lower (func $environment "get-environment") (memory $memory) (realloc $realloc)))
  (core func $wait-for (canon lower (func $clock "wait-for") async (memory $memory)))
  (core func $create-tcp
    (canon lower (func $sockets "[static]tcp-socket.create") (memory $memory) (realloc $realloc)))
  (core func $bind (canon lower (func $sockets "[method]tcp-socket.bind") (memory $memory) (realloc $realloc)))
  (core func $drop-tcp (canon resource.drop $tcp-socket))
  (core func $set-new (canon waitable-set.new))
  (core func $set-wait (canon waitable-set.wait (memory $memory)))
  (core func $set-poll (canon waitable-set.poll (memory $memory)))
  (core func $set-drop (canon waitable-set.drop))
  (core func $join (canon waitable.join))
  (core func $subtask-drop (canon subtask.drop))
  (core func $subtask-cancel (canon subtask.cancel))
  (core func $yield (canon thread.yield))
  (core func $stream-new (canon stream.new $bytes))
  (core func $stream-read (canon stream.read $bytes async (memory $memory)))
  (core func $stream-write (canon stream.write $bytes async (memory $memory)))
  (core func $drop-readable (canon stream.drop-readable $bytes))
  (core func $drop-writable (canon stream.drop-writable $bytes))
  (core func $future-drop (canon future.drop-readable $end))

  (core module $main
    (import "m" "memory" (memory 1))
    (import "h" "stdin" (func $stdin (param $result i32)))
    (import "h" "stdout" (func $stdout (param i32) (result i32)))
    (import "h" "exit" (func $exit (param i32)))
    (import "h" "exit-with-code" (func $exit-with-code (param i32)))
    (import "h" "get-environment" (func $get-environment (param $result i32)))
    (import "h" "wait-for" (func $wait-for (param i64) (result i32)))
    (import "h" "create-tcp" (func $create-tcp (param i32) (param $result i32)))
    (import "h" "bind" (func $bind
      (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (param $result i32)))
    (import "h" "drop-tcp" (func $drop-tcp (param i32)))
    (import "h" "set-new" (func $set-new (result i32)))
    (import "h" "set-wait" (func $set-wait (param i32) (param $result i32) (result i32)))
    (import "h" "set-poll" (func $set-poll (param i32) (param $result i32) (result i32)))
    (import "h" "set-drop" (func $set-drop (param i32)))
    (import "h" "join" (func $join (param i32 i32)))
    (import "h" "subtask-drop" (func $subtask-drop (param i32)))
    (import "h" "subtask-cancel" (func $subtask-cancel (param i32) (result i32)))
    (import "h" "yield" (func $yield (result i32)))
    (import "h" "stream-new" (func $stream-new (result i64)))
    (import "h" "stream-read" (func $stream-read (param i32 i32 i32) (result i32)))
    (import "h" "stream-write" (func $stream-write (param i32 i32 i32) (result i32)))
    (import "h" "drop-readable" (func $drop-readable (param i32)))
    (import "h" "drop-writable" (func $drop-writable (param i32)))
    (import "h" "future-drop" (func $future-drop (param i32)))
"#;

const TAIL: &str = r#"
  )
  (core instance $i (instantiate $main
    (with "m" (instance $mem))
    (with "h" (instance
      (export "stdin" (func $stdin))
      (export "stdout" (func $stdout))
      (export "exit" (func $exit))
      (export "exit-with-code" (func $exit-with-code))
      (export "get-environment" (func $get-environment))
      (export "wait-for" (func $wait-for))
      (export "create-tcp" (func $create-tcp))
      (export "bind" (func $bind))
      (export "drop-tcp" (func $drop-tcp))
      (export "set-new" (func $set-new))
      (export "set-wait" (func $set-wait))
      (export "set-poll" (func $set-poll))
      (export "set-drop" (func $set-drop))
      (export "join" (func $join))
      (export "subtask-drop" (func $subtask-drop))
      (export "subtask-cancel" (func $subtask-cancel))
      (export "yield" (func $yield))
      (export "stream-new" (func $stream-new))
      (export "stream-read" (func $stream-read))
      (export "stream-write" (func $stream-write))
      (export "drop-readable" (func $drop-readable))
      (export "drop-writable" (func $drop-writable))
      (export "future-drop" (func $future-drop))
  ))))
  (func $run async (result (result)) (canon lift (core func $i "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.3.0" (instance $command))
)
"#;
