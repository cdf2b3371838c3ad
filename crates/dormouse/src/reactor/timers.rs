//! All timers, the earliest on top: a binary heap whose entries know their place, so that a timer is cancelled in
//! O(log n). Timers for the same instant fire in the order in which they were set.

use crate::base::{Arena, Instant, Key};
use crate::contain::SafeWaker;

/// What is to be done at the time.
pub(crate) enum Due {
    /// A sleep is over.
    Wake(SafeWaker),
    /// A deadline of this handle has passed.
    Deadline(Key),
}

/// The heap.
pub(crate) struct Timers {
    heap: Vec<Node>,
    timers: Arena<Timer>,
    /// Number of the last timer set.
    sequence: u64,
    /// How many of them surely wake a task. A deadline wakes the tasks that are parked on its handle, if there are any.
    sleepers: usize,
    /// `remove`, once there was a timer: a program that sets none does not link it.
    on_cancel: Option<fn(&mut Timers, Key) -> Option<Due>>,
}

#[derive(Clone, Copy)]
struct Node {
    when: Instant,
    sequence: u64,
    key: Key,
}

struct Timer {
    due: Due,
    /// Where its node is in the heap.
    at: usize,
}

impl Timers {
    pub(crate) const fn new() -> Self {
        Timers { heap: Vec::new(), timers: Arena::new(), sequence: 0, sleepers: 0, on_cancel: None }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.first().map(|node| node.when)
    }

    /// Whether one of them will wake a task, whatever is parked.
    pub(crate) fn wake_somebody(&self) -> bool {
        self.sleepers > 0
    }

    pub(crate) fn insert(&mut self, when: Instant, due: Due) -> Key {
        self.sleepers += usize::from(matches!(due, Due::Wake(_)));
        self.on_cancel = Some(Timers::remove);
        self.sequence += 1;
        let at = self.heap.len();
        let key = self.timers.insert(Timer { due, at });
        self.heap.push(Node { when, sequence: self.sequence, key });
        self.up(at);
        key
    }

    /// What was due before, or the new one back if the timer has fired.
    pub(crate) fn replace(&mut self, key: Key, due: Due) -> Result<Due, Due> {
        match self.timers.get_mut(key) {
            Some(timer) => Ok(std::mem::replace(&mut timer.due, due)),
            None => Err(due),
        }
    }

    /// Sets a timer to a time, as if it had been set now; if there is none, or it has fired, a new one.
    pub(crate) fn set(&mut self, timer: Option<Key>, when: Instant, due: Due) -> Key {
        let place = timer.and_then(|key| Some((key, self.timers.get(key)?.at)));
        let Some((key, at)) = place else { return self.insert(when, due) };
        if self.heap[at].when != when {
            self.sequence += 1;
            (self.heap[at].when, self.heap[at].sequence) = (when, self.sequence);
            self.down(at);
            self.up(at);
        }
        key
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Due> {
        let Timer { due, at } = self.timers.remove(key)?;
        self.sleepers -= usize::from(matches!(due, Due::Wake(_)));
        self.heap.swap_remove(at);
        if at < self.heap.len() {
            self.place(at);
            self.down(at);
            self.up(at);
        }
        Some(due)
    }

    /// Removes a timer, if one was set.
    pub(crate) fn cancel(&mut self, key: Option<Key>) {
        if let (Some(key), Some(remove)) = (key, self.on_cancel) {
            remove(self, key);
        }
    }

    /// Takes out the next one, if it is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Due> {
        let node = self.heap.first().copied().filter(|node| node.when <= now)?;
        self.remove(node.key)
    }

    #[cfg(feature = "sim")]
    pub(crate) fn get(&self, key: Key) -> Option<(Instant, &Due)> {
        self.timers.get(key).map(|timer| (self.heap[timer.at].when, &timer.due))
    }

    /// How many of them are deadlines.
    #[cfg(feature = "sim")]
    pub(crate) fn deadlines(&self) -> usize {
        self.heap.len() - self.sleepers
    }

    /// Writes down where a node has come to stand.
    fn place(&mut self, at: usize) {
        if let Some(timer) = self.timers.get_mut(self.heap[at].key) {
            timer.at = at;
        }
    }

    fn before(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.heap[a], &self.heap[b]);
        (a.when, a.sequence) < (b.when, b.sequence)
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.place(a);
        self.place(b);
    }

    fn up(&mut self, mut at: usize) {
        while at > 0 && self.before(at, (at - 1) / 2) {
            self.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn down(&mut self, mut at: usize) {
        loop {
            let left = 2 * at + 1;
            if left >= self.heap.len() {
                return;
            }
            let right = left + 1;
            let child = if right < self.heap.len() && self.before(right, left) { right } else { left };
            if !self.before(child, at) {
                return;
            }
            self.swap(at, child);
            at = child;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::Mutex;
    use std::task::{Wake, Waker};

    use super::*;

    struct Tag(u64, Arc<Mutex<Vec<u64>>>);
    impl Wake for Tag {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    /// A small generator, so that the sequence is the same each time.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        *state >> 33
    }

    #[test]
    fn timers_agree_with_an_ordered_map_over_random_inserts_and_cancels() {
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut timers = Timers::new();
        let mut model: BTreeMap<(u64, u64), Key> = BTreeMap::new();
        let mut expected = Vec::new();
        let (mut seed, mut now) = (7, 0);
        let rounds = if cfg!(miri) { 1_000 } else { 20_000 };
        for tag in 1..rounds {
            match random(&mut seed) % 4 {
                0 | 1 => {
                    let when = now + random(&mut seed) % 50;
                    let waker = Waker::from(Arc::new(Tag(tag, Arc::clone(&woken))));
                    model.insert(
                        (when, tag),
                        timers.insert(Instant::from_nanos(when), Due::Wake(SafeWaker::new(&waker))),
                    );
                }
                2 => {
                    let nth = random(&mut seed) as usize % (model.len() + 1);
                    if let Some(entry) = model.keys().nth(nth).copied() {
                        let key = model.remove(&entry).unwrap();
                        assert!(timers.remove(key).is_some());
                        assert!(timers.remove(key).is_none(), "a cancelled timer is gone");
                    }
                }
                _ => {
                    now += random(&mut seed) % 20;
                    while let Some(Due::Wake(waker)) = timers.pop(Instant::from_nanos(now)) {
                        waker.wake();
                    }
                    let later = model.split_off(&(now + 1, 0));
                    expected.extend(model.keys().map(|&(_, tag)| tag));
                    model = later;
                }
            }
            assert_eq!(timers.next(), model.keys().next().map(|&(when, _)| Instant::from_nanos(when)));
        }
        assert_eq!(*woken.lock().unwrap(), expected, "fired in order of time, then of setting");
    }
}
