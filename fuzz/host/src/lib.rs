//! What the targets share: the engine that runs them, inputs read as choices, and the heap, counted.
//!
//! A target is a function of an input. libFuzzer chooses inputs by the code that earlier ones have reached, if
//! `cargo xtask fuzz NAME SECONDS` has built it so; otherwise [`engine::main`] makes them of a seed. Whatever a target does not
//! expect panics, also on another thread, and a panic ends the process: that is what is found.

pub mod engine;
pub mod heap;
pub mod input;

/// Makes a program of a target, which is a function of the input's bytes.
#[macro_export]
macro_rules! target {
    ($run:path) => {
        #[cfg(feature = "libfuzzer")]
        #[unsafe(no_mangle)]
        extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, len: usize) -> i32 {
            let input = match len {
                0 => &[],
                // SAFETY: libFuzzer passes the address of an input of this length, and leaves it alone until this returns.
                len => unsafe { std::slice::from_raw_parts(data, len) },
            };
            $crate::engine::one($run, input);
            0
        }

        #[cfg(not(feature = "libfuzzer"))]
        fn main() -> std::process::ExitCode {
            $crate::engine::main($run)
        }
    };
}
