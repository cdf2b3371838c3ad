//! A host that does all that other hosts of wasip1 do and ours does not, by turns. It has our wasip1, with its own
//! `poll_oneoff` and `sock_accept` before ours.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, OnceLock};

use dormouse_host::p1::{self, Wasip1};
use wasmtime::{Caller, Engine, Extern, Linker, Memory, Module, TypedFunc};

use super::{Seen, engine, run, store};
use crate::drivers::{Subject, Wasi, inside};

const WASIP1: &str = "wasi_snapshot_preview1";
const NONBLOCK: i32 = 1 << 2;
const BADF: i32 = 8;
const NOTSUP: i32 = 58;

const SUBSCRIPTION: usize = 48;
const EVENT: usize = 32;
/// The type of a subscription to a clock.
const CLOCK: u8 = 0;

/// What comes of a call of `poll_oneoff`.
#[derive(Clone, Copy)]
enum Answer {
    /// As it is.
    True,
    /// All descriptors that are asked about are ready, at once (wasi-common's `sync/sched/unix.rs`, when one of them is).
    AllReady,
    /// Nothing has happened, at once (WasmEdge 0.14).
    Nothing,
    /// No.
    Refused(i32),
}

/// The answer to the call of this number that asks for this.
fn answer(number: u32, subscriptions: &[u8]) -> Answer {
    let mut all = subscriptions.chunks_exact(SUBSCRIPTION);
    if all.any(|subscription| subscription[8] == CLOCK && subscription[40] & 1 != 0) {
        return Answer::Refused(NOTSUP); // No absolute time: wazero 1.12.
    }
    match number % 8 {
        1 | 5 => Answer::AllReady,
        3 => Answer::Nothing,
        // One descriptor of many that it does not like fails the call (wasi-common).
        6 => Answer::Refused(BADF),
        _ => Answer::True,
    }
}

struct State {
    p1: Wasip1,
    seen: Arc<Seen>,
    /// How many calls have asked for three or more. What is asked about one descriptor alone is answered.
    asked: u32,
    /// Ours: there when the guest starts.
    honest: Option<Honest>,
}

/// Our functions find the memory that they work on with their caller: a module that has the guest's.
#[derive(Clone)]
struct Honest {
    poll: TypedFunc<(i32, i32, i32, i32), i32>,
    accept: TypedFunc<(i32, i32, i32), i32>,
}

const HONEST: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))
  (import "guest" "memory" (memory 0))
  (export "memory" (memory 0))
  (func (export "poll_oneoff") (param i32 i32 i32 i32) (result i32)
    (call $poll (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  (func (export "sock_accept") (param i32 i32 i32) (result i32)
    (call $accept (local.get 0) (local.get 1) (local.get 2))))"#;

fn honest(caller: &Caller<'_, State>) -> wasmtime::Result<Honest> {
    caller.data().honest.clone().ok_or_else(|| wasmtime::format_err!("it has not started"))
}

fn memory(caller: &mut Caller<'_, State>) -> wasmtime::Result<Memory> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => wasmtime::bail!("it exports no memory"),
    }
}

/// Puts the contrary functions before ours.
fn shadow(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    type Polled = (i32, i32, i32, i32);
    linker.func_wrap_async(WASIP1, "poll_oneoff", |mut caller: Caller<'_, State>, polled: Polled| {
        Box::new(async move {
            let (subscriptions, events, count, out) = polled;
            let (guest, honest) = (memory(&mut caller)?, honest(&caller)?);
            let (bytes, state) = guest.data_and_store_mut(&mut caller);
            state.seen.wait(state.p1.open_sockets());
            let asked = bytes.get(subscriptions as u32 as usize..).unwrap_or_default();
            let Some(asked) = asked.get(..count as u32 as usize * SUBSCRIPTION) else {
                return honest.poll.call_async(&mut caller, polled).await;
            };
            let asked = asked.to_vec();
            if count as u32 >= 3 {
                state.asked = state.asked.wrapping_add(1);
            }
            let number = if count as u32 >= 3 { state.asked } else { 0 };
            let told: Vec<u8> = match answer(number, &asked) {
                Answer::True => return honest.poll.call_async(&mut caller, polled).await,
                Answer::Refused(errno) => return Ok(errno),
                Answer::Nothing => Vec::new(),
                Answer::AllReady => {
                    let descriptors = asked.chunks_exact(SUBSCRIPTION).filter(|asked| asked[8] != CLOCK);
                    // The number that the guest has given it, no error, and the type.
                    descriptors
                        .flat_map(|asked| {
                            let mut event = [0; EVENT];
                            event[..8].copy_from_slice(&asked[..8]);
                            event[10] = asked[8];
                            event
                        })
                        .collect()
                }
            };
            // So that the sockets get somewhere.
            tokio::task::yield_now().await;
            guest.write(&mut caller, events as u32 as usize, &told)?;
            guest.write(&mut caller, out as u32 as usize, &((told.len() / EVENT) as u32).to_le_bytes())?;
            Ok(0)
        })
    })?;
    linker.func_wrap_async(WASIP1, "sock_accept", |mut caller: Caller<'_, State>, accepted: (i32, i32, i32)| {
        Box::new(async move {
            let (fd, flags, out) = accepted;
            // WasmEdge 0.14 ignores the flag.
            honest(&caller)?.accept.call_async(&mut caller, (fd, flags & !NONBLOCK, out)).await
        })
    })?;
    Ok(())
}

/// Starts the guest battery, with the sockets that [`p1`](crate::drivers::p1) opens for it.
pub fn start(case: &str) -> Subject {
    static MODULES: OnceLock<(Engine, Module, Module)> = OnceLock::new();
    let (engine, battery, relay) = MODULES.get_or_init(|| {
        let engine = engine();
        let battery = Module::from_file(&engine, Wasi::P1.battery()).expect("the battery can be compiled");
        let relay = Module::new(&engine, wat::parse_str(HONEST).expect("it can be read")).expect("it can be compiled");
        (engine, battery, relay)
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    let outside = listener.local_addr().expect("it has an address");
    let inside = inside::open(case, 4);
    run(engine, &[case], Some(outside), async move |mut wasi, seen| {
        let listeners = [listener].into_iter().chain(inside.listeners);
        let names = ["outside"].into_iter().chain(std::iter::repeat_n("inside", listeners.size_hint().0 - 1));
        let names = names.collect::<Vec<_>>();
        wasi.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
        for (name, value) in inside.env {
            wasi.env(name, value);
        }
        let mut p1 = Wasip1::new(wasi.build_p1());
        for listener in listeners {
            p1.listener(listener)?;
        }
        for stream in inside.streams {
            p1.stream(stream)?;
        }
        let mut store = store(engine, State { p1, seen: Arc::clone(&seen), asked: 0, honest: None }, seen, |state| {
            state.p1.open_sockets()
        });
        let mut ours = Linker::new(engine);
        p1::add_to_linker(&mut ours, |state: &mut State| &mut state.p1)?;
        let mut contrary = ours.clone();
        shadow(&mut contrary)?;
        let guest = contrary.instantiate_async(&mut store, battery).await?;
        let memory = guest.get_memory(&mut store, "memory").ok_or_else(|| wasmtime::format_err!("no memory"))?;
        ours.define(&store, "guest", "memory", memory)?;
        let relay = ours.instantiate_async(&mut store, relay).await?;
        store.data_mut().honest = Some(Honest {
            poll: relay.get_typed_func(&mut store, "poll_oneoff")?,
            accept: relay.get_typed_func(&mut store, "sock_accept")?,
        });
        let start = guest.get_typed_func::<(), ()>(&mut store, "_start")?;
        start.call_async(&mut store, ()).await.map(|()| 0)
    })
}
