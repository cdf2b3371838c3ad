//! A case as a wasip2 component.

use std::sync::OnceLock;

use dormouse_host::{Policy, Program};

use super::{Subject, Wasi, guest, load};

/// What the guest may do on the network.
#[derive(Clone, Copy)]
pub enum Net {
    Allowed,
    Denied,
    /// By the name `localhost`, and datagrams on 127.0.0.1; no lookup of another name.
    Named,
}

/// Starts the guest battery.
pub fn start(case: &str, net: Net) -> Subject {
    static BATTERY: OnceLock<Program> = OnceLock::new();
    let program = BATTERY.get_or_init(|| load(&Wasi::P2.battery()));
    run(program, &[case], net)
}

/// Starts a component whose memory is bounded, in bytes.
pub fn run_within(program: &Program, args: &[&str], bytes: usize) -> Subject {
    guest::run(program, args, None, move |run| run.policy(Policy::allow_all()).max_memory(bytes))
}

/// Starts a component.
pub fn run(program: &Program, args: &[&str], net: Net) -> Subject {
    guest::run(program, args, None, move |run| {
        run.policy(match net {
            Net::Allowed => Policy::allow_all().allow_dns(),
            Net::Denied => Policy::default(),
            Net::Named => Policy::default()
                .allow_listen("localhost:0".parse().unwrap())
                .allow_connect("localhost:*".parse().unwrap())
                .allow_udp("127.0.0.1:*".parse().unwrap()),
        })
    })
}
