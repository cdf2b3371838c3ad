//! Guests for the tests, assembled from text, so that the tests need no WebAssembly toolchain.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod p3;

/// A command component. `fields` are the fields of its core module, with a function "run" that returns 0 or 1. It
/// may use the functions that are imported in [`HEAD`], and memory from 4096 on; below is room for results.
pub fn guest(fields: &str) -> Vec<u8> {
    assemble(&text(fields))
}

/// The text of a guest, for those that differ.
pub fn text(fields: &str) -> String {
    format!("{HEAD}{fields}{TAIL}")
}

/// A guest whose "run" has this body.
pub fn runs(body: &str) -> Vec<u8> {
    guest(&format!("(func (export \"run\") (result i32) {body})"))
}

/// Any component or module.
pub fn assemble(text: &str) -> Vec<u8> {
    match wat::parse_str(text) {
        Ok(bytes) => bytes,
        Err(error) => panic!("{error}"),
    }
}

/// Text to put in a body: writes `len` bytes from `at` to standard output and waits until they are out.
pub fn print(at: usize, len: usize) -> String {
    format!("(call $write-and-flush (call $get-stdout) (i32.const {at}) (i32.const {len}) (i32.const 0))")
}

/// Text to put in a body: waits until somebody ends it.
pub const WAIT: &str = "(call $block (call $subscribe-duration (i64.const -1)))";

/// Text to put in a body: starts to bind socket `$s` to 127.0.0.1:`port` and gives 1 if access was denied.
pub fn bind_is_denied(port: u16) -> String {
    format!("(call $start-bind {}) (i32.eq (i32.load16_u (i32.const 0)) (i32.const 0x0101))", address(port))
}

/// Text to put in a body: connects socket `$s` to 127.0.0.1:`port`. The result is at 8: 1 and the error in bytes 0
/// and 4, or 0 and the two streams in the words that follow.
pub fn connect(port: u16) -> String {
    format!(
        "(call $start-connect {})
         (call $block (call $subscribe-tcp (local.get $s)))
         (call $finish-connect (local.get $s) (i32.const 8))",
        address(port)
    )
}

/// The arguments of start-bind and start-connect.
fn address(port: u16) -> String {
    format!(
        "(local.get $s) (call $network) (i32.const 0)
            (i32.const {port}) (i32.const 127) (i32.const 0) (i32.const 0) (i32.const 1)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)"
    )
}

const HEAD: &str = r#"
(component
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error-r))
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $p (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $p))))
    (export "poll" (func (param "in" (list (borrow $p))) (result (list u32))))
  ))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error-r (type $e))
    (alias outer 1 $pollable (type $p))
    (export "input-stream" (type $i (sub resource)))
    (export "output-stream" (type $o (sub resource)))
    (type $se' (variant (case "last-operation-failed" (own $e)) (case "closed")))
    (export "stream-error" (type $se (eq $se')))
    (export "[method]input-stream.blocking-read"
      (func (param "self" (borrow $i)) (param "len" u64) (result (result (list u8) (error $se)))))
    (export "[method]output-stream.check-write" (func (param "self" (borrow $o)) (result (result u64 (error $se)))))
    (export "[method]output-stream.write"
      (func (param "self" (borrow $o)) (param "contents" (list u8)) (result (result (error $se)))))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $o)) (param "contents" (list u8)) (result (result (error $se)))))
    (export "[method]output-stream.subscribe" (func (param "self" (borrow $o)) (result (own $p))))
  ))
  (alias export $streams "input-stream" (type $input-stream))
  (alias export $streams "output-stream" (type $output-stream))
  (import "wasi:cli/stdin@0.2.0" (instance $stdin
    (alias outer 1 $input-stream (type $i))
    (export "get-stdin" (func (result (own $i))))
  ))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output-stream (type $o))
    (export "get-stdout" (func (result (own $o))))
  ))
  (import "wasi:cli/environment@0.2.0" (instance $environment
    (export "get-environment" (func (result (list (tuple string string)))))
    (export "get-arguments" (func (result (list string))))
  ))
  (import "wasi:cli/exit@0.2.0" (instance $exit
    (export "exit" (func (param "status" (result))))
    (export "exit-with-code" (func (param "status-code" u8)))
  ))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $p))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))
  ))
  (import "wasi:sockets/network@0.2.0" (instance $net
    (export "network" (type (sub resource)))
    (type $ec (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
      "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit"
      "address-not-bindable" "address-in-use" "remote-unreachable" "connection-refused" "connection-reset"
      "connection-aborted" "datagram-too-large" "name-unresolvable" "temporary-resolver-failure"
      "permanent-resolver-failure"))
    (export "error-code" (type (eq $ec)))
    (type $fam (enum "ipv4" "ipv6"))
    (export "ip-address-family" (type (eq $fam)))
    (type $ip4' (tuple u8 u8 u8 u8))
    (export "ipv4-address" (type $ip4 (eq $ip4')))
    (type $ip6' (tuple u16 u16 u16 u16 u16 u16 u16 u16))
    (export "ipv6-address" (type $ip6 (eq $ip6')))
    (type $sa4' (record (field "port" u16) (field "address" $ip4)))
    (export "ipv4-socket-address" (type $sa4 (eq $sa4')))
    (type $sa6' (record (field "port" u16) (field "flow-info" u32) (field "address" $ip6) (field "scope-id" u32)))
    (export "ipv6-socket-address" (type $sa6 (eq $sa6')))
    (type $sa' (variant (case "ipv4" $sa4) (case "ipv6" $sa6)))
    (export "ip-socket-address" (type (eq $sa')))
  ))
  (alias export $net "network" (type $network-r))
  (alias export $net "error-code" (type $error-code))
  (alias export $net "ip-address-family" (type $family))
  (alias export $net "ip-socket-address" (type $address))
  (import "wasi:sockets/instance-network@0.2.0" (instance $instance-network
    (alias outer 1 $network-r (type $n))
    (export "instance-network" (func (result (own $n))))
  ))
  (import "wasi:sockets/tcp@0.2.0" (instance $tcp
    (alias outer 1 $network-r (type $n))
    (alias outer 1 $error-code (type $ec'))
    (export "error-code" (type $ec (eq $ec')))
    (alias outer 1 $address (type $sa'))
    (export "ip-socket-address" (type $sa (eq $sa')))
    (export "tcp-socket" (type $s (sub resource)))
    (export "[method]tcp-socket.start-bind" (func (param "self" (borrow $s)) (param "network" (borrow $n))
      (param "local-address" $sa) (result (result (error $ec)))))
    (export "[method]tcp-socket.finish-bind" (func (param "self" (borrow $s)) (result (result (error $ec)))))
    (export "[method]tcp-socket.start-listen" (func (param "self" (borrow $s)) (result (result (error $ec)))))
    (export "[method]tcp-socket.finish-listen" (func (param "self" (borrow $s)) (result (result (error $ec)))))
    (alias outer 1 $input-stream (type $i))
    (alias outer 1 $output-stream (type $o))
    (alias outer 1 $pollable (type $p))
    (export "[method]tcp-socket.start-connect" (func (param "self" (borrow $s)) (param "network" (borrow $n))
      (param "remote-address" $sa) (result (result (error $ec)))))
    (export "[method]tcp-socket.finish-connect"
      (func (param "self" (borrow $s)) (result (result (tuple (own $i) (own $o)) (error $ec)))))
    (export "[method]tcp-socket.subscribe" (func (param "self" (borrow $s)) (result (own $p))))
  ))
  (alias export $tcp "tcp-socket" (type $tcp-socket))
  (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $create
    (alias outer 1 $error-code (type $ec'))
    (export "error-code" (type $ec (eq $ec')))
    (alias outer 1 $family (type $f'))
    (export "ip-address-family" (type $f (eq $f')))
    (alias outer 1 $tcp-socket (type $s))
    (export "create-tcp-socket" (func (param "address-family" $f) (result (result (own $s) (error $ec)))))
  ))

  (core module $memory
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.set $next (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.get $next)
      (global.set $next (i32.add (global.get $next) (local.get 3)))))
  (core instance $m (instantiate $memory))
  (alias core export $m "memory" (core memory $mem))
  (alias core export $m "realloc" (core func $realloc))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $poll-list (canon lower (func $poll "poll") (memory $mem) (realloc $realloc)))
  (core func $drop-pollable (canon resource.drop $pollable))
  (core func $drop-output-stream (canon resource.drop $output-stream))
  (core func $blocking-read
    (canon lower (func $streams "[method]input-stream.blocking-read") (memory $mem) (realloc $realloc)))
  (core func $get-stdin (canon lower (func $stdin "get-stdin")))
  (core func $check-write (canon lower (func $streams "[method]output-stream.check-write") (memory $mem)))
  (core func $write (canon lower (func $streams "[method]output-stream.write") (memory $mem)))
  (core func $write-and-flush
    (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $mem)))
  (core func $subscribe (canon lower (func $streams "[method]output-stream.subscribe")))
  (core func $get-stdout (canon lower (func $stdout "get-stdout")))
  (core func $get-environment
    (canon lower (func $environment "get-environment") (memory $mem) (realloc $realloc)))
  (core func $get-arguments (canon lower (func $environment "get-arguments") (memory $mem) (realloc $realloc)))
  (core func $exit (canon lower (func $exit "exit")))
  (core func $exit-with-code (canon lower (func $exit "exit-with-code")))
  (core func $subscribe-duration (canon lower (func $clock "subscribe-duration")))
  (core func $network (canon lower (func $instance-network "instance-network")))
  (core func $create-tcp (canon lower (func $create "create-tcp-socket") (memory $mem)))
  (core func $start-bind (canon lower (func $tcp "[method]tcp-socket.start-bind") (memory $mem)))
  (core func $finish-bind (canon lower (func $tcp "[method]tcp-socket.finish-bind") (memory $mem)))
  (core func $start-listen (canon lower (func $tcp "[method]tcp-socket.start-listen") (memory $mem)))
  (core func $finish-listen (canon lower (func $tcp "[method]tcp-socket.finish-listen") (memory $mem)))
  (core func $start-connect (canon lower (func $tcp "[method]tcp-socket.start-connect") (memory $mem)))
  (core func $finish-connect (canon lower (func $tcp "[method]tcp-socket.finish-connect") (memory $mem)))
  (core func $subscribe-tcp (canon lower (func $tcp "[method]tcp-socket.subscribe")))
  (core module $main
    (import "h" "memory" (memory 1))
    (import "h" "block" (func $block (param i32)))
    (import "h" "poll" (func $poll (param $list i32) (param $len i32) (param $result i32)))
    (import "h" "drop-pollable" (func $drop-pollable (param i32)))
    (import "h" "drop-output-stream" (func $drop-output-stream (param i32)))
    (import "h" "blocking-read" (func $blocking-read (param i32 i64) (param $result i32)))
    (import "h" "get-stdin" (func $get-stdin (result i32)))
    (import "h" "check-write" (func $check-write (param i32) (param $result i32)))
    (import "h" "write" (func $write (param i32 i32 i32) (param $result i32)))
    (import "h" "write-and-flush" (func $write-and-flush (param i32 i32 i32) (param $result i32)))
    (import "h" "subscribe" (func $subscribe (param i32) (result i32)))
    (import "h" "get-stdout" (func $get-stdout (result i32)))
    (import "h" "get-environment" (func $get-environment (param $result i32)))
    (import "h" "get-arguments" (func $get-arguments (param $result i32)))
    (import "h" "exit" (func $exit (param i32)))
    (import "h" "exit-with-code" (func $exit-with-code (param i32)))
    (import "h" "subscribe-duration" (func $subscribe-duration (param i64) (result i32)))
    (import "h" "network" (func $network (result i32)))
    (import "h" "create-tcp" (func $create-tcp (param i32) (param $result i32)))
    (import "h" "start-bind" (func $start-bind
      (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (param $result i32)))
    (import "h" "finish-bind" (func $finish-bind (param i32) (param $result i32)))
    (import "h" "start-listen" (func $start-listen (param i32) (param $result i32)))
    (import "h" "finish-listen" (func $finish-listen (param i32) (param $result i32)))
    (import "h" "start-connect" (func $start-connect
      (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (param $result i32)))
    (import "h" "finish-connect" (func $finish-connect (param i32) (param $result i32)))
    (import "h" "subscribe-tcp" (func $subscribe-tcp (param i32) (result i32)))
"#;

const TAIL: &str = r#"
  )
  (core instance $i (instantiate $main (with "h" (instance
    (export "memory" (memory $mem))
    (export "block" (func $block))
    (export "poll" (func $poll-list))
    (export "drop-pollable" (func $drop-pollable))
    (export "drop-output-stream" (func $drop-output-stream))
    (export "blocking-read" (func $blocking-read))
    (export "get-stdin" (func $get-stdin))
    (export "check-write" (func $check-write))
    (export "write" (func $write))
    (export "write-and-flush" (func $write-and-flush))
    (export "subscribe" (func $subscribe))
    (export "get-stdout" (func $get-stdout))
    (export "get-environment" (func $get-environment))
    (export "get-arguments" (func $get-arguments))
    (export "exit" (func $exit))
    (export "exit-with-code" (func $exit-with-code))
    (export "subscribe-duration" (func $subscribe-duration))
    (export "network" (func $network))
    (export "create-tcp" (func $create-tcp))
    (export "start-bind" (func $start-bind))
    (export "finish-bind" (func $finish-bind))
    (export "start-listen" (func $start-listen))
    (export "finish-listen" (func $finish-listen))
    (export "start-connect" (func $start-connect))
    (export "finish-connect" (func $finish-connect))
    (export "subscribe-tcp" (func $subscribe-tcp))
  ))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $command))
)
"#;
