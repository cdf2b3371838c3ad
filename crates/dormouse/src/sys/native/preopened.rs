//! Listeners that were open when the program began: socket activation, as systemd does it.

use std::io;
use std::sync::Mutex;

use listenfd::ListenFd;

use super::Source;

/// The listeners, until each is taken, and their names.
struct Preopened {
    listeners: ListenFd,
    names: Vec<String>,
}

/// One for the process, as the environment is, from which it is taken.
static PREOPENED: Mutex<Option<Preopened>> = Mutex::new(None);

/// Takes the first that is not taken, or the one of this name.
pub(super) fn next(name: Option<&str>) -> io::Result<Option<Source>> {
    let mut preopened = PREOPENED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let Preopened { listeners, names } = preopened.get_or_insert_with(|| {
        // Before the crate takes the variables away.
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        Preopened { names: names.split(':').map(str::to_owned).collect(), listeners: ListenFd::from_env() }
    });
    for index in 0..listeners.len() {
        if name.is_some_and(|name| names.get(index).is_none_or(|of| of != name)) {
            continue;
        }
        // One that is no TCP socket is an error, unless another is wanted by name.
        if let Some(listener) = listeners.take_tcp_listener(index)? {
            listener.set_nonblocking(true)?;
            return Ok(Some(Source::Listener(listener)));
        }
    }
    Ok(None)
}
