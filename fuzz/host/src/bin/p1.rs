//! The runner's wasip1 calls: every function of `wasi_snapshot_preview1`, with pointers, lengths and numbers that are right, nearly
//! right, and any; peers that send, close, half close and reset meanwhile; a directory, and standard streams.
//!
//! A call returns a known number, or waits until it is dropped, and then the run is over; it never panics, and never keeps the
//! thread. What is known of each descriptor is in a model: a number that was opened for one thing is that thing until it is closed,
//! and what is read from a connection is what its own peer has sent. The host's heap stays below [`HEAP`].
#![cfg_attr(feature = "libfuzzer", no_main)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use dormouse_host::p1::{self, Wasip1};
use dormouse_host_fuzz::heap::Growth;
use dormouse_host_fuzz::input::Input;
use socket2::SockRef;
use tokio::runtime::Runtime;
use wasmtime::{Engine, Func, Linker, Memory, Module, Store, Val};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx};

dormouse_host_fuzz::target!(run);

/// What the host may take for a guest of 1 MiB: some copies of its memory, and a constant.
const HEAP: usize = 4 * MEMORY + (8 << 20);
/// The guest's memory, in bytes.
const MEMORY: usize = 1 << 20;
/// A call that waits longer than this waits for what will not come, and ends the run.
const PATIENCE: Duration = Duration::from_millis(5);
/// Of calls and of what peers do, in a run.
const STEPS: usize = 200;
/// `errno` goes from 0 to 76.
const LAST_ERRNO: i32 = 76;

/// The functions, and their parameters:
///
/// ```text
///   f a descriptor        o where a result goes     v array of buffers, and c its length     I 64 bits
///   t a second one        b a buffer, and n its length     p a path, and l its length        i flags, kinds
///   s subscriptions, e events, m their number
/// ```
const CALLS: &[(&str, &str)] = &[
    ("args_get", "ob"),
    ("args_sizes_get", "oo"),
    ("environ_get", "ob"),
    ("environ_sizes_get", "oo"),
    ("clock_res_get", "io"),
    ("clock_time_get", "iIo"),
    ("fd_advise", "fIIi"),
    ("fd_allocate", "fII"),
    ("fd_close", "f"),
    ("fd_datasync", "f"),
    ("fd_fdstat_get", "fo"),
    ("fd_fdstat_set_flags", "fi"),
    ("fd_fdstat_set_rights", "fII"),
    ("fd_filestat_get", "fo"),
    ("fd_filestat_set_size", "fS"),
    ("fd_filestat_set_times", "fIIi"),
    ("fd_pread", "fvcIo"),
    ("fd_prestat_get", "fo"),
    ("fd_prestat_dir_name", "fbn"),
    ("fd_pwrite", "fvcSo"),
    ("fd_read", "fvco"),
    ("fd_readdir", "fbnIo"),
    ("fd_renumber", "ft"),
    ("fd_seek", "fSio"),
    ("fd_sync", "f"),
    ("fd_tell", "fo"),
    ("fd_write", "fvco"),
    ("path_create_directory", "fpl"),
    ("path_filestat_get", "fiplo"),
    ("path_filestat_set_times", "fiplIIi"),
    ("path_link", "fipltpl"),
    ("path_open", "fipliIIio"),
    ("path_readlink", "fplbno"),
    ("path_remove_directory", "fpl"),
    ("path_rename", "fpltpl"),
    ("path_symlink", "plfpl"),
    ("path_unlink_file", "fpl"),
    ("poll_oneoff", "semo"),
    ("proc_raise", "i"),
    ("sched_yield", ""),
    ("random_get", "bn"),
    ("sock_accept", "fio"),
    ("sock_recv", "fvcioo"),
    ("sock_send", "fvcio"),
    ("sock_shutdown", "fi"),
    ("proc_exit", "i"),
];
/// Those that come more often than others.
const FREQUENT: &[&str] = &[
    "fd_close",
    "fd_read",
    "fd_write",
    "fd_renumber",
    "path_open",
    "poll_oneoff",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "fd_fdstat_get",
    "sock_shutdown",
    "fd_fdstat_set_flags",
];

// Where things are in the guest's memory.
const RESULTS: u32 = 0;
const ARRAY: u32 = 4096;
const PATHS: u32 = 16384;
const SUBSCRIPTIONS: u32 = 32768;
const EVENTS: u32 = 49152;
const BUFFERS: u32 = 65536;

/// Names of files, and what is none.
const NAMES: &[&[u8]] = &[
    b"a",
    b"b",
    b"sub",
    b"sub/c",
    b"sub/../a",
    b"..",
    ".".as_bytes(),
    b"../a",
    b"/a",
    b"/etc/passwd",
    b"link",
    b"",
    b"a\0b",
    b"\xff\xfe",
    b"sub/",
    b"a/b",
    &[b'x'; 300],
    b"../../../../../../etc/passwd",
];

fn letter(kind: char) -> &'static str {
    if matches!(kind, 'I' | 'S') { "i64 " } else { "i32 " }
}

/// A module that exports each of the functions that it imports.
fn text() -> String {
    let (mut imports, mut functions) = (String::new(), String::new());
    for (name, params) in CALLS {
        let types: String = params.chars().map(letter).collect();
        let gets: String = (0..params.len()).map(|n| format!("(local.get {n})")).collect();
        let result = if *name == "proc_exit" { "" } else { "(result i32)" };
        imports += &format!("(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param {types}) {result}))\n");
        functions += &format!("(func (export \"{name}\") (param {types}) {result} (call ${name} {gets}))\n");
    }
    format!("(module {imports} (memory (export \"memory\") {0} {0}) {functions})", MEMORY >> 16)
}

fn module() -> &'static (Engine, Module) {
    static MODULE: OnceLock<(Engine, Module)> = OnceLock::new();
    MODULE.get_or_init(|| {
        let engine = Engine::default();
        let module = Module::new(&engine, wat::parse_str(text()).expect("the text is a module")).expect("it compiles");
        (engine, module)
    })
}

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stdio,
    Listener(usize),
    /// And its peer's byte, as soon as that is known.
    Stream(Option<u8>),
    File,
    Directory,
}

impl Kind {
    /// `filetype`s that it may have.
    fn types(self) -> &'static [u8] {
        match self {
            Kind::Stdio => &[0, 2],
            Kind::Listener(_) | Kind::Stream(_) => &[6],
            Kind::File => &[4],
            Kind::Directory => &[3],
        }
    }

    fn is_socket(self) -> bool {
        matches!(self, Kind::Listener(_) | Kind::Stream(_))
    }
}

/// The other end of a connection. It sends nothing but its own byte.
struct Peer {
    byte: u8,
    stream: TcpStream,
}

struct World {
    store: Store<Wasip1>,
    memory: Memory,
    functions: Vec<Func>,
    runtime: Runtime,
    listeners: Vec<SocketAddr>,
    peers: Vec<Peer>,
    /// What is open.
    model: BTreeMap<u32, Kind>,
    /// Numbers that were open once.
    closed: Vec<u32>,
    sent: u8,
}

/// A directory for all runs of this process; its contents are what runs leave there.
fn directory() -> &'static PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| std::env::temp_dir().join(format!("dormouse-fuzz-p1-{}", std::process::id())))
}

/// Empty, but for what every run finds.
fn lay() -> &'static PathBuf {
    let path = directory();
    // A run may leave what cannot be removed at once, a directory without permissions: there is no call for that on wasip1.
    let _ = fs::remove_dir_all(path);
    fs::create_dir_all(path.join("sub")).expect("a directory for the guest");
    fs::write(path.join("a"), "what is in a").expect("a file for the guest");
    path
}

fn run(bytes: &[u8]) {
    // Before it is measured: made once.
    let (engine, module) = module();
    let growth = Growth::begin();
    {
        let mut input = Input::new(bytes);
        let mut world = World::new(engine, module, &mut input);
        for _ in 0..STEPS {
            if input.is_empty() || !world.step(&mut input) {
                break;
            }
        }
        world.end();
    }
    let peak = growth.peak();
    assert!(peak < HEAP, "the host has taken {peak} bytes for a guest of {MEMORY}");
}

impl World {
    fn new(engine: &Engine, module: &Module, input: &mut Input<'_>) -> World {
        let mut model: BTreeMap<u32, Kind> = (0..3).map(|fd| (fd, Kind::Stdio)).collect();
        let mut wasi = WasiCtx::builder();
        wasi.args(&["name", "argument"]).env("NAME", "value");
        wasi.stdin(MemoryInputPipe::new(vec![b'i'; input.below(256)])).stdout(MemoryOutputPipe::new(1 << 10));
        let with_dir = !input.once_in(4);
        if with_dir {
            wasi.preopened_dir(lay(), ".", FsPerms::ReadWrite).expect("the directory is there");
        }
        let mut p1 = Wasip1::new(wasi.build_p1());
        let (mut listeners, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..input.below(3) {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            model.insert(p1_fd(&mut p1, |p1| p1.listener(listener.try_clone()?)), Kind::Listener(listeners.len()));
            listeners.push(listener.local_addr().expect("it is bound"));
        }
        let mut sent = 0;
        for _ in 0..input.below(3) {
            let (ours, peer) = pair();
            sent += 1;
            model.insert(p1_fd(&mut p1, |p1| p1.stream(ours.try_clone()?)), Kind::Stream(Some(sent)));
            peers.push(Peer { byte: sent, stream: peer });
        }
        if with_dir {
            model.insert(model.len() as u32, Kind::Directory);
        }
        if let most @ 1.. = input.below(8) {
            p1.max_sockets(most);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a reactor");
        let mut linker = Linker::new(engine);
        p1::add_to_linker(&mut linker, |p1| p1).expect("it links");
        let mut store = Store::new(engine, p1);
        let instance = runtime.block_on(linker.instantiate_async(&mut store, module)).expect("it can be instantiated");
        let memory = instance.get_memory(&mut store, "memory").expect("it has a memory");
        let functions = CALLS.iter().map(|(name, _)| instance.get_func(&mut store, name).expect("it has the function"));
        let functions = functions.collect();
        World { store, memory, functions, runtime, listeners, peers, model, closed: Vec::new(), sent }
    }

    /// One call, or something that a peer does. False if the run is over.
    fn step(&mut self, input: &mut Input<'_>) -> bool {
        match input.below(8) {
            0 => {
                self.peer(input);
                true
            }
            1..=4 => {
                let name = input.one_of(FREQUENT);
                let which = CALLS.iter().position(|(of, _)| *of == name).expect("it is a call");
                self.random_call(which, input)
            }
            _ => {
                let which = input.below(CALLS.len());
                self.random_call(which, input)
            }
        }
    }

    /// Lets a peer do something.
    fn peer(&mut self, input: &mut Input<'_>) {
        if let Some(addr) = self.listeners.get(input.below(4)) {
            // Refused once the guest has closed it, and full if it does not accept; not to wait for a place.
            if let Ok(stream) = TcpStream::connect_timeout(addr, Duration::from_millis(50)) {
                self.sent = self.sent.wrapping_add(1);
                let mut peer = Peer { byte: self.sent, stream };
                peer.send(input.byte().into());
                self.peers.push(peer);
            }
            return;
        }
        if self.peers.is_empty() {
            return;
        }
        let at = input.below(self.peers.len());
        let peer = &mut self.peers[at];
        match input.below(6) {
            0 | 1 => peer.send(input.below(256) * input.one_of(&[1, 16, 4096])),
            2 => drop(peer.stream.shutdown(Shutdown::Write)),
            3 => drop(self.peers.swap_remove(at)),
            4 => {
                let peer = self.peers.swap_remove(at);
                // Dropped with this it resets the connection.
                let _ = SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO));
            }
            _ => {
                let _ = peer.stream.set_nonblocking(true);
                let _ = peer.stream.read(&mut vec![0; 1 << 16]);
            }
        }
    }

    /// A call with arguments of the input's choice. False if it waits, or ends the guest.
    fn random_call(&mut self, which: usize, input: &mut Input<'_>) -> bool {
        let (name, params) = CALLS[which];
        let mut args: Vec<u64> = Vec::new();
        for kind in params.chars() {
            let arg = self.arg(name, kind, input);
            args.push(arg);
        }
        let Some(errno) = self.call(which, &args) else { return false };
        assert!((0..=LAST_ERRNO).contains(&errno), "{name}{args:?}: the number {errno}");
        if errno == 0 {
            self.note(name, &args);
        }
        true
    }

    fn arg(&mut self, name: &str, kind: char, input: &mut Input<'_>) -> u64 {
        if input.once_in(24) {
            return input.odd();
        }
        match kind {
            'f' | 't' => self.descriptor(input).into(),
            'o' => match input.below(12) {
                0 => MEMORY as u64 - input.below(64) as u64,
                1 => RESULTS as u64 + input.below(64) as u64,
                n => u64::from(RESULTS) + 64 * n as u64,
            },
            'b' => u64::from(BUFFERS) + 16 * input.below(256) as u64,
            'n' => input.one_of(&[0, 1, 7, 64, 1000, 4096, 65536, MEMORY as u64 - u64::from(BUFFERS), MEMORY as u64]),
            'v' => {
                self.buffers(input);
                ARRAY.into()
            }
            'c' => input.one_of(&[1, 1, 1, 2, 3, 8, 0, 64, 65, 1000, 1536]),
            'p' => {
                let name = input.one_of(NAMES);
                // What follows it is the path's length, of which a name that is taken longer or shorter is another.
                self.write(PATHS, name);
                self.write(PATHS + 512, &(name.len() as u32).to_le_bytes());
                PATHS.into()
            }
            'l' => {
                let len = u64::from(u32::from_le_bytes(self.read(PATHS + 512)));
                if input.once_in(16) { len + 1 } else { len }
            }
            's' => {
                self.subscribe(input);
                SUBSCRIPTIONS.into()
            }
            'e' => input.one_of(&[EVENTS, EVENTS, EVENTS, EVENTS, SUBSCRIPTIONS, SUBSCRIPTIONS + 32]).into(),
            'm' => input.one_of(&[1, 2, 3, 5, 16, 100, 300]),
            'I' => input.odd(),
            // A size of a file, which is not to fill the disk.
            'S' => input.word() as u64 % (1 << 20),
            _ if name == "proc_exit" => input.byte().into(),
            _ => input.below(16) as u64,
        }
    }

    fn descriptor(&mut self, input: &mut Input<'_>) -> u32 {
        match input.below(16) {
            0 => input.below(16) as u32,
            1 => (1 << 20) + input.below(8) as u32,
            2 => input.odd() as u32,
            3 => self.closed.get(input.below(self.closed.len().min(256))).copied().unwrap_or(3),
            _ => {
                let at = input.below(self.model.len().min(256));
                self.model.keys().nth(at).copied().unwrap_or(0)
            }
        }
    }

    /// An array of buffers.
    fn buffers(&mut self, input: &mut Input<'_>) {
        for n in 0..1 + input.below(3) as u32 {
            let at = match input.below(16) {
                0 => input.odd() as u32,
                _ => BUFFERS + 1024 * input.below(256) as u32,
            };
            let len = match input.below(16) {
                0 => input.odd() as u32,
                1 => 0,
                2 => 700_000,
                _ => input.one_of(&[1, 10, 100, 1000, 10_000, 65_536]),
            };
            self.write(ARRAY + 8 * n, &at.to_le_bytes());
            self.write(ARRAY + 8 * n + 4, &len.to_le_bytes());
        }
    }

    /// An array of subscriptions, of which the first is a clock of 1 ms.
    fn subscribe(&mut self, input: &mut Input<'_>) {
        for n in 0..1 + input.below(5) as u32 {
            let at = SUBSCRIPTIONS + 48 * n;
            let mut bytes = [0; 48];
            bytes[..8].copy_from_slice(&u64::from(n).to_le_bytes());
            bytes[8] = match (n, input.below(16)) {
                (0, _) => 0,
                (_, 0) => input.byte(),
                (_, kind) => (kind % 3) as u8,
            };
            match (n, bytes[8]) {
                (0, _) => {
                    bytes[16] = 1;
                    bytes[24..32].copy_from_slice(&(input.below(2) as u64 * 1_000_000).to_le_bytes());
                }
                (_, 0) => {
                    bytes[16] = input.below(4) as u8;
                    bytes[24..32].copy_from_slice(&input.odd().to_le_bytes());
                    bytes[40] = input.below(3) as u8;
                }
                _ => {
                    let fd = self.descriptor(input);
                    bytes[16..20].copy_from_slice(&fd.to_le_bytes());
                }
            }
            self.write(at, &bytes);
        }
    }

    /// Makes a call. `None` if it waits, or if the guest has ended.
    fn call(&mut self, which: usize, args: &[u64]) -> Option<i32> {
        let (name, params) = CALLS[which];
        let value = |(kind, &arg): (char, &u64)| match letter(kind) {
            "i64 " => Val::I64(arg as i64),
            _ => Val::I32(arg as i32),
        };
        let values: Vec<Val> = params.chars().zip(args).map(value).collect();
        let mut results = [Val::I32(-1)];
        let results = if name == "proc_exit" { &mut results[..0] } else { &mut results[..] };
        let call = self.functions[which].call_async(&mut self.store, &values, results);
        let ended = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, call).await }).ok()?;
        match ended {
            Ok(()) => Some(results[0].unwrap_i32()),
            Err(error) => {
                // Nothing that the guest does itself can trap. wasmtime-wasi traps for what no argument of that type can be: a
                // pointer that is not aligned or outside of the memory, as the specification has it, and flags that there are not.
                let expected = error.is::<I32Exit>()
                    || error.is::<wiggle::GuestError>()
                    || matches!(name, "proc_exit" | "proc_raise");
                assert!(expected, "{name}{args:x?}: {error:?}");
                None
            }
        }
    }

    /// What a call that went well has changed.
    fn note(&mut self, name: &str, args: &[u64]) {
        let arg = |at: usize| args[at] as u32;
        match name {
            "fd_close" => {
                let closed = self.model.remove(&arg(0));
                assert!(closed.is_some(), "fd_close({}) of what is not open", arg(0));
                self.closed.push(arg(0));
            }
            "fd_renumber" => {
                let kind = self.model.get(&arg(0)).copied();
                assert!(kind.is_some() && self.model.contains_key(&arg(1)), "fd_renumber{args:?} of what is not open");
                if arg(0) != arg(1) {
                    self.model.remove(&arg(0));
                    self.closed.push(arg(0));
                    self.model.extend(kind.map(|kind| (arg(1), kind)));
                }
            }
            "path_open" => {
                let fd = u32::from_le_bytes(self.read(arg(8)));
                assert!(!self.model.contains_key(&fd), "path_open gives {fd}, which is {:?}", self.model[&fd]);
                let kind = if self.filetype(fd) == Ok(3) { Kind::Directory } else { Kind::File };
                self.model.insert(fd, kind);
            }
            "sock_accept" => {
                let fd = u32::from_le_bytes(self.read(arg(2)));
                assert!(!self.model.contains_key(&fd), "sock_accept gives {fd}, which is {:?}", self.model[&fd]);
                assert!(
                    matches!(self.model.get(&arg(0)), Some(Kind::Listener(_))),
                    "sock_accept of what is no listener"
                );
                self.model.insert(fd, Kind::Stream(None));
            }
            "fd_read" | "sock_recv" => {
                let n = u32::from_le_bytes(self.read(args[args.len() - if name == "fd_read" { 1 } else { 2 }] as u32));
                self.received(name, arg(0), arg(1), arg(2), n);
            }
            "poll_oneoff" => {
                let n = u32::from_le_bytes(self.read(arg(3)));
                assert!((1..=arg(2)).contains(&n), "poll_oneoff of {} tells of {n}", arg(2));
            }
            _ => {}
        }
    }

    /// What was read from a connection is its peer's.
    fn received(&mut self, name: &str, fd: u32, array: u32, count: u32, n: u32) {
        let Some(&Kind::Stream(peer)) = self.model.get(&fd) else { return };
        // The results may lie over the array or over the buffers; then nothing can be told.
        if array != ARRAY || count != 1 || n == 0 {
            return;
        }
        let (at, len) = (u32::from_le_bytes(self.read(ARRAY)), u32::from_le_bytes(self.read(ARRAY + 4)));
        assert!(n <= len, "{name} of {len} bytes gives {n}");
        if at < BUFFERS || at as usize + n as usize > MEMORY - 64 {
            return;
        }
        let data = self.memory.data(&self.store);
        let bytes = &data[at as usize..at as usize + n as usize];
        let byte = peer.unwrap_or(bytes[0]);
        assert!(
            bytes.iter().all(|b| *b == byte),
            "{name}: descriptor {fd} is the peer's of {byte} and gives {bytes:?}"
        );
        self.model.insert(fd, Kind::Stream(Some(byte)));
    }

    /// What `fd_fdstat_get` says that a descriptor is; or the number that it gives.
    fn filetype(&mut self, fd: u32) -> Result<u8, Option<i32>> {
        let which = CALLS.iter().position(|(name, _)| *name == "fd_fdstat_get").expect("it is a call");
        match self.call(which, &[fd.into(), RESULTS.into()]) {
            Some(0) => Ok(self.read::<1>(RESULTS)[0]),
            errno => Err(errno),
        }
    }

    /// Every descriptor is what it was opened for, and none that was closed is open.
    fn end(mut self) {
        for (fd, kind) in self.model.clone() {
            match self.filetype(fd) {
                Ok(is) => assert!(kind.types().contains(&is), "descriptor {fd} is {kind:?}, and has type {is}"),
                Err(errno) => panic!("descriptor {fd} is {kind:?}, and gives {errno:?}"),
            }
        }
        for fd in std::mem::take(&mut self.closed) {
            if !self.model.contains_key(&fd) {
                assert_eq!(self.filetype(fd), Err(Some(8)), "descriptor {fd} is closed");
            }
        }
        let sockets = self.model.values().filter(|kind| kind.is_socket()).count();
        let said = format!("{:?}", self.store.data());
        assert!(said.contains(&format!("open_sockets: {sockets}")), "{sockets} sockets are open: {said}");
        // No connection is left to wait out its time.
        for peer in &self.peers {
            let _ = SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO));
        }
        let World { store, peers, runtime, .. } = self;
        drop(peers);
        drop(store);
        runtime.shutdown_timeout(Duration::from_secs(5));
    }

    fn write(&mut self, at: u32, bytes: &[u8]) {
        self.memory.write(&mut self.store, at as usize, bytes).expect("it is in the memory");
    }

    fn read<const N: usize>(&self, at: u32) -> [u8; N] {
        let mut bytes = [0; N];
        self.memory.read(&self.store, at as usize, &mut bytes).expect("the host has found it in the memory");
        bytes
    }
}

impl Peer {
    /// Sends its byte so often, or what there is room for.
    fn send(&mut self, count: usize) {
        let _ = self.stream.set_nonblocking(true);
        let _ = self.stream.write(&vec![self.byte; count]);
    }
}

fn p1_fd(p1: &mut Wasip1, open: impl FnOnce(&mut Wasip1) -> std::io::Result<u32>) -> u32 {
    open(p1).expect("it can be non-blocking")
}

/// Two ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let peer = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    (listener.accept().expect("a connection has come").0, peer)
}
