//! Events. What happens to the instances of a service, as sentences.

use std::fmt;
use std::time::Duration;

use super::Instance;

/// What happens to the instances of a [`Service`](super::Service). `Display` is the sentence to show.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// All instances serve: each has a listener, or has run for a second. It comes once.
    Serves,
    /// An instance has ended, and nothing had asked it to. The text is its error or its exit code.
    Failed {
        /// Which one.
        instance: Instance,
        /// How.
        why: String,
        /// How many connections it had, which have ended with it.
        lost: usize,
    },
    /// It is started again.
    Restarts {
        /// Which one.
        instance: Instance,
        /// After this time.
        after: Duration,
    },
    /// It is not, since that was done as often as it may.
    GivenUp {
        /// Which one.
        instance: Instance,
        /// How often it was started again.
        restarts: u32,
    },
    /// An instance has not heard the request to stop, and is ended.
    Deaf {
        /// Which one.
        instance: Instance,
    },
    /// An instance was asked to stop and has not in this time: it is ended.
    CutOff {
        /// Which one.
        instance: Instance,
        /// The time.
        after: Duration,
    },
    /// All instances of a new program serve, and those of the old one have been asked to stop.
    Reloaded {
        /// How often that has been now.
        generation: usize,
    },
    /// An instance of a new program has ended before it served. The old ones go on.
    NotReloaded {
        /// How it ended.
        why: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Serves => f.write_str("all instances serve"),
            Event::Failed { instance, why, lost: 0 } => write!(f, "{instance}: {why}"),
            Event::Failed { instance, why, lost } => {
                write!(f, "{instance}: {why}\nconnections that have ended with {instance}: {lost}")
            }
            Event::Restarts { instance, after } => write!(f, "{instance} starts again in {after:?}"),
            Event::GivenUp { instance, restarts } => {
                write!(f, "{instance} has failed {restarts} times after a restart, and stays down")
            }
            Event::Deaf { instance } => write!(f, "{instance} does not wait for a request to stop, so it is ended"),
            Event::CutOff { instance, after } => {
                write!(f, "{instance} was asked to stop and has not in {after:?}, so it is ended")
            }
            Event::Reloaded { generation } => {
                write!(f, "reloaded ({generation}): the new instances serve, and the old ones were asked to stop")
            }
            Event::NotReloaded { why } => write!(f, "not reloaded, the old instances go on: {why}"),
        }
    }
}
