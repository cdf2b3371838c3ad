//! A case as a wasip1 module. It has the sockets that are opened for it here: as descriptor 3 a listener for clients outside,
//! and for cases with connections inside of the program what [`inside`](super::inside) opens.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::OnceLock;

use dormouse_host::{Program, Run};

use super::{Subject, Wasi, guest, inside, load};

/// Starts the guest battery.
pub fn start(case: &str) -> Subject {
    static BATTERY: OnceLock<Program> = OnceLock::new();
    let program = BATTERY.get_or_init(|| load(&Wasi::P1.battery()));
    let inside = inside::open(case, 4);
    run_with(program, &[case], move |run| {
        let run = inside.env.into_iter().fold(run, |run, (name, value)| run.env(name, value));
        let run = inside.listeners.into_iter().fold(run, |run, listener| run.listener("inside", listener));
        inside.streams.into_iter().fold(run, Run::stream)
    })
}

/// Starts a module, with a listener for clients outside.
pub fn run(program: &Program, args: &[&str]) -> Subject {
    run_with(program, args, |run| run)
}

fn run_with(
    program: &Program,
    args: &[&str],
    more: impl for<'a> FnOnce(Run<'a>) -> Run<'a> + Send + 'static,
) -> Subject {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    let addr = listener.local_addr().expect("it has an address");
    guest::run(program, args, Some(addr), move |run| more(run.listener("outside", listener)))
}
