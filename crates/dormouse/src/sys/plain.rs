//! What most hosts need not be told, and cannot do.

use std::io;
pub(crate) use std::process::exit;

use super::{Side, host};

pub(crate) struct Entered;

pub(crate) fn enter() -> io::Result<Entered> {
    Ok(Entered)
}

pub(crate) fn tell() {}

#[cfg(feature = "p3-spawn")]
pub(crate) fn set_spawn(_spawn: fn(std::pin::Pin<Box<dyn Future<Output = ()>>>)) {}

pub(crate) fn begin(_of: &host::Source, _side: Side) {}

pub(crate) fn hand_over(_from: &host::Source, _to: &host::Source) -> bool {
    false
}

pub(crate) fn try_handed_over(_of: &host::Source, _side: Side) -> io::Result<()> {
    Ok(())
}

pub(crate) fn take_back(_of: &host::Source, _side: Side) {}
