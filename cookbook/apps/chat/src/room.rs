//! The members, and what is said to all of them.
//!
//! A line is made once, and each member's queue has a reference to it. A queue that is full belongs to a member that does not read:
//! that member is dropped, and no other waits.
//!
//! ```text
//!   "hello" of mouse ──▶ said mouse hello ──┬──▶ queue of mouse, QUEUE lines ──▶ its socket
//!                                           ├──▶ queue of vole
//!                                           └──▶ queue of shrew: full ──▶ left shrew
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;

/// Lines that may wait for a member: a megabyte, if all are as long as can be, and the same one for all members that wait.
pub const QUEUE: usize = 64;

/// What is in a line of the protocol, and in a query: there is nothing in it to escape.
pub fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=20).contains(&name.len()) && name.chars().all(allowed)
}

#[derive(Default)]
pub struct Room {
    members: RefCell<BTreeMap<String, Seat>>,
}

/// The room's side of a member.
struct Seat {
    queue: Sender<Utf8Bytes>,
    late: CancellationToken,
}

/// The member's side. The others are told when it is dropped.
pub struct Member {
    pub name: String,
    pub lines: Receiver<Utf8Bytes>,
    /// Cancelled when the member does not read what is said.
    pub late: CancellationToken,
    room: Rc<Room>,
}

impl Room {
    /// Takes a seat: with this name, or if it is taken with a number behind it.
    pub fn join(self: &Rc<Self>, wanted: &str) -> Member {
        let taken = |name: &String| self.members.borrow().contains_key(name);
        let names = std::iter::once(wanted.to_owned()).chain((2..).map(|n| format!("{wanted}{n}")));
        let name = names.into_iter().find(|name| !taken(name)).expect("numbers do not end before members do");
        self.tell(format!("joined {name}"));
        let others: Vec<_> = self.members.borrow().keys().cloned().collect();
        let (queue, lines) = channel(QUEUE);
        let late = CancellationToken::new();
        let welcome = [vec!["welcome".to_owned(), name.clone()], others].concat().join(" ");
        queue.try_send(welcome.into()).expect("it is empty");
        self.members.borrow_mut().insert(name.clone(), Seat { queue, late: late.clone() });
        Member { name, lines, late, room: self.clone() }
    }

    /// Says something to all members, and drops those whose queue is full; then says that they have left.
    fn tell(&self, line: String) {
        let mut news = vec![Utf8Bytes::from(line)];
        while let Some(line) = news.pop() {
            let is_late = |name: &String, seat: &mut Seat| {
                let is_late = seat.queue.try_send(line.clone()).is_err();
                if is_late {
                    seat.late.cancel();
                    news.push(format!("left {name}").into());
                }
                is_late
            };
            self.members.borrow_mut().extract_if(.., is_late).for_each(drop);
        }
    }
}

impl Member {
    pub fn say(&self, text: &str) {
        self.room.tell(format!("said {} {text}", self.name));
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // A member that was late is gone already, and another may have the name.
        if !self.late.is_cancelled() {
            self.room.members.borrow_mut().remove(&self.name);
            self.room.tell(format!("left {}", self.name));
        }
    }
}
