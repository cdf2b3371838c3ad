//! What a wait is for, when the list is long: the few entries that were busy lately at each wait, and all of them from time to time.
//!
//! ```text
//!        ├──────────── period ───────────┤
//!   ║▓▓▓▓▓▓▓║▪│▪│▪│▪│▪│▪│▪│▪│▪│▪│▪│▪│▪│▪│║▓▓▓▓▓▓▓║▪│▪│▪ …      ▓ the quiet ones, without waiting: a review
//!   review     waits for the busy ones                        ▪ the busy ones, and the clock of the next review
//! ```
//!
//! * The period is nine times what the last review took, and at least [`SHORTEST`]. So reviews take a tenth of the time at
//!   the most, and no entry waits longer than ten reviews and two turns, or two milliseconds and two turns if that is more.
//! * What is armed is busy, and is marked as quiet by the second review that finds it still waiting.
//! * If nothing at all happens for a period the wait is for all, for as long as it takes: an idle program does not wake up. One
//!   event does not end idle mode; a second one within ten review times does.
//! * A list shorter than [`LONG`] is given whole, always.
//!
//! Our runner has a bell (`BELL` in `FACTS.md`): an alarm that rings when one of the quiet ones has become ready. There
//!
//! ```text
//!   ║▪│▪│▪│▪│▪│▪│▪│▪║▓▓▓▓▓▓▓║▪│▪│▪│▪│▪│▪│▪│▪│▪│▪│▪│▪│▪│▪│▪│▪│▪ …
//!    the bell       rings   the clock: a period   the bell
//! ```
//!
//! * a wait is for the busy ones and the bell, and when it rings there is a review at once;
//! * after a review there is no bell for a period, but a clock, so reviews take a tenth of the time here too;
//! * busy entries are marked as quiet when enough polls have looked at them in vain ([`IN_VAIN`]), and an idle program has no other wait.
//!
//! And if a wait has reported [`MANY`], most of those that are busy are ready, or will be before they are served:
//!
//! ```text
//!   ║▪▪▪▪▪▪▪▪▪▪▪▪║1│2│3│4│1│2│3│4│1│2│▪ …      1 the first [`PART`] of the busy ones, without waiting, 2 the next, …
//!   many                          few
//! ```
//!
//! So they are asked about in turns, and none is looked at again and again while others are served.

use super::numbers::{CLOCK, EACH, FEW, IN_VAIN, LONG, MANY, PART, REVIEW, SHARE, SHORTEST, SOCKETS};
use super::watched::Watched;
use crate::sys::Ready;

/// What a host is asked for.
pub(in crate::sys) trait Host {
    type Entry: Copy;
    /// A clock that is in the list for as long as this lives.
    type Alarm;
    type Error;
    /// Whether it is worth while to ask about the busy ones in turns: not if an entry costs next to nothing.
    const IN_TURNS: bool;
    /// The host has its turn, if it needs one to know who is ready.
    fn refresh(&mut self) {}
    /// All of a long list are waited for next, since it was quiet.
    fn before_all(&mut self) {}
    /// Whether there can be alarms.
    fn has_alarms(&self) -> bool {
        true
    }
    /// Whether there is an alarm that rings when a side has become ready that an earlier poll found not ready, and that is not in the
    /// list.
    fn has_bell(&self) -> bool {
        false
    }
    /// That alarm. A poll that tells of it has rung it: it is not ready in the next.
    fn bell(&mut self) -> Self::Alarm {
        self.past()
    }
    fn now(&mut self) -> u64;
    fn alarm(&mut self, nanos: u64) -> Self::Alarm;
    /// One that has rung.
    fn past(&mut self) -> Self::Alarm;
    fn entry(alarm: &Self::Alarm) -> Self::Entry;
    /// Waits until one is ready. The list is not empty.
    fn poll(&mut self, list: &[Self::Entry]) -> Result<(), Self::Error>;
    /// Whether the alarm is ready, in a list that began with it.
    fn rang(&self) -> bool;
    /// Takes those that are ready out, of a list that began at this place, or there with the alarm, and passes them on. True if
    /// the clock is ready.
    fn report(&mut self, from: usize, alarm: bool, watched: &mut Watched<Self::Entry>, ready: &mut Vec<Ready>) -> bool;
}

/// A list of which the busy part is waited for.
pub(in crate::sys) struct Reviewed<H: Host> {
    pub(in crate::sys) watched: Watched<H::Entry>,
    /// Rings when the next review is due. None while the list is short, and after a period in which nothing happened.
    next: Option<H::Alarm>,
    /// Whether that is the bell.
    is_bell: bool,
    /// A poll has failed, so that a ring may have been lost. The bell is not relied on any more.
    lost_bell: bool,
    /// How many busy ones polls have looked at in vain since they were last marked.
    in_vain: usize,
    /// When that is, of a clock.
    due: u64,
    period: u64,
    /// Something has happened since the last review.
    happened: bool,
    /// When a wait for all has ended last.
    ended: u64,
    /// The last wait has told of many.
    many: bool,
}

impl<H: Host> Reviewed<H> {
    pub(in crate::sys) fn new(nothing: H::Entry) -> Self {
        Reviewed {
            watched: Watched::new(nothing),
            next: None,
            is_bell: false,
            lost_bell: false,
            in_vain: 0,
            due: 0,
            period: SHORTEST,
            happened: false,
            ended: 0,
            many: false,
        }
    }

    /// Waits until somebody is ready, or the clock, if there is one. True if the clock is.
    pub(in crate::sys) fn wait(
        &mut self,
        host: &mut H,
        clock: Option<H::Entry>,
        ready: &mut Vec<Ready>,
    ) -> Result<bool, H::Error> {
        let first = ready.len();
        if H::IN_TURNS && self.many {
            let is_long = self.watched.armed() >= LONG && self.watched.quiet() > SOCKETS + PART;
            let clock_fired = is_long && self.look_at_part(host, clock, ready)?;
            self.many = ready.len() - first >= FEW;
            if !self.many {
                self.watched.forget_turns();
            }
            if clock_fired || ready.len() > first {
                self.happened = true;
                return Ok(clock_fired);
            }
        }
        let result = self.wait_for_busy(host, clock, ready);
        self.lost_bell |= result.is_err();
        self.many = ready.len() - first >= MANY;
        result
    }

    /// Waits for the busy ones, with reviews, or for all.
    fn wait_for_busy(
        &mut self,
        host: &mut H,
        clock: Option<H::Entry>,
        ready: &mut Vec<Ready>,
    ) -> Result<bool, H::Error> {
        loop {
            if self.watched.armed() < LONG || !host.has_alarms() {
                self.next = None;
                return self.wait_for_all(host, clock, ready);
            }
            let has_bell = host.has_bell() && !self.lost_bell;
            if self.next.is_none() && has_bell {
                (self.next, self.is_bell) = (Some(host.bell()), true);
            } else if self.next.is_none() && self.happened {
                self.plan(host);
            }
            let Some(next) = &self.next else {
                // All was quiet. One thing that happens does not make it busy; a second one, soon after, does.
                host.before_all();
                let fired = self.wait_for_all(host, clock, ready);
                let before = std::mem::replace(&mut self.ended, host.now());
                let ten_reviews = SHORTEST.max(SHARE * EACH * self.watched.list.len() as u64);
                self.happened = self.ended.saturating_sub(before) < ten_reviews;
                return fired;
            };
            // The list begins with the alarm. Without a clock it is there twice.
            self.watched.list[REVIEW] = H::entry(next);
            self.watched.list[CLOCK] = clock.unwrap_or(H::entry(next));
            host.poll(&self.watched.list[REVIEW..self.watched.quiet()])?;
            let first = ready.len();
            let rang = host.rang();
            let clock_fired = host.report(REVIEW, rang, &mut self.watched, ready) && clock.is_some();
            if has_bell {
                self.mark_idle();
            }
            match rang {
                // The period is over.
                true if has_bell && !self.is_bell => self.next = None,
                true => self.review(host, ready)?,
                false => {}
            }
            if clock_fired || !rang || ready.len() > first {
                self.happened = true;
                return Ok(clock_fired);
            }
            // Nothing now. If something has happened since the last review, one more period; else all are waited for.
            if !has_bell && std::mem::take(&mut self.happened) {
                self.plan(host);
            }
        }
    }

    /// Looks at those of the busy ones whose turn it is, and makes a review if it is time.
    fn look_at_part(
        &mut self,
        host: &mut H,
        clock: Option<H::Entry>,
        ready: &mut Vec<Ready>,
    ) -> Result<bool, H::Error> {
        host.refresh();
        let past = host.past();
        self.watched.list[REVIEW] = H::entry(&past);
        self.watched.list[CLOCK] = clock.unwrap_or(H::entry(&past));
        let end = self.watched.next_part();
        host.poll(&self.watched.list[REVIEW..end])?;
        let clock_fired = host.report(REVIEW, true, &mut self.watched, ready) && clock.is_some();
        if self.next.is_none() || self.is_bell {
            self.plan(host);
        } else if host.now() >= self.due {
            self.review(host, ready)?;
        }
        Ok(clock_fired)
    }

    /// The next review is to be a period from now.
    fn plan(&mut self, host: &mut H) {
        (self.next, self.is_bell) = (Some(host.alarm(self.period)), false);
        if H::IN_TURNS {
            self.due = host.now().saturating_add(self.period);
        }
    }

    /// A poll has just looked at all the busy ones, and those that are left were not ready.
    fn mark_idle(&mut self) {
        self.in_vain += self.watched.quiet() - SOCKETS;
        if self.in_vain >= IN_VAIN.max(self.watched.list.len()) {
            self.in_vain = 0;
            self.watched.review();
        }
    }

    /// Looks at the quiet ones. Of the busy ones something is heard at each wait.
    fn review(&mut self, host: &mut H, ready: &mut Vec<Ready>) -> Result<(), H::Error> {
        let Some(mut next) = self.next.take() else { return Ok(()) };
        let is_bell = std::mem::take(&mut self.is_bell);
        if is_bell {
            // The bell does not ring twice.
            next = host.past();
        }
        if self.watched.quiet() < self.watched.list.len() {
            let before = host.now();
            // The alarm, which has rung, keeps it from waiting. It is put before them, in the place of whoever is there.
            let first = self.watched.quiet() - 1;
            let other = std::mem::replace(&mut self.watched.list[first], H::entry(&next));
            let polled = host.poll(&self.watched.list[first..]);
            self.watched.list[first] = other;
            polled?;
            self.period = SHORTEST.max(host.now().saturating_sub(before) * (SHARE - 1));
            host.report(first, true, &mut self.watched, ready);
        }
        match is_bell {
            true => self.plan(host),
            false => self.watched.review(),
        }
        Ok(())
    }

    fn wait_for_all(
        &mut self,
        host: &mut H,
        clock: Option<H::Entry>,
        ready: &mut Vec<Ready>,
    ) -> Result<bool, H::Error> {
        let from = match clock {
            Some(clock) => {
                self.watched.list[CLOCK] = clock;
                CLOCK
            }
            None => SOCKETS,
        };
        host.poll(&self.watched.list[from..])?;
        Ok(host.report(from, false, &mut self.watched, ready))
    }
}
