//! A guest that the test drives: its exports are the calls of `wasi_snapshot_preview1`, so that what happens between two
//! of them is for the test to say. The reactor runs only while a call does.

use std::future::poll_fn;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use dormouse_host::p1::{self, Wasip1};
use tokio::runtime::Runtime;
use wasmtime::{Engine, Instance, Linker, Memory, Module, Store, Val};
use wasmtime_wasi::WasiCtxBuilder;

pub const AGAIN: i32 = 6;
pub const BADF: i32 = 8;
pub const FAULT: i32 = 21;
pub const INVAL: i32 = 28;
pub const NFILE: i32 = 41;
pub const NOMEM: i32 = 48;
pub const NOTCONN: i32 = 53;
pub const NOTDIR: i32 = 54;
pub const NOTSOCK: i32 = 57;
pub const PIPE: i32 = 64;
pub const SPIPE: i32 = 70;
pub const CONNRESET: i32 = 15;

pub const NONBLOCK: i32 = 4;
pub const PEEK: i32 = 1;
pub const WAITALL: i32 = 2;
pub const REALTIME: u32 = 0;
pub const MONOTONIC: u32 = 1;
pub const HANGUP: u16 = 1;

/// A pointer to nowhere, for memories of up to 64 KiB less than 4 GiB.
pub const NOWHERE: i32 = -8;
/// 12 MiB of memory.
const PAGES: usize = 192;
/// Below are results and arrays; from here on are buffers.
pub const BUFFER: i32 = 1 << 20;
/// How long anything may take before the test fails.
pub const LONG: Duration = Duration::from_secs(30);

/// The calls, and their parameters: `I` is an i64.
const CALLS: &[(&str, &str)] = &[
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
    ("poll_oneoff", "iiii"),
    ("fd_read", "iiii"),
    ("fd_write", "iiii"),
    ("fd_close", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_filestat_get", "ii"),
    ("fd_prestat_get", "ii"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_readdir", "iiiIi"),
    ("fd_sync", "i"),
    ("path_open", "iiiiiIIii"),
    ("path_link", "iiiiiii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("path_create_directory", "iii"),
    ("path_remove_directory", "iii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_pwrite", "iiiIi"),
    ("clock_time_get", "iIi"),
    ("random_get", "ii"),
];

/// The text of a module that imports every call and exports a function of the same name that makes it.
pub fn text() -> String {
    let kind = |c| if c == 'I' { "i64 " } else { "i32 " };
    let (mut imports, mut functions) = (String::new(), String::new());
    for (name, params) in CALLS {
        let types: String = params.chars().map(kind).collect();
        let gets: String = (0..params.len()).map(|n| format!("(local.get {n})")).collect();
        imports +=
            &format!("(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param {types}) (result i32)))\n");
        functions += &format!("(func (export \"{name}\") (param {types}) (result i32) (call ${name} {gets}))\n");
    }
    format!("(module {imports} (memory (export \"memory\") {PAGES}) {functions})")
}

pub struct Guest {
    runtime: Runtime,
    store: Store<Wasip1>,
    instance: Instance,
    memory: Memory,
}

/// What a subscription asks for.
#[derive(Clone, Copy, Debug)]
pub enum Sub {
    Read(u32),
    Write(u32),
    /// Relative, in nanoseconds.
    After(u32, u64),
    /// Absolute.
    At(u32, u64),
    /// No known tag.
    Tag(u8),
}

impl Sub {
    fn bytes(self, userdata: u64) -> [u8; 48] {
        let mut bytes = [0; 48];
        bytes[..8].copy_from_slice(&userdata.to_le_bytes());
        let (tag, word, timeout, flags) = match self {
            Sub::After(clock, timeout) => (0, clock, timeout, 0),
            Sub::At(clock, timeout) => (0, clock, timeout, 1),
            Sub::Read(fd) => (1, fd, 0, 0),
            Sub::Write(fd) => (2, fd, 0, 0),
            Sub::Tag(tag) => (tag, 0, 0, 0),
        };
        bytes[8] = tag;
        bytes[16..20].copy_from_slice(&word.to_le_bytes());
        bytes[24..32].copy_from_slice(&timeout.to_le_bytes());
        bytes[40] = flags;
        bytes
    }
}

/// An event: of which subscription, its error and its flags.
pub type Event = (u64, i32, u16);

/// The events of these subscriptions, well and without flags.
pub fn fired(which: &[u64]) -> Result<Vec<Event>, i32> {
    Ok(which.iter().map(|&userdata| (userdata, 0, 0)).collect())
}

/// A clock that is due at once: to see what is ready now.
pub const NOW: Sub = Sub::After(MONOTONIC, 0);
/// A clock that no test waits for.
pub const NEVER: Sub = Sub::After(MONOTONIC, 3_600_000_000_000);

impl Guest {
    pub fn new(wasi: &mut WasiCtxBuilder, sockets: impl FnOnce(&mut Wasip1)) -> Guest {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let engine = Engine::default();
        let module = Module::new(&engine, super::support::assemble(&text())).unwrap();
        let mut linker = Linker::new(&engine);
        p1::add_to_linker(&mut linker, |p1| p1).unwrap();
        let mut p1 = Wasip1::new(wasi.build_p1());
        sockets(&mut p1);
        let mut store = Store::new(&engine, p1);
        let instance = runtime.block_on(linker.instantiate_async(&mut store, &module)).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        Guest { runtime, store, instance, memory }
    }

    /// A guest that has a listener, descriptor 3, and the listener's address.
    pub fn listening() -> (Guest, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        (Guest::new(&mut WasiCtxBuilder::new(), |p1| assert_eq!(p1.listener(listener).unwrap(), 3)), addr)
    }

    /// A guest that has a non-blocking connection, descriptor 3, and the peer.
    pub fn connected() -> (Guest, TcpStream) {
        let (ours, peer) = pair();
        (Guest::new(&mut WasiCtxBuilder::new(), |p1| assert_eq!(p1.stream(ours).unwrap(), 3)), peer)
    }

    /// Makes a call, which waits if it is made to; gives its errno.
    pub fn call(&mut self, name: &str, args: &[i64]) -> i32 {
        self.call_while(name, args, None).0
    }

    /// Makes a call that has to wait until `meanwhile` has been done.
    pub fn waits(&mut self, name: &str, args: &[i64], meanwhile: impl FnOnce()) -> i32 {
        self.call_while(name, args, Some(Box::new(meanwhile))).0
    }

    /// Makes a call that has to wait for ever, and gives up on it. Nothing may happen to it meanwhile.
    pub fn waits_for_ever(&mut self, name: &str, args: &[i64]) {
        let (store, instance) = (&mut self.store, self.instance);
        let (function, args) = prepared(store, instance, name, args);
        let mut results = [Val::I32(-1)];
        self.runtime.block_on(async {
            let mut call = pin!(function.call_async(store, &args, &mut results));
            let mut looks = 0;
            let looked = poll_fn(|cx| {
                looks += 1;
                call.as_mut().poll(cx)
            });
            assert!(tokio::time::timeout(Duration::from_millis(50), looked).await.is_err(), "{name} returned");
            assert!(looks < 10, "{name} waits, and still was woken {looks} times");
        });
    }

    /// Tells also how often it was polled, since `meanwhile`.
    pub fn call_while(&mut self, name: &str, args: &[i64], meanwhile: Option<Box<dyn FnOnce() + '_>>) -> (i32, usize) {
        let (store, instance) = (&mut self.store, self.instance);
        let (function, args) = prepared(store, instance, name, args);
        let mut results = [Val::I32(-1)];
        let looks = self.runtime.block_on(async {
            let mut call = pin!(function.call_async(store, &args, &mut results));
            if let Some(meanwhile) = meanwhile {
                for _ in 0..5 {
                    let done = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
                    assert!(!done, "{name} did not wait");
                    tokio::task::yield_now().await;
                }
                meanwhile();
            }
            let mut looks = 0;
            let looked = poll_fn(|cx| {
                looks += 1;
                call.as_mut().poll(cx)
            });
            match tokio::time::timeout(LONG, looked).await {
                Ok(returned) => returned.unwrap(),
                Err(_) => panic!("{name} waits and waits"),
            }
            looks
        });
        (results[0].unwrap_i32(), looks)
    }

    // ---- memory ----

    pub fn write(&mut self, at: i32, bytes: &[u8]) {
        self.memory.write(&mut self.store, at as usize, bytes).unwrap();
    }

    pub fn read(&mut self, at: i32, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read(&mut self.store, at as usize, &mut bytes).unwrap();
        bytes
    }

    pub fn word(&mut self, at: i32) -> u32 {
        u32::from_le_bytes(self.read(at, 4).try_into().unwrap())
    }

    /// Writes an array of buffers, one after the other from [`BUFFER`] on, to 256.
    pub fn buffers(&mut self, lens: &[usize]) -> i64 {
        let (mut array, mut at) = (Vec::new(), BUFFER as u32);
        for &len in lens {
            array.extend_from_slice(&at.to_le_bytes());
            array.extend_from_slice(&(len as u32).to_le_bytes());
            at += len as u32;
        }
        self.write(256, &array);
        lens.len() as i64
    }

    // ---- calls, with results at 0 ----

    pub fn accept(&mut self, fd: u32, flags: i32) -> Result<u32, i32> {
        match self.call("sock_accept", &[fd.into(), flags.into(), 0]) {
            0 => Ok(self.word(0)),
            errno => Err(errno),
        }
    }

    pub fn recv(&mut self, fd: u32, len: usize) -> Result<Vec<u8>, i32> {
        self.recv_as(fd, &[len], 0)
    }

    pub fn recv_as(&mut self, fd: u32, lens: &[usize], flags: i32) -> Result<Vec<u8>, i32> {
        let count = self.buffers(lens);
        match self.call("sock_recv", &[fd.into(), 256, count, flags.into(), 0, 4]) {
            0 => Ok(self.received()),
            errno => Err(errno),
        }
    }

    /// What the last call has received.
    pub fn received(&mut self) -> Vec<u8> {
        let len = self.word(0);
        self.read(BUFFER, len as usize)
    }

    pub fn send(&mut self, fd: u32, bytes: &[u8]) -> Result<usize, i32> {
        self.write(BUFFER, bytes);
        let count = self.buffers(&[bytes.len()]);
        match self.call("sock_send", &[fd.into(), 256, count, 0, 0]) {
            0 => Ok(self.word(0) as usize),
            errno => Err(errno),
        }
    }

    /// Sends until that would block; gives how much.
    pub fn fill(&mut self, fd: u32) -> usize {
        let mut sent = 0;
        loop {
            match self.send(fd, &vec![7; 1 << 20]) {
                Ok(n) => sent += n,
                Err(errno) => {
                    assert_eq!(errno, AGAIN);
                    return sent;
                }
            }
        }
    }

    pub fn close(&mut self, fd: u32) -> i32 {
        self.call("fd_close", &[fd.into()])
    }

    pub fn flags(&mut self, fd: u32) -> i32 {
        assert_eq!(self.call("fd_fdstat_get", &[fd.into(), 0]), 0);
        self.read(2, 1)[0].into()
    }

    pub fn set_flags(&mut self, fd: u32, flags: i32) -> i32 {
        self.call("fd_fdstat_set_flags", &[fd.into(), flags.into()])
    }

    /// Writes subscriptions to 4096; their userdata are 0, 1, and so on. Gives the arguments of `poll_oneoff`.
    pub fn subscribe(&mut self, subs: &[Sub]) -> [i64; 4] {
        let bytes: Vec<u8> = subs.iter().zip(0..).flat_map(|(sub, userdata)| sub.bytes(userdata)).collect();
        self.write(4096, &bytes);
        [4096, 4096 + bytes.len() as i64, subs.len() as i64, 0]
    }

    pub fn poll(&mut self, subs: &[Sub]) -> Result<Vec<Event>, i32> {
        let args = self.subscribe(subs);
        match self.call("poll_oneoff", &args) {
            0 => Ok(self.events(subs)),
            errno => Err(errno),
        }
    }

    /// Polls, and has to wait until `meanwhile` has been done.
    pub fn poll_waits(&mut self, subs: &[Sub], meanwhile: impl FnOnce()) -> Result<Vec<Event>, i32> {
        let args = self.subscribe(subs);
        match self.waits("poll_oneoff", &args, meanwhile) {
            0 => Ok(self.events(subs)),
            errno => Err(errno),
        }
    }

    /// Polls these, in vain.
    pub fn poll_waits_for_ever(&mut self, subs: &[Sub]) {
        let args = self.subscribe(subs);
        self.waits_for_ever("poll_oneoff", &args);
    }

    /// The events that the last poll has told; none has a type that its subscription has not.
    fn events(&mut self, subs: &[Sub]) -> Vec<Event> {
        let count = self.word(0) as usize;
        let bytes = self.read(4096 + 48 * subs.len() as i32, 32 * count);
        let events = bytes.chunks(32).map(|event| {
            let userdata = u64::from_le_bytes(event[..8].try_into().unwrap());
            assert_eq!(event[10], subs[userdata as usize].bytes(0)[8], "the event's type is the subscription's");
            (userdata, u16::from_le_bytes([event[8], event[9]]).into(), u16::from_le_bytes([event[24], event[25]]))
        });
        events.collect()
    }

    pub fn clock(&mut self, id: u32) -> u64 {
        assert_eq!(self.call("clock_time_get", &[id.into(), 0, 0]), 0);
        u64::from_le_bytes(self.read(0, 8).try_into().unwrap())
    }
}

fn prepared(store: &mut Store<Wasip1>, instance: Instance, name: &str, args: &[i64]) -> (wasmtime::Func, Vec<Val>) {
    let (_, params) = CALLS.iter().find(|(of, _)| *of == name).unwrap();
    assert_eq!(params.len(), args.len(), "{name}");
    let value = |(kind, &arg)| if kind == 'I' { Val::I64(arg) } else { Val::I32(arg as i32) };
    (instance.get_func(store, name).unwrap(), params.chars().zip(args).map(value).collect())
}

/// Two ends of a connection.
pub fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_read_timeout(Some(LONG)).unwrap();
    peer.set_nodelay(true).unwrap();
    (listener.accept().unwrap().0, peer)
}

/// Sends, and returns when it has arrived: loopback delivers within the call.
pub fn say(mut peer: &TcpStream, bytes: &[u8]) {
    peer.write_all(bytes).unwrap();
}
