//! Programs that make calls at random, with peers that do so, too: whatever they do, the numbers agree, and at the end nothing is left.

use super::*;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    /// One of them, if there are some.
    fn of<'a, T>(&mut self, some: &'a [T]) -> Option<&'a T> {
        if some.is_empty() { None } else { some.get(self.below(some.len())) }
    }

    /// Takes one of them out.
    fn out_of<T>(&mut self, some: &mut Vec<T>) -> Option<T> {
        if some.is_empty() { None } else { Some(some.swap_remove(self.below(some.len()))) }
    }
}

/// What the program has.
#[derive(Default)]
struct Has {
    sockets: Vec<Socket>,
    inputs: Vec<Input>,
    outputs: Vec<Out>,
    pollables: Vec<Resource<DynPollable>>,
    peers: Vec<TcpStream>,
}

impl Has {
    fn handles(&self) -> usize {
        self.sockets.len() + self.inputs.len() + self.outputs.len() + self.pollables.len()
    }
}

async fn step(state: &mut State, has: &mut Has, dice: &mut Dice, listener: &TcpListener) {
    let at = listener.local_addr().unwrap();
    match dice.below(18) {
        0 => has.sockets.push(state.create()),
        1 => {
            if let Some(socket) = dice.of(&has.sockets) {
                let _ = state.bind(socket, any_port(LOCAL)).await;
            }
        }
        2 => {
            if let Some(socket) = dice.of(&has.sockets) {
                let _ = state.view().finish_bind(borrowed(socket));
            }
        }
        3 => {
            if let Some(socket) = dice.of(&has.sockets) {
                let _ = state.view().start_listen(borrowed(socket)).await;
            }
        }
        4 => {
            if let Some(socket) = dice.of(&has.sockets) {
                let _ = state.view().finish_listen(borrowed(socket));
            }
        }
        5 => {
            if let Some(socket) = dice.of(&has.sockets) {
                let _ = state.connect(socket, at);
                has.peers.extend(listener.accept().map(|(peer, _)| peer));
            }
        }
        6 => {
            if let Some(socket) = dice.of(&has.sockets)
                && let Ok((input, output)) = state.view().finish_connect(borrowed(socket))
            {
                has.inputs.push(input);
                has.outputs.push(output);
            }
        }
        7 => {
            if let Some(socket) = dice.of(&has.sockets)
                && let Ok(addr) = state.view().local_address(borrowed(socket))
                && state.view().is_listening(borrowed(socket)).unwrap()
            {
                has.peers.extend(TcpStream::connect(SocketAddr::from(addr)));
                if let Ok((socket, input, output)) = state.view().accept(borrowed(socket)) {
                    has.sockets.push(socket);
                    has.inputs.push(input);
                    has.outputs.push(output);
                }
            }
        }
        8 => {
            let pollable = match dice.below(3) {
                0 => dice.of(&has.sockets).map(|it| HostTcpSocket::subscribe(&mut state.view(), borrowed(it))),
                1 => dice.of(&has.inputs).map(|it| HostInputStream::subscribe(&mut state.view(), borrowed(it))),
                _ => dice.of(&has.outputs).map(|it| HostOutputStream::subscribe(&mut state.view(), borrowed(it))),
            };
            has.pollables.extend(pollable.map(Result::unwrap));
        }
        9 => {
            if let Some(output) = dice.of(&has.outputs)
                && let Ok(permit) = state.view().check_write(borrowed(output))
            {
                let len = dice.below(permit as usize + 1);
                let _ = state.view().write(borrowed(output), vec![1; len]);
            }
        }
        10 => {
            if let Some(input) = dice.of(&has.inputs) {
                let _ = HostInputStream::read(&mut state.view(), borrowed(input), dice.below(100_000) as u64);
            }
        }
        11 => {
            if let Some(socket) = dice.of(&has.sockets) {
                let how = [ShutdownType::Receive, ShutdownType::Send, ShutdownType::Both][dice.below(3)];
                let _ = state.view().shutdown(borrowed(socket), how);
            }
        }
        12 => {
            // With one that is due, so that it ends.
            let due = state.clocks().subscribe_duration(0).unwrap();
            let list = has.pollables.iter().chain([&due]).map(borrowed).collect();
            let ready = state.view().poll(list).await.unwrap();
            assert!(ready.is_sorted() && ready.iter().all(|&index| index as usize <= has.pollables.len()));
            HostPollable::drop(&mut state.view(), due).unwrap();
        }
        13 => {
            if let Some(peer) = dice.out_of(&mut has.peers) {
                peer.set_nonblocking(true).unwrap();
                let _ = (&peer).write(&[0; 5000]);
                let _ = (&peer).read(&mut [0; 5000]);
                // It may be gone.
                has.peers.extend((dice.below(2) == 0).then_some(peer));
            }
        }
        14 => {
            if let Some(pollable) = dice.out_of(&mut has.pollables) {
                HostPollable::drop(&mut state.view(), pollable).unwrap();
            }
        }
        15 => {
            if let Some(socket) = dice.out_of(&mut has.sockets) {
                HostTcpSocket::drop(&mut state.view(), socket).unwrap();
            }
        }
        16 => {
            if let Some(input) = dice.out_of(&mut has.inputs)
                && HostInputStream::drop(&mut state.view(), owned(&input)).await.is_err()
            {
                has.inputs.push(input);
            }
        }
        _ => {
            if let Some(output) = dice.out_of(&mut has.outputs)
                && HostOutputStream::drop(&mut state.view(), owned(&output)).await.is_err()
            {
                has.outputs.push(output);
            }
        }
    }
}

#[test]
fn whatever_a_program_does_the_numbers_agree_and_nothing_is_left() {
    run(async |mut state| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        for seed in 0..100 {
            let (mut dice, mut has) = (Dice(seed), Has::default());
            for _ in 0..100 {
                step(&mut state, &mut has, &mut dice, &listener).await;
                assert_eq!(state.own.handles(), has.handles(), "seed {seed}");
            }
            for pollable in has.pollables {
                HostPollable::drop(&mut state.view(), pollable).unwrap();
            }
            for socket in has.sockets {
                HostTcpSocket::drop(&mut state.view(), socket).unwrap();
            }
            for input in has.inputs {
                HostInputStream::drop(&mut state.view(), input).await.unwrap();
            }
            for output in has.outputs {
                HostOutputStream::drop(&mut state.view(), output).await.unwrap();
            }
            assert_eq!((state.own.handles(), state.own.sockets()), (0, 0), "seed {seed}");
            // As many as there may be can be opened: none is counted that is not there.
            let all: Vec<_> = (0..100).map(|_| state.create()).collect();
            assert!(state.view().create_tcp_socket(IpAddressFamily::Ipv4).is_err());
            for socket in all {
                HostTcpSocket::drop(&mut state.view(), socket).unwrap();
            }
        }
    });
}
