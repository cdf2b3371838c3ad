//! What tokio's sockets promise, case by case: each prints its name when it is done.

#[cfg(target_env = "p1")]
mod opened;
#[cfg(not(target_env = "p1"))]
mod ready;
#[cfg(not(target_env = "p1"))]
mod std_sockets;
#[cfg(not(target_env = "p1"))]
mod tcp;
#[cfg(not(target_env = "p1"))]
mod udp;
mod without;

macro_rules! cases {
    ($($module:ident: $($case:ident)*;)*) => {
        $($(
            $module::$case().await.unwrap_or_else(|error| panic!("{}: {error}", stringify!($case)));
            println!("{}", stringify!($case));
        )*)*
    };
}

#[cfg(not(target_env = "p1"))]
#[tokio::main]
async fn main() {
    if std::env::args().nth(1).as_deref() == Some("rounds") {
        return ready::rounds().await.unwrap();
    }
    cases! {
        ready: a_waiter_does_not_spin several_tasks_wait_for_one_socket what_was_read_is_not_ready_again
            writable_waits_for_room try_io_and_async_io_go_by_what_the_operation_says poll_ready_keeps_one_waker
            a_waiter_that_is_dropped_leaves_nothing_behind;
        tcp: vectored_operations_use_all_buffers peek_reads_nothing uninitialised_room_is_filled halves_shut_down_and_reunite
            a_socket_binds_listens_and_connects a_listener_ends_with_its_runtime names_are_looked_up;
        std_sockets: a_stream_goes_to_std_and_back options_set_on_the_descriptor_are_the_sockets
            a_connection_whose_stand_in_is_dropped_is_closed a_listener_of_std_listens_on_its_address
            a_listener_goes_to_std_and_back a_socket_of_socket2_connects what_cannot_be_handed_over_says_so;
        udp: datagrams_come_whole udp_of_std_keeps_its_address_and_peer;
        without: what_wasi_has_not_says_so signals_stay_pending;
    }
}

#[cfg(target_env = "p1")]
#[tokio::main]
async fn main() {
    cases! {
        opened: a_listener_of_std_is_the_one_that_the_host_has_opened;
        without: what_wasi_has_not_says_so signals_stay_pending;
    }
}
