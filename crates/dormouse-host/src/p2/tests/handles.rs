//! Handles: which there are, in which order they go, and how they are waited for.

use super::*;
use crate::net::limits::Counted;

#[test]
fn beyond_the_limit_a_connection_waits_and_no_poll_turns_in_circles() {
    run(async |mut state| {
        state.own.net =
            Net::new(Policy::allow_all(), 2, Meter::new(), Sink::new(Output::Null, std::io::stderr()).unwrap(), None);
        let (listener, addr) = state.listening().await;
        let other = state.create();
        assert_eq!(code(state.view().create_tcp_socket(IpAddressFamily::Ipv4)), ErrorCode::NewSocketLimit);
        assert_eq!(code(state.view().accept(borrowed(&listener))), ErrorCode::WouldBlock);
        let _client = TcpStream::connect(addr).unwrap();
        assert_eq!(code(state.view().accept(borrowed(&listener))), ErrorCode::NewSocketLimit);
        let pollable = HostTcpSocket::subscribe(&mut state.view(), borrowed(&listener)).unwrap();
        assert!(!state.view().ready(borrowed(&pollable)).await.unwrap());
        HostTcpSocket::drop(&mut state.view(), other).unwrap();
        state.view().block(borrowed(&pollable)).await.unwrap();
        assert!(state.view().accept(borrowed(&listener)).is_ok());
        assert!(state.own.net.meter.traffic().refused > 0);
    });
}

#[test]
fn a_listener_at_the_limit_is_woken_when_a_socket_of_another_wasi_is_closed() {
    run(async |_| {
        let mut state = program(2);
        let (listener, addr) = state.listening().await;
        assert!(state.net.sockets.take());
        let of_another = Counted::new(&state.net.sockets);
        let _client = TcpStream::connect(addr).unwrap();
        let pollable = HostTcpSocket::subscribe(&mut state.view(), borrowed(&listener)).unwrap();
        // As soon as this task waits.
        tokio::spawn(async { drop(of_another) });
        let block = tokio::time::timeout(LONG, state.view().block(borrowed(&pollable))).await;
        block.expect("it is woken").unwrap();
        assert!(state.view().accept(borrowed(&listener)).is_ok());
    });
}

#[test]
fn parts_are_dropped_in_any_order_and_the_last_one_closes() {
    run(async |mut state| {
        for order in 0..3 {
            let ((socket, input, output), mut peer) = pair(&mut state).await;
            let wait = HostOutputStream::subscribe(&mut state.view(), borrowed(&output)).unwrap();
            assert_eq!((state.own.sockets(), state.own.handles()), (1, 4));
            let error = HostOutputStream::drop(&mut state.view(), owned(&output)).await.unwrap_err();
            assert!(error.to_string().contains("resource has children"), "{error}");
            state.view().block(borrowed(&wait)).await.unwrap();
            HostPollable::drop(&mut state.view(), wait).unwrap();
            let rep = socket.rep();
            if order == 0 {
                HostTcpSocket::drop(&mut state.view(), owned(&socket)).unwrap();
                // The stream keeps the connection.
                state.view().blocking_write_and_flush(borrowed(&output), b"still there".to_vec()).await.unwrap();
                let mut got = [0; 11];
                peer.read_exact(&mut got).unwrap();
                assert_eq!(&got, b"still there");
            }
            if order != 2 {
                HostInputStream::drop(&mut state.view(), owned(&input)).await.unwrap();
            }
            HostOutputStream::drop(&mut state.view(), output).await.unwrap();
            if order == 2 {
                HostInputStream::drop(&mut state.view(), input).await.unwrap();
            }
            if order != 0 {
                HostTcpSocket::drop(&mut state.view(), socket).unwrap();
            }
            assert_eq!(peer.read(&mut [0]).unwrap(), 0);
            assert_eq!((state.own.sockets(), state.own.handles()), (0, 0));
            // An old number finds nothing, whatever has its place by then.
            let _new = pair(&mut state).await;
            assert!(state.view().is_listening(Resource::new_borrow(rep)).is_err());
            state.own = Own::new(state.net.clone(), 1000, &Interrupt::new());
        }
    });
}

#[test]
fn a_number_is_not_given_again_when_its_place_is() {
    run(async |mut state| {
        let mut given = std::collections::HashSet::new();
        for _ in 0..2000 {
            let socket = state.create();
            assert!(given.insert(socket.rep()));
            HostTcpSocket::drop(&mut state.view(), socket).unwrap();
        }
    });
}

#[test]
fn handles_are_bounded() {
    run(async |mut state| {
        state.own = Own::new(state.net.clone(), 2, &Interrupt::new());
        let socket = state.create();
        let _pollable = HostTcpSocket::subscribe(&mut state.view(), borrowed(&socket)).unwrap();
        let error = HostTcpSocket::subscribe(&mut state.view(), borrowed(&socket)).unwrap_err();
        assert!(error.to_string().contains("no free keys"), "{error}");
    });
}

#[test]
fn a_poll_tells_of_ours_and_of_others_and_of_one_that_is_there_twice() {
    run(async |mut state| {
        let ((_socket, input, output), mut peer) = pair(&mut state).await;
        let readable = HostInputStream::subscribe(&mut state.view(), borrowed(&input)).unwrap();
        let writable = HostOutputStream::subscribe(&mut state.view(), borrowed(&output)).unwrap();
        let [due, never] = [0, u64::MAX].map(|nanoseconds| state.clocks().subscribe_duration(nanoseconds).unwrap());
        let poll = async |state: &mut State, list: &[&Resource<DynPollable>]| {
            let list = list.iter().map(|pollable| borrowed(pollable)).collect();
            state.view().poll(list).await.unwrap()
        };
        state.view().block(borrowed(&due)).await.unwrap();
        assert_eq!(poll(&mut state, &[&never, &writable, &readable, &writable, &due]).await, [1, 3, 4]);
        assert_eq!(poll(&mut state, &[&due, &readable]).await, [0]);
        peer.write_all(b"x").unwrap();
        assert_eq!(poll(&mut state, &[&never, &readable, &readable]).await, [1, 2]);
        assert!(state.view().poll(Vec::new()).await.is_err());
        assert!(state.view().ready(borrowed(&readable)).await.unwrap());
        assert!(!state.view().ready(borrowed(&never)).await.unwrap());
    });
}

#[test]
fn what_is_always_ready_hides_no_other_socket() {
    run(async |mut state| {
        let ((_s, input, _o), mut peer) = pair(&mut state).await;
        let ((_s2, _i2, always), _peer) = pair(&mut state).await;
        let readable = HostInputStream::subscribe(&mut state.view(), borrowed(&input)).unwrap();
        let writable = HostOutputStream::subscribe(&mut state.view(), borrowed(&always)).unwrap();
        let both = || vec![borrowed(&writable), borrowed(&readable)];
        state.view().block(borrowed(&writable)).await.unwrap();
        assert_eq!(state.view().poll(both()).await.unwrap(), [0]);
        peer.write_all(b"x").unwrap();
        assert_eq!(state.view().poll(both()).await.unwrap(), [0, 1]);
    });
}

#[test]
fn a_program_that_asks_and_never_waits_gets_on() {
    run(async |mut state| {
        let ((_socket, input, output), mut peer) = pair(&mut state).await;
        fill(&mut state, &output).await;
        let reader = peer.try_clone().unwrap();
        std::thread::spawn(move || std::io::copy(&mut { reader }, &mut std::io::sink()));
        peer.write_all(b"x").unwrap();
        while HostInputStream::read(&mut state.view(), borrowed(&input), 1).unwrap().is_empty() {}
        let (listener, addr) = state.listening().await;
        let _client = TcpStream::connect(addr).unwrap();
        while state.view().accept(borrowed(&listener)).is_err() {}
        let again = state.create();
        state.connect(&again, addr).unwrap();
        while state.view().finish_connect(borrowed(&again)).is_err() {}
    });
}

#[test]
fn a_listener_is_ready_only_if_there_is_a_connection() {
    run(async |mut state| {
        let (listener, addr) = state.listening().await;
        let pollable = HostTcpSocket::subscribe(&mut state.view(), borrowed(&listener)).unwrap();
        for _ in 0..3 {
            let _client = TcpStream::connect(addr).unwrap();
            state.view().block(borrowed(&pollable)).await.unwrap();
            assert!(state.view().accept(borrowed(&listener)).is_ok());
            assert!(!state.view().ready(borrowed(&pollable)).await.unwrap());
        }
    });
}
