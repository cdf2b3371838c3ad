//! Being asked to stop: a clock that shows its last instant. `FACTS.md`, `STOP`.

use std::any::Any;
use std::io;

use wasip3::clocks::monotonic_clock::wait_until;

use super::abi::Waitable;
use super::call::Call;
use super::{Other, Source, State, set};
use crate::sys::wasi::facts;
use crate::sys::{Asked, Side};

/// `None`: it has been asked.
struct Stop(Option<Call<()>>);

impl Other for Stop {
    fn under_way(&mut self, _side: Side) -> Option<Waitable> {
        self.0.as_ref()?.under_way()
    }

    fn is_pending(&mut self) -> bool {
        false
    }
}

impl Source {
    /// What becomes readable when the host asks the program to stop; `None` where it never does.
    pub(crate) fn stop(_asked: Asked) -> io::Result<Option<Self>> {
        Ok(facts::is_told(facts::STOP).then(|| {
            let call = Call::new(wait_until(u64::MAX));
            Source::new(State::Other(Box::new(Stop(call.err()))))
        }))
    }

    pub(crate) fn try_stop(&self) -> io::Result<()> {
        let State::Other(other) = &mut *self.state.borrow_mut() else { return Err(io::ErrorKind::InvalidInput.into()) };
        let other: &mut dyn Any = &mut **other;
        let Some(Stop(call)) = other.downcast_mut() else { return Err(io::ErrorKind::InvalidInput.into()) };
        if let Some(under_way) = call {
            if under_way.try_finish().is_some() {
                // It is told in the next turn, with all that has come by now: a connection is the program's already when its event has not
                // been taken, and a listener that is dropped drops it.
                *call = None;
                set::look_next_time();
            }
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    }
}
