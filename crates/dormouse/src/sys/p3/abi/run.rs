//! How the host calls the program: `wasi:cli/run@0.3`, beside the one of 0.2 that std exports.
//!
//! `run` has an async type, so whoever is called through it may wait in a built-in; and it is lifted as an ordinary function
//! that returns when it is done. So `fn main` is what it always was, and `block_on` waits in it.

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
}

#[unsafe(export_name = "wasi:cli/run@0.3.2#run")]
extern "C" fn run() -> i32 {
    CALLED.set(true);
    // SAFETY: the program has not been entered before: a command is run once.
    let code = unsafe {
        __wasm_call_ctors();
        __main_void()
    };
    if code > 1 {
        // What is returned can be 0 or 1.
        crate::sys::exit(code);
    }
    i32::from(code != 0)
}

/// Nobody in the program names `run`, and so the linker would leave it out.
#[used]
static RUN: extern "C" fn() -> i32 = run;

/// The type of the export, as the component linker wants it: an encoded world,
///
/// ```wit
/// package dormouse:p3;
/// world program { export wasi:cli/run@0.3.2; }
/// ```
///
/// by `wasm-tools component embed --world program`, of which this is the section `component-type`.
#[unsafe(link_section = "component-type:dormouse")]
#[used]
static WORLD: [u8; include_bytes!("world.bin").len()] = *include_bytes!("world.bin");
