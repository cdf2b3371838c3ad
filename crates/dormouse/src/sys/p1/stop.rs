//! Being asked to stop: a clock that shows its last instant. `FACTS.md`, `STOP`.

use std::io;

use super::abi::{self, Due};
use super::{Kind, Source};
use crate::sys::Asked;
use crate::sys::wasi::facts;

impl Source {
    /// What becomes readable when the host asks the program to stop; `None` where it never does.
    pub(crate) fn stop(_asked: Asked) -> io::Result<Option<Self>> {
        Ok(facts::is_told(facts::STOP).then(|| Source {
            descriptor: None,
            kind: Kind::Stop,
            drained: Default::default(),
        }))
    }

    pub(crate) fn try_stop(&self) -> io::Result<()> {
        let mut events = Vec::new();
        abi::poll(&[abi::clock(Due::After(0)), abi::stop(abi::STOP)], &mut events).map_err(abi::error)?;
        match events.iter().any(|event| event.userdata == abi::STOP) {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}
