//! A case as a wasip1 program under the `wasmi` command, whose WASI is wasi-common's. When one descriptor is ready it calls
//! all of them ready, so this is also the test that readiness is taken as a hint.
//!
//! It opens listeners, and nothing else, so there are no connections inside of a program.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use socket2::{Domain, Socket, Type};

use super::{Subject, Wasi, dir_for, native};

/// Starts the guest battery.
pub fn start(case: &str) -> Subject {
    static BATTERY: OnceLock<PathBuf> = OnceLock::new();
    run(BATTERY.get_or_init(|| Wasi::P1.battery()), &[case])
}

/// Starts a module. Its descriptor 3 listens for clients outside, 4 is for use inside.
pub fn run(module: &Path, args: &[&str]) -> Subject {
    let (addr, port) = free_port();
    let listeners = ["--tcplisten", &addr.to_string(), "--tcplisten", "127.0.0.1:0"];
    let dir = args.first().and_then(|case| dir_for(case)).map(|dir| dir.display().to_string());
    let variable = dir.as_deref().map(|dir| format!("BATTERY_DIR={dir}"));
    let options = match (&dir, &variable) {
        // And no listener: wasi-libc looks for directories from descriptor 3 on until EBADF, and that is what wasi-common
        // says of a socket. Ours does not.
        (Some(dir), Some(variable)) => vec!["--dir", dir, "--env", variable],
        _ => [&listeners[..], &["--env", "BATTERY_LISTENERS=4..5"]].concat(),
    };
    let mut command = wasmi_run(&options, module);
    command.args(args);
    native::spawn_on(command, Some((addr, port)))
}

/// A module that needs no sockets, as a command.
pub fn command(module: &Path) -> Command {
    wasmi_run(&[], module)
}

fn wasmi_run(options: &[&str], module: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("WASMI").unwrap_or_else(|| "wasmi".into()));
    command.arg("run").args(options).arg(module);
    command
}

/// A free port, and a socket that is bound to it, so that the system gives the port to no other program. The socket does not listen,
/// and both it and the host set SO_REUSEADDR, so on Linux the host can bind the port, too.
fn free_port() -> (SocketAddr, Socket) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("set SO_REUSEADDR");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("bind a free port");
    let addr = socket.local_addr().ok().and_then(|addr| addr.as_socket()).expect("a bound socket has an address");
    (addr, socket)
}
