//! All timers, the earliest on top: a binary heap whose entries know their place, so that a timer is cancelled in
//! O(log n). Timers for the same instant fire in the order in which they were set.

use std::task::Waker;

use super::Instant;
use crate::reactor::{Arena, Key};

/// The heap.
pub(crate) struct Timers {
    heap: Vec<Node>,
    timers: Arena<Timer>,
    /// Number of the last timer set.
    sequence: u64,
    /// `fire_due`, once there was a timer: a program that sets none does not link it.
    on_due: Option<fn(&mut Timers, Instant, &mut Vec<Waker>)>,
}

#[derive(Clone, Copy)]
struct Node {
    when: Instant,
    sequence: u64,
    key: Key,
}

struct Timer {
    waker: Waker,
    /// Where its node is in the heap.
    at: usize,
}

impl Timers {
    pub(crate) const fn new() -> Self {
        Timers { heap: Vec::new(), timers: Arena::new(), sequence: 0, on_due: None }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.first().map(|node| node.when)
    }

    pub(crate) fn insert(&mut self, when: Instant, waker: Waker) -> Key {
        self.on_due = Some(Timers::fire_due);
        self.sequence += 1;
        let at = self.heap.len();
        let key = self.timers.insert(Timer { waker, at });
        self.heap.push(Node { when, sequence: self.sequence, key });
        self.up(at);
        key
    }

    /// The old waker, or the new one back if the timer has fired.
    pub(crate) fn replace_waker(&mut self, key: Key, waker: Waker) -> Result<Waker, Waker> {
        match self.timers.get_mut(key) {
            Some(timer) => Ok(std::mem::replace(&mut timer.waker, waker)),
            None => Err(waker),
        }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Waker> {
        let Timer { waker, at } = self.timers.remove(key)?;
        self.heap.swap_remove(at);
        if at < self.heap.len() {
            self.place(at);
            self.down(at);
            self.up(at);
        }
        Some(waker)
    }

    /// Takes out all that is due.
    pub(crate) fn fire(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        if let Some(fire_due) = self.on_due {
            fire_due(self, now, wakers);
        }
    }

    fn fire_due(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        while let Some(node) = self.heap.first().copied().filter(|node| node.when <= now) {
            wakers.extend(self.remove(node.key));
        }
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
    use std::task::Wake;

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
        for tag in 1..20_000 {
            match random(&mut seed) % 4 {
                0 | 1 => {
                    let when = now + random(&mut seed) % 50;
                    let waker = Waker::from(Arc::new(Tag(tag, Arc::clone(&woken))));
                    model.insert((when, tag), timers.insert(Instant::from_nanos(when), waker));
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
                    let mut wakers = Vec::new();
                    timers.fire(Instant::from_nanos(now), &mut wakers);
                    wakers.into_iter().for_each(Waker::wake);
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
