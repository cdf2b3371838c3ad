//! WASI 0.3: the linker.
//!
//! The host functions are wasmtime-wasi's, beside those of 0.2: what a program is built with today (Rust's std on
//! wasm32-wasip2, wasi-libc) imports 0.2, whatever the program itself does.

use wasmparser::{CanonicalFunction, Parser, Payload};
use wasmtime::component::Linker;

use crate::p2::State;

/// Whether the component in `bytes` has anything of WASI 0.3. It is asked before it is compiled, because the engine depends
/// on it.
pub(crate) fn is_used_by(bytes: &[u8]) -> bool {
    // What cannot be read the compiler complains about.
    Parser::new(0).parse_all(bytes).map_while(Result::ok).any(|payload| match payload {
        Payload::ComponentImportSection(imports) => {
            imports.into_iter().flatten().any(|import| is_wasi03(import.name.name))
        }
        Payload::ComponentExportSection(exports) => {
            exports.into_iter().flatten().any(|export| is_wasi03(export.name.name))
        }
        Payload::ComponentCanonicalSection(functions) => functions.into_iter().flatten().any(is_asynchronous),
        _ => false,
    })
}

fn is_wasi03(name: &str) -> bool {
    name.starts_with("wasi:") && name.contains("@0.3.")
}

/// The built-ins that 0.2 does not have.
fn is_asynchronous(function: CanonicalFunction) -> bool {
    use CanonicalFunction::{Lift, Lower, ResourceDrop, ResourceNew, ResourceRep};
    !matches!(function, Lift { .. } | Lower { .. } | ResourceNew { .. } | ResourceDrop { .. } | ResourceRep { .. })
}

/// Adds what WASI 0.3 offers to what 0.2 does.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p3::add_to_linker(linker)
}
