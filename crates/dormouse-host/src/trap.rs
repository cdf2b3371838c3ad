//! Trap. Turns the end of a program that failed into what to show: the reason, the backtrace, one hint.

use wasmtime::{Trap, WasmBacktrace};

use crate::error::escaped;
use crate::limits::Limits;
use crate::symbols;

/// What to show for `error`, on several lines. `program` is what was compiled.
pub(crate) fn render(error: &wasmtime::Error, limits: &Limits, program: Option<&[u8]>) -> String {
    let reason = reason(error);
    let mut text = format!("the program trapped: {}", escaped(&reason));
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>()
        && !backtrace.frames().is_empty()
    {
        // The names in it are the program's.
        symbols::backtrace(backtrace, program).lines().for_each(|frame| text = format!("{text}\n{}", escaped(frame)));
    }
    if let Some(hint) = hint(error, &reason, limits) {
        text = format!("{text}\nhint: {hint}");
    }
    text
}

fn reason(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string().trim_start_matches("wasm trap: ").to_owned(),
        None => error.root_cause().to_string(),
    }
}

fn hint(error: &wasmtime::Error, reason: &str, limits: &Limits) -> Option<String> {
    if let Some(max) = limits.refused() {
        return Some(format!("memory beyond --max-memory ({max} bytes) was refused; raise it"));
    }
    if reason.contains("resource limit exceeded") {
        return Some("as many instances, tables and memories may be as --max-memory has room for; raise it".to_owned());
    }
    // A table of the host is full, one of the program, or there is no handle for what a call borrows.
    let full = ["resource table has no free keys", "maximum number of handles", "store handle limit exceeded"];
    if full.iter().any(|of| reason.contains(of)) {
        return Some("more handles than --max-resources were refused; drop those not needed, or raise it".to_owned());
    }
    let hint = match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => {
            "a Rust panic ends so; the program's own message, if it wrote one, is above"
        }
        Some(Trap::StackOverflow) => "the calls are nested too deep; look for a recursion without end",
        Some(Trap::MemoryOutOfBounds) => {
            "the program used an address outside its memory: a bad pointer in unsafe or C code, or its own stack \
             overflowed"
        }
        Some(Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature) => {
            "the program called through a bad function pointer"
        }
        Some(Trap::IntegerDivisionByZero) => "the program divided by zero",
        Some(Trap::AsyncDeadlock) => {
            "the program waits, and nothing that it waits for is under way: no timer, no read, no write, no call"
        }
        Some(Trap::CannotBlockSyncTask) => {
            "only `run` of WASI 0.3, and what it calls, may wait in a built-in; this is a function of another kind"
        }
        Some(Trap::NoAsyncResult) => "`run` ended without `task.return`",
        Some(Trap::SubtaskDropNotResolved) => {
            "a call was dropped while it was under way: cancel it, or wait for its end, and then drop it"
        }
        Some(Trap::WaitableSetDropHasWaiters) => "a waitable set was dropped while something waits in it",
        Some(Trap::ConcurrentFutureStreamOp) => {
            "a stream was read or written while a read or write is under way on it: wait for its end, or cancel it"
        }
        Some(Trap::WaitableSyncAndAsync) => "take it out of its waitable set first, with `waitable.join`",
        Some(_) => return None,
        None if reason.contains("resource has children") => {
            "a parent was dropped before its child: drop pollables, then streams, then the socket"
        }
        None if reason.contains("empty poll list") => {
            "the program waits for nothing: each call of poll needs at least one pollable"
        }
        None if reason.contains("busy stream") || reason.contains("busy future") => {
            "a stream was dropped while a read or write is under way on it: cancel it, or wait for its end, and then drop it"
        }
        None if reason.contains("after being notified that the") => {
            "the other end of the stream has gone, and the program was told so"
        }
        None if reason.contains("cancelled when no") => {
            "the read or write was over: there is nothing to cancel after its event was taken"
        }
        None if reason.contains("unknown handle index") => "the program used a resource after it was dropped",
        None => return None,
    };
    Some(hint.to_owned())
}
