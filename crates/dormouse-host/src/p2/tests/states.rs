//! The states of a socket, its addresses, errors and options.

use super::*;

#[test]
fn each_state_allows_what_the_specification_says() {
    run(async |mut state| {
        let s = &state.create();
        let v = &mut state.view();
        // Unbound.
        assert_eq!(code(v.finish_bind(borrowed(s))), ErrorCode::NotInProgress);
        assert_eq!(code(v.finish_connect(borrowed(s))), ErrorCode::NotInProgress);
        assert_eq!(code(v.finish_listen(borrowed(s))), ErrorCode::NotInProgress);
        assert_eq!(code(v.start_listen(borrowed(s)).await), ErrorCode::InvalidState);
        assert_eq!(code(v.accept(borrowed(s))), ErrorCode::InvalidState);
        assert_eq!(code(v.shutdown(borrowed(s), ShutdownType::Both)), ErrorCode::InvalidState);
        assert_eq!(code(v.local_address(borrowed(s))), ErrorCode::InvalidState);
        assert_eq!(code(v.remote_address(borrowed(s))), ErrorCode::InvalidState);
        // Binding.
        state.bind(s, any_port(LOCAL)).await.unwrap();
        assert_eq!(code(state.bind(s, any_port(LOCAL)).await), ErrorCode::ConcurrencyConflict);
        assert_eq!(code(state.connect(s, "127.0.0.1:1".parse().unwrap())), ErrorCode::ConcurrencyConflict);
        let v = &mut state.view();
        assert_eq!(code(v.start_listen(borrowed(s)).await), ErrorCode::ConcurrencyConflict);
        assert!(v.local_address(borrowed(s)).is_ok(), "the system has bound it");
        assert_eq!(code(v.finish_listen(borrowed(s))), ErrorCode::NotInProgress);
        v.finish_bind(borrowed(s)).unwrap();
        // Bound.
        assert_eq!(code(v.finish_bind(borrowed(s))), ErrorCode::NotInProgress);
        assert!(v.local_address(borrowed(s)).is_ok());
        assert_eq!(code(v.accept(borrowed(s))), ErrorCode::InvalidState);
        assert_eq!(code(state.bind(s, any_port(LOCAL)).await), ErrorCode::InvalidState);
        // On the way to listening.
        let v = &mut state.view();
        v.start_listen(borrowed(s)).await.unwrap();
        assert_eq!(code(v.start_listen(borrowed(s)).await), ErrorCode::ConcurrencyConflict);
        assert_eq!(code(v.accept(borrowed(s))), ErrorCode::InvalidState);
        assert!(!v.is_listening(borrowed(s)).unwrap());
        v.finish_listen(borrowed(s)).unwrap();
        // Listening.
        assert!(v.is_listening(borrowed(s)).unwrap());
        assert_eq!(code(v.start_listen(borrowed(s)).await), ErrorCode::InvalidState);
        assert_eq!(code(v.accept(borrowed(s))), ErrorCode::WouldBlock);
        assert_eq!(code(v.shutdown(borrowed(s), ShutdownType::Both)), ErrorCode::InvalidState);
        assert_eq!(code(v.remote_address(borrowed(s))), ErrorCode::InvalidState);
        v.set_listen_backlog_size(borrowed(s), 32).unwrap();
        let addr = v.local_address(borrowed(s)).unwrap().into();
        assert_eq!(code(state.connect(s, addr)), ErrorCode::InvalidState);
        // Connecting, and connected.
        let c = &state.create();
        state.connect(c, addr).unwrap();
        assert_eq!(code(state.connect(c, addr)), ErrorCode::ConcurrencyConflict);
        assert_eq!(code(state.bind(c, any_port(LOCAL)).await), ErrorCode::ConcurrencyConflict);
        assert_eq!(code(state.view().set_listen_backlog_size(borrowed(c), 1)), ErrorCode::InvalidState);
        state.block_on_socket(c).await;
        state.view().finish_connect(borrowed(c)).unwrap();
        assert_eq!(code(state.connect(c, addr)), ErrorCode::InvalidState);
        let v = &mut state.view();
        assert_eq!(code(v.finish_connect(borrowed(c))), ErrorCode::NotInProgress);
        assert_eq!(code(v.start_listen(borrowed(c)).await), ErrorCode::InvalidState);
        assert_eq!(code(v.accept(borrowed(c))), ErrorCode::InvalidState);
        assert_eq!(SocketAddr::from(v.remote_address(borrowed(c)).unwrap()), addr);
    });
}

#[test]
fn addresses_that_no_socket_of_the_family_has_are_invalid_arguments() {
    run(async |mut state| {
        let [v4, v6] = [IpAddressFamily::Ipv4, IpAddressFamily::Ipv6]
            .map(|family| state.view().create_tcp_socket(family).unwrap());
        for (socket, addr) in [
            (&v4, "[::1]:1"),
            (&v4, "224.0.0.1:1"),
            (&v4, "255.255.255.255:1"),
            (&v6, "127.0.0.1:1"),
            (&v6, "[::ffff:127.0.0.1]:1"),
            (&v6, "[::127.0.0.1]:1"),
            (&v6, "[ff02::1]:1"),
        ] {
            let addr = addr.parse().unwrap();
            assert_eq!(code(state.bind(socket, addr).await), ErrorCode::InvalidArgument, "{addr}");
            assert_eq!(code(state.connect(socket, addr)), ErrorCode::InvalidArgument, "{addr}");
        }
        for (socket, addr) in [(&v4, "0.0.0.0:1"), (&v4, "127.0.0.1:0"), (&v6, "[::]:1"), (&v6, "[::1]:0")] {
            let addr = addr.parse().unwrap();
            assert_eq!(code(state.connect(socket, addr)), ErrorCode::InvalidArgument, "{addr}");
        }
        assert_eq!(code(state.view().set_listen_backlog_size(borrowed(&v4), 0)), ErrorCode::InvalidArgument);
        assert_eq!(code(state.view().set_hop_limit(borrowed(&v6), 0)), ErrorCode::InvalidArgument);
        assert_eq!(code(state.view().set_send_buffer_size(borrowed(&v4), 0)), ErrorCode::InvalidArgument);
    });
}

#[test]
fn a_failure_is_told_by_its_code_and_closes_a_socket_that_connected() {
    run(async |mut state| {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let s = &state.create();
        state.connect(s, taken).unwrap();
        state.block_on_socket(s).await;
        assert_eq!(code(state.view().finish_connect(borrowed(s))), ErrorCode::ConnectionRefused);
        assert_eq!(code(state.view().finish_connect(borrowed(s))), ErrorCode::NotInProgress);
        assert_eq!(code(state.connect(s, taken)), ErrorCode::InvalidState);
        assert_eq!(code(state.view().hop_limit(borrowed(s))), ErrorCode::InvalidState);

        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let s = &state.create();
        assert_eq!(code(state.bind(s, other.local_addr().unwrap()).await), ErrorCode::AddressInUse);
        assert_eq!(code(state.bind(s, any_port([192, 0, 2, 1])).await), ErrorCode::AddressNotBindable);
        // After one that failed.
        state.bind(s, any_port(LOCAL)).await.unwrap();
    });
}

#[test]
fn a_socket_of_ipv6_is_of_ipv6_alone_and_has_nodelay() {
    run(async |mut state| {
        let six = &state.view().create_tcp_socket(IpAddressFamily::Ipv6).unwrap();
        let fd = state.own.get(six.rep()).unwrap().socket().unwrap();
        assert!(rustix::net::sockopt::ipv6_v6only(fd).unwrap());
        assert!(rustix::net::sockopt::tcp_nodelay(fd).unwrap());
        let (listener, addr) = state.listening().await;
        let _client = TcpStream::connect(addr).unwrap();
        state.block_on_socket(&listener).await;
        let (accepted, ..) = state.view().accept(borrowed(&listener)).unwrap();
        let fd = state.own.get(accepted.rep()).unwrap().socket().unwrap();
        assert!(rustix::net::sockopt::tcp_nodelay(fd).unwrap());
    });
}

#[test]
fn options_are_read_back() {
    run(async |mut state| {
        let s = &state.create();
        let v = &mut state.view();
        v.set_keep_alive_enabled(borrowed(s), true).unwrap();
        v.set_keep_alive_idle_time(borrowed(s), 7_000_000_000).unwrap();
        v.set_keep_alive_interval(borrowed(s), 1).unwrap();
        v.set_keep_alive_count(borrowed(s), u32::MAX).unwrap();
        v.set_hop_limit(borrowed(s), 42).unwrap();
        v.set_receive_buffer_size(borrowed(s), 16_000).unwrap();
        assert!(v.keep_alive_enabled(borrowed(s)).unwrap());
        assert_eq!(v.keep_alive_idle_time(borrowed(s)).unwrap(), 7_000_000_000);
        assert_eq!(v.keep_alive_interval(borrowed(s)).unwrap(), 1_000_000_000, "the least that there is");
        assert_eq!(v.keep_alive_count(borrowed(s)).unwrap(), 127, "the most that there is");
        assert_eq!(v.hop_limit(borrowed(s)).unwrap(), 42);
        assert_eq!(v.receive_buffer_size(borrowed(s)).unwrap(), 16_000);
    });
}
