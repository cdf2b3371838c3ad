//! Names, by the system's resolver, which blocks: each lookup has a thread of its own. When it ends, the poller is told as
//! if a socket had become ready.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::vec;

use super::{Notifier, Source};
use crate::base::Key;

/// A lookup that goes on, or has ended.
pub(crate) struct Lookup {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    result: Option<io::Result<vec::IntoIter<SocketAddr>>>,
    /// The slot that waits for it.
    waiting: Option<(Key, Ended)>,
}

/// Lookups that have ended and are waited for, by their keys.
#[derive(Clone)]
pub(super) struct Ended {
    keys: Arc<Mutex<Vec<Key>>>,
    notifier: Notifier,
}

impl Ended {
    pub(super) fn new(notifier: Notifier) -> Self {
        Ended { keys: Arc::default(), notifier }
    }

    /// Takes them. One that is put there later ends a wait, if the notifier has been told that there is one.
    pub(super) fn take(&self) -> Vec<Key> {
        std::mem::take(&mut lock(&self.keys))
    }

    fn put(&self, key: Key) {
        lock(&self.keys).push(key);
        self.notifier.notify();
    }
}

impl Lookup {
    /// Has `key` put among the ended when it ends, or now if it has.
    pub(super) fn watch(&self, key: Key, ended: &Ended) {
        let mut state = lock(&self.state);
        match state.result {
            Some(_) => ended.put(key),
            None => state.waiting = Some((key, ended.clone())),
        }
    }
}

impl Source {
    /// Begins to look a name up.
    pub(crate) fn lookup(host: &str) -> io::Result<Self> {
        let state = Arc::<Mutex<State>>::default();
        let (host, told) = (host.to_owned(), Arc::clone(&state));
        // If the future is dropped, the thread still runs to its end, and its result is dropped.
        thread::Builder::new().name("look up a name".into()).spawn(move || {
            let result = look_up(&host);
            let mut state = lock(&told);
            state.result = Some(result.map(Vec::into_iter));
            if let Some((key, ended)) = state.waiting.take() {
                ended.put(key);
            }
        })?;
        Ok(Source::Lookup(Lookup { state }))
    }

    /// The next address of the name, with port 0; `None` after the last.
    pub(crate) fn try_next_address(&self) -> io::Result<Option<SocketAddr>> {
        let Source::Lookup(lookup) = self else { unreachable!("it is a lookup") };
        let mut state = lock(&lookup.state);
        match state.result.take() {
            None => Err(io::ErrorKind::WouldBlock.into()),
            Some(Err(error)) => Err(error),
            Some(Ok(mut addrs)) => {
                let next = addrs.next();
                state.result = Some(Ok(addrs));
                Ok(next)
            }
        }
    }
}

/// std's resolver wants a port, and has a kind for no failure of its own.
fn look_up(host: &str) -> io::Result<Vec<SocketAddr>> {
    let mut addrs = Vec::new();
    let found = (host, 0).to_socket_addrs().map_err(|error| match error.raw_os_error() {
        Some(_) => error,
        None => crate::base::error(io::ErrorKind::NotFound, error.to_string()),
    })?;
    for addr in found {
        // One for each kind of socket, on some systems.
        if !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    Ok(addrs)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
