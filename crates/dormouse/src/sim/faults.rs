//! What a simulated world may do to a program.

use std::time::Duration;

/// What may go wrong in a run, and how often; all of it is something that a real host does. The default is nothing.
///
/// Percentages are of the occasions for that fault. [`explore`](super::explore) tries both ways on each occasion,
/// whatever the percentage, if it is not 0.
///
/// ```
/// use dormouse::sim::Faults;
/// let faults = Faults { partial: 50, reorder: true, ..Faults::none() };
/// assert_ne!(faults, Faults::all());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Percent of the reads and writes that do less than they could.
    pub partial: u8,
    /// Percent of the operations on a ready socket that say `WouldBlock`, once; the socket is reported ready again.
    pub would_block: u8,
    /// Percent of the operations on a ready socket that are interrupted by a signal.
    pub interrupts: u8,
    /// Percent of the sides that are waited for and not ready, and are reported all the same; and of the timers that
    /// ring too early.
    pub spurious_wakes: u8,
    /// Percent of the ready sides that a wait leaves for the next one.
    pub subsets: u8,
    /// Percent of the waits after which the clock leaps ahead, as after a suspended host, by up to a second.
    pub clock_jumps: u8,
    /// Percent of the attempts to connect that fail, after a while, though the port has a listener; and of the resets that come
    /// only after what was sent before.
    pub late_errors: u8,
    /// Percent of the writes at which the network resets the connection, and of the connections that have gone when they
    /// are accepted.
    pub resets: u8,
    /// Percent of the accepts that fail though there is a connection, as if there were no descriptor for it; the connection stays for later.
    pub exhausted: u8,
    /// The longest time that something is on its way from one socket to another.
    pub latency: Duration,
    /// Tasks that are runnable together run in any order, and what is ready together is reported in any order.
    pub reorder: bool,
    /// So many faults in one run, and then no more; latency and order do not count. An exploration with faults needs
    /// such a bound: without it, a wake that comes for nothing can come for ever.
    pub most: u32,
}

impl Faults {
    /// Nothing goes wrong.
    pub const fn none() -> Faults {
        Faults {
            partial: 0,
            would_block: 0,
            interrupts: 0,
            spurious_wakes: 0,
            subsets: 0,
            clock_jumps: 0,
            late_errors: 0,
            resets: 0,
            exhausted: 0,
            latency: Duration::ZERO,
            reorder: false,
            most: u32::MAX,
        }
    }

    /// Everything goes wrong now and then.
    pub const fn all() -> Faults {
        Faults {
            partial: 20,
            would_block: 10,
            interrupts: 5,
            spurious_wakes: 5,
            subsets: 20,
            clock_jumps: 2,
            late_errors: 5,
            resets: 1,
            exhausted: 5,
            latency: Duration::from_millis(10),
            reorder: true,
            most: u32::MAX,
        }
    }

    /// All that a program need not notice: everything but resets, failing connections and accepts, and a
    /// leaping clock.
    pub const fn harmless() -> Faults {
        Faults { clock_jumps: 0, late_errors: 0, resets: 0, exhausted: 0, ..Faults::all() }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Faults::none()
    }
}
