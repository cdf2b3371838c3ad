//! Random programs on UDP sockets. Each seed is a program; its trace is one line, which must be the same on every backend,
//! natively that of the kernel. A model beside it knows what each socket has in its queue, so nothing waits for nothing.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use dormouse::net::{Datagram, SocketAddr, UdpSocket, is_closed};
use dormouse::task::{JoinHandle, yield_now};
use dormouse::time::{Instant, timeout};
use dormouse::{io, spawn};
use futures_lite::future::poll_once;

const SEEDS: u64 = 300;
const STEPS: usize = 40;
const SOCKETS: usize = 4;

/// Nothing is there: it needs privileges, and its service is of another age.
const NOBODY: &str = "127.0.0.1:1";

type Received = io::Result<(Vec<u8>, SocketAddr)>;

/// A socket and what should be so of it.
struct Subject {
    socket: Rc<UdpSocket>,
    addr: SocketAddr,
    peer: Option<SocketAddr>,
    queue: VecDeque<(Vec<u8>, SocketAddr)>,
    parked: Option<JoinHandle<Received>>,
}

impl Subject {
    async fn bind() -> io::Result<Subject> {
        let socket = Rc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let addr = socket.local_addr()?;
        Ok(Subject { socket, addr, peer: None, queue: VecDeque::new(), parked: None })
    }

    /// Drops what a receive passes over: datagrams of others, from before the connect.
    fn pass_over(&mut self) {
        while self.queue.pop_front_if(|(_, from)| self.peer.is_some_and(|peer| peer != *from)).is_some() {}
    }

    fn deliver(&mut self, data: &[u8], from: SocketAddr) {
        if self.peer.is_none_or(|peer| peer == from) {
            self.queue.push_back((data.to_vec(), from));
        }
    }
}

struct Program {
    state: u64,
    subjects: Vec<Subject>,
    /// Addresses that sockets have had. No new one may have one of them: traces and peers would not be the same.
    gone: Vec<SocketAddr>,
    trace: String,
    serial: u8,
}

/// Patience with what must come.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), future).await.expect("what the model knows to be there comes")
}

impl Program {
    /// A number below `n` (xorshift64*).
    fn below(&mut self, n: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }

    fn data(&mut self) -> Vec<u8> {
        self.serial = self.serial.wrapping_add(1);
        vec![self.serial; 1 + self.below(20)]
    }

    fn say(&mut self, what: impl std::fmt::Display) {
        let _ = write!(self.trace, " {what}");
    }

    /// Addresses differ from run to run: which socket has it now.
    fn name(&self, addr: SocketAddr) -> String {
        match self.subjects.iter().position(|it| it.addr == addr) {
            Some(n) => n.to_string(),
            None if addr == NOBODY.parse().unwrap() => "nobody".into(),
            None => "gone".into(),
        }
    }

    fn say_received(&mut self, data: &[u8], from: SocketAddr) {
        let text = format!("{}x{}<{}", data.first().copied().unwrap_or(0), data.len(), self.name(from));
        self.say(text);
    }

    /// What a parked receive has got, if something has come for it.
    async fn join(&mut self, n: usize) {
        let it = &mut self.subjects[n];
        if it.queue.is_empty() {
            return;
        }
        let Some(parked) = it.parked.take() else { return };
        let expected = it.queue.pop_front().unwrap();
        let received = soon(parked).await.unwrap().unwrap();
        assert_eq!(received, expected, "{}", self.trace);
        self.say("woken:");
        self.say_received(&received.0, received.1);
    }

    fn deliver(&mut self, to: SocketAddr, data: &[u8], from: SocketAddr) {
        if let Some(it) = self.subjects.iter_mut().find(|it| it.addr == to) {
            it.deliver(data, from);
        }
    }

    async fn connect(&mut self, n: usize) {
        let target = self.below(SOCKETS + 4);
        let nobody = NOBODY.parse().unwrap();
        let peer: SocketAddr = match target {
            // Invalid, of the other family, and not to be reached from a loopback address.
            0 => "127.0.0.1:0".parse().unwrap(),
            1 => "[::1]:9".parse().unwrap(),
            2 => "192.0.2.1:9".parse().unwrap(),
            3 => nobody,
            target => self.subjects[target - 4].addr,
        };
        let it = &mut self.subjects[n];
        // What was sent has come, if one of them has.
        if it.parked.is_none() && it.queue.iter().any(|(_, from)| it.peer.is_none_or(|peer| peer == *from)) {
            it.pass_over();
            soon(it.socket.peek_from(&mut [])).await.unwrap();
        }
        let result = it.socket.connect(peer).await;
        assert_eq!(it.socket.local_addr().unwrap(), it.addr, "{}", self.trace);
        let expected = if target < 3 { it.peer } else { Some(peer) };
        it.peer = expected;
        assert_eq!(it.socket.peer_addr().ok(), expected, "{} connect {peer}: {result:?}", self.trace);
        let name = self.name(peer);
        match result {
            Ok(()) => self.say(format_args!("{n}→{name}")),
            Err(_) => self.say(format_args!("{n}↛{target}")),
        }
    }

    async fn send(&mut self, n: usize) {
        let data = self.data();
        let it = &self.subjects[n];
        let Some(peer) = it.peer else {
            let error = it.socket.send(&data).await.unwrap_err();
            return self.say(format_args!("{n}: {:?}", error.kind()));
        };
        if self.is_unclear(n, peer) {
            return;
        }
        assert_eq!(it.socket.send(&data).await.unwrap(), data.len());
        self.sent(n, peer, &data).await;
    }

    /// True if a socket with the address `to` takes datagrams from `from`.
    fn hears(&self, to: SocketAddr, from: SocketAddr) -> bool {
        self.subjects.iter().any(|it| it.addr == to && it.peer.is_none_or(|peer| peer == from))
    }

    /// True if it is not known what comes of a datagram: another program may have the port of a socket that is gone, and
    /// whether an error or what is in the queue is told first is not the same everywhere.
    fn is_unclear(&self, n: usize, to: SocketAddr) -> bool {
        let it = &self.subjects[n];
        self.gone.contains(&to) || it.peer.is_some() && !it.queue.is_empty() && !self.hears(to, it.addr)
    }

    /// A datagram that no socket takes comes back as an error, if its sender is connected.
    async fn sent(&mut self, n: usize, to: SocketAddr, data: &[u8]) {
        let from = self.subjects[n].addr;
        let name = self.name(to);
        if self.hears(to, from) || self.subjects[n].peer.is_none() {
            self.deliver(to, data, from);
            return self.say(format_args!("{n}:sent>{name}"));
        }
        let it = &mut self.subjects[n];
        let error = match it.parked.take() {
            Some(parked) => soon(parked).await.unwrap().unwrap_err(),
            None => soon(it.socket.recv_from(&mut [])).await.unwrap_err(),
        };
        self.say(format_args!("{n}:sent>{name}: {:?}", error.kind()));
    }

    async fn send_to(&mut self, n: usize) {
        let data = self.data();
        let to = self.below(SOCKETS);
        let it = &self.subjects[n];
        let to = self.subjects[to].addr;
        // What a connected socket does with another address is a case of its own.
        if it.peer.is_none_or(|peer| peer == to) && !self.is_unclear(n, to) {
            assert_eq!(it.socket.send_to(&data, to).await.unwrap(), data.len());
            self.sent(n, to, &data).await;
        }
    }

    async fn send_many(&mut self, n: usize) {
        let mut batch = Vec::new();
        for _ in 0..1 + self.below(20) {
            let (data, to) = (self.data(), self.below(SOCKETS));
            batch.push(Datagram { data, addr: Some(self.subjects[to].addr) });
        }
        if let Some(peer) = self.subjects[n].peer {
            if !self.hears(peer, self.subjects[n].addr) {
                return;
            }
            batch.iter_mut().for_each(|datagram| datagram.addr = None);
        }
        let it = &self.subjects[n];
        let (from, peer) = (it.addr, it.peer);
        let mut rest = &batch[..];
        while !rest.is_empty() {
            rest = &rest[soon(it.socket.send_many(rest)).await.unwrap()..];
        }
        for datagram in &batch {
            self.deliver(datagram.addr.or(peer).unwrap(), &datagram.data, from);
        }
        self.say(format_args!("{n}:sent*{}", batch.len()));
    }

    async fn receive(&mut self, n: usize, peek: bool) {
        if self.subjects[n].parked.is_some() {
            return;
        }
        let mut buf = [0; 32];
        let it = &mut self.subjects[n];
        it.pass_over();
        if it.queue.is_empty() {
            let nothing = poll_once(pin!(it.socket.recv_from(&mut buf))).await;
            assert!(nothing.is_none(), "{} {n} has received {nothing:?}", self.trace);
            return self.say(format_args!("{n}:nothing"));
        }
        let (len, from) = match peek {
            true => soon(it.socket.peek_from(&mut buf)).await.unwrap(),
            false => soon(it.socket.recv_from(&mut buf)).await.unwrap(),
        };
        let expected = if peek { it.queue[0].clone() } else { it.queue.pop_front().unwrap() };
        assert_eq!((&buf[..len], from), (&expected.0[..], expected.1), "{}", self.trace);
        self.say(format_args!("{n}:{}", if peek { "sees" } else { "has" }));
        self.say_received(&buf[..len], from);
    }

    async fn receive_many(&mut self, n: usize) {
        if self.subjects[n].parked.is_some() || self.subjects[n].queue.is_empty() {
            return;
        }
        let most = 1 + self.below(20);
        let it = &mut self.subjects[n];
        let mut expected = Vec::new();
        while expected.len() < most {
            it.pass_over();
            let Some((data, from)) = it.queue.pop_front() else { break };
            expected.push(Datagram { data, addr: Some(from) });
        }
        let want = expected.len();
        let mut received = Vec::new();
        if want == 0 {
            assert!(poll_once(pin!(it.socket.recv_many(&mut received, most))).await.is_none(), "{}", self.trace);
        }
        while received.len() < want {
            let limit = want - received.len();
            soon(it.socket.recv_many(&mut received, limit)).await.unwrap();
        }
        assert_eq!(received, expected, "{}", self.trace);
        self.say(format_args!("{n}:has*{want}"));
    }

    async fn park(&mut self, n: usize) {
        let it = &mut self.subjects[n];
        if it.parked.is_none() && it.queue.is_empty() {
            let socket = Rc::clone(&it.socket);
            it.parked = Some(spawn(async move {
                let mut buf = [0; 32];
                let (n, from) = socket.recv_from(&mut buf).await?;
                Ok((buf[..n].to_vec(), from))
            }));
            // One turn, and sometimes one of the host's.
            yield_now().await;
            if self.below(2) == 0 {
                dormouse::time::sleep(Duration::ZERO).await;
            }
            self.say(format_args!("{n}:parked"));
        }
    }

    async fn deadline(&mut self, n: usize) {
        let it = &mut self.subjects[n];
        it.socket.set_read_deadline(Some(Instant::now())).unwrap();
        let error = match it.parked.take() {
            Some(parked) => soon(parked).await.unwrap().unwrap_err(),
            None => it.socket.recv(&mut [0; 32]).await.unwrap_err(),
        };
        it.socket.set_read_deadline(None).unwrap();
        self.say(format_args!("{n}: {:?}", error.kind()));
    }

    async fn close(&mut self, n: usize) {
        let it = &mut self.subjects[n];
        it.socket.close().unwrap();
        if let Some(parked) = it.parked.take() {
            assert!(is_closed(&soon(parked).await.unwrap().unwrap_err()));
        }
        assert!(is_closed(&it.socket.send(b"x").await.unwrap_err()));
        self.gone.push(it.addr);
        let mut new = Subject::bind().await.unwrap();
        while self.gone.contains(&new.addr) {
            new = Subject::bind().await.unwrap();
        }
        self.subjects[n] = new;
        self.say(format_args!("{n}:new"));
    }

    /// All that is left comes, and nothing else.
    async fn end(&mut self) {
        let fence = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for n in 0..SOCKETS {
            self.join(n).await;
            let it = &mut self.subjects[n];
            if let Some(parked) = it.parked.take() {
                parked.abort();
            }
            if it.peer.is_none() {
                fence.send_to(b"", it.addr).await.unwrap();
                it.queue.push_back((Vec::new(), fence.local_addr().unwrap()));
            }
            while !self.subjects[n].queue.is_empty() {
                self.receive(n, false).await;
            }
            self.receive(n, false).await;
        }
    }

    async fn run(seed: u64) -> io::Result<String> {
        let mut subjects = Vec::new();
        for _ in 0..SOCKETS {
            subjects.push(Subject::bind().await?);
        }
        let state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut program = Program { state, subjects, gone: Vec::new(), trace: seed.to_string(), serial: 0 };
        for _ in 0..STEPS {
            let n = program.below(SOCKETS);
            match program.below(16) {
                0..=2 => program.connect(n).await,
                3 | 4 => program.send(n).await,
                5..=7 => program.send_to(n).await,
                8 => program.send_many(n).await,
                9 | 10 => program.receive(n, false).await,
                11 => program.receive(n, true).await,
                12 => program.receive_many(n).await,
                13 => program.park(n).await,
                14 if program.below(2) == 0 => program.deadline(n).await,
                14 => {
                    let it = &mut program.subjects[n];
                    it.socket = Rc::new(it.socket.try_clone()?);
                }
                _ => program.close(n).await,
            }
            for n in 0..SOCKETS {
                program.join(n).await;
            }
        }
        program.end().await;
        Ok(program.trace)
    }
}

/// Prints the trace of each.
pub async fn datagram_programs() {
    for seed in 1..=SEEDS {
        match Program::run(seed).await {
            Ok(trace) => println!("{trace}"),
            Err(error) => {
                assert_eq!((seed, error.kind()), (1, ErrorKind::Unsupported), "{error}");
                return println!("unsupported");
            }
        }
    }
}
