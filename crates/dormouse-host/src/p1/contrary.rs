//! A host that does all that other hosts do and this one does not, by turns: for tests that a program lives with that.

use super::errno::Errno;

/// What comes of a call of `poll_oneoff`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// As it is.
    True,
    /// All that is asked for is ready, at once (wasi-common's `sync/sched/unix.rs`, when one of them is).
    AllReady,
    /// Nothing has happened, at once (WasmEdge 0.14).
    Nothing,
    /// No.
    Refused(Errno),
}

#[derive(Default)]
pub(super) struct Contrary {
    calls: u32,
}

impl Contrary {
    /// The next answer, to so many subscriptions.
    pub(super) fn next(&mut self, subscriptions: usize, absolute_time: bool) -> Answer {
        if absolute_time {
            return Answer::Refused(Errno::NOTSUP); // wazero 1.12
        }
        // What is asked about one descriptor alone is answered.
        if subscriptions < 3 {
            return Answer::True;
        }
        self.calls = self.calls.wrapping_add(1);
        match self.calls % 8 {
            1 | 5 => Answer::AllReady,
            3 => Answer::Nothing,
            // One descriptor of many that it does not like fails the call (wasi-common).
            6 => Answer::Refused(Errno::BADF),
            _ => Answer::True,
        }
    }
}
