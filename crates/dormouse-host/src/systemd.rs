//! systemd. What it hands over and what it is told, where it has started the runner; elsewhere none of this does anything.
//!
//! * `LISTEN_FDS`: sockets that it has opened. A wasip1 program has them as descriptors, and a component gets each when it binds to its address.
//! * `sd_notify`: READY=1 when the instances serve, RELOADING=1 and STOPPING=1, and WATCHDOG=1 for as long as each instance turns.

use std::env;
use std::io;
use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use dormouse_host::Control;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use socket2::SockRef;

/// How many sockets are taken: more than a unit names, and few enough to look at each.
const MOST: usize = 4096;

/// The listeners that systemd has opened for this process, with their names. The error is a sentence.
pub(crate) fn listeners() -> Result<Vec<(String, TcpListener)>, String> {
    if let Some(count) =
        env::var("LISTEN_FDS").ok().filter(|count| count.parse().is_ok_and(|count: usize| count > MOST))
    {
        return Err(format!("LISTEN_FDS tells of {count} sockets, and no more than {MOST} are taken"));
    }
    // Read first: what hands the descriptors over takes the variables away.
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').filter(|name| !name.is_empty());
    let mut fds = ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..fds.len() {
        let name = names.next().unwrap_or("unknown").to_owned();
        let refused = |why: &str| format!("cannot use the socket {name:?} that LISTEN_FDS tells of: {why}");
        match fds.take_tcp_listener(index) {
            Ok(Some(listener)) => match SockRef::from(&listener).is_listener() {
                Ok(true) => listeners.push((name, listener)),
                Ok(false) => return Err(refused("it does not listen")),
                Err(error) => return Err(refused(&error.to_string())),
            },
            Ok(None) => {}
            Err(error) => {
                let kind = if fds.take_udp_socket(index).is_ok() {
                    Some("UDP")
                } else if fds.take_unix_listener(index).is_ok() || fds.take_unix_datagram(index).is_ok() {
                    Some("Unix")
                } else {
                    None
                };
                return Err(match kind {
                    Some(kind) => refused(&format!(
                        "it is a {kind} socket, and only ListenStream= with an IP address and a port gives one that can be used"
                    )),
                    None => refused(&error.to_string()),
                });
            }
        }
    }
    Ok(listeners)
}

/// Tells systemd something, in order, from a thread of its own: its socket may be full, and nothing here waits for that. If it does not hear
/// it, there is nothing to do about it.
fn tell(states: Vec<NotifyState<'static>>) {
    static TOLD: OnceLock<Sender<Vec<NotifyState<'static>>>> = OnceLock::new();
    if env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let told = TOLD.get_or_init(|| {
        let (sender, told) = channel::<Vec<NotifyState<'static>>>();
        // Without a thread nothing is told.
        let _ = thread::Builder::new().name("systemd".to_owned()).spawn(move || {
            for states in told {
                let _ = sd_notify::notify(&states);
            }
        });
        sender
    });
    let _ = told.send(states);
}

pub(crate) fn ready() {
    tell(vec![NotifyState::Ready]);
}

pub(crate) fn stopping() {
    tell(vec![NotifyState::Stopping]);
}

pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(vec![NotifyState::Reloading, now]),
        Err(_) => tell(vec![NotifyState::Reloading]),
    }
}

/// Tells the watchdog, if there is one, twice in its time that the instances turn; while one does not, it is not told.
pub(crate) fn watchdog(control: &Control) -> io::Result<()> {
    let Some(within) = sd_notify::watchdog_enabled() else { return Ok(()) };
    let half = (within / 2).max(Duration::from_millis(1));
    let control = control.clone();
    thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        loop {
            // While they stop, their time is that of --stop-timeout.
            if control.status().stops || control.turns(half / 2) {
                tell(vec![NotifyState::Watchdog]);
            }
            thread::sleep(half / 2);
        }
    })?;
    Ok(())
}
