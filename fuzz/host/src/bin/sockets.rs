//! `wasi:sockets` of our runner beside that of wasmtime-wasi, which embedders of wasmtime have, and the `wasmtime` command: a component
//! does what the input says, on both, and what it has printed is compared line by line (`fuzz/guest/src/sockets`).
//!
//! A line ends in `~` and a reason if what two hosts answer may differ; [`DIFFERENCES`] has the reasons. The first other line that
//! differs is found in a smaller input too, if there is one, and both hosts' lines up to there are printed.
//!
//! The guest is the component that GUEST_SOCKETS names; `cargo xtask fuzz` builds it. With WASMTIME the other host is that command.
#![cfg_attr(feature = "libfuzzer", no_main)]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use std::{env, fs, thread};

use dormouse_host::{Error, Input as Stdin, Output, Policy, Program, Run};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::p2::bindings::Command as Instance;
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

dormouse_host_fuzz::target!(run);

/// Where hosts may differ, by what the guest calls it, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "connect has failed",
        "wasmtime-wasi answers every later call with the error of the connect; such a socket is in no state for any",
    ),
    (
        "connection is no more",
        "ours says `invalid-state` when the system says that there is no connection; wasmtime-wasi says nothing",
    ),
    ("connecting", "how far a socket has got while it connects is a matter of time"),
    ("disconnected", "Linux forgets the port of a UDP socket that is disconnected, unless its host binds it again"),
    (
        "held by the stream that was dropped",
        "wasmtime-wasi takes a datagram when it is asked whether there is one, and drops it with the stream",
    ),
    ("not listening yet", "ours listens when `finish-listen` has been called; wasmtime-wasi from `start-listen` on"),
    ("listener gone", "a connection that was not accepted: when its end is told is a matter of time"),
    ("peer in doubt", "a UDP socket whose peer is one about which hosts may differ"),
    ("peer is gone", "with which of the next calls the refusal comes is a matter of time"),
    ("stale", "after a short read wasmtime-wasi calls a stream ready until a read finds nothing"),
    ("stream has failed", "what peer a UDP socket has after connecting it failed"),
    ("tuned", "the system changes the buffers of a connection by itself"),
    ("unread at close", "a socket that is closed with unread data: a reset, or the end and then a reset"),
    ("write after close", "when the reset comes is a matter of time"),
];

/// The most that a run may take before it counts as hanging.
const BOUND: Duration = Duration::from_secs(60);
/// How often an input is tried on which the hosts differ.
const AGAIN: usize = 3;
/// How many smaller inputs are tried.
const TRIES: usize = 300;

fn guest() -> PathBuf {
    env::var_os("GUEST_SOCKETS").expect("`cargo xtask fuzz` names the guest in GUEST_SOCKETS").into()
}

/// Both hosts do what the input says.
fn run(bytes: &[u8]) {
    let Some(first) = steady(bytes) else { return };
    eprintln!("the hosts differ:\n{first}\nlooking for a smaller input");
    let (bytes, found) = shrink(bytes.to_vec(), first);
    let path = env::temp_dir().join(format!("sockets-{}", std::process::id()));
    let kept = fs::write(&path, &bytes).map_or_else(|error| error.to_string(), |()| path.display().to_string());
    panic!("the hosts differ on {} bytes, {kept}:\n{found}", bytes.len());
}

/// A difference that comes again. What does not was the machine's: a packet or a process that was late.
fn steady(bytes: &[u8]) -> Option<String> {
    let first = difference(bytes)?;
    match (1..AGAIN).all(|_| difference(bytes).is_some()) {
        true => Some(first),
        false => {
            let last = first.lines().count().saturating_sub(2);
            eprintln!("a difference that did not come again:");
            first.lines().skip(last).for_each(|line| eprintln!("{line}"));
            None
        }
    }
}

/// Leaves parts of the input out for as long as the hosts differ: the end first, as what follows the difference is not needed.
fn shrink(mut bytes: Vec<u8>, mut found: String) -> (Vec<u8>, String) {
    let mut tries = 0;
    let mut len = bytes.len() / 2;
    while len > 0 && tries < TRIES {
        let mut end = bytes.len();
        while end >= len && tries < TRIES {
            tries += 1;
            let mut smaller = bytes.clone();
            smaller.drain(end - len..end);
            if let Some(still) = difference(&smaller) {
                (bytes, found) = (smaller, still);
            }
            end -= len;
        }
        len /= 2;
    }
    (bytes, found)
}

/// The lines up to the first that differs, if one does.
fn difference(bytes: &[u8]) -> Option<String> {
    let (ours, theirs) = (on_ours(bytes), on_theirs(bytes));
    let mut before = String::new();
    let (mut one, mut other) = (ours.lines(), theirs.lines());
    loop {
        let (our, their) = (one.next(), other.next());
        if our.is_none() && their.is_none() {
            return None;
        }
        if our != their && !(may_differ(our) && may_differ(their)) {
            let shown = |line: Option<&str>| line.unwrap_or("nothing more").to_owned();
            return Some(format!("{before}  ours: {}\n  theirs: {}", shown(our), shown(their)));
        }
        before += &format!("  {}\n", our.unwrap_or_default());
    }
}

/// Whether the line has a reason by which hosts may differ.
fn may_differ(line: Option<&str>) -> bool {
    let reason = line.and_then(|line| line.split_once(" ~"));
    reason.is_some_and(|(_, reason)| DIFFERENCES.iter().any(|(known, _)| *known == reason))
}

/// What the guest prints on our runner, and how it ends if not well.
fn on_ours(bytes: &[u8]) -> String {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| Program::load(&guest()).expect("the guest can be loaded"));
    let lines = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&lines);
    let ended = Run::new(program)
        .stdin(Stdin::Bytes(bytes.to_vec()))
        .stdout(Output::Pipe(Box::new(move |part| {
            to.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(part);
        })))
        .stderr(Output::Pipe(Box::new(|_| {})))
        .policy(Policy::allow_all())
        .timeout(BOUND)
        .start();
    let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = String::from_utf8_lossy(&lines);
    match ended {
        Ok(exit) if exit.code == 0 => lines.into_owned(),
        Ok(exit) => format!("{lines}exit code {}\n", exit.code),
        Err(Error::Trap(text)) => {
            format!("{lines}{}\n", text.trim_start_matches("the program trapped: ").lines().next().unwrap_or_default())
        }
        Err(error) => format!("{lines}{error}\n"),
    }
}

fn on_theirs(bytes: &[u8]) -> String {
    match env::var_os("WASMTIME") {
        Some(path) => on_the_command(path.as_ref(), bytes),
        None => on_the_library(bytes),
    }
}

/// What the guest prints under the command.
fn on_the_command(path: &std::path::Path, bytes: &[u8]) -> String {
    let mut command = Command::new(path);
    command.args(["run", "-Sinherit-network", "-Wtimeout=60s"]).arg(guest()).env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("WASMTIME names a command that can be started");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let bytes = bytes.to_vec();
    let feed = thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = child.wait_with_output().expect("its output can be read");
    feed.join().expect("nothing in there panics");
    let lines = String::from_utf8_lossy(&output.stdout);
    if output.status.success() { lines.into_owned() } else { format!("{lines}{}\n", output.status) }
}

struct Theirs {
    ctx: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Theirs {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }
}

/// What the guest prints under wasmtime-wasi, embedded with nothing of ours.
fn on_the_library(bytes: &[u8]) -> String {
    static LINKED: OnceLock<(Engine, Component, Linker<Theirs>)> = OnceLock::new();
    let (engine, component, linker) = LINKED.get_or_init(|| {
        let engine = Engine::default();
        let component = Component::from_file(&engine, guest()).expect("the guest can be loaded");
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("nothing else is in this linker");
        (engine, component, linker)
    });
    let stdout = MemoryOutputPipe::new(1 << 20);
    let mut builder = WasiCtxBuilder::new();
    builder
        .inherit_network()
        .allow_tcp(true)
        .allow_udp(true)
        .stdin(MemoryInputPipe::new(bytes.to_vec()))
        .stdout(stdout.clone());
    let ctx = builder.build();
    let mut store = Store::new(engine, Theirs { ctx, table: ResourceTable::new() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a reactor can be made");
    // The budget of tokio's tasks is a difference that is known: ours has none, nor has wasmtime from 49 on.
    let guest = tokio::task::unconstrained(async {
        let instance = Instance::instantiate_async(&mut store, component, linker).await?;
        instance.wasi_cli_run().call_run(&mut store).await
    });
    let ended = runtime.block_on(async { tokio::time::timeout(BOUND, guest).await });
    let contents = stdout.contents();
    let lines = String::from_utf8_lossy(&contents);
    match ended {
        Ok(Ok(Ok(()))) => lines.into_owned(),
        Ok(Ok(Err(()))) => format!("{lines}exit code 1\n"),
        Ok(Err(error)) => format!("{lines}{}\n", error.root_cause()),
        Err(_) => format!("{lines}hangs\n"),
    }
}
