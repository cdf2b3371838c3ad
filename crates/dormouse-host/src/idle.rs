//! Idle. `--idle-exit`: a service that nothing is connected to is asked to stop.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use dormouse_host::{Control, Meter};

use crate::signals;

/// How often it is looked whether there is a connection, at the most and at the least.
const OFTEN: Duration = Duration::from_millis(10);
const SELDOM: Duration = Duration::from_secs(1);

/// Asks the service to stop when there has been no connection for `after`.
pub(crate) fn watch(after: Duration, control: Control, meter: Meter) -> io::Result<()> {
    thread::Builder::new().name("idle".to_owned()).spawn(move || {
        let (mut since, mut seen) = (Instant::now(), 0);
        while since.elapsed() < after {
            thread::sleep((after / 10).clamp(OFTEN, SELDOM));
            let traffic = meter.traffic();
            // Datagrams have no connection.
            let done = traffic.accepted + traffic.opened + traffic.received + traffic.sent;
            if traffic.connections > 0 || done != seen {
                (since, seen) = (Instant::now(), done);
            }
        }
        signals::idle();
        control.stop();
    })?;
    Ok(())
}
