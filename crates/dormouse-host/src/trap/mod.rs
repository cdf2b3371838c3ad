//! Trap. Turns the end of a program that failed into what to show: the reason, the backtrace, one hint.

mod frames;
mod symbols;

use wasmtime::{ThrownException, Trap, WasmBacktrace};

use crate::error::escaped;
use crate::limits::Limits;
use frames::Frames;
pub(crate) use frames::MOST as MOST_FRAMES;

/// What to show for `error`, on several lines. The program's calls have a stack of so many bytes; `program` is what was compiled.
pub(crate) fn render(error: &wasmtime::Error, limits: &Limits, stack: usize, program: Option<&[u8]>) -> String {
    let reason = reason(error);
    let frames = error.downcast_ref::<WasmBacktrace>().map(|backtrace| Frames::of(backtrace, program));
    let cause = Cause::of(error, frames.as_ref());
    let mut text = match cause {
        Cause::Panic => "the program panicked: what it says of that is above".to_owned(),
        Cause::Abort => "the program called abort".to_owned(),
        Cause::Stack => format!("stack overflow: the calls are nested deeper than a stack of {} KiB", stack >> 10),
        Cause::OwnStack => {
            "stack overflow: the stack that the program has in its memory has run over its end".to_owned()
        }
        Cause::Exception => "the program threw an exception that nothing in it caught".to_owned(),
        Cause::Other => format!("the program trapped: {}", escaped(&reason)),
    };
    text.extend(frames.map(|frames| frames.render()));
    if let Some(hint) = cause.hint().or_else(|| hint(error, &reason, limits, cause)) {
        text = format!("{text}\nhint: {hint}");
    }
    text
}

/// What a trap came of, where that has a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Panic,
    Abort,
    Stack,
    OwnStack,
    Exception,
    Other,
}

impl Cause {
    fn of(error: &wasmtime::Error, frames: Option<&Frames>) -> Cause {
        let is = |of: fn(&Frames) -> bool| frames.is_some_and(of);
        match error.downcast_ref::<Trap>() {
            Some(Trap::UnreachableCodeReached) if is(Frames::panics) => Cause::Panic,
            Some(Trap::UnreachableCodeReached) if is(Frames::aborts) => Cause::Abort,
            Some(Trap::StackOverflow) => Cause::Stack,
            // The stack grows downwards from its end, and is the first thing in memory: below it are addresses like 0xfffffff0.
            Some(Trap::MemoryOutOfBounds) if is(Frames::recurses) && fault(error).is_some_and(is_below_0) => {
                Cause::OwnStack
            }
            None if error.is::<ThrownException>() => Cause::Exception,
            _ => Cause::Other,
        }
    }

    fn hint(self) -> Option<String> {
        let hint = match self {
            Cause::Stack => "look for a recursion without end, or raise --max-stack",
            Cause::OwnStack => {
                "look for a recursion without end, or for large values in a deep one, or link it with a larger stack: \
                 -C link-arg=-zstack-size=8388608 for rustc, -Wl,-z,stack-size=8388608 for clang"
            }
            Cause::Panic | Cause::Abort | Cause::Exception | Cause::Other => return None,
        };
        Some(hint.to_owned())
    }
}

/// Whether an address is one that a stack comes to beyond its end: no further than a frame of so many bytes, with an offset in it.
fn is_below_0(address: u64) -> bool {
    const FRAME: u64 = 16 << 20;
    ((1 << 32) - FRAME..(1 << 32) + FRAME).contains(&address)
}

/// The address that was used, which wasmtime tells in a sentence: "memory fault at wasm address 0x1234 in linear memory of size 0x10000".
fn fault(error: &wasmtime::Error) -> Option<u64> {
    error.chain().find_map(|cause| {
        let text = cause.to_string();
        let (_, address) = text.split_once("memory fault at wasm address 0x")?;
        u64::from_str_radix(address.split(' ').next()?, 16).ok()
    })
}

fn reason(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string().trim_start_matches("wasm trap: ").to_owned(),
        None => error.root_cause().to_string(),
    }
}

fn hint(error: &wasmtime::Error, reason: &str, limits: &Limits, cause: Cause) -> Option<String> {
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
        Some(Trap::UnreachableCodeReached) if cause != Cause::Other => return None,
        // Of one whose functions have no names, it may be either.
        Some(Trap::UnreachableCodeReached) => {
            "a Rust panic ends so, and abort() in C; the program's own message, if it wrote one, is above"
        }
        Some(Trap::OutOfFuel) => "it has used up what --fuel gave it; raise it",
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
