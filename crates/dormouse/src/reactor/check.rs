//! What is true of the reactor before every wait. Looked at in simulations only: it is a pass over all handles.

use super::timers::Due;
use super::{Inner, Place};
use crate::sys::{Side, Wait};

impl Inner {
    /// # Panics
    /// If something is not as it should be; with a sentence that says what.
    pub(super) fn check(&mut self) {
        let (mut armed, mut deadlines) = (0, 0);
        for (key, place) in self.slots.iter_keys() {
            let Place::Handle(slot) = place else {
                armed += 1;
                continue;
            };
            for side in [Side::Read, Side::Write] {
                let waiters = slot.look(side);
                let (watched, parked) = (waiters.armed, !waiters.is_empty());
                assert!(
                    watched || !parked || waiters.paused,
                    "{side:?}: somebody is parked, and the poller does not watch"
                );
                assert!(!(watched && waiters.paused), "{side:?}: the poller watches what is paused");
                assert!(parked || !watched, "{side:?}: the poller watches, and nobody is parked");
                assert!(
                    !(parked && waiters.expired),
                    "{side:?}: the deadline has passed, and somebody is still parked"
                );
                armed += usize::from(watched);
            }
            let next = slot.next_deadline();
            let timer = slot.timer().and_then(|timer| self.timers.get(timer));
            match timer {
                Some((when, Due::Deadline(of))) => {
                    assert_eq!(*of, key, "a deadline's timer is for another handle");
                    assert_eq!(next, Some(when), "a deadline's timer is set for another time");
                    deadlines += 1;
                }
                Some((_, Due::Wake(_))) => panic!("a deadline's timer is a sleeper's"),
                None => assert_eq!(next, None, "a deadline has no timer"),
            }
        }
        assert_eq!(self.timers.deadlines(), deadlines, "timers of handles that have gone are left");
        assert_eq!(self.poller.armed(), armed, "the poller watches other sides than are waited for");
    }
}
