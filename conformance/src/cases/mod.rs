//! The inside of each case, by name.

mod closing;
mod deadlines;
mod fair;
mod files;
mod handles;
mod load;
mod memory;
mod moving;
mod net;
mod nettest;
mod options;
mod output;
mod place;
mod service;
mod shutdown;
mod task;
mod time;
mod udp;
mod udp_programs;

use dormouse::io;
use dormouse::net::TcpListener;

/// Where a case runs.
#[derive(Clone, Copy)]
pub enum Host {
    Real,
    Simulated,
}

/// Runs a case to its end.
type Run = fn(Host);

impl Host {
    fn run(self, case: impl Future<Output = ()>) {
        match self {
            Host::Real => dormouse::block_on(case),
            Host::Simulated => simulate(case),
        }
    }
}

#[cfg(not(target_family = "wasm"))]
fn simulate(case: impl Future<Output = ()>) {
    let run = dormouse::sim::Sim::seeded(1).run(case);
    let leaks = run.leaks;
    if let Err(error) = run.result {
        eprintln!("dormouse: {error}");
        std::process::exit(dormouse::EXIT_STALLED);
    }
    assert!(leaks.is_empty(), "{leaks:?}");
}

#[cfg(target_family = "wasm")]
fn simulate(_: impl Future<Output = ()>) {
    panic!("the battery simulates natively only");
}

macro_rules! cases {
    ($($module:ident::$case:ident),* $(,)?) => {
        /// All cases.
        pub fn all() -> &'static [(&'static str, Run)] {
            &[$((stringify!($case), |host| host.run($module::$case()))),*]
        }
    };
}

cases! {
    net::echo,
    net::echo_beside_a_parked_read,
    net::echo_inside,
    net::connect_refused,
    net::address_in_use,
    net::refused_by_policy,
    net::permitted_by_name,
    net::peer_resets,
    net::half_close_inside,
    net::half_close_outside,
    net::ipv6,
    net::split_halves,
    net::vectored,
    net::peek,
    net::urgent,
    net::by_number,
    net::long_slices,
    net::empty_slices,
    net::nonsense,
    net::accepts_behind_resets,
    net::accepts_until_exhausted,
    shutdown::nothing_is_moved,
    shutdown::the_peer_has_gone,
    closing::ends,
    net::names,
    net::texts_that_are_no_names,
    net::zones,
    net::the_wildcard_is_this_machine,
    net::named_listeners,
    net::dropped_operations_lose_nothing,
    closing::stalled_client,
    closing::connect_close,
    closing::written_then_ended,
    deadlines::accepts,
    deadlines::reads,
    deadlines::writes,
    deadlines::beat_readiness,
    deadlines::move_while_parked,
    deadlines::of_both_sides,
    deadlines::of_every_way_to_wait,
    deadlines::of_connections,
    deadlines::fluctuate,
    deadlines::race,
    deadlines::echo_with_a_deadline,
    deadlines::echo_with_an_idle_timeout,
    moving::of_parked_accepts,
    moving::of_a_listener_alone,
    moving::of_parked_writes,
    moving::of_each_side,
    moving::through_clones,
    moving::long_and_short,
    moving::prolonged,
    handles::close_wakes_all_on_a_stream,
    handles::close_wakes_all_on_a_listener,
    handles::closed_is_closed,
    handles::closed_wins,
    handles::close_sends_what_was_written,
    handles::clones,
    handles::dropped_beside_another,
    handles::many_accept,
    shutdown::reading_is_shut_down,
    shutdown::writing_is_shut_down,
    shutdown::a_listener_is_closed_under_its_clients,
    load::many_connections_at_once,
    load::a_big_write,
    load::set_by_many,
    nettest::basic_io,
    nettest::ping_pong,
    nettest::racy_read,
    nettest::racy_write,
    nettest::read_timeout,
    nettest::write_timeout,
    nettest::past_timeout,
    nettest::present_timeout,
    nettest::future_timeout,
    nettest::close_timeout,
    nettest::concurrent_methods,
    files::files,
    files::files_and_sockets,
    files::files_removed_while_listed,
    files::files_with_odd_names,
    files::files_that_fail,
    options::options_of_streams,
    options::options_of_listeners,
    udp::udp_echo,
    udp::datagrams_are_whole,
    udp::datagrams_of_a_peer,
    udp::datagrams_in_batches,
    udp::datagrams_that_fail,
    udp::datagrams_that_fail_in_batches,
    udp::datagrams_to_oneself,
    udp::datagrams_until_exhausted,
    udp::datagrams_beside_connects,
    udp::addresses_of_peers,
    udp_programs::datagram_programs,
    udp::datagrams_deadlines_and_closing,
    udp::datagrams_over_ipv6,
    udp::both_families,
    fair::busy_task_and_io,
    fair::ticker_under_load,
    fair::sleeps_that_are_over,
    fair::always_ready_io,
    fair::copy_both_ways,
    fair::forwarded,
    fair::forwarded_again,
    fair::forward_stopped,
    output::unread_stdout,
    output::late_reader,
    output::late_reader_and_exit,
    output::full_pipe,
    output::stays_when_asked,
    service::one_of_several,
    output::refused,
    output::refused_line,
    output::refused_and_told,
    memory::allocations_of_a_thousand_echoes,
    memory::allocations_of_waiting_for_datagrams,
    task::nothing_can_wake_it,
    task::abort_parked,
    task::results,
    task::dropped_at_the_end,
    time::ten_thousand_sleepers,
    time::timeouts,
    time::slept_through,
    time::echo_with_a_timer,
}

/// Echoes to every client, for ever; says what each connection ended with.
async fn serve_echo(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((conn, _)) => dormouse::spawn(async move {
                match io::copy(&conn, &conn).await {
                    Ok(n) => println!("ended after {n}"),
                    Err(error) => println!("failed: {:?}", error.kind()),
                }
            })
            .detach(),
            Err(error) => println!("accept failed: {error}"),
        }
    }
}
