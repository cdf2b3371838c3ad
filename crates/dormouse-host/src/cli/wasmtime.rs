//! Options that the `wasmtime` command has under `-W` and `-S`, where the meaning is the same here: for users who know them.

use std::time::Duration;

use super::run::RunArgs;
use super::values;

/// What follows `-W`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wasm {
    MaxStack(usize),
    Fuel(u64),
    Timeout(Duration),
}

/// What follows `-S`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wasi {
    InheritEnv,
    InheritNetwork,
    Lookups,
}

pub(super) fn wasm(text: &str) -> Result<Wasm, String> {
    match text.split_once('=') {
        Some(("max-wasm-stack", bytes)) => values::stack(bytes).map(Wasm::MaxStack),
        Some(("fuel", units)) => values::fuel(units).map(Wasm::Fuel),
        Some(("timeout", time)) => values::duration(time).map(Wasm::Timeout),
        _ => Err("of -W there are max-wasm-stack=SIZE, fuel=N and timeout=DURATION here; what a program may hold is --max-memory, \
             and proposals of WebAssembly that are finished are on"
            .to_owned()),
    }
}

pub(super) fn wasi(text: &str) -> Result<Wasi, String> {
    match text.strip_suffix("=y").unwrap_or(text) {
        "inherit-env" => Ok(Wasi::InheritEnv),
        "inherit-network" => Ok(Wasi::InheritNetwork),
        "allow-ip-name-lookup" => Ok(Wasi::Lookups),
        _ => Err("of -S there are inherit-env (--inherit-env), inherit-network (--allow-net) and allow-ip-name-lookup (--allow-dns) here; \
             WASI 0.1, 0.2 and 0.3 are on"
            .to_owned()),
    }
}

/// Takes them for the options that they are. Of one that is given by both names, the one of ours counts.
pub(super) fn settle(args: &mut RunArgs) {
    for option in std::mem::take(&mut args.wasm) {
        match option {
            Wasm::MaxStack(bytes) => args.max_stack = args.max_stack.or(Some(bytes)),
            Wasm::Fuel(units) => args.fuel = args.fuel.or(Some(units)),
            Wasm::Timeout(time) => args.timeout = args.timeout.or(Some(time)),
        }
    }
    for option in std::mem::take(&mut args.wasi) {
        match option {
            Wasi::InheritEnv => args.inherit_env = true,
            Wasi::InheritNetwork => args.allow_net = true,
            Wasi::Lookups => args.allow_dns = true,
        }
    }
}
