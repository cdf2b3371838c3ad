//! Numbers of `wasi_snapshot_preview1`, and what errors of the system are there.

use std::io;

use rustix::io::Errno as System;

/// An error as the program gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Errno(pub(super) u16);

impl Errno {
    pub(super) const AGAIN: Errno = Errno(6);
    pub(super) const BADF: Errno = Errno(8);
    pub(super) const FAULT: Errno = Errno(21);
    pub(super) const INVAL: Errno = Errno(28);
    pub(super) const IO: Errno = Errno(29);
    pub(super) const NAMETOOLONG: Errno = Errno(37);
    pub(super) const NFILE: Errno = Errno(41);
    pub(super) const NOMEM: Errno = Errno(48);
    pub(super) const NOTDIR: Errno = Errno(54);
    pub(super) const NOTSOCK: Errno = Errno(57);
    pub(super) const NOTSUP: Errno = Errno(58);
    pub(super) const SPIPE: Errno = Errno(70);
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Errno {
        let Some(code) = error.raw_os_error() else {
            return if error.kind() == io::ErrorKind::WouldBlock { Errno::AGAIN } else { Errno::IO };
        };
        Errno(match System::from_raw_os_error(code) {
            System::AGAIN => 6,
            System::ACCESS => 2,
            System::BADF => 8,
            System::CONNABORTED => 13,
            System::CONNREFUSED => 14,
            System::CONNRESET => 15,
            System::DESTADDRREQ => 17,
            System::FAULT => 21,
            System::HOSTUNREACH => 23,
            System::INTR => 27,
            System::INVAL => 28,
            System::ISCONN => 30,
            System::MFILE => 33,
            System::MSGSIZE => 35,
            System::NETDOWN => 38,
            System::NETRESET => 39,
            System::NETUNREACH => 40,
            System::NFILE => 41,
            System::NOBUFS => 42,
            System::NOMEM => 48,
            System::NOTCONN => 53,
            System::NOTSOCK => 57,
            System::OPNOTSUPP => 58,
            System::PERM => 63,
            System::PIPE => 64,
            System::PROTO => 65,
            System::TIMEDOUT => 73,
            _ => 29,
        })
    }
}
