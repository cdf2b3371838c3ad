//! Files of std, of which some have to be waited for: pipes and devices.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use super::abi::{self, Due};
use super::descriptor::Descriptor;
use super::{Kind, Source};
use crate::sys::Side;

impl Source {
    /// What to wait on before each call on this file; `None` if it is always ready, as regular files and directories are.
    pub(crate) fn file(file: &File) -> io::Result<Option<Self>> {
        let fd = file.as_raw_fd() as abi::RawFd;
        let always = [wasip1::FILETYPE_REGULAR_FILE, wasip1::FILETYPE_DIRECTORY, wasip1::FILETYPE_SYMBOLIC_LINK];
        let (kind, _) = abi::stat(fd)?;
        Ok((!always.iter().any(|it| it.raw() == kind)).then(|| Source::new(Descriptor::borrowed(fd), Kind::Blocking)))
    }

    /// `WouldBlock` unless a blocking call would return at once. A host that cannot tell is taken to say yes: then the
    /// call blocks, which is the best there is.
    pub(crate) fn try_ready(&self, side: Side) -> io::Result<()> {
        let asked = [abi::clock(Due::After(0)), abi::readiness(self.raw()?, side, 1)];
        let mut events = Vec::new();
        match abi::poll(&asked, &mut events) {
            Ok(()) if !events.iter().any(|event| event.userdata == 1) => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }
}
