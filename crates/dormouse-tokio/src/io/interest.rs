//! tokio's `Interest` and `Ready`, which its own sockets alone have on other systems.

use std::fmt;
use std::ops::{BitOr, BitOrAssign, Sub};

use dormouse::foreign::Side;

/// What a task waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Interest(u8);

/// What a socket is ready for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ready(u8);

const READABLE: u8 = 1;
const WRITABLE: u8 = 2;
const READ_CLOSED: u8 = 4;
const WRITE_CLOSED: u8 = 8;
const PRIORITY: u8 = 16;
const ERROR: u8 = 32;

impl Interest {
    pub const READABLE: Interest = Interest(READABLE);
    pub const WRITABLE: Interest = Interest(WRITABLE);
    /// No host of WASI tells of errors by themselves: they come with what is read or written.
    pub const ERROR: Interest = Interest(ERROR);

    pub const fn is_readable(self) -> bool {
        self.0 & READABLE != 0
    }

    pub const fn is_writable(self) -> bool {
        self.0 & WRITABLE != 0
    }

    pub const fn is_error(self) -> bool {
        self.0 & ERROR != 0
    }

    /// Both.
    #[allow(clippy::should_implement_trait)]
    pub const fn add(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }

    /// Without the other; `None` if nothing is left.
    pub fn remove(self, other: Interest) -> Option<Interest> {
        match self.0 & !other.0 {
            0 => None,
            rest => Some(Interest(rest)),
        }
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.add(other)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        names(f, self.0, &[(READABLE, "READABLE"), (WRITABLE, "WRITABLE"), (PRIORITY, "PRIORITY"), (ERROR, "ERROR")])
    }
}

fn names(f: &mut fmt::Formatter<'_>, bits: u8, names: &[(u8, &str)]) -> fmt::Result {
    let mut separator = "";
    for (bit, name) in names {
        if bits & bit != 0 {
            write!(f, "{separator}{name}")?;
            separator = " | ";
        }
    }
    Ok(())
}

impl Ready {
    pub const EMPTY: Ready = Ready(0);
    pub const READABLE: Ready = Ready(READABLE);
    pub const WRITABLE: Ready = Ready(WRITABLE);
    pub const READ_CLOSED: Ready = Ready(READ_CLOSED);
    pub const WRITE_CLOSED: Ready = Ready(WRITE_CLOSED);
    pub const ERROR: Ready = Ready(ERROR);
    pub const ALL: Ready = Ready(READABLE | WRITABLE | READ_CLOSED | WRITE_CLOSED | ERROR);

    pub(crate) fn of(side: Side) -> Ready {
        match side {
            Side::Read => Ready::READABLE,
            Side::Write => Ready::WRITABLE,
        }
    }

    pub fn is_empty(self) -> bool {
        self == Ready::EMPTY
    }

    pub fn is_readable(self) -> bool {
        self.0 & (READABLE | READ_CLOSED) != 0
    }

    pub fn is_writable(self) -> bool {
        self.0 & (WRITABLE | WRITE_CLOSED) != 0
    }

    pub fn is_read_closed(self) -> bool {
        self.0 & READ_CLOSED != 0
    }

    pub fn is_write_closed(self) -> bool {
        self.0 & WRITE_CLOSED != 0
    }

    pub fn is_error(self) -> bool {
        self.0 & ERROR != 0
    }
}

impl BitOr for Ready {
    type Output = Ready;

    fn bitor(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }
}

impl BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Ready) {
        self.0 |= other.0;
    }
}

impl std::ops::BitAnd for Ready {
    type Output = Ready;

    fn bitand(self, other: Ready) -> Ready {
        Ready(self.0 & other.0)
    }
}

impl Sub for Ready {
    type Output = Ready;

    fn sub(self, other: Ready) -> Ready {
        Ready(self.0 & !other.0)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("is_readable", &self.is_readable())
            .field("is_writable", &self.is_writable())
            .field("is_read_closed", &self.is_read_closed())
            .field("is_write_closed", &self.is_write_closed())
            .field("is_error", &self.is_error())
            .finish()
    }
}
