//! The two halves of a connection.

use super::super::flush::Flusher;
use super::*;

#[test]
fn reads_tell_nothing_bytes_the_end_and_a_reset() {
    run(async |mut state| {
        let ((_socket, input, _output), mut peer) = pair(&mut state).await;
        let read = |state: &mut State, len| HostInputStream::read(&mut state.view(), borrowed(&input), len);
        assert_eq!(read(&mut state, 10).unwrap(), b"");
        assert_eq!(read(&mut state, 0).unwrap(), b"");
        peer.write_all(b"abcdef").unwrap();
        state.wait_for_input(&input).await;
        assert_eq!(read(&mut state, 0).unwrap(), b"");
        assert_eq!(read(&mut state, 2).unwrap(), b"ab");
        assert_eq!(HostInputStream::skip(&mut state.view(), borrowed(&input), 1).unwrap(), 1);
        assert_eq!(state.view().blocking_read(borrowed(&input), u64::MAX).await.unwrap(), b"def");
        drop(peer);
        state.wait_for_input(&input).await;
        for len in [10, 0] {
            assert!(matches!(read(&mut state, len), Err(StreamError::Closed)));
        }

        let ((_socket, input, _output), peer) = pair(&mut state).await;
        socket2::SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(peer);
        state.wait_for_input(&input).await;
        let Err(StreamError::LastOperationFailed(error)) =
            HostInputStream::read(&mut state.view(), borrowed(&input), 10)
        else {
            panic!("a reset is an error")
        };
        let error = state.table.push(error).unwrap();
        assert_eq!(state.sockets().network_error_code(error).unwrap(), Some(ErrorCode::ConnectionReset));
        let closed = HostInputStream::read(&mut state.view(), borrowed(&input), 10);
        assert!(matches!(closed, Err(StreamError::Closed)));
    });
}

#[test]
fn a_write_needs_a_permit_and_beyond_it_traps() {
    run(async |mut state| {
        let ((_socket, _input, output), mut peer) = pair(&mut state).await;
        let write = |state: &mut State, len| state.view().write(borrowed(&output), vec![1; len]);
        assert!(matches!(write(&mut state, 1), Err(StreamError::Trap(_))));
        let permit = state.view().check_write(borrowed(&output)).unwrap() as usize;
        assert!(matches!(write(&mut state, permit + 1), Err(StreamError::Trap(_))));
        write(&mut state, 0).unwrap();
        write(&mut state, permit).unwrap();
        assert!(matches!(write(&mut state, 1), Err(StreamError::Trap(_))));
        peer.read_exact(&mut vec![0; permit]).unwrap();
        state.view().blocking_write_zeroes_and_flush(borrowed(&output), 5).await.unwrap();
        let mut zeroes = [1; 5];
        peer.read_exact(&mut zeroes).unwrap();
        assert_eq!(zeroes, [0; 5]);
        let too_much = state.view().blocking_write_and_flush(borrowed(&output), vec![0; 4097]).await;
        assert!(matches!(too_much, Err(StreamError::Trap(_))));
        let traffic = state.net.meter.traffic();
        assert_eq!((traffic.opened, traffic.sent, traffic.received), (1, permit as u64 + 5, 0));
    });
}

#[test]
fn a_drop_waits_for_no_peer_and_loses_nothing() {
    run(async |mut state| {
        let (connection, mut peer) = pair(&mut state).await;
        state.view().set_send_buffer_size(borrowed(&connection.0), 4096).unwrap();
        let written = fill(&mut state, &connection.2).await;
        state.drop_all(connection).await;
        assert_eq!((state.own.handles(), state.own.sockets()), (0, 0));
        // It is open as long as there is something to send, and so it counts.
        assert_eq!(std::iter::from_fn(|| state.net.open_tcp().ok()).count(), 99);
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            peer.read_to_end(&mut got).map(|_| got.len())
        });
        state.own.flusher().idle().await;
        assert!(state.net.open_tcp().is_ok());
        assert_eq!(reader.join().unwrap().unwrap(), written);
    });
}

#[test]
fn a_peer_that_takes_nothing_does_not_keep_what_was_dropped() {
    run(async |mut state| {
        state.own.flusher = Flusher::with_patience(&state.own.hub, 1, std::time::Duration::from_millis(1));
        let (connection, mut peer) = narrow(&mut state).await;
        fill(&mut state, &connection.2).await;
        state.drop_all(connection).await;
        assert_eq!(state.own.flusher().left(), 1);
        state.own.flusher().idle().await;
        assert_eq!(std::iter::from_fn(|| state.net.open_tcp().ok()).count(), 100);
        let ended = peer.read_to_end(&mut Vec::new());
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset, "it is not told a good end");
    });
}

#[test]
fn what_is_left_over_is_bounded() {
    run(async |mut state| {
        state.own.flusher = Flusher::new(&state.own.hub, 1);
        let (stalled, _peer) = narrow(&mut state).await;
        assert_eq!(state.view().check_write(borrowed(&stalled.2)).unwrap(), 64 << 10);
        fill(&mut state, &stalled.2).await;
        let (another, _peer) = pair(&mut state).await;
        assert_eq!(state.view().check_write(borrowed(&another.2)).unwrap(), 4096);
        let too_much = state.view().write(borrowed(&another.2), vec![0; 4097]);
        assert!(matches!(too_much, Err(StreamError::Trap(_))));
        state.drop_all(stalled).await;
        state.drop_all(another).await;
    });
}

#[test]
fn a_program_that_asks_for_room_and_never_waits_gets_it() {
    run(async |mut state| {
        let (connection, mut peer) = narrow(&mut state).await;
        let written = fill(&mut state, &connection.2).await;
        let reader = std::thread::spawn(move || peer.read_exact(&mut vec![0; written]));
        while state.view().check_write(borrowed(&connection.2)).unwrap() == 0 {}
        reader.join().unwrap().unwrap();
        state.own.flusher().idle().await;
        state.drop_all(connection).await;
    });
}

#[test]
fn reads_that_never_wait_give_others_their_turn() {
    run(async |mut state| {
        const MANY: usize = 1000;
        let ((socket, input, output), mut peer) = pair(&mut state).await;
        peer.write_all(&[b'x'; MANY]).unwrap();
        let other = tokio::spawn(async {});
        let mut reads = 0;
        while !other.is_finished() {
            assert_eq!(state.view().blocking_read(borrowed(&input), 1).await.unwrap(), b"x");
            reads += 1;
        }
        assert!(reads < MANY, "it waited for more");
        state.drop_all((socket, input, output)).await;
    });
}

#[test]
fn a_half_ends_behind_what_was_written_and_the_other_goes_on() {
    run(async |mut state| {
        let ((socket, input, output), mut peer) = pair(&mut state).await;
        state.view().set_send_buffer_size(borrowed(&socket), 4096).unwrap();
        let written = fill(&mut state, &output).await;
        state.view().shutdown(borrowed(&socket), ShutdownType::Send).unwrap();
        assert_eq!(state.view().check_write(borrowed(&output)).unwrap(), 0);
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            peer.read_to_end(&mut got).unwrap();
            peer.write_all(b"answer").unwrap();
            got.len()
        });
        assert_eq!(state.view().blocking_read(borrowed(&input), 100).await.unwrap(), b"answer");
        assert_eq!(reader.join().unwrap(), written);
        let pollable = HostOutputStream::subscribe(&mut state.view(), borrowed(&output)).unwrap();
        state.view().block(pollable).await.unwrap();
        assert!(matches!(state.view().check_write(borrowed(&output)), Err(StreamError::Closed)));
        assert!(matches!(state.view().write(borrowed(&output), vec![1]), Err(StreamError::Closed)));
        assert!(matches!(state.view().flush(borrowed(&output)), Err(StreamError::Closed)));
    });
}

#[test]
fn what_has_come_and_was_not_read_resets_at_the_close() {
    run(async |mut state| {
        let (connection, mut peer) = pair(&mut state).await;
        peer.write_all(b"unread").unwrap();
        state.wait_for_input(&connection.1).await;
        state.drop_all(connection).await;
        assert_eq!(peer.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_splice_moves_bytes_between_connections() {
    run(async |mut state| {
        let ((_s1, from, _o1), mut source) = pair(&mut state).await;
        let ((_s2, _i2, to), mut sink) = pair(&mut state).await;
        assert_eq!(state.view().splice(borrowed(&to), borrowed(&from), 100).unwrap(), 0);
        source.write_all(b"one way").unwrap();
        state.wait_for_input(&from).await;
        assert_eq!(state.view().splice(borrowed(&to), borrowed(&from), 3).unwrap(), 3);
        assert_eq!(state.view().blocking_splice(borrowed(&to), borrowed(&from), 100).await.unwrap(), 4);
        let mut got = [0; 7];
        sink.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"one way");
        drop(source);
        assert!(matches!(
            state.view().blocking_splice(borrowed(&to), borrowed(&from), 100).await,
            Err(StreamError::Closed)
        ));
    });
}
