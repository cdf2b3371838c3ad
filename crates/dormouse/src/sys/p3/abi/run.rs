//! How the host calls the program: `wasi:cli/run@0.3`, beside the one of 0.2 that std exports.
//!
//! `run` has an async type, so what is called through it may wait in a built-in; and it is lifted as an ordinary function
//! that returns when it is done. So `fn main` is what it always was, and `block_on` waits in it.
//!
//! The export is made in the program's own crate, by `export_main`: in this one it would be an export of every component that
//! depends on it, also of those that have no `main`.

use std::cell::Cell;

thread_local! {
    static CALLED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the program was called by this, and not by std's `wasi:cli/run@0.2`.
pub(in crate::sys) fn was_called() -> bool {
    CALLED.get()
}

unsafe extern "C" {
    fn __wasm_call_ctors();
    /// What std and wasi-libc make of `fn main`.
    fn __main_void() -> i32;
    /// Has C's standard streams written out, among others.
    fn __wasm_call_dtors();
}

/// The type of the export, as the component linker wants it: an encoded world,
///
/// ```wit
/// package dormouse:p3;
/// world program { export wasi:cli/run@0.3.2; }
/// ```
///
/// by `wasm-tools component embed --world program`, of which this is the section `component-type`.
pub const WORLD: &[u8; include_bytes!("world.bin").len()] = include_bytes!("world.bin");

/// Runs `fn main`; what `wasi:cli/run@0.3` returns. Not inlined: a crate that has a `main` may not mention `__main_void`.
#[inline(never)]
pub fn run_main() -> i32 {
    CALLED.set(true);
    // SAFETY: the program has not been entered before: a command is run once.
    let code = unsafe {
        __wasm_call_ctors();
        let code = __main_void();
        __wasm_call_dtors();
        code
    };
    if code > 1 {
        // What is returned can be 0 or 1.
        crate::sys::exit(code);
    }
    i32::from(code != 0)
}
